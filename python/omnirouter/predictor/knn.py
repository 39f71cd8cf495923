"""Predictions from the nearest past prompts."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from omnirouter.predictor.amounts import Amounts, spread_rows
from omnirouter.predictor.costs import expected_cost
from omnirouter.predictor.encoded import Encoded
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.history import History
from omnirouter.predictor.learned import LearnedPredictor
from omnirouter.predictor.learned_parts import Expected, State
from omnirouter.predictor.means import mean_scores
from omnirouter.predictor.neighbours import Neighbours, shrunk_mean, weights_of

__all__ = ["KnnPredictor"]


class KnnPredictor(LearnedPredictor):
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
    neighbours_ : Neighbours
        The history's prompts, searched for each query.
    vectors_ : (h, d) float32
        Their unit vectors.
    acc_ : (h, m) float32
        Observed scores, NaN where not observed.
    acc_mean_ : (m,) float64
    amounts_ : dict of str to Amounts
        Learned ``"input_tokens"``, ``"output_tokens"`` and ``"cost"``, as far as the history has them.
    cost_source_ : tuple of str
        For each model ``"prices"`` or ``"logged"``.
    pool_ : Pool or None
    """

    kind: ClassVar[str] = "knn"

    def __init__(
        self,
        encoder: Encoder | str | Path | None = None,
        *,
        k: int = 64,
        shrinkage: float = 4.0,
        sharpness: float = 5.0,
    ) -> None:
        super().__init__(encoder)
        self.k = k
        self.shrinkage = shrinkage
        self.sharpness = sharpness

    @property
    def vectors_(self) -> NDArray[np.float32]:
        """Unit vectors of the history's prompts."""
        return self.neighbours_.vectors

    def _expect(self, encoded: Encoded) -> Expected:
        indices, similarity = self.neighbours_.search(encoded.vectors, self.k)
        weights = weights_of(similarity, self.sharpness)
        amounts = {
            name: part.predict(encoded.lengths, indices, weights, shrinkage=self.shrinkage)
            for name, part in self.amounts_.items()
        }
        return Expected(
            acc=shrunk_mean(self.acc_, indices, weights, self.acc_mean_, self.shrinkage),
            cost=expected_cost(amounts, encoded.lengths, self.pool_, self.cost_source_),
            output_tokens=amounts.get("output_tokens"),
        )

    def check_parameters(self) -> None:
        """Raise `ValueError` for a parameter outside its range."""
        if type(self.k) is not int or self.k < 1:
            raise ValueError(f"k is {self.k!r}, expected a whole number of at least 1")
        if not self.shrinkage > 0 or not np.isfinite(self.shrinkage):
            raise ValueError(f"shrinkage is {self.shrinkage!r}, expected a positive number")
        if not self.sharpness >= 0 or not np.isfinite(self.sharpness):
            raise ValueError(f"sharpness is {self.sharpness!r}, expected a number of at least 0")

    def _learn(self, history: History) -> None:
        self.neighbours_ = Neighbours.fit(history.encoded.vectors)
        self.acc_ = history.acc
        self.acc_mean_ = mean_scores(history.acc, self.shrinkage)
        self._learn_amounts(history)

    def _learn_amounts(self, history: History) -> None:
        self.amounts_: dict[str, Amounts] = {}
        known = [~np.isnan(matrix) for matrix in history.amounts.values()]
        rows = spread_rows(np.concatenate(known, axis=1))
        indices, similarity = _others(self.neighbours_, rows, self.k)
        weights = weights_of(similarity, self.sharpness) if indices.size else np.zeros(indices.shape)
        for name, matrix in history.amounts.items():
            # The length of an answer hardly follows that of its prompt; what is read and paid for does.
            self.amounts_[name] = Amounts.fit(
                matrix,
                history.encoded.lengths,
                rows,
                indices,
                weights,
                shrinkage=self.shrinkage,
                by_length=name != "output_tokens",
            )

    def state(self) -> State:
        """What was learned, and the parameters."""
        arrays = self.neighbours_.arrays() | {"acc": self.acc_, "acc_mean": self.acc_mean_}
        for name, amounts in self.amounts_.items():
            arrays |= amounts.arrays(name)
        settings = {"k": self.k, "shrinkage": self.shrinkage, "sharpness": self.sharpness, "amounts": list(self.amounts_)}
        return State(settings, arrays)

    def _restore(self, state: State, *, threads: int) -> None:
        settings, arrays = state.settings, state.arrays
        self.k, self.shrinkage, self.sharpness = settings["k"], settings["shrinkage"], settings["sharpness"]
        self.check_parameters()
        self.neighbours_ = Neighbours.from_arrays(arrays)
        self.acc_, self.acc_mean_ = arrays["acc"], arrays["acc_mean"]
        self.amounts_ = {name: Amounts.from_arrays(name, arrays) for name in settings["amounts"]}


def _others(neighbours: Neighbours, rows: NDArray[np.int64], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest neighbours of history rows, each without the row itself."""
    indices, similarity = neighbours.search(np.ascontiguousarray(neighbours.vectors[rows]), k + 1)
    drop = indices == rows[:, None]
    drop[~drop.any(axis=1), -1] = True  # more than k rows alike: the row itself is not among them
    shape = (len(rows), indices.shape[1] - 1)
    return indices[~drop].reshape(shape), similarity[~drop].reshape(shape)
