"""Calibration of predicted scores: per model, drawn toward what all models have in common, never out of order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.predictor.chances import log_losses, logits, sigmoid

__all__ = ["BINS", "Calibration", "CalibrationReport", "bin_numbers", "cross_calibrated", "expected_calibration_error"]

BINS = 15
STEPS = 50
COMMON_SPREAD = (1.0, 1.0)  # prior standard deviation of the common slope around 1 and offset around 0
MODEL_SPREAD = (0.25, 0.5)  # of a model's slope and offset around the common ones
LEAST_SLOPE = 0.05  # keeps the order of a model's queries


@dataclass(frozen=True, eq=False)
class Calibration:
    """One increasing map per model from predicted to calibrated score.

    Platt scaling of log odds with shrinkage::

        logit(calibrated[i, j]) = offset[j] + slope[j] * logit(acc[i, j])

    ``slope`` and ``offset`` maximise the likelihood of out-of-fold scores times a normal prior, whose centre is
    the map fitted to all models together; so a model with few observations gets the common map.

    Attributes
    ----------
    slope, offset : (m,) float64
        ``slope`` is positive.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> truth = rng.uniform(0.1, 0.9, (4000, 1))
    >>> scores = (rng.random(truth.shape) < truth).astype(float)
    >>> timid = 0.5 + (truth - 0.5) / 3
    >>> calibration = Calibration.fit(timid, scores)
    >>> bool(abs(calibration.apply(timid) - truth).max() < 0.06)
    True
    """

    slope: NDArray[np.float64]
    offset: NDArray[np.float64]

    @classmethod
    def fit(cls, acc: NDArray[np.floating], scores: NDArray[np.floating]) -> Calibration:
        """Fit to predictions of queries that the predictor did not learn from.

        Parameters
        ----------
        acc : (h, m) float
            Predicted scores.
        scores : (h, m) float
            Observed scores in [0, 1], NaN where not observed.
        """
        odds = logits(acc)
        seen = ~np.isnan(scores)
        # All models weigh alike in the common map, however unevenly they were observed.
        weight = np.where(seen, len(acc) / np.maximum(seen.sum(axis=0), 1), 0.0)
        target = np.where(seen, scores, 0.0)
        common = _fit_map(odds.ravel(), target.ravel(), weight.ravel() / acc.shape[1], (1.0, 0.0), COMMON_SPREAD)
        maps = [
            _fit_map(odds[known, j], target[known, j], np.ones(int(known.sum())), common, MODEL_SPREAD)
            for j, known in enumerate(seen.T)
        ]
        slope, offset = np.array(maps, dtype=np.float64).reshape(-1, 2).T.copy()
        return cls(slope, offset)

    def apply(self, acc: NDArray[np.floating]) -> NDArray[np.float64]:
        """Calibrated scores (n, m) in (0, 1); within a model the order of the queries stays."""
        return sigmoid(self.offset + self.slope * logits(acc))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The learned arrays, for saving."""
        return {"calibration.slope": self.slope, "calibration.offset": self.offset}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Calibration:
        """Undo `arrays`."""
        return cls(arrays["calibration.slope"], arrays["calibration.offset"])


