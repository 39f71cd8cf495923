"""Ways to choose a model for each query: the global solve and what it is compared with. Each returns plans, (k, n) int64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from omnirouter.solver import solve

__all__ = ["budget_grid", "cheapest_above", "multiplier_grid", "priced", "solved", "tuned_multipliers", "useful_spend"]

Array = NDArray[np.float64]
Plans = NDArray[np.int64]

MULTIPLIERS = 240
REFINED = 64  # a grid over many decades alone would miss a budget by several per cent
REL_GAP = 1e-3  # far below what a test split can tell apart
SHIPPED_THRESHOLD = 0.7


def budget_grid(acc: Array, cost: Array, points: int) -> Array:
    """Budgets in equal ratios from the least possible spend to that of the most accurate plan, (k,).

    Parameters
    ----------
    acc, cost : (n, m) float64
        As the plans are chosen by.
    points : int
        Number of budgets.
    """
    least, most = float(cost.min(axis=1).sum()), useful_spend(acc, cost)
    if most <= least:
        return np.array([least])
    grid = np.geomspace(least, most, points) if least > 0 else np.linspace(least, most, points)
    grid[0], grid[-1] = np.nextafter(least, np.inf), most
    return grid


def useful_spend(acc: Array, cost: Array) -> float:
    """What the most accurate plan costs, of equally accurate models the cheapest: more money buys nothing."""
    best = np.where(acc == acc.max(axis=1, keepdims=True), cost, np.inf).min(axis=1)
    return float(best.sum())


def solved(
    acc: Array,
    cost: Array,
    budgets: Sequence[float] | Array,
    caps: Array | None = None,
    done: Callable[[], None] | None = None,
) -> Plans:
    """The global plan of each budget that admits one.

    Parameters
    ----------
    acc, cost : (n, m) float64
        What is solved on.
    budgets : (k,) float64
        Money for the whole batch.
    caps : (m,) float64, optional
        Most queries per model.
    done : callable, optional
        Called after each solve.
    """
    plans, duals = [], None
    for budget in budgets:
        solution = solve(acc, cost, caps, float(budget), rel_gap=REL_GAP, warm_start=duals)
        if solution.assignment is not None:
            plans.append(solution.assignment.astype(np.int64))
            duals = solution.duals
        if done is not None:
            done()
    return np.array(plans, dtype=np.int64).reshape(len(plans), len(acc))


def cheapest_above(acc: Array, cost: Array, thresholds: Sequence[float] | Array) -> Plans:
    """The rule that AIOS ships: the cheapest model whose predicted accuracy reaches a threshold, else the most accurate.

    Examples
    --------
    >>> import numpy as np
    >>> acc, cost = np.array([[0.6, 0.8, 0.9]]), np.array([[1.0, 2.0, 3.0]])
    >>> cheapest_above(acc, cost, [0.7, 0.95]).tolist()
    [[1], [2]]
    """
    fallback = acc.argmax(axis=1)
    plans = []
    for threshold in thresholds:
        enough = acc >= threshold
        plans.append(np.where(enough.any(axis=1), np.where(enough, cost, np.inf).argmin(axis=1), fallback))
    return np.array(plans, dtype=np.int64)


def priced(acc: Array, cost: Array, multipliers: Sequence[float] | Array) -> Plans:
    """For each query the model with the most ``acc - multiplier * cost``, the same multiplier for all queries."""
    return np.array([(acc - lam * cost).argmax(axis=1) for lam in multipliers], dtype=np.int64)


def multiplier_grid(cost: Array, count: int = MULTIPLIERS) -> Array:
    """Multipliers (accuracy per unit of money) from none to one at which money alone decides, ascending."""
    used = cost[cost > 0]
    if not used.size:
        return np.zeros(1)
    return np.concatenate([[0.0], np.geomspace(1e-3 / used.max(), 1e2 / used.min(), count - 1)])


def tuned_multipliers(
    acc: Array, cost: Array, charged: Array, budgets: Sequence[float] | Array, multipliers: Array
) -> Array:
    """For each budget per query, the least multiplier whose plan really keeps to it on a sample, (k,).

    The first of `multipliers` that keeps to it, and then the first of 64 between that and the one before it.

    Parameters
    ----------
    acc, cost : (n, m) float64
        Predictions for the sample, made without its own outcomes.
    charged : (n, m) float64
        What the sample really cost; NaN where not known, which counts for nothing.
    budgets : (k,) float64
        Mean money per query.
    multipliers : (c,) float64
        Ascending. Where none keeps to a budget, the largest is taken.
    """
    spend = _spent(acc, cost, charged, multipliers)
    tuned = []
    for budget in budgets:
        fits = spend <= budget
        k = int(fits.argmax()) if fits.any() else len(multipliers) - 1
        if k > 0 and fits[k]:
            between = np.linspace(multipliers[k - 1], multipliers[k], REFINED + 1)[1:]
            tuned.append(between[(_spent(acc, cost, charged, between) <= budget).argmax()])
        else:
            tuned.append(multipliers[k])
    return np.array(tuned, dtype=np.float64)


def _spent(acc: Array, cost: Array, charged: Array, multipliers: Array) -> Array:
    """What the plan of each multiplier really costs per query, as far as that is known; infinity where it is not."""
    plans = priced(acc, cost, multipliers)
    paid = np.take_along_axis(charged[None], plans[:, :, None], axis=2)[:, :, 0]
    known = ~np.isnan(paid)
    count = known.sum(axis=1)
    spent: Array = np.where(count > 0, np.where(known, paid, 0.0).sum(axis=1) / np.where(count > 0, count, 1), np.inf)
    return spent
