"""Predictions from the nearest past prompts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import PoolError, PredictorError
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor.amounts import Amounts, calibration_rows
from omnirouter.predictor.base import Prediction, Progress, check_prompts
from omnirouter.predictor.costs import cost_source, input_tokens
from omnirouter.predictor.embedded import embedded_encoder
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.neighbours import Neighbours, shrunk_mean, unit_rows, weights_of

__all__ = ["KnnPredictor"]

AMOUNTS = ("input_tokens", "output_tokens", "cost")


class KnnPredictor:
    """Accuracy, output length and cost of every model from the k most similar past prompts.

    Accuracy of model j on query i is the mean of the neighbours' observed scores, weighted by similarity and
    shrunk toward the mean of the model (see `shrunk_mean`)::

        acc[i, j] = (sum_r w[i, r] * acc[r, j] + shrinkage * mean[j]) / (sum_r w[i, r] + shrinkage)
        w[i, r]   = exp(sharpness * (similarity[i, r] - similarity of the nearest))

    where r runs over the neighbours on which model j was observed; ``mean[j]`` is itself shrunk toward the
    mean of all models, so that a model seen a few times is not taken for perfect. Tokens and money follow
    `Amounts`. The cost of a model is ``input_tokens * input_price + output_tokens * output_price`` where the
    pool has its prices and the history its output tokens, and otherwise learned from the costs that the
    history logs.

    Parameters
    ----------
    encoder : Encoder, str, Path or None
        What turns prompts into vectors; a folder or hub name is opened by `fit`, None takes the embedded
        encoder.
    k : int, default 64
        Neighbours of a query.
    shrinkage : float, default 4.0
        Weight of a model's mean, in neighbours like the nearest.
    sharpness : float, default 5.0
        How fast weights fall with similarity; 0 weighs all k alike.

    Attributes
    ----------
    models : tuple of str
        Models of the pool in its order, or of the outcomes where there is no pool.
    encoder_ : Encoder
    vectors_ : (h, d) float32
        Unit vectors of the history's prompts.
    acc_ : (h, m) float32
        Observed scores, NaN where not observed.
    acc_mean_ : (m,) float64
    amounts_ : dict of str to Amounts
        Learned ``"input_tokens"``, ``"output_tokens"`` and ``"cost"``, as far as the history has them.
    cost_source_ : tuple of str
        For each model ``"prices"`` or ``"logged"``.
    pool_ : Pool or None
    """

    def __init__(
        self,
        encoder: Encoder | str | Path | None = None,
        *,
        k: int = 64,
        shrinkage: float = 4.0,
        sharpness: float = 5.0,
    ) -> None:
        self.encoder = encoder
        self.k = k
        self.shrinkage = shrinkage
        self.sharpness = sharpness

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order of the columns of a prediction."""
        self._check_fitted()
        return self.models_

    def fit(self, outcomes: Outcomes, pool: Pool | None = None, *, progress: Progress | None = None) -> KnnPredictor:
        """Learn from past outcomes.

        Parameters
        ----------
        outcomes : Outcomes
            The history; holes are allowed.
        pool : Pool, optional
            Models to predict and their prices; without it every model of the outcomes, at its logged costs.
        progress : callable, optional
            Called as ``progress(done, total)`` while the prompts are encoded.

        Returns
        -------
        self

        Raises
        ------
        PoolError
            When the pool names a model that the outcomes lack, or a model has neither prices with observed
            output tokens nor a logged cost.
        PredictorError
            When a model has no observed score.
        ValueError
            For a parameter outside its range.
        """
        self._check_parameters()
        if pool is not None:
            missing = [name for name in pool.names if name not in outcomes.models]
            if missing:
                raise PoolError(
                    f"the outcomes have no model {missing[0]!r}, which the pool names; "
                    f"they have {', '.join(outcomes.models)}"
                )
            columns = [outcomes.models.index(name) for name in pool.names]
            known = outcomes.observed[:, columns].any(axis=1)
            if not known.any():
                raise PredictorError("the outcomes have no observed score of any model of the pool")
            outcomes = outcomes.take(known).with_models(pool.names)
        seen = outcomes.observed
        for name, column in zip(outcomes.models, seen.T, strict=True):
            if not column.any():
                raise PredictorError(f"model {name!r} has no observed score in the outcomes")
        values = {name: matrix for name in AMOUNTS if (matrix := getattr(outcomes, name)) is not None}
        sources = cost_source(outcomes.models, pool, values)

        encoder = self.encoder
        self.encoder_ = encoder if isinstance(encoder, Encoder) else Encoder.load(encoder) if encoder else embedded_encoder()
        vectors, tokens = self.encoder_.encode_counted(outcomes.prompts, progress=progress)
        self.models_ = outcomes.models
        self.pool_ = pool
        self.cost_source_ = sources
        self.vectors_ = unit_rows(vectors)
        self.acc_ = outcomes.acc.astype(np.float32)
        count, total = seen.sum(axis=0), np.where(seen, outcomes.acc, 0.0).sum(axis=0)
        self.acc_mean_ = (total + self.shrinkage * total.sum() / count.sum()) / (count + self.shrinkage)
        self._fit_amounts(values, np.maximum(tokens, 1.0))
        return self

    def predict(self, prompts: Sequence[str], *, progress: Progress | None = None) -> Prediction:
        """Predict accuracy, output tokens and cost of every model on every prompt.

        Parameters
        ----------
        prompts : sequence of str
            At least one, none empty.
        progress : callable, optional
            Called as ``progress(done, total)`` while the prompts are encoded.

        Returns
        -------
        Prediction
        """
        self._check_fitted()
        vectors, tokens = self.encoder_.encode_counted(check_prompts(prompts), progress=progress)
        lengths = np.maximum(tokens, 1.0)
        indices, similarity = Neighbours(self.vectors_).search(unit_rows(vectors), self.k)
        weights = weights_of(similarity, self.sharpness)
        acc = shrunk_mean(self.acc_, indices, weights, self.acc_mean_, self.shrinkage)
        expected = {
            name: amounts.predict(lengths, indices, weights, shrinkage=self.shrinkage)
            for name, amounts in self.amounts_.items()
        }
        output = expected.get("output_tokens")
        return Prediction(
            acc=np.clip(acc, 0.0, 1.0).astype(np.float32),
            cost=self._cost(expected, lengths).astype(np.float32),
            models=self.models_,
            output_tokens=None if output is None else output.astype(np.float32),
        )

    def save(self, folder: str | Path) -> dict[str, Any]:
        """Write encoder and arrays into an existing folder; return what else `load` needs, as plain data."""
        self._check_fitted()
        folder = Path(folder)
        (folder / "encoder").mkdir()
        self.encoder_.save(folder / "encoder")
        arrays: dict[str, NDArray[Any]] = {
            "vectors": self.vectors_,
            "acc": self.acc_,
            "acc_mean": self.acc_mean_,
        }
        for name, amounts in self.amounts_.items():
            arrays |= amounts.arrays(name)
        for name, array in arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        return {
            "kind": "knn",
            "k": self.k,
            "shrinkage": self.shrinkage,
            "sharpness": self.sharpness,
            "models": list(self.models_),
            "cost_source": list(self.cost_source_),
            "arrays": list(arrays),
            "amounts": list(self.amounts_),
        }

    @classmethod
    def load(cls, folder: str | Path, saved: dict[str, Any], pool: Pool | None, *, threads: int = 0) -> KnnPredictor:
        """Open what `save` wrote; arrays are memory-mapped.

        Raises
        ------
        PredictorError
            When the description or an array is not what `save` writes.
        """
        folder = Path(folder)
        try:
            if saved["kind"] != "knn":
                raise PredictorError(f"predictor kind {saved['kind']!r} is not known; expected 'knn'")
            encoder = Encoder.load(folder / "encoder", threads=threads)
            self = cls(encoder, k=saved["k"], shrinkage=saved["shrinkage"], sharpness=saved["sharpness"])
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in saved["arrays"]}
            self.models_ = tuple(saved["models"])
            self.cost_source_ = tuple(saved["cost_source"])
            self.vectors_, self.acc_, self.acc_mean_ = arrays["vectors"], arrays["acc"], arrays["acc_mean"]
            self.amounts_ = {name: Amounts.from_arrays(name, arrays) for name in saved["amounts"]}
        except (KeyError, TypeError, ValueError, OSError) as error:
            raise PredictorError(f"predictor in {folder} is damaged: {error!r}") from error
        self._check_parameters()
        self.encoder_ = encoder
        self.pool_ = pool
        return self

    def _fit_amounts(self, values: dict[str, NDArray[np.float64]], lengths: NDArray[np.float64]) -> None:
        self.amounts_: dict[str, Amounts] = {}
        if not values:
            return
        rows = calibration_rows(np.concatenate([~np.isnan(matrix) for matrix in values.values()], axis=1))
        indices, similarity = _others(Neighbours(self.vectors_), rows, self.k)
        weights = weights_of(similarity, self.sharpness) if indices.size else np.zeros(indices.shape)
        for name, matrix in values.items():
            # The length of an answer hardly follows that of its prompt; what is read and paid for does.
            self.amounts_[name] = Amounts.fit(
                matrix,
                lengths,
                rows,
                indices,
                weights,
                shrinkage=self.shrinkage,
                by_length=name != "output_tokens",
            )

    def _cost(self, expected: dict[str, NDArray[np.float64]], lengths: NDArray[np.float64]) -> NDArray[np.float64]:
        by_price = np.array([source == "prices" for source in self.cost_source_])
        logged = expected.get("cost")
        if self.pool_ is None or not by_price.any():
            assert logged is not None
            return logged
        priced = self.pool_.cost(
            input_tokens(expected.get("input_tokens"), lengths, len(self.models_)), expected["output_tokens"]
        )
        return priced if logged is None else np.where(by_price, priced, logged)

    def _check_parameters(self) -> None:
        if type(self.k) is not int or self.k < 1:
            raise ValueError(f"k is {self.k!r}, expected a whole number of at least 1")
        if not self.shrinkage > 0 or not np.isfinite(self.shrinkage):
            raise ValueError(f"shrinkage is {self.shrinkage!r}, expected a positive number")
        if not self.sharpness >= 0 or not np.isfinite(self.sharpness):
            raise ValueError(f"sharpness is {self.sharpness!r}, expected a number of at least 0")

    def _check_fitted(self) -> None:
        if not hasattr(self, "models_"):
            raise PredictorError("this KnnPredictor is not fitted; call fit(outcomes) first")


def _others(neighbours: Neighbours, rows: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest neighbours of history rows, each without the row itself."""
    indices, similarity = neighbours.search(np.ascontiguousarray(neighbours.vectors[rows]), k + 1)
    drop = indices == rows[:, None]
    drop[~drop.any(axis=1), -1] = True  # more than k rows alike: the row itself is not among them
    shape = (len(rows), indices.shape[1] - 1)
    return indices[~drop].reshape(shape), similarity[~drop].reshape(shape)
