"""How far predictions are believed when models are chosen by them: as far as out-of-fold decisions pay.

Of a predicted accuracy only differences between models on the same prompt decide. Where they are weak and models
are many, the best of them is often the one whose error is largest. So they are shrunk::

    logit acc_ij = level_j + shared_i + trust * own_ij

with ``shared_i`` the mean over the models of how far the prediction's logit is from the model's usual one, ``own_ij``
the rest, and ``level_j`` such that the model's mean prediction is what it was, but for what `likely_means` takes from
means that are better or worse than models of that cost are. At ``trust`` 0 a prompt says how hard
it is and no more, at 1 the prediction is left as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnirouter.hull import upper_hull
from omnirouter.predictor.chances import log_losses, logit, logits, sigmoid
from omnirouter.predictor.means import likely_means, mean_scores

__all__ = ["Shrinkage", "price_grid"]

TRUSTS = np.linspace(0.0, 1.0, 11)
LOG_LOSS_ERRORS = 1.0  # standard errors by which the log-loss may exceed that of the better part
LEVEL_STEPS = 4
PRICES = 25
LEAST_SHARE = 0.02  # observed share of a model below which its observations are not weighed up further


@dataclass(frozen=True, eq=False)
class Shrinkage:
    """The shrinkage of accuracies.

    Attributes
    ----------
    centre : (m,) float64
        Mean logit of the predictions that are shrunk.
    level : (m,) float64
        Logit of a model where nothing is known of the prompt.
    trust : float
        From 0 to 1.
    pull : (m,) float64
        What is added to the logit of each model's mean.
    """

    centre: NDArray[np.float64]
    level: NDArray[np.float64]
    trust: float
    pull: NDArray[np.float64]

    def __call__(self, acc: NDArray[np.float64]) -> NDArray[np.float64]:
        """Shrunken accuracies (n, m) of accuracies (n, m)."""
        return sigmoid(self.level + _deviations(logits(acc), self.centre, self.trust))

    def around(self, acc: NDArray[np.float64]) -> Shrinkage:
        """The same trust in deviations from the means of these accuracies (h, m), and the same pull on the means."""
        eta = logits(acc)
        centre, target = eta.mean(axis=0), sigmoid(logit(sigmoid(eta).mean(axis=0)) + self.pull)
        level = _level(_deviations(eta, centre, self.trust), target, centre)
        return Shrinkage(centre, level, self.trust, self.pull)

    @classmethod
    def none(cls, level: NDArray[np.float64]) -> Shrinkage:
        """No trust at all: each model's logit follows what all models share, around these levels (m,)."""
        return cls(level, level, 0.0, np.zeros(len(level)))

    @classmethod
    def fit(
        cls,
        acc: NDArray[np.float64],
        cost: NDArray[np.float64],
        observed_acc: NDArray[np.floating],
        paid: NDArray[np.float64],
        folds: NDArray[np.int64],
        *,
        parts: Sequence[NDArray[np.float64]] = (),
    ) -> Shrinkage:
        """Find the trust by what choices would have been worth over a range of prices of money.

        Parameters
        ----------
        acc, cost : (r, h, m) float64
            Out-of-fold predictions, for r divisions into folds.
        observed_acc, paid : (h, m)
            What was observed, NaN where it was not.
        folds : (r, h) int64
            Fold of each row in each division; the means that a row is shrunk to are those of the other folds.
        parts : sequence of (r, h, m) float64
            Out-of-fold accuracies of what was stacked, whose log-loss is not to be exceeded.

        Notes
        -----
        A choice j of row i is worth ``acc_ij - price * cost_ij``. Unobserved outcomes are predicted, and the
        observed ones stand for the share of the model that was observed (the doubly robust estimate), so where
        all is observed the value is the realised one.

        The trust is the mean over a grid, weighted by ``exp(-z^2 / 2)`` where z is the loss in worth against the
        best of the grid in its standard errors over rows: a posterior mean under a flat prior, which few rows
        leave near one half. It is raised, if need be, to the least trust whose log-loss is within a standard error
        of that of the better part, or no more than that of full trust.
        """
        rows = acc.shape[1]
        worth, surprise = np.zeros((len(TRUSTS), rows)), np.zeros((len(TRUSTS), rows))
        for one_acc, one_cost, fold in zip(acc, cost, folds, strict=True):
            score, money = _filled(observed_acc, one_acc), _filled(paid, one_cost)
            prices = price_grid(score.mean(axis=0), money.mean(axis=0))
            eta = logits(one_acc)
            shrunk = np.empty((len(TRUSTS), *eta.shape))
            for number in np.unique(fold):
                held = fold == number
                centre, target = eta[~held].mean(axis=0), mean_scores(observed_acc[~held])
                level = logits(target)
                for place, trust in enumerate(TRUSTS):
                    level = _level(_deviations(eta[~held], centre, trust), target, level)
                    shrunk[place, held] = sigmoid(level + _deviations(eta[held], centre, trust))
            for place, matrix in enumerate(shrunk):
                worth[place] += _worth(matrix, one_cost, score, money, prices)
                surprise[place] += log_losses(matrix, observed_acc).sum(axis=1)
        loss = worth[worth.mean(axis=1).argmax()] - worth
        error = loss.std(axis=1) / np.sqrt(rows)
        z = np.where(error > 0, loss.mean(axis=1) / np.where(error > 0, error, 1.0), 0.0)
        weight = np.exp(-0.5 * z**2)
        trust = float(weight @ TRUSTS / weight.sum())
        if parts:
            losses = [np.sum([log_losses(one, observed_acc).sum(axis=1) for one in part], axis=0) for part in parts]
            excess = surprise - min(losses, key=np.mean)
            limit = np.maximum(LOG_LOSS_ERRORS * excess.std(axis=1) / np.sqrt(rows), excess[-1].mean())
            trust = max(trust, float(TRUSTS[int((excess.mean(axis=1) <= limit).argmax())]))
        stacked = acc.reshape(-1, acc.shape[2])
        mean = sigmoid(logits(stacked)).mean(axis=0)
        likely = likely_means(acc.mean(axis=0), observed_acc, cost.mean(axis=(0, 1)))
        pull = logits(likely) - logit(mean)
        return cls(mean, mean, trust, pull).around(stacked)


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
    hull = upper_hull(cost, acc)
    slopes = (np.diff(acc[hull]) / np.diff(cost[hull])).tolist() or [1 / max(float(cost.mean()), 1e-30)]
    return np.append(np.geomspace(1.5 * max(slopes), min(slopes) / 1.5, PRICES), 0.0)