def cross_calibrated(
    acc: NDArray[np.floating], scores: NDArray[np.floating], fold: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Out-of-fold predictions (h, m), those of each fold calibrated on the other folds."""
    result = np.empty(acc.shape)
    for number in np.unique(fold):
        held = fold == number
        result[held] = Calibration.fit(acc[~held], scores[~held]).apply(acc[held])
    return result


@dataclass(frozen=True, eq=False)
class CalibrationReport:
    """How far out-of-fold predictions of each model are from what came of them, before and after calibration.

    The maps that are judged were fitted on other folds than those they are judged on.

    Attributes
    ----------
    models : tuple of str
    count : (m,) int64
        Observed scores.
    log_loss, brier, ece : (m, 2) float64
        Before and after: mean of ``-s log p - (1 - s) log(1 - p)``, mean of ``(s - p)^2``, and the expected
        calibration error (see `expected_calibration_error`). NaN for a model without an observed score.
    """

    models: tuple[str, ...]
    count: NDArray[np.int64]
    log_loss: NDArray[np.float64]
    brier: NDArray[np.float64]
    ece: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        models: tuple[str, ...],
        before: NDArray[np.floating],
        after: NDArray[np.floating],
        scores: NDArray[np.floating],
    ) -> CalibrationReport:
        """Compare predictions (h, m) with scores (h, m), NaN where not observed."""
        count = (~np.isnan(scores)).sum(axis=0)
        parts = [[_measures(p[:, j], scores[:, j]) for p in (before, after)] for j in range(len(models))]
        table = np.array(parts, dtype=np.float64).reshape(len(models), 2, 3)
        log_loss, brier, ece = (np.ascontiguousarray(table[:, :, k]) for k in range(3))
        return cls(models, count, log_loss, brier, ece)

    def __str__(self) -> str:
        """A line per measure: the mean over models, before and after, and the model that is worst after."""
        judged = [name for name, count in zip(self.models, self.count, strict=True) if count]
        lines = []
        for words, values in (("log-loss", self.log_loss), ("Brier", self.brier), ("calibration error", self.ece)):
            values = values[self.count > 0]
            worst = int(np.argmax(values[:, 1]))
            lines.append(
                f"out of fold, {words}: {values[:, 0].mean():.4f}, calibrated {values[:, 1].mean():.4f} "
                f"(mean over models; worst {judged[worst]}, {values[worst, 1]:.4f})"
            )
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Plain data: per model ``observed``, and per measure ``[before, after]``, null where nothing was observed."""
        measures = {"log_loss": self.log_loss, "brier": self.brier, "ece": self.ece}
        return {
            name: {"observed": int(self.count[j])}
            | {measure: values[j].tolist() if self.count[j] else [None, None] for measure, values in measures.items()}
            for j, name in enumerate(self.models)
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> CalibrationReport:
        """Undo `to_dict`."""
        rows = list(data.values())
        return cls(
            tuple(data),
            np.array([row["observed"] for row in rows], dtype=np.int64),
            *(np.array([row[name] for row in rows], dtype=np.float64) for name in ("log_loss", "brier", "ece")),
        )


def bin_numbers(acc: NDArray[np.floating], n_bins: int = BINS) -> NDArray[np.int64]:
    """Bin of each prediction in [0, 1]: of equal width, from 0."""
    return np.minimum((acc * n_bins).astype(np.int64), n_bins - 1)


def expected_calibration_error(acc: NDArray[np.floating], scores: NDArray[np.floating], n_bins: int = BINS) -> float:
    """Mean over the queries of the distance between predicted and observed mean in their bin, of equal width.

    Parameters
    ----------
    acc : (n,) float
        Predictions in [0, 1].
    scores : (n,) float
        Observed scores, without NaN; at least one.
    n_bins : int
        Bins between 0 and 1.

    Examples
    --------
    >>> round(expected_calibration_error(np.array([0.2, 0.2, 0.8, 0.8]), np.array([0.0, 0.0, 1.0, 1.0])), 12)
    0.2
    """
    off = np.bincount(bin_numbers(acc, n_bins), acc.astype(np.float64) - scores, minlength=n_bins)
    return float(np.abs(off).sum() / len(acc))


def _measures(acc: NDArray[np.floating], scores: NDArray[np.floating]) -> tuple[float, float, float]:
    seen = ~np.isnan(scores)
    if not seen.any():
        return np.nan, np.nan, np.nan
    p, s = acc[seen].astype(np.float64), scores[seen].astype(np.float64)
    return float(log_losses(p, s).mean()), float(((s - p) ** 2).mean()), expected_calibration_error(p, s)


def _fit_map(
    odds: NDArray[np.float64],
    scores: NDArray[np.float64],
    weight: NDArray[np.float64],
    centre: tuple[float, float],
    spread: tuple[float, float],
) -> tuple[float, float]:
    """Slope and offset of greatest posterior density, by Newton steps that are halved where they overshoot."""
    pull = 1 / np.square(spread)
    design = np.stack([odds, np.ones_like(odds)])
    at = np.array(centre)

    def loss(point: NDArray[np.float64]) -> float:
        z = point @ design
        fit = weight @ (np.logaddexp(0, z) - scores * z)
        return float(fit + (pull * (point - centre) ** 2).sum() / 2)

    value = loss(at)
    for _ in range(STEPS):
        p = sigmoid(at @ design)
        gradient = design @ (weight * (p - scores)) + pull * (at - centre)
        hessian = (design * (weight * p * (1 - p))) @ design.T + np.diag(pull)
        step = np.linalg.solve(hessian, gradient)
        share = 1.0
        while share > 1e-4:
            trial = at - share * step
            trial[0] = max(trial[0], LEAST_SLOPE)
            if (new := loss(trial)) <= value:
                break
            share /= 2
        else:
            break
        at, gain, value = trial, value - new, new
        if gain < 1e-9 * max(value, 1.0):
            break
    return float(at[0]), float(at[1])
