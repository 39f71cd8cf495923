"""The whole cost–accuracy curve of a batch: one solve per budget, each started from the one before."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter.extras import require
from omnirouter.problem import Caps
from omnirouter.resources import Resource
from omnirouter.solver import solve

__all__ = ["Frontier", "frontier"]


@dataclass(frozen=True, slots=True, eq=False)
class Frontier:
    """Best plans over a range of budgets.

    Attributes
    ----------
    budgets, spend : (k,) float64
        What was allowed and what the plans spend, money.
    accuracy, bound : (k,) float64
        Mean accuracy of the plans, and what no plan within the budget can exceed.
    price : (k,) float64
        Shadow price of money: expected correct answers per unit.
    """

    budgets: NDArray[np.float64]
    spend: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    bound: NDArray[np.float64]
    price: NDArray[np.float64]

    def to_dict(self) -> dict[str, list[float]]:
        """Plain lists, ready for JSON."""
        return {name: getattr(self, name).tolist() for name in Frontier.__slots__}

    def plot(self, path: str | Path, points: Sequence[tuple[str, float, float]] = (), title: str = "") -> None:
        """Draw the curve, and named points (label, spend, accuracy) on it, into a PNG, SVG or PDF file."""
        figure = require("matplotlib.figure", extra="plot").Figure(figsize=(7.5, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.spend, self.accuracy, "-", color="tab:blue", label="best plans (expected)")
        middle = np.sqrt(self.spend.min() * self.spend.max())
        for at, (label, spend, accuracy) in enumerate(points):
            plan = at == 0
            style = {"marker": "o", "color": "tab:red", "ms": 9} if plan else {"marker": "x", "color": "0.35", "ms": 6}
            axes.plot([spend], [accuracy], linestyle="", **style)
            right = spend > middle
            place = {"xytext": (-8, 8) if plan else (-8 if right else 8, -12), "ha": "right" if right else "left"}
            axes.annotate(label, (spend, accuracy), textcoords="offset points", fontsize=8, **place)
        axes.set_xscale("log")
        axes.set_xlabel("spend for the batch, money")
        axes.set_ylabel("expected accuracy, mean over queries")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
        figure.savefig(path, dpi=150)


def frontier(
    acc: ArrayLike,
    cost: ArrayLike,
    caps: Caps | None = None,
    budgets: ArrayLike | None = None,
    *,
    points: int = 30,
    resources: Sequence[Resource] = (),
    allowed: ArrayLike | None = None,
    rel_gap: float = 1e-4,
    threads: int = 0,
    progress: Callable[[int, int], Any] | None = None,
) -> Frontier:
    """Solve for a range of budgets.

    Parameters
    ----------
    acc, cost, caps, resources, allowed, rel_gap, threads
        As in `omnirouter.solve`.
    budgets : (k,) array_like, optional
        Default: `points` budgets from the least possible spend to the spend of the most accurate plan, in equal ratios.
    points : int
        Number of budgets where none are given.
    progress : callable, optional
        Called as ``progress(done, total)``.

    Returns
    -------
    Frontier

    Raises
    ------
    SolveError
        Not even the cheapest plan is possible, or a budget admits no plan.

    Examples
    --------
    >>> curve = frontier([[0.9, 0.5], [0.8, 0.7]], [[3.0, 1.0], [3.0, 1.0]], budgets=[2.0, 4.0, 6.0])
    >>> curve.accuracy.round(3).tolist()
    [0.6, 0.8, 0.85]
    """
    fixed: dict[str, Any] = {"resources": resources, "allowed": allowed, "rel_gap": rel_gap, "threads": threads}
    if budgets is None:
        if points < 2:
            raise ValueError(f"points is {points}, expected at least 2")
        least = solve(acc, cost, caps, objective="cost", **fixed).raise_for_status().spend
        most = max(solve(acc, cost, caps, **fixed).raise_for_status().spend, least)
        grid = np.linspace(least, most, points) if least <= 0 else np.geomspace(least, most, points)
        # The ends must not fall short of their plans by rounding.
        grid[0], grid[-1] = least, most
    else:
        grid = np.atleast_1d(np.asarray(budgets, dtype=np.float64))
    rows, duals = [], None
    for done, budget in enumerate(grid):
        solution = solve(acc, cost, caps, float(budget), warm_start=duals, **fixed).raise_for_status()
        duals = solution.duals
        n = len(solution.problem.acc)
        rows.append((float(budget), solution.spend, solution.accuracy, solution.bound / n, solution.duals.budget))
        if progress is not None:
            progress(done + 1, len(grid))
    columns = np.asarray(rows).T
    return Frontier(*(np.ascontiguousarray(column) for column in columns))
