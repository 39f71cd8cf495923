"""What passes between predictors and what they are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Expected", "HeldOut", "State"]


@dataclass(frozen=True, eq=False)
class Expected:
    """A prediction in float64; NaN in the columns of models of which nothing was observed.

    Attributes
    ----------
    acc : (n, m) float64
    cost : (n, m) float64
    output_tokens : (n, m) float64 or None
    """

    acc: NDArray[np.float64]
    cost: NDArray[np.float64]
    output_tokens: NDArray[np.float64] | None = None

    def take(self, rows: NDArray[np.int64] | NDArray[np.bool_]) -> Expected:
        """The prediction of some prompts."""
        written = self.output_tokens
        return Expected(self.acc[rows], self.cost[rows], None if written is None else written[rows])

    def beside(self, other: Expected) -> Expected:
        """The columns of both, of the same prompts."""
        mine, others = self.output_tokens, other.output_tokens
        return Expected(
            np.concatenate([self.acc, other.acc], axis=1),
            np.concatenate([self.cost, other.cost], axis=1),
            None if mine is None or others is None else np.concatenate([mine, others], axis=1),
        )

    @classmethod
    def joined(cls, parts: Sequence[Expected]) -> Expected:
        """The prompts of several predictions, one below the other."""
        written = [part.output_tokens for part in parts if part.output_tokens is not None]
        return cls(
            np.concatenate([part.acc for part in parts]),
            np.concatenate([part.cost for part in parts]),
            np.concatenate(written) if written else None,
        )


@dataclass(frozen=True, eq=False)
class State:
    """What a predictor has learned, for saving.

    Attributes
    ----------
    settings : dict
        Plain data, ready for JSON.
    arrays : dict of str to array
        Each becomes a ``.npy`` file of that name.
    files : dict of str to bytes
        Other files by their names.
    """

    settings: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)

    def within(self, part: str) -> State:
        """The same with names that begin with the part's."""
        return State(
            {f"{part}.{name}": value for name, value in self.settings.items()},
            {f"{part}.{name}": array for name, array in self.arrays.items()},
            {f"{part}.{name}": content for name, content in self.files.items()},
        )

    def of(self, part: str) -> State:
        """Undo `within`."""
        start = f"{part}."

        def cut(items: dict[str, Any]) -> dict[str, Any]:
            return {name.removeprefix(start): item for name, item in items.items() if name.startswith(start)}

        return State(cut(self.settings), cut(self.arrays), cut(self.files))

    def __or__(self, other: State) -> State:
        return State(self.settings | other.settings, self.arrays | other.arrays, self.files | other.files)


@dataclass(frozen=True, eq=False)
class HeldOut:
    """Predictions of rows of a history by a predictor that has not learned from them.

    Attributes
    ----------
    rows : (r,) int64
        Rows of the history.
    expected : Expected
        Of the r rows.
    """

    rows: NDArray[np.int64]
    expected: Expected
