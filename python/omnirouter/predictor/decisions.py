"""How far predictions are believed when models are chosen by them: as far as out-of-fold decisions pay.

Of a predicted accuracy only differences between models on the same prompt decide. Where they are weak and models
are many, the best of them is often the one whose error is largest. So they are shrunk::

    acc_ij = mean_j + shared_i + trust * own_ij

with ``mean_j`` the model's mean, ``shared_i`` what the prompt adds to all models, ``own_ij`` the rest. At ``trust`` 0
every prompt is decided by the means (the router is the best mix of single models), at 1 by the prediction as it is.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shrinkage", "price_grid"]

TRUSTS = tuple(np.linspace(0.0, 1.0, 11).tolist())
STANDARD_ERRORS = 0.5
PRICES = 25
LEAST_SHARE = 0.02  # observed share of a model below which its observations are not weighed up further


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """The shrinkage of accuracies.

    Attributes
    ----------
    mean : (m,) float64
        What a model is predicted to score where nothing is known of the prompt.
    centre : (m,) float64
        Mean of the predictions that are shrunk.
    trust : float
        From 0 to 1.
    """

    mean: NDArray[np.float64]
    centre: NDArray[np.float64]
    trust: float

    def __call__(self, acc: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shrunken accuracies, in [0, 1]."""
        return _shrink(acc, self.centre, self.mean, self.trust)

    @classmethod
    def fit(
        cls,
        acc: NDArray[np.float64],
        cost: NDArray[np.float64],
        observed_acc: NDArray[np.floating],
        paid: NDArray[np.float64],
        folds: NDArray[np.int64],
        mean: NDArray[np.float64],
    ) -> Shrinkage:
        """Choose the trust whose choices would have been worth most over a range of prices of money.

        Parameters
        ----------
        acc, cost : (r, h, m) float64
            Out-of-fold predictions, for r divisions into folds.
        observed_acc, paid : (h, m)
            What was observed, NaN where it was not.
        folds : (r, h) int64
            Fold of each row in each division; the means that a row is shrunk to are those of the other folds.
        mean : (m,) float64
            Means to shrink to from now on.

        Notes
        -----
        A choice j of row i is worth ``acc_ij - price * cost_ij``. Unobserved outcomes are predicted, and the
        observed ones stand for the share of the model that was observed (the doubly robust estimate), so where
        all is observed the value is the realised one. The least trust is taken whose value is within half a
        standard error, over rows, of the best.
        """
        worth = np.zeros((len(TRUSTS), acc.shape[1]))
        for one_acc, one_cost, fold in zip(acc, cost, folds, strict=True):
            score, money = _filled(observed_acc, one_acc), _filled(paid, one_cost)
            prices = price_grid(score.mean(axis=0), money.mean(axis=0))
            for values, trust in zip(worth, TRUSTS, strict=True):
                shrunk = np.empty(one_acc.shape)
                for number in np.unique(fold):
                    held = fold == number
                    others = one_acc[~held].mean(axis=0), score[~held].mean(axis=0)
                    shrunk[held] = _shrink(one_acc[held], *others, trust)
                values += _worth(shrunk, one_cost, score, money, prices)
        loss = worth[worth.mean(axis=1).argmax()] - worth
        bearable = loss.mean(axis=1) <= STANDARD_ERRORS * loss.std(axis=1) / np.sqrt(loss.shape[1])
        return cls(mean, acc.mean(axis=(0, 1)), float(TRUSTS[int(bearable.argmax())]))


def price_grid(acc: NDArray[np.float64], cost: NDArray[np.float64]) -> NDArray[np.float64]:
    """Prices of money at which single models of these mean scores and costs take turns, and a price of 0.

    Parameters
    ----------
    acc, cost : (m,) float64
        Means of each model.

    Returns
    -------
    (26,) float64
        Falling; from 1.5 times the steepest slope of the upper hull to its flattest slope by 1.5, then 0.

    Examples
    --------
    >>> prices = price_grid(np.array([0.5, 0.7, 0.8]), np.array([1.0, 2.0, 4.0]))
    >>> prices[0].round(3).item(), prices[-2].round(3).item(), prices[-1].item()
    (0.3, 0.033, 0.0)
    """
    hull: list[tuple[float, float]] = []
    for x, y in sorted(zip(cost.tolist(), acc.tolist(), strict=True), key=lambda point: (point[0], -point[1])):
        if hull and y <= hull[-1][1]:
            continue
        while len(hull) > 1 and _slope(hull[-2], hull[-1]) <= _slope(hull[-2], (x, y)):
            hull.pop()
        hull.append((x, y))
    slopes = [_slope(a, b) for a, b in itertools.pairwise(hull)]
    finite = [slope for slope in slopes if np.isfinite(slope)] or [1 / max(float(cost.mean()), 1e-30)]
    return np.append(np.geomspace(1.5 * max(finite), min(finite) / 1.5, PRICES), 0.0)


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0]) if b[0] > a[0] else np.inf


def _filled(observed: NDArray[np.floating], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Observed values where all are, else predicted ones corrected by the observed ones' share."""
    seen = ~np.isnan(observed)
    share = np.maximum(seen.mean(axis=0), LEAST_SHARE)
    known = np.where(np.isnan(predicted), 0.0, predicted)
    filled: NDArray[np.float64] = known + np.where(seen, observed - known, 0.0) / share
    return filled


def _shrink(
    acc: NDArray[np.float64], centre: NDArray[np.float64], mean: NDArray[np.float64], trust: float
) -> NDArray[np.float64]:
    deviation = acc - centre
    shared = deviation.mean(axis=1, keepdims=True)
    shrunk: NDArray[np.float64] = np.clip(mean + shared + trust * (deviation - shared), 0.0, 1.0)
    return shrunk


def _worth(
    acc: NDArray[np.float64],
    cost: NDArray[np.float64],
    score: NDArray[np.float64],
    money: NDArray[np.float64],
    prices: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Mean over the prices of what each row's choice was worth, (h,)."""
    rows = np.arange(len(acc))
    total = np.zeros(len(acc))
    for price in prices:
        choice = np.nanargmax(acc - price * np.where(np.isnan(cost), np.nanmax(cost), cost), axis=1)
        total += score[rows, choice] - price * money[rows, choice]
    return total / len(prices)
