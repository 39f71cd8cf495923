"""How good predicted accuracies are by themselves: log-loss, Brier score, calibration error, and the diagram behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from omnirouter.evaluation.bootstrap import Estimate, Resamples, estimate
from omnirouter.predictor.calibration import BINS, bin_numbers, expected_calibration_error
from omnirouter.predictor.chances import log_losses

__all__ = ["Diagram", "ModelScores", "Scores", "score"]


@dataclass(frozen=True, eq=False)
class Diagram:
    """Bins of equal width in the predicted accuracy; NaN where a bin is empty.

    Attributes
    ----------
    predicted, observed : (BINS,) float64
        Means over the pairs of each bin.
    count : (BINS,) int64
        Pairs in each bin.
    """

    predicted: NDArray[np.float64]
    observed: NDArray[np.float64]
    count: NDArray[np.int64]


class ModelScores(NamedTuple):
    """Scores of one model's column; NaN where it was not observed."""

    model: str
    log_loss: float
    brier: float
    ece: float


@dataclass(frozen=True, eq=False)
class Scores:
    """What one predictor's accuracies score over all observed pairs of the test split.

    Attributes
    ----------
    predictor : str
    log_loss : Estimate
        Mean of ``-(a log p + (1 - a) log(1 - p))``, p clipped to [1e-6, 1 - 1e-6]; scores a between 0 and 1 are welcome.
    brier : Estimate
        Mean of ``(p - a)^2``.
    ece : Estimate
        Expected calibration error: mean over the pairs of the distance between predicted and observed mean in their bin.
    less_subject : Estimate
        Its log-loss less that of the predictor in question, paired query by query; positive where it is worse.
    per_model : tuple of ModelScores
        Of each model alone, without intervals.
    diagram : Diagram
    """

    predictor: str
    log_loss: Estimate
    brier: Estimate
    ece: Estimate
    less_subject: Estimate
    per_model: tuple[ModelScores, ...]
    diagram: Diagram


def score(
    predictor: str,
    models: tuple[str, ...],
    predicted: NDArray[np.float64],
    acc: NDArray[np.float64],
    draws: Resamples,
    subject: NDArray[np.float64] | None = None,
) -> Scores:
    """Score predicted accuracies.

    Parameters
    ----------
    predictor : str
        Its name.
    models : tuple of str
        The m columns.
    predicted : (n, m) float64
        In [0, 1].
    acc : (n, m) float64
        Observed scores; NaN where not observed, which counts for nothing.
    draws : Resamples
        Of the n queries.
    subject : (n, m) float64, optional
        What the predictor in question predicts; default: this one is it.
    """
    seen = ~np.isnan(acc)
    truth = np.where(seen, acc, 0.0)
    loss = log_losses(predicted, acc)
    less = loss - log_losses(predicted if subject is None else subject, acc)
    square = np.where(seen, (predicted - truth) ** 2, 0.0)
    per_model = []
    for j, model in enumerate(models):
        mine = seen[:, j]
        if not mine.any():
            per_model.append(ModelScores(model, float("nan"), float("nan"), float("nan")))
            continue
        ece = expected_calibration_error(predicted[mine, j], acc[mine, j])
        per_model.append(ModelScores(model, float(loss[mine, j].mean()), float(square[mine, j].mean()), ece))
    # Sums over the pairs of each query; a resample then needs sums of queries only.
    n = len(acc)
    columns = [loss.sum(axis=1), square.sum(axis=1), less.sum(axis=1), seen.sum(axis=1).astype(np.float64)]
    bins = bin_numbers(predicted)
    query = np.repeat(np.arange(n), seen.sum(axis=1))
    cell = query * BINS + bins[seen]
    off = np.bincount(cell, (predicted - truth)[seen], minlength=n * BINS).reshape(n, BINS)
    sampled = draws.means(np.column_stack([*columns, off]))
    pairs = sampled[:, 3]
    return Scores(
        predictor,
        log_loss=estimate(sampled[:, 0] / pairs),
        brier=estimate(sampled[:, 1] / pairs),
        ece=estimate(np.abs(sampled[:, 4:]).sum(axis=1) / pairs),
        less_subject=estimate(sampled[:, 2] / pairs),
        per_model=tuple(per_model),
        diagram=_diagram(bins[seen], predicted[seen], acc[seen]),
    )


def _diagram(bins: NDArray[np.int64], predicted: NDArray[np.float64], acc: NDArray[np.float64]) -> Diagram:
    count = np.bincount(bins, minlength=BINS)
    whole = np.where(count > 0, count, 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(count > 0, np.bincount(bins, values, minlength=BINS) / whole, np.nan)

    return Diagram(mean(predicted), mean(acc), count)
