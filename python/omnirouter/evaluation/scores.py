"""How good predicted accuracies are by themselves: log-loss, Brier score, calibration error, and the diagram behind it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from omnirouter.evaluation.bootstrap import Estimate, Resamples, estimate
from omnirouter.evaluation.curves import ratio
from omnirouter.predictor.calibration import BINS, bin_numbers
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
    """As `Scores`, over the observed pairs of one model; NaN where it was not observed.

    ``predicted`` is the mean predicted accuracy, ``accuracy`` the mean that was observed.
    """

    model: str
    predicted: float
    accuracy: Estimate
    log_loss: Estimate
    brier: Estimate
    ece: Estimate


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
        Of each model alone.
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
    loss = log_losses(predicted, acc)
    less = loss - log_losses(predicted if subject is None else subject, acc)
    pooled = _sampled(predicted, acc, loss, draws)
    every = [_sampled(predicted[:, [j]], acc[:, [j]], loss[:, [j]], draws) for j in range(len(models))]
    return Scores(
        predictor,
        log_loss=estimate(pooled.log_loss),
        brier=estimate(pooled.brier),
        ece=estimate(pooled.ece, distance=True),
        less_subject=estimate(ratio(draws.means(less.sum(axis=1)[:, None])[:, 0], pooled.pairs)),
        per_model=tuple(
            ModelScores(
                model,
                predicted=float(own.predicted[0]),
                accuracy=estimate(own.accuracy),
                log_loss=estimate(own.log_loss),
                brier=estimate(own.brier),
                ece=estimate(own.ece, distance=True),
            )
            for model, own in zip(models, every, strict=True)
        ),
        diagram=_diagram(bin_numbers(predicted)[seen], predicted[seen], acc[seen]),
    )


class _Sampled(NamedTuple):
    """Figures of some pairs in each of R resamples, (R,); pairs: how many of them a query has on average."""

    pairs: NDArray[np.float64]
    predicted: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    log_loss: NDArray[np.float64]
    brier: NDArray[np.float64]
    ece: NDArray[np.float64]


def _sampled(
    predicted: NDArray[np.float64], acc: NDArray[np.float64], loss: NDArray[np.float64], draws: Resamples
) -> _Sampled:
    """Figures of the observed pairs of a matrix; `loss` is 0 where nothing was observed."""
    n = len(acc)
    seen = ~np.isnan(acc)
    truth, guess = np.where(seen, acc, 0.0), np.where(seen, predicted, 0.0)
    # Sums over the pairs of each query; a resample then needs sums of queries only.
    columns = [part.sum(axis=1) for part in (seen.astype(np.float64), guess, truth, loss, (guess - truth) ** 2)]
    cell = np.repeat(np.arange(n), seen.sum(axis=1)) * BINS + bin_numbers(predicted)[seen]
    off = np.bincount(cell, (guess - truth)[seen], minlength=n * BINS).reshape(n, BINS)
    sampled = draws.means(np.column_stack([*columns, off]))
    pairs, distance = sampled[:, 0], np.abs(sampled[:, len(columns) :]).sum(axis=1)
    return _Sampled(pairs, *(ratio(sums, pairs) for sums in (*sampled.T[1 : len(columns)], distance)))


def _diagram(bins: NDArray[np.int64], predicted: NDArray[np.float64], acc: NDArray[np.float64]) -> Diagram:
    count = np.bincount(bins, minlength=BINS)
    whole = np.where(count > 0, count, 1)

    def mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.where(count > 0, np.bincount(bins, values, minlength=BINS) / whole, np.nan)

    return Diagram(mean(predicted), mean(acc), count)
