"""Stacking: how far each part of the hybrid is believed, learned from out-of-fold predictions.

Each part's accuracy is taken as a deviation of its logit from that of the model's mean, and split into what all
models share on that prompt (its difficulty) and what is left (who is better at it)::

    logit acc_ij = base_j + a_j + sum_p  u_pj * shared_pi + v_pj * own_pij

The weights are non-negative, shrunk toward an equal share of each part, and those of single models toward the
common ones. Money and tokens are stacked alike in logarithms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.means import column_means
from omnirouter.predictor.amounts import log_amounts
from omnirouter.predictor.chances import logits, sigmoid
from omnirouter.predictor.means import mean_scores

__all__ = ["AccStack", "AmountStack"]

COMMON_ROWS = 50.0  # imagined prompts, known of every model, that say that each part has an equal share
SINGLE_ROWS = (np.inf, 3000.0, 1000.0, 300.0)  # imagined prompts that say that a model's weights are the common ones
OFFSET_COUNT = 1.0  # imagined curvature that holds the offset of each model to 0
TYPICAL_VARIANCE = 0.15  # of a score
STEPS = 12


@dataclass(frozen=True, eq=False)
class AccStack:
    """Weights of the parts in the accuracy.

    Attributes
    ----------
    base : (m,) float64
        Logit of each model's mean.
    offset : (m,) float64
    weights : (2 p, m) float64
        For each of p parts the weight of its shared and of its own deviations.
    """

    base: NDArray[np.float64]
    offset: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, parts: Sequence[NDArray[np.float64]], acc: NDArray[np.floating], folds: NDArray[np.int64]) -> AccStack:
        """Learn from out-of-fold predictions.

        Parameters
        ----------
        parts : sequence of (r, h, m) float64
            Each part's accuracies of rows that it has not learned from, for r divisions into folds.
        acc : (h, m) float
            Observed scores, NaN where not observed.
        folds : (r, h) int64
            Fold of each row in each division. Deviations are taken from the mean over the other folds, since the
            mean of the rest falls where that of a fold rises.
        """
        repeats = len(folds)
        bases = np.empty((*folds.shape, acc.shape[1]))
        for base, fold in zip(bases, folds, strict=True):
            for number in np.unique(fold):
                base[fold == number] = _base(acc[fold != number])
        features = np.concatenate([_features([part[r] for part in parts], bases[r]) for r in range(repeats)], axis=1)
        scores = np.concatenate([acc] * repeats)
        rows = _Rows(features, scores, bases.reshape(len(scores), -1), folds.ravel(), repeats)
        offset, weights = _fit_weights(rows, _strength_of_single(rows))
        return cls(_base(acc), offset, weights)

    @classmethod
    def equal(cls, n_parts: int, acc: NDArray[np.floating]) -> AccStack:
        """Equal weights of the parts, for histories that cannot be divided."""
        m = acc.shape[1]
        return cls(_base(acc), np.zeros(m), np.full((2 * n_parts, m), 1 / n_parts))

    def around(self, acc: NDArray[np.floating]) -> AccStack:
        """The same weights for deviations from the means of these scores (h, m)."""
        return replace(self, base=_base(acc))

    def __call__(self, parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Stacked accuracies (n, m) of the parts' accuracies."""
        features = _features(parts, self.base)
        return sigmoid(self.base + self.offset + _combined(features, self.weights))


