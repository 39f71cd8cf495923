"""Expected tokens and money: quantities that are never negative and spread over orders of magnitude."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.means import column_means
from omnirouter.predictor.neighbours import shrunk_mean

__all__ = ["LEAST_AMOUNT", "Amounts", "log_amounts", "ratios_to_lines", "scale_to_observed", "spread_rows"]

OFFSET = 0.01  # added to an amount before its logarithm, in means of its model: logged zeros stay finite
LEAST_AMOUNT = 1e-30  # stands for nothing in a logarithm
CALIBRATION_ROWS = 4096
CALIBRATION_PER_MODEL = 256


@dataclass(frozen=True, eq=False)
class Amounts:
    """Expected amount (tokens or money) of every model for a prompt, from its length and its neighbours.

    For model j and a prompt of t tokens (by the encoder's own tokenizer)::

        amount = factor[j] * (base[j] + slope[j] * t) * exp(mean over the neighbours of log_ratio[:, j])

    The line is what length alone says (``slope`` 0 where length is left out), ``log_ratio`` is the logarithm
    of a past amount over its line, and ``factor`` makes the mean prediction over the history equal the mean
    that was observed, as the exponential of a mean logarithm falls short of the mean.

    Attributes
    ----------
    log_ratio : (h, m) float32
        NaN where not observed; a column of NaN for a model that was never observed.
    prior : (m,) float64
        Mean of each column of `log_ratio`.
    base, slope, factor : (m,) float64
    """

    log_ratio: NDArray[np.float32]
    prior: NDArray[np.float64]
    base: NDArray[np.float64]
    slope: NDArray[np.float64]
    factor: NDArray[np.float64]

    @classmethod
    def fit(
        cls,
        values: NDArray[np.float64],
        lengths: NDArray[np.float64],
        rows: NDArray[np.int64],
        indices: NDArray[np.int64],
        weights: NDArray[np.float64],
        *,
        shrinkage: float,
        by_length: bool,
    ) -> Amounts:
        """Learn from a history.

        Parameters
        ----------
        values : (h, m) float64
            Observed amounts, at least 0; NaN where not observed.
        lengths : (h,) float64
            Tokens of each prompt.
        rows, indices, weights : (c,), (c, k), (c, k)
            History rows to calibrate on, with their neighbours other than themselves.
        shrinkage : float
            As in `shrunk_mean`; also the number of imagined observations that flatten each line.
        by_length : bool
            Whether the length of the prompt is used.
        """
        base, slope, log_ratio = ratios_to_lines(values, lengths, flattening=shrinkage, by_length=by_length)
        raw = cls(log_ratio, column_means(log_ratio), base, slope, np.ones(len(base)))
        factor = scale_to_observed(raw.predict(lengths[rows], indices, weights, shrinkage=shrinkage), values[rows])
        return replace(raw, factor=factor)

    @property
    def observed(self) -> NDArray[np.bool_]:
        """(m,) whether a model's amount was ever observed."""
        known: NDArray[np.bool_] = ~np.isnan(self.prior)
        return known

    def predict(
        self,
        lengths: NDArray[np.float64],
        indices: NDArray[np.int64],
        weights: NDArray[np.float64],
        *,
        shrinkage: float,
    ) -> NDArray[np.float64]:
        """Expected amounts (n, m), NaN in the columns of models that were never observed."""
        ratio = np.exp(shrunk_mean(self.log_ratio, indices, weights, self.prior, shrinkage))
        amounts: NDArray[np.float64] = self.factor * (self.base + lengths[:, None] * self.slope) * ratio
        return amounts

    def arrays(self, name: str) -> dict[str, NDArray[Any]]:
        """The learned arrays for saving, each under ``name.attribute``."""
        return {f"{name}.{field}": getattr(self, field) for field in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, name: str, arrays: Mapping[str, NDArray[Any]]) -> Amounts:
        """Undo `arrays`."""
        return cls(**{field: arrays[f"{name}.{field}"] for field in cls.__dataclass_fields__})


def spread_rows(
    observed: NDArray[np.bool_], most: int = CALIBRATION_ROWS, per_model: int = CALIBRATION_PER_MODEL
) -> NDArray[np.int64]:
    """Rows of a history that stand for all: so many evenly spread, and up to so many of every model, in ascending order.

    Parameters
    ----------
    observed : (h, m) bool
        Whether something was observed.
    most, per_model : int
        How many rows; the defaults are those that amounts are calibrated on.
    """
    h = len(observed)
    rows = [np.unique(np.linspace(0, h - 1, min(h, most)).astype(np.int64))]
    for column in observed.T:
        known = np.flatnonzero(column)
        if len(known):
            spread = np.linspace(0, len(known) - 1, min(len(known), per_model)).astype(np.int64)
            rows.append(known[spread])
    result: NDArray[np.int64] = np.unique(np.concatenate(rows))
    return result


def ratios_to_lines(
    values: NDArray[np.float64], lengths: NDArray[np.float64], *, flattening: float, by_length: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float32]]:
    """What the length of a prompt says of an amount, and the logarithm of what is left.

    Parameters
    ----------
    values : (h, m) float64
        Observed amounts, at least 0; NaN where not observed.
    lengths : (h,) float64
        Tokens of each prompt.
    flattening : float
        Number of imagined observations that flatten each line.
    by_length : bool
        Whether the length of the prompt is used; else all slopes are 0.

    Returns
    -------
    base, slope : (m,) float64
        The line of each model, NaN where it was never observed.
    log_ratio : (h, m) float32
        Logarithm of each amount over its line, NaN where not observed.
    """
    seen = ~np.isnan(values)
    count = seen.sum(axis=0)
    mean = column_means(values)
    lines = [
        _line(lengths[seen[:, j]], values[seen[:, j], j], flattening) if by_length and count[j] else (mean[j], 0.0)
        for j in range(values.shape[1])
    ]
    base, slope = np.array(lines, dtype=np.float64).T.copy()
    # A model that only ever cost nothing has a line of zeros; it is predicted to cost nothing again.
    line = np.where(mean > 0, base + lengths[:, None] * slope, 1.0)
    return base, slope, np.log((values + np.where(mean > 0, OFFSET * mean, 1.0)) / line).astype(np.float32)


def scale_to_observed(predicted: NDArray[np.float64], observed: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factor (m,) that makes the mean of each predicted column that of the observed one, where that is known."""
    seen = ~np.isnan(observed)
    total, wanted = np.where(seen, predicted, 0.0).sum(axis=0), np.where(seen, observed, 0.0).sum(axis=0)
    factor: NDArray[np.float64] = np.where(total > 0, wanted / np.where(total > 0, total, 1.0), 1.0)
    return factor


def log_amounts(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logarithms of amounts; nothing counts as 1e-30, NaN stays."""
    logs: NDArray[np.float64] = np.log(np.maximum(values.astype(np.float64), LEAST_AMOUNT))
    return logs


def _line(lengths: NDArray[np.float64], values: NDArray[np.float64], flattening: float) -> tuple[float, float]:
    """Least-squares base and slope with both at least 0, the slope flattened where observations are few."""
    x, y = lengths.mean(), values.mean()
    spread = ((lengths - x) ** 2).mean()
    slope = ((lengths - x) * (values - y)).mean() / spread if spread > 0 else 0.0
    slope *= len(values) / (len(values) + flattening)
    if slope <= 0:
        return float(y), 0.0
    if slope * x > y:
        return 0.0, float(y / x)
    return float(y - slope * x), float(slope)
