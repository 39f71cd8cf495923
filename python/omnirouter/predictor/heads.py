"""Linear heads of all models, learned together: what models have in common is learned from all of their outcomes.

With features ``x_i`` (f,) and scores ``y_ij`` the heads are ``eta_ij = b_j + scale_j * sum_t P_tj * (x_i . beta_t)``.
The rows of P are the principal directions of the models' residuals: difficulty first (what all models find hard
together), then contrasts between groups of models, last the peculiarities of single ones. Each direction has a
ridge of its own, the largest whose error on prompts that were left out is not clearly above the least. So a contrast
which the features do not predict is shrunk to nothing however many models there are, and one that they do predict is
learned from every model that takes part in it (as reduced-rank regression and the canonical shrinkage of Breiman and
Friedman 1997, with ridges).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.means import column_means
from omnirouter.predictor.chances import logit, sigmoid
from omnirouter.predictor.means import mean_scores

__all__ = ["Basis", "Groups", "Heads", "fit_linear_heads", "fit_logistic_heads"]

STRENGTHS = np.append(np.logspace(-1.0, 5.0, 19), np.inf)  # ridges tried, in squared singular values; inf leaves out
NEVER = 1e12  # stands for an infinite ridge
STANDARD_ERRORS = 0.5  # a ridge is raised as long as its error is within so many of the least
PAIR_COUNT = 30.0  # imagined observations of the common covariance, in that of each pair of models
LEAST_VARIANCE = 0.03  # of a score: keeps nearly perfect and nearly useless models from ruling the directions
TOLERANCE = 1e-5
MOST_STEPS = 400


@dataclass(frozen=True, eq=False)
class Heads:
    """``eta = x @ weights + intercept``.

    Attributes
    ----------
    weights : (f, m) float64
    intercept : (m,) float64
    strength : (m,) float64
        Ridge of each direction; `NEVER` where the features say nothing of it.
    """

    weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    strength: NDArray[np.float64]

    def __call__(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        """The heads' values, (n, m)."""
        eta: NDArray[np.float64] = features @ self.weights + self.intercept
        return eta


