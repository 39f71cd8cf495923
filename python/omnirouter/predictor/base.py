"""What a predictor is and what it returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes import Outcomes
from omnirouter.outcomes.checks import check_filled, text_tuple
from omnirouter.pool import Pool

__all__ = ["Prediction", "Predictor", "Progress", "check_prompts"]

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the number of prompts that are done and the number of all of them."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """Expected accuracy and cost of every model on every query, ready for `omnirouter.solve`.

    Attributes
    ----------
    acc : (n, m) float32
        Expected score in [0, 1].
    cost : (n, m) float32
        Expected money per query, at least 0, in the currency of the pool or of the logged costs.
    models : tuple of str
        Names of the m columns.
    output_tokens : (n, m) float32 or None
        Expected length of the answer in tokens; NaN in the column of a model whose lengths were never
        observed, None where that holds for every model.
    intervals : (n, m, 2) float32 or None
        Lower and upper end of an interval around `acc`, from predictors that know one.

    Raises
    ------
    ValueError
        When a matrix is not (n, m) float32 in C order, or holds a value outside its range.

    Examples
    --------
    >>> import numpy as np
    >>> half = np.full((2, 1), 0.5, dtype=np.float32)
    >>> Prediction(acc=half, cost=half, models=("gpt-4",)).n_queries
    2
    """

    acc: NDArray[np.float32]
    cost: NDArray[np.float32]
    models: tuple[str, ...]
    output_tokens: NDArray[np.float32] | None = None
    intervals: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        shape = (len(self.acc), len(self.models))
        for name, matrix, expected in (
            ("acc", self.acc, shape),
            ("cost", self.cost, shape),
            ("output_tokens", self.output_tokens, shape),
            ("intervals", self.intervals, (*shape, 2)),
        ):
            if matrix is None:
                continue
            if matrix.shape != expected or matrix.dtype != np.float32 or not matrix.flags.c_contiguous:
                raise ValueError(
                    f"{name} is {matrix.dtype} of shape {matrix.shape}, expected float32 of shape {expected} in C order"
                )
        if not ((self.acc >= 0) & (self.acc <= 1)).all():
            raise ValueError("acc has values outside [0, 1]")
        if not ((self.cost >= 0) & np.isfinite(self.cost)).all():
            raise ValueError("cost has negative or infinite values")

    @property
    def n_queries(self) -> int:
        """Number of queries n."""
        return len(self.acc)

    @property
    def n_models(self) -> int:
        """Number of models m."""
        return len(self.models)


@runtime_checkable
class Predictor(Protocol):
    """Anything that learns from outcomes to predict accuracy and cost of each model from the text of a prompt."""

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order of the columns of a prediction."""
        ...

    def fit(self, outcomes: Outcomes, pool: Pool | None = None, *, progress: Progress | None = None) -> Predictor:
        """Learn from past outcomes; returns itself."""
        ...

    def predict(self, prompts: Sequence[str], *, progress: Progress | None = None) -> Prediction:
        """Predict accuracy and cost of every model on every prompt."""
        ...

    def save(self, folder: str | Path) -> dict[str, Any]:
        """Write files into an existing folder; return what else is needed to open them, as plain data."""
        ...


def check_prompts(prompts: Sequence[str]) -> tuple[str, ...]:
    """Return the prompts as a tuple, or raise when there is none or one is not a text that can be routed.

    Raises
    ------
    TypeError
        For a single string in place of a sequence, or an entry that is not a string.
    ValueError
        For no prompt at all, one without a visible character, or one that UTF-8 cannot hold.

    Examples
    --------
    >>> check_prompts(["What is 2 + 2?"])
    ('What is 2 + 2?',)
    """
    texts = text_tuple("prompts", prompts)
    if not texts:
        raise ValueError("prompts is empty, expected at least one prompt")
    check_filled("prompts", texts)
    return texts
