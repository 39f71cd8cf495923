"""Chances of a correct answer, their logits, and what a wrong one costs."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["CLIP", "LEAST", "log_losses", "logit", "logits", "sigmoid"]

LEAST = 0.005  # predicted accuracies are cut here and at 1 - LEAST before their logit, which says nothing beyond
CLIP = 1e-6  # likewise in the log-loss: a certain prediction that fails costs 13.8, not infinity


def sigmoid(eta: NDArray[np.float64]) -> NDArray[np.float64]:
    """``1 / (1 + exp(-eta))`` without overflow."""
    half: NDArray[np.float64] = 0.5 * (1 + np.tanh(0.5 * eta))
    return half


def logit(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """``log(p / (1 - p))``, infinite at 0 and 1."""
    eta: NDArray[np.float64] = np.log(p) - np.log1p(-p)
    return eta


def logits(acc: NDArray[np.floating]) -> NDArray[np.float64]:
    """Logits of predicted accuracies, which are cut at 0.005 and 0.995; NaN stays."""
    return logit(np.clip(acc.astype(np.float64), LEAST, 1 - LEAST))


def log_losses(predicted: NDArray[np.floating], scores: NDArray[np.floating]) -> NDArray[np.float64]:
    """Log-loss of each pair, ``-(s log p + (1 - s) log(1 - p))`` with p cut at 1e-6 and 1 - 1e-6.

    Parameters
    ----------
    predicted, scores : (n, m) float
        Scores in [0, 1], NaN where not observed.

    Returns
    -------
    (n, m) float64
        0 where no score was observed.

    Examples
    --------
    >>> log_losses(np.array([0.5, 1.0, 0.3]), np.array([1.0, 0.0, np.nan])).round(4)
    array([ 0.6931, 13.8155,  0.    ])
    """
    p, seen = np.clip(predicted.astype(np.float64), CLIP, 1 - CLIP), ~np.isnan(scores)
    score = np.where(seen, scores, 0.0).astype(np.float64)
    return np.where(seen, -(score * np.log(p) + (1 - score) * np.log1p(-p)), 0.0)
