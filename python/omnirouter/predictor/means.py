"""Mean scores of models, drawn together as far as they are uncertain.

The best of many observed means is more often lucky than not. So each is drawn toward what models of its cost score
(a line over the logarithm of the mean cost), the more the larger its error is beside how models spread around that
line: the empirical Bayes estimate of normal means (Efron and Morris 1975).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["likely_means", "mean_scores"]

PRIOR_COUNT = 4.0  # imagined observations of the mean of all models, in the mean of each
LEAST_FOR_LINE = 5  # models that it takes to lay a line through their means


def mean_scores(acc: NDArray[np.floating], prior_count: float = PRIOR_COUNT) -> NDArray[np.float64]:
    """Mean score (m,) of each model, shrunk toward that of all: so many imagined observations of it."""
    seen = ~np.isnan(acc)
    total, count = np.where(seen, acc, 0.0).sum(axis=0, dtype=np.float64), seen.sum(axis=0)
    overall = total.sum() / max(int(count.sum()), 1)
    mean: NDArray[np.float64] = (total + prior_count * overall) / (count + prior_count)
    return mean


def likely_means(acc: NDArray[np.float64], scores: NDArray[np.floating], cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Most likely mean score of each model.

    Parameters
    ----------
    acc : (h, m) float64
        Predicted scores, whose means are drawn together.
    scores : (h, m) float
        Observed ones, NaN where not.
    cost : (m,) float64
        Mean cost of each model.

    Returns
    -------
    (m,) float64

    Notes
    -----
    What a prompt adds to all models alike says nothing of which is better, so errors are those of the differences
    from the row.
    """
    mean: NDArray[np.float64] = acc.mean(axis=0)
    m = len(mean)
    if m < LEAST_FOR_LINE:
        return mean
    seen = ~np.isnan(scores)
    together = seen.sum(axis=1, keepdims=True)
    residual = np.where(seen, scores - acc, 0.0)
    several = together > 1
    centred = residual - np.where(several & seen, residual.sum(axis=1, keepdims=True) / np.maximum(together, 1), 0.0)
    widened = np.where(several, together / np.maximum(together - 1, 1), 1.0)
    square = (centred**2 * widened).sum(axis=0)
    variance = np.where(seen.any(axis=0), square / np.maximum(seen.sum(axis=0), 1) ** 2, np.inf)
    design = np.ones((m, 1))
    if (cost > 0).all():
        design = np.stack([np.ones(m), np.log(cost)], axis=1)
    line = design @ np.linalg.lstsq(design, mean, rcond=None)[0]
    known = np.isfinite(variance)
    spread = float(((mean - line) ** 2).sum() / (m - design.shape[1]) - variance[known].mean()) if known.any() else 0.0
    kept = np.where(known, max(spread, 0.0) / (max(spread, 0.0) + np.where(known, variance, 1.0) + 1e-12), 0.0)
    likely: NDArray[np.float64] = kept * mean + (1 - kept) * line
    return likely
