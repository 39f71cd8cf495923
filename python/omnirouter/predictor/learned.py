"""What all predictors share: fitting and predicting by encoded prompts, saving and loading."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from omnirouter.checks import maybe_callable
from omnirouter.errors import PredictorError
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor.base import Prediction, Progress, check_prompts
from omnirouter.predictor.embedded import embedded_encoder
from omnirouter.predictor.encoded import Encoded, encode
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.history import History
from omnirouter.predictor.learned_parts import Expected, HeldOut, State
from omnirouter.predictor.newcomer import Newcomer

__all__ = ["LearnedPredictor"]

SLICE = 8192  # prompts encoded and predicted at once
Self = TypeVar("Self", bound="LearnedPredictor")


class LearnedPredictor(ABC):
    """A predictor that learns from a `History` and predicts by `Encoded` prompts.

    Parameters
    ----------
    encoder : Encoder, str, Path or None
        What turns prompts into vectors; a folder or hub name is opened by `fit`, None takes the embedded
        encoder.

    Attributes
    ----------
    models_ : tuple of str
        Models of the pool in its order, or of the outcomes where there is no pool.
    encoder_ : Encoder
    cost_source_ : tuple of str
        For each model ``"prices"`` or ``"logged"``.
    pool_ : Pool or None
    held_out_ : HeldOut or None
        Of the history, where learning made such predictions on the way; not saved.
    observations_ : (m,) int64
        Observed scores of each of these models.
    newcomers_ : tuple of Newcomer
        Models that were added later.
    """

    kind: ClassVar[str]
    held_out_: HeldOut | None = None
    newcomers_: tuple[Newcomer, ...] = ()

    def __init__(self, encoder: Encoder | str | Path | None = None) -> None:
        self.encoder = encoder

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order of the columns of a prediction."""
        self._check_fitted()
        return (*self.models_, *(newcomer.name for newcomer in self.newcomers_))

    @property
    def observations(self) -> NDArray[np.int64]:
        """Number of observed scores that each model's predictions rest on, (m,)."""
        self._check_fitted()
        added = [newcomer.count for newcomer in self.newcomers_]
        return np.concatenate([self.observations_, np.array(added, dtype=np.int64)])

    def fit(self: Self, outcomes: Outcomes, pool: Pool | None = None, *, progress: Progress | None = None) -> Self:
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
        self.check_parameters()
        encoder = self.open_encoder()
        return self.fit_history(History.of(outcomes, pool, encoder, progress=progress), encoder)

    def open_encoder(self) -> Encoder:
        """The encoder to fit with."""
        encoder = self.encoder
        return encoder if isinstance(encoder, Encoder) else Encoder.load(encoder) if encoder else embedded_encoder()

    def fit_history(self: Self, history: History, encoder: Encoder) -> Self:
        """Learn from prompts that `encoder` has encoded; a model without an observation is predicted as NaN or prior."""
        self.check_parameters()
        self.encoder_ = encoder
        self.models_ = history.models
        self.pool_ = history.pool
        self.cost_source_ = history.cost_source
        self.observations_ = history.observed.sum(axis=0).astype(np.int64)
        self.newcomers_ = ()
        self._learn(history)
        return self

    def add_model(self, history: History) -> Newcomer:
        """Add a model without learning anew of the others; see `Newcomer`.

        Parameters
        ----------
        history : History
            Outcomes of the new model alone, by this predictor's encoder.
        """
        self._check_fitted()
        known = self._expect(history.encoded)
        written = history.amounts.get("output_tokens")
        tokens = None if written is None else written[:, 0]
        newcomer = Newcomer.fit(history.models[0], known, history.acc[:, 0], history.paid[:, 0], tokens)
        self.newcomers_ = (*self.newcomers_, newcomer)
        return newcomer

    def restore(
        self: Self,
        state: State,
        encoder: Encoder,
        models: tuple[str, ...],
        pool: Pool | None,
        cost_source: tuple[str, ...],
        *,
        threads: int = 0,
    ) -> Self:
        """Undo `state`, given what it leaves out."""
        self.encoder_, self.models_, self.pool_, self.cost_source_ = encoder, models, pool, cost_source
        self._restore(state, threads=threads)
        return self

    def unfitted(self: Self) -> Self:
        """A copy with the same parameters and nothing learned."""
        fresh = copy.copy(self)
        for name in [name for name in vars(fresh) if name.endswith("_")]:
            delattr(fresh, name)
        return fresh

    def predict(self, prompts: Sequence[str], *, progress: Progress | None = None) -> Prediction:
        """Predict accuracy, output tokens and cost of every model on every prompt.

        Parameters
        ----------
        prompts : sequence of str
            At least one, none empty.
        progress : callable, optional
            Called as ``progress(done, total)`` with the prompts that are done or at least encoded.

        Returns
        -------
        Prediction

        Notes
        -----
        Prompts go through encoder and predictor in slices, so that memory does not grow with their number and
        progress goes on where the predictor, not the encoder, is what takes long.
        """
        self._check_fitted()
        texts = check_prompts(prompts)
        maybe_callable("progress", progress)
        expected = Expected.joined([self._expect_slice(texts, start, progress) for start in range(0, len(texts), SLICE)])
        written = expected.output_tokens
        return Prediction(
            acc=np.clip(expected.acc, 0.0, 1.0).astype(np.float32),
            cost=expected.cost.astype(np.float32),
            models=self.models,
            output_tokens=None if written is None else written.astype(np.float32),
        )

    def _expect_slice(self, texts: Sequence[str], start: int, progress: Progress | None) -> Expected:
        def report(done: int, _: int) -> None:
            assert progress is not None
            progress(start + done, len(texts))

        part = texts[start : start + SLICE]
        return self.expect(encode(self.encoder_, part, progress=None if progress is None else report))

    def expect(self, encoded: Encoded) -> Expected:
        """Predict by encoded prompts."""
        known = expected = self._expect(encoded)
        for newcomer in self.newcomers_:
            expected = expected.beside(newcomer.expect(known))
        return expected

    @abstractmethod
    def _expect(self, encoded: Encoded) -> Expected:
        """Predict the models of the history."""

    def save(self, folder: str | Path) -> dict[str, Any]:
        """Write encoder and arrays into an existing folder; return what else `load` needs, as plain data."""
        self._check_fitted()
        folder = Path(folder)
        (folder / "encoder").mkdir()
        self.encoder_.save(folder / "encoder")
        state = self.state() | State(arrays={"observations": self.observations_})
        for place, newcomer in enumerate(self.newcomers_):
            state = state | newcomer.state().within(f"newcomer{place}")
        for name, array in state.arrays.items():
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
        for name, content in state.files.items():
            (folder / name).write_bytes(content)
        return {
            "kind": self.kind,
            "models": list(self.models_),
            "newcomers": [newcomer.name for newcomer in self.newcomers_],
            "cost_source": list(self.cost_source_),
            "arrays": list(state.arrays),
            "other_files": list(state.files),
            "settings": state.settings,
        }

    @classmethod
    def load(cls: type[Self], folder: str | Path, saved: dict[str, Any], pool: Pool | None, *, threads: int = 0) -> Self:
        """Open what `save` wrote; arrays are memory-mapped.

        Raises
        ------
        PredictorError
            When the description or an array is not what `save` writes.
        """
        folder = Path(folder)
        try:
            if saved["kind"] != cls.kind:
                raise PredictorError(f"predictor kind is {saved['kind']!r}, expected {cls.kind!r}")
            encoder = Encoder.load(folder / "encoder", threads=threads)
            arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in saved["arrays"]}
            files = {name: (folder / name).read_bytes() for name in saved["other_files"]}
            state = State(saved["settings"], arrays, files)
            self = cls(encoder)
            models = tuple(saved["models"])
            own_pool = None if pool is None else pool.select(models)
            self.restore(state, encoder, models, own_pool, tuple(saved["cost_source"]), threads=threads)
            self.observations_ = arrays["observations"]
            self.newcomers_ = tuple(
                Newcomer.from_state(name, state.of(f"newcomer{place}")) for place, name in enumerate(saved["newcomers"])
            )
        except (KeyError, TypeError, ValueError, OSError, AttributeError) as error:
            raise PredictorError(f"predictor in {folder} is damaged: {error!r}") from error
        return self

    @abstractmethod
    def check_parameters(self) -> None:
        """Raise `ValueError` for a parameter outside its range."""

    @abstractmethod
    def _learn(self, history: History) -> None:
        """Set the learned attributes."""

    @abstractmethod
    def state(self) -> State:
        """What was learned, and the parameters, but for the encoder, the models and their prices."""

    @abstractmethod
    def _restore(self, state: State, *, threads: int) -> None:
        """Undo `state`."""

    def _check_fitted(self) -> None:
        if not hasattr(self, "models_"):
            raise PredictorError(f"this {type(self).__name__} is not fitted; call fit(outcomes) first")
