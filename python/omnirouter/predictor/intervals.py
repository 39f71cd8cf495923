"""How far outcomes lie from predictions: intervals for scores, quantiles for tokens and money."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.means import column_means
from omnirouter.predictor.amounts import OFFSET

__all__ = ["LEVELS", "AmountQuantiles", "ScoreIntervals", "weighted_quantile"]

LEVELS = (0.5, 0.9)
GROUP = 50  # queries alike whose mean score an interval is about
COVERAGE = 0.9
PULL = 20.0  # what was seen of all models counts as this many observations for each of them


@dataclass(frozen=True, eq=False)
class ScoreIntervals:
    """Intervals for the mean score of a model on queries of like prediction.

    A single score is 0 or 1 more often than not, and no useful interval holds it. So the interval is about the mean
    score of the model over a group of 50 queries with predictions like this one: it holds that mean for 90 % of such
    groups. With `n_j` observations of model j::

        acc[i, j] +- width[j] * sqrt(acc (1 - acc) (1 / 50 + 1 / n_j))

    ``width`` is the conformal quantile of the same ratio over groups of the history, by out-of-fold predictions; groups
    of all models count as 20 of each model's own. With fewer groups it is at least the 1.645 of a normal distribution,
    times the share of ``acc (1 - acc)`` that single scores vary by: one group of all a model's observations tells nothing,
    as its mean is known to the predictor. A model that was seen rarely so has wider intervals.

    Attributes
    ----------
    count : (m,) int64
        Observed scores of each model.
    width : (m,) float64
    """

    count: NDArray[np.int64]
    width: NDArray[np.float64]

    @classmethod
    def fit(cls, acc: NDArray[np.floating], scores: NDArray[np.floating]) -> ScoreIntervals:
        """Learn widths from out-of-fold predictions (h, m) and scores (h, m), NaN where not observed."""
        count = (~np.isnan(scores)).sum(axis=0)
        own = [_group_ratios(acc[:, j], scores[:, j]) for j in range(acc.shape[1])]
        width = np.array([weighted_quantile(ratios, own, COVERAGE) for ratios in own])
        normal = NormalDist().inv_cdf((1 + COVERAGE) / 2) * np.sqrt(_share_of_binary(acc, scores))
        few = np.array([len(ratios) for ratios in own]) < PULL
        return cls(count.astype(np.int64), np.where(few, np.fmax(width, normal), width))

    def of(self, acc: NDArray[np.floating]) -> NDArray[np.float32]:
        """Lower and upper ends, (n, m, 2), for predictions (n, m)."""
        p = acc.astype(np.float64)
        half = self.width * np.sqrt(p * (1 - p) * (1 / GROUP + 1 / np.maximum(self.count, 1)))
        ends = np.stack([p - half, p + half], axis=2)
        return np.clip(ends, 0.0, 1.0).astype(np.float32)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays, for saving."""
        return {"intervals.count": self.count, "intervals.width": self.width}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> ScoreIntervals:
        """Undo `arrays`."""
        return cls(arrays["intervals.count"], arrays["intervals.width"])