@dataclass(frozen=True, eq=False)
class Groups:
    """Rows (h,) in g groups.

    Attributes
    ----------
    number : (h,) int64
        Group of each row.
    order : (h,) int64
        Rows, those of a group together.
    start : (g,) int64
        Where each group starts in `order`.
    size : (g,) int64
    """

    number: NDArray[np.int64]
    order: NDArray[np.int64]
    start: NDArray[np.int64]
    size: NDArray[np.int64]

    @classmethod
    def of(cls, numbers: NDArray[np.int64]) -> Groups | None:
        """Rows with equal numbers; None where no two are equal."""
        found, number, size = np.unique(numbers, return_inverse=True, return_counts=True)
        if len(found) == len(numbers):
            return None
        return cls(number, np.argsort(number, kind="stable"), np.cumsum(size) - size, size)

    def sums(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Sums (g, m) over the rows (h, m) of each group."""
        total: NDArray[np.float64] = np.add.reduceat(values[self.order], self.start, axis=0)
        return total


@dataclass(frozen=True, eq=False)
class Basis:
    """Thin singular value decomposition of features (h, f): ``features = left * singular @ right.T``.

    Attributes
    ----------
    left : (h, r) float64
    singular : (r,) float64
    right : (f, r) float64
    prompts : Groups or None
        Rows with the same prompt, and so the same features; None where there are no two.
    """

    left: NDArray[np.float64]
    singular: NDArray[np.float64]
    right: NDArray[np.float64]
    prompts: Groups | None = None

    @classmethod
    def of(cls, features: NDArray[np.float64], prompt_numbers: NDArray[np.int64] | None = None) -> Basis:
        """From the eigenvectors of the smaller Gram matrix of the two; directions of rounding size are left out.

        Rows of equal `prompt_numbers` (h,) are left out together where ridges are chosen.
        """
        prompts = None if prompt_numbers is None else Groups.of(prompt_numbers)
        tall = features.shape[0] >= features.shape[1]
        square, vectors = np.linalg.eigh(features.T @ features if tall else features @ features.T)
        keep = square > 1e-10 * max(square[-1], 1e-300)
        singular, vectors = np.sqrt(square[keep]), vectors[:, keep]
        if tall:
            return cls(features @ (vectors / singular), singular, vectors, prompts)
        return cls(vectors, singular, features.T @ (vectors / singular), prompts)


def fit_logistic_heads(basis: Basis, acc: NDArray[np.floating]) -> Heads:
    """Heads of the logit of a score, by penalised maximum likelihood over the observed scores.

    Parameters
    ----------
    basis : Basis
        Of the features (h, f), whose columns have a mean of about 0.
    acc : (h, m) float
        Scores in [0, 1], NaN where not observed; any pattern, columns without an observation included.

    Notes
    -----
    Minorise-maximise with Boehning's bound: the curvature of each term is at most 1/4, and nothing where there is
    no observation, so one factorisation serves every step and every pattern of holes. Steps are accelerated
    (Nesterov 1983).
    """
    seen = ~np.isnan(acc)
    score = np.where(seen, acc, 0.0).astype(np.float64)
    # Not nearer to 0 and 1 than a history of this length can tell.
    mean = np.clip(mean_scores(acc), 0.5 / (len(acc) + 1), 1 - 0.5 / (len(acc) + 1))
    scale = 1 / np.sqrt(np.maximum(mean * (1 - mean), LEAST_VARIANCE))
    directions = _Directions.of(basis, np.where(seen, score - mean, 0.0) * scale, seen)

    def slope(eta: NDArray[np.float64]) -> NDArray[np.float64]:
        derivative: NDArray[np.float64] = np.where(seen, score - sigmoid(eta), 0.0)
        return derivative

    return _climb(basis, directions, slope, scale=scale, start=logit(mean), curvature=0.25, seen=seen)


def fit_linear_heads(basis: Basis, values: NDArray[np.floating]) -> Heads:
    """Heads of a quantity, by penalised least squares over the observed values; else as `fit_logistic_heads`.

    A column without an observation gets an intercept of NaN.
    """
    seen = ~np.isnan(values)
    count = seen.sum(axis=0)
    known = np.where(seen, values, 0.0).astype(np.float64)
    mean = np.where(count > 0, column_means(values), 0.0)
    residual = np.where(seen, known - mean, 0.0)
    spread = np.sqrt((residual**2).sum(axis=0) / np.maximum(count, 1))
    scale = np.where(spread > 0, spread, 1.0)
    directions = _Directions.of(basis, residual / scale, seen)

    def slope(eta: NDArray[np.float64]) -> NDArray[np.float64]:
        # In units of the spread of each model, as the scores of accuracy are.
        derivative: NDArray[np.float64] = np.where(seen, known - eta, 0.0) / scale**2
        return derivative

    heads = _climb(basis, directions, slope, scale=scale, start=mean, curvature=1 / scale**2, seen=seen)
    return Heads(heads.weights, np.where(count > 0, heads.intercept, np.nan), heads.strength)


@dataclass(frozen=True, eq=False)
class _Directions:
    """Orthogonal directions in the space of models, as rows of `rotation` (m, m), and the ridge of each (m,)."""

    rotation: NDArray[np.float64]
    strength: NDArray[np.float64]

    @classmethod
    def of(cls, basis: Basis, residual: NDArray[np.float64], seen: NDArray[np.bool_]) -> _Directions:
        """From standardised residuals (h, m), 0 where not observed.

        A direction's residual over holes is its full one, thinned: it has the share q of the signal and of the
        variance. So the ridge that predicts the thinned residual best is, times q, that of the unthinned one.
        """
        m = residual.shape[1]
        together = seen.astype(np.float64).T @ seen
        common = np.full((m, m), _common_correlation(residual, together))
        np.fill_diagonal(common, 1.0)
        covariance = (residual.T @ residual + PAIR_COUNT * common) / (together + PAIR_COUNT)
        rotation = np.linalg.eigh(covariance)[1][:, ::-1].T
        # The sign of an eigenvector is arbitrary; it is fixed so that the same data give the same bits.
        rotation = rotation * np.where(rotation.sum(axis=1) < 0, -1.0, 1.0)[:, None]
        target = residual @ rotation.T
        inner = basis.left.T @ target
        best = STRENGTHS[_largest_bearable(basis, target, inner)]
        share = (rotation**2) @ (seen.mean(axis=0))
        known = np.isfinite(best) & (share > 0)
        return cls(rotation, np.where(known, np.minimum(best, NEVER) * share, NEVER))


def _largest_bearable(basis: Basis, target: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.int64]:
    """Place of the last strength whose error is within so many standard errors of the least, for each column (m,).

    `inner` is ``left.T @ target``.
    """
    square = basis.singular**2

    def errors(kept: NDArray[np.float64]) -> NDArray[np.float64]:
        return _left_out_errors(basis, target, inner, kept)

    kept = np.stack([square / (square + strength) for strength in STRENGTHS[:-1]] + [np.zeros_like(square)])
    least = np.array([errors(shares[:, None]).sum(axis=0) for shares in kept]).argmin(axis=0)
    reference = errors(kept[least].T)
    place: NDArray[np.int64] = least.astype(np.int64)
    for candidate, shares in enumerate(kept):
        loss = errors(shares[:, None]) - reference
        bearable = loss.mean(axis=0) <= STANDARD_ERRORS * loss.std(axis=0) / np.sqrt(len(loss))
        place[bearable & (candidate > place)] = candidate
    return place


def _left_out_errors(
    basis: Basis, target: NDArray[np.float64], inner: NDArray[np.float64], kept: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squared errors of each prompt by a fit without it, (g, m), where each column keeps these shares (r, m or 1).

    Rows of a prompt have the same leverage l. Without the k of them their residuals e are ``(I - l 11')^-1 e``, that is
    ``e + l / (1 - k l) sum e``.
    """
    residual, leverage = target - basis.left @ (kept * inner), basis.left**2 @ kept + 1 / len(target)
    groups = basis.prompts
    if groups is None:
        squares: NDArray[np.float64] = (residual / np.maximum(1 - leverage, 1e-9)) ** 2
        return squares
    rest = np.maximum(1 - groups.size[groups.number, None] * leverage, 1e-9)
    return groups.sums((residual + leverage / rest * groups.sums(residual)[groups.number]) ** 2)


def _common_correlation(residual: NDArray[np.float64], together: NDArray[np.float64]) -> float:
    """Correlation of two models' residuals on the same prompt, over all pairs, at least 0."""
    total = residual.sum(axis=1)
    products = float((total**2).sum() - (residual**2).sum())
    pairs = float(together.sum() - np.trace(together))
    return float(np.clip(products / pairs, 0.0, 0.99)) if pairs > 0 else 0.0


def _climb(
    basis: Basis,
    directions: _Directions,
    slope: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    *,
    scale: NDArray[np.float64],
    start: NDArray[np.float64],
    curvature: float | NDArray[np.float64],
    seen: NDArray[np.bool_],
) -> Heads:
    """Maximise the penalised likelihood whose derivative by ``eta`` is `slope` and curvature at most `curvature`.

    Weights and intercepts move at once. Where the features' mean over a model's few observations is far from 0 they
    would do the same thing twice, so steps are shortened by the cosine between the two.
    """
    rotation, square = directions.rotation, basis.singular**2
    count = np.maximum(seen.sum(axis=0), 1)
    shorter = 1 + float(np.sqrt(((basis.left.T @ seen) ** 2).sum(axis=0) / count).max())
    bound = float(np.max(curvature * scale**2)) * shorter
    penalty = directions.strength[None, :] / square[:, None]
    steps = count * curvature * shorter
    inner = ahead = np.zeros((len(square), len(scale)))
    intercept = intercept_ahead = start
    momentum = 1.0
    for _ in range(MOST_STEPS):
        derivative = slope(intercept_ahead + scale * ((basis.left @ ahead) @ rotation))
        fresh = (bound * ahead + basis.left.T @ (derivative * scale) @ rotation.T) / (bound + penalty)
        moved = intercept_ahead + (derivative.sum(axis=0) - (intercept_ahead - start) * curvature) / (steps + curvature)
        grown = (1 + np.sqrt(1 + 4 * momentum**2)) / 2
        push = (momentum - 1) / grown
        change = max(np.abs(fresh - inner).max(initial=0.0), np.abs(moved - intercept).max())
        ahead, intercept_ahead = fresh + push * (fresh - inner), moved + push * (moved - intercept)
        inner, intercept, momentum = fresh, moved, grown
        if change < TOLERANCE:
            break
    weights = (basis.right / basis.singular) @ inner @ rotation * scale
    return Heads(weights, intercept, directions.strength)