def _filled(observed: NDArray[np.floating], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Observed values where all are, else predicted ones corrected by the observed ones' share."""
    seen = ~np.isnan(observed)
    share = np.maximum(seen.mean(axis=0), LEAST_SHARE)
    known = np.where(np.isnan(predicted), 0.0, predicted)
    filled: NDArray[np.float64] = known + np.where(seen, observed - known, 0.0) / share
    return filled


def _deviations(eta: NDArray[np.float64], centre: NDArray[np.float64], trust: float) -> NDArray[np.float64]:
    """How far logits (n, m) are from the models' usual ones, with what is the model's own shrunk."""
    deviation = eta - centre
    shared = deviation.mean(axis=1, keepdims=True)
    shrunk: NDArray[np.float64] = shared + trust * (deviation - shared)
    return shrunk


def _level(deviation: NDArray[np.float64], target: NDArray[np.float64], start: NDArray[np.float64]) -> NDArray[np.float64]:
    """The level (m,) at which the mean of ``sigmoid(level + deviation)`` is the target (a few Newton steps)."""
    level = start
    for _ in range(LEVEL_STEPS):
        p = sigmoid(level + deviation)
        level = level + np.clip((target - p.mean(axis=0)) / np.maximum((p * (1 - p)).mean(axis=0), 1e-3), -2.0, 2.0)
    return level


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