@dataclass(frozen=True, eq=False)
class AmountQuantiles:
    """Quantiles of tokens or money around what is expected, by split conformal prediction.

    An amount is at most its p90 for 90 % of the queries of a model, whatever its distribution::

        quantile[i, j] = (expected[i, j] + offset[j]) * exp(log_ratio[j, level]) - offset[j]

    ``log_ratio`` is the conformal quantile of ``log((observed + offset) / (expected + offset))`` over the history, by
    out-of-fold predictions; pairs of all models count as 20 of each model's own.

    Attributes
    ----------
    offset : (m,) float64
        A hundredth of the model's mean amount, of what is expected where none is known.
    log_ratio : (m, 2) float64
        At the levels 0.5 and 0.9.
    """

    offset: NDArray[np.float64]
    log_ratio: NDArray[np.float64]

    @classmethod
    def fit(cls, expected: NDArray[np.floating], observed: NDArray[np.floating]) -> AmountQuantiles:
        """Learn from out-of-fold predictions (h, m) and amounts (h, m), NaN where not known."""
        known = ~np.isnan(expected) & ~np.isnan(observed)
        seen = column_means(np.where(known, observed, np.nan))
        offset = OFFSET * np.where(np.isnan(seen), column_means(expected), seen)
        offset = np.where(offset > 0, offset, 1.0)
        own = [
            np.log((observed[seen, j].astype(np.float64) + offset[j]) / (expected[seen, j].astype(np.float64) + offset[j]))
            for j, seen in enumerate(known.T)
        ]
        table = [[weighted_quantile(ratios, own, level) for level in LEVELS] for ratios in own]
        return cls(offset, np.array(table))

    def of(self, expected: NDArray[np.floating], level: float) -> NDArray[np.float32]:
        """Amounts (n, m) that are not passed with this probability, 0.5 or 0.9; NaN where nothing is expected."""
        if level not in LEVELS:
            raise ValueError(f"level is {level!r}, expected one of {', '.join(map(str, LEVELS))}")
        ratio = np.exp(self.log_ratio[:, LEVELS.index(level)])
        amounts = (expected.astype(np.float64) + self.offset) * ratio - self.offset
        return np.maximum(amounts, 0.0).astype(np.float32)

    def beside(self, other: AmountQuantiles) -> AmountQuantiles:
        """The models of both."""
        return AmountQuantiles(
            np.concatenate([self.offset, other.offset]), np.concatenate([self.log_ratio, other.log_ratio])
        )

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The learned arrays for saving, each under ``name.attribute``."""
        return {f"{name}.offset": self.offset, f"{name}.log_ratio": self.log_ratio}

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, NDArray[Any]]) -> AmountQuantiles:
        """Undo `arrays`."""
        return cls(arrays[f"{name}.offset"], arrays[f"{name}.log_ratio"])


def weighted_quantile(own: NDArray[np.float64], everyone: list[NDArray[np.float64]], level: float) -> float:
    """Conformal quantile of a model's values, with those of all models weighing as 20 of its own.

    The least value with at least ``level`` of the weight at or below it, where one more value is imagined above all;
    the greatest where there is none. NaN where nothing was seen of any model.

    Examples
    --------
    >>> values = np.arange(1.0, 101.0)
    >>> weighted_quantile(values, [values], 0.9)
    91.0
    """
    every = np.concatenate(everyone)
    if not every.size:
        return float("nan")
    values = np.concatenate([own, every])
    weight = np.concatenate([np.ones(len(own)), np.full(len(every), PULL / len(every))])
    order = np.argsort(values, kind="stable")
    below = np.cumsum(weight[order])
    at = min(int(np.searchsorted(below, level * (below[-1] + 1) - 1e-9)), len(values) - 1)
    return float(values[order][at])


def _share_of_binary(acc: NDArray[np.floating], scores: NDArray[np.floating]) -> float:
    """Variance of scores around their predictions, as a share of what it were if all scores were 0 or 1."""
    seen = ~np.isnan(scores)
    p = acc[seen].astype(np.float64)
    binary = (p * (1 - p)).sum()
    return float(((scores[seen] - p) ** 2).sum() / binary) if binary > 0 else 1.0


def _group_ratios(acc: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """|mean score - mean prediction| of groups of like prediction, in standard errors as `ScoreIntervals` counts them."""
    seen = np.flatnonzero(~np.isnan(scores))
    if not seen.size:
        return np.empty(0)
    order = seen[np.argsort(acc[seen], kind="stable")]
    parts = np.array_split(order, max(1, len(order) // GROUP))
    p = np.array([acc[part].mean(dtype=np.float64) for part in parts])
    s = np.array([scores[part].mean(dtype=np.float64) for part in parts])
    size = np.array([len(part) for part in parts])
    error = np.sqrt(np.maximum(p * (1 - p), 1e-4) * (1 / size + 1 / len(seen)))
    ratios: NDArray[np.float64] = np.abs(s - p) / error
    return ratios