@dataclass(frozen=True, eq=False)
class AmountStack:
    """Weights of the parts in money or tokens: ``amount_ij = exp(level_j + sum_p w_p * (log part_pij - level_pj))``.

    Attributes
    ----------
    level : (m,) float64
        NaN for a model that was never observed, minus infinity for one that never cost anything.
    part_level : (p, m) float64
        Mean logarithm of each part's predictions.
    weights : (p,) float64
        Common to all models.
    """

    level: NDArray[np.float64]
    part_level: NDArray[np.float64]
    weights: NDArray[np.float64]

    @classmethod
    def fit(cls, parts: Sequence[NDArray[np.float64]], values: NDArray[np.float64]) -> AmountStack:
        """Learn from out-of-fold predictions.

        Parameters
        ----------
        parts : sequence of (r, h, m) float64
            Each part's amounts of rows that it has not learned from, for r divisions into folds.
        values : (h, m) float64
            Observed amounts, NaN where not observed.
        """
        repeats = len(parts[0])
        parts = [part.reshape(-1, values.shape[1]) for part in parts]
        values = np.concatenate([values] * repeats)
        logs, seen, part_level = _compared(parts, values)
        target = log_amounts(np.where(seen, values, np.nan))
        usable = seen & (values > 0)
        features = np.where(usable, logs - part_level[:, None, :], 0.0)
        residual = np.where(usable, target - column_means(np.where(usable, target, np.nan)), 0.0)
        weights = _non_negative(
            features.reshape(len(parts), -1) @ features.reshape(len(parts), -1).T,
            features.reshape(len(parts), -1) @ residual.ravel(),
            prior=np.full(len(parts), 1 / len(parts)),
            strength=_strength(seen, repeats),
        )
        return cls._levelled(parts, values, weights)

    @classmethod
    def _levelled(
        cls, parts: Sequence[NDArray[np.float64]], values: NDArray[np.float64], weights: NDArray[np.float64]
    ) -> AmountStack:
        """Weights with the levels (see `around`)."""
        _, seen, part_level = _compared(parts, values)
        raw = cls(np.zeros(values.shape[1]), part_level, weights)(parts)
        total, wanted = np.where(seen, raw, 0.0).sum(axis=0), np.where(seen, values, 0.0).sum(axis=0)
        with np.errstate(divide="ignore"):
            level = np.where(seen.any(axis=0), np.log(wanted / np.where(total > 0, total, 1.0)), np.nan)
        return cls(level, part_level, weights)

    @classmethod
    def equal(cls, n_parts: int, n_models: int) -> AmountStack:
        """The geometric mean of the parts, for histories that cannot be divided."""
        return cls(np.zeros(n_models), np.zeros((n_parts, n_models)), np.full(n_parts, 1 / n_parts))

    def around(self, parts: Sequence[NDArray[np.float64]], values: NDArray[np.float64]) -> AmountStack:
        """The same weights, with the levels at which the mean of each stacked column (h, m) is that of the values (h, m)."""
        return self._levelled(parts, values, self.weights)

    def __call__(self, parts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
        """Stacked amounts (n, m) of the parts' amounts."""
        logs = np.stack([log_amounts(part) for part in parts])
        amounts: NDArray[np.float64] = np.exp(
            self.level + np.einsum("pij,p->ij", logs - self.part_level[:, None, :], self.weights)
        )
        return amounts


def _compared(
    parts: Sequence[NDArray[np.float64]], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Logarithms of the parts (p, h, m), where all of them and the value are known (h, m), and their means there (p, m)."""
    logs = np.stack([log_amounts(part) for part in parts])
    seen = ~np.isnan(values) & ~np.isnan(logs).any(axis=0)
    return logs, seen, np.stack([column_means(np.where(seen, part, np.nan)) for part in logs])


def _base(acc: NDArray[np.floating]) -> NDArray[np.float64]:
    return logits(mean_scores(acc))


def _features(parts: Sequence[NDArray[np.float64]], base: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shared and own deviations of each part, (2 p, n, m)."""
    features = []
    for part in parts:
        deviation = logits(part) - base
        shared = deviation.mean(axis=1, keepdims=True)
        features += [np.broadcast_to(shared, deviation.shape), deviation - shared]
    return np.stack(features)


def _combined(features: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over q of features (q, n, m) times weights (q, m)."""
    total = np.zeros(features.shape[1:])
    for feature, weight in zip(features, weights, strict=True):
        total += feature * weight
    return total


@dataclass(frozen=True, eq=False)
class _Rows:
    """What weights are learned from: rows of all divisions, one below the other.

    Attributes
    ----------
    features : (2 p, r h, m) float64
    acc, base : (r h, m)
    fold : (r h,) int64
    repeats : int
        Number r of divisions: each row stands here so many times.
    """

    features: NDArray[np.float64]
    acc: NDArray[np.floating]
    base: NDArray[np.float64]
    fold: NDArray[np.int64]
    repeats: int

    def take(self, rows: NDArray[np.bool_]) -> _Rows:
        return _Rows(self.features[:, rows], self.acc[rows], self.base[rows], self.fold[rows], self.repeats)


def _fit_weights(rows: _Rows, single_rows: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Offsets (m,) and weights (2 p, m) by penalised maximum likelihood (Newton steps)."""
    features = rows.features
    q, _, m = features.shape
    seen = ~np.isnan(rows.acc)
    score = np.where(seen, rows.acc, 0.0).astype(np.float64)
    prior = np.full(q, 2 / q)
    weights, offset = np.repeat(prior[:, None], m, axis=1), np.zeros(m)
    imagined = rows.repeats * OFFSET_COUNT
    strength = _strength(seen, rows.repeats)
    for _ in range(STEPS):
        curvature, slope = _likelihood(features, score, seen, rows.base + offset, weights)
        weight = curvature.sum(axis=0) + imagined
        centred = (features - ((curvature * features).sum(axis=1) / weight)[:, None, :]).reshape(q, -1)
        square = (centred * curvature.ravel()) @ centred.T
        aim = square @ weights[:, 0] + centred @ slope.ravel()
        common = _non_negative(square, aim, prior=prior, strength=strength)
        offset = offset + (slope.sum(axis=0) - offset * imagined) / weight
        moved = np.abs(common - weights[:, 0]).max()
        weights = np.repeat(common[:, None], m, axis=1)
        if moved < 1e-7:
            break
    if np.isinf(single_rows):
        return offset, weights
    common = weights
    by_model = np.ascontiguousarray(features.transpose(2, 0, 1))
    ridge = (features**2).mean(axis=(1, 2)) * TYPICAL_VARIANCE * single_rows * rows.repeats + 1e-9
    for _ in range(STEPS):
        curvature, slope = _likelihood(features, score, seen, rows.base + offset, weights)
        square = (by_model * curvature.T[:, None, :]) @ by_model.transpose(0, 2, 1) + np.diag(ridge)
        aim = (by_model @ slope.T[:, :, None])[:, :, 0] - ridge * (weights - common).T
        weights = np.maximum(weights + np.linalg.solve(square, aim[:, :, None])[:, :, 0].T, 0.0)
        offset = offset + (slope.sum(axis=0) - offset * imagined) / (curvature.sum(axis=0) + imagined)
    return offset, weights


def _strength(seen: NDArray[np.bool_], repeats: int) -> float:
    """What the imagined prompts weigh beside what was seen (r h, m), where each row stands so many times."""
    known = max(int(np.count_nonzero(seen)), 1)
    return COMMON_ROWS * repeats * int(seen.shape[1]) / known


def _likelihood(
    features: NDArray[np.float64],
    score: NDArray[np.float64],
    seen: NDArray[np.bool_],
    level: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Curvature and slope of the log-likelihood by the logit, (h, m) each; 0 where not observed."""
    mean = sigmoid(level + _combined(features, weights))
    return np.where(seen, mean * (1 - mean), 0.0), np.where(seen, score - mean, 0.0)


def _strength_of_single(rows: _Rows) -> float:
    """How strongly single weights are held to the common ones: what predicts the folds best that were left out."""
    losses = np.zeros(len(SINGLE_ROWS))
    for number in np.unique(rows.fold):
        kept, held = rows.take(rows.fold != number), rows.take(rows.fold == number)
        seen = ~np.isnan(held.acc)
        score = np.where(seen, held.acc, 0.0)
        for place, single_rows in enumerate(SINGLE_ROWS):
            offset, weights = _fit_weights(kept, single_rows)
            eta = held.base + offset + _combined(held.features, weights)
            losses[place] += np.where(seen, np.logaddexp(0.0, eta) - score * eta, 0.0).sum()
    return float(SINGLE_ROWS[int(losses.argmin())])


def _non_negative(
    square: NDArray[np.float64], aim: NDArray[np.float64], *, prior: NDArray[np.float64], strength: float
) -> NDArray[np.float64]:
    """Least ``w' square w / 2 - aim' w`` plus a ridge toward the prior, over ``w >= 0``; by dropping what turns negative."""
    ridge = strength * np.diag(square) + 1e-9
    matrix, right = square + np.diag(ridge), aim + ridge * prior
    active = np.ones(len(aim), dtype=bool)
    weights = np.zeros(len(aim))
    while active.any():
        weights[:] = 0.0
        weights[active] = np.linalg.solve(matrix[np.ix_(active, active)], right[active])
        if (weights >= 0).all():
            break
        active &= weights > 0
    return np.maximum(weights, 0.0)
