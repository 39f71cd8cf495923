"""The whole cost–accuracy curve of a batch: budgets share a few reads of the matrices, what is left gets single solves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter import _core
from omnirouter.checks import LARGEST_COUNT, as_path, maybe_callable, unmasked, whole
from omnirouter.extras import require
from omnirouter.problem import Caps, Problem
from omnirouter.resources import Resource
from omnirouter.solver import CoreSettings, core_problem, core_settings, finite_limits, solve

__all__ = ["Frontier", "draw", "frontier"]


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

    def plot(
        self,
        path: str | Path,
        *,
        plan: tuple[float, float] | None = None,
        singles: Sequence[tuple[str, float, float]] = (),
        title: str = "",
    ) -> None:
        """Draw the curve into a PNG, SVG or PDF file.

        Parameters
        ----------
        path : str or Path
            Its suffix chooses the format.
        plan : (spend, accuracy), optional
            A plan to mark.
        singles : sequence of (model, spend, accuracy)
            What each model costs and scores when it answers everything.
        title : str
            Shown above the picture.

        Raises
        ------
        MissingExtraError
            When matplotlib is not installed.
        """
        path = as_path("path", path)
        # A Figure of its own needs no backend and no pyplot, and so leaves the caller's settings alone.
        figure = require("matplotlib.figure", extra="plot").Figure(figsize=(7.5, 4.8), layout="constrained")
        axes = figure.subplots()
        axes.plot(self.spend, self.accuracy, "-", color="tab:blue", label="best plans within the limits")
        if singles:
            spends, means = [spend for _, spend, _ in singles], [mean for _, _, mean in singles]
            axes.plot(spends, means, "x", color="0.3", label="one model for everything")
        for model, spend, mean in singles:
            # Below the point: a single model lies under the curve, unless it breaks a cap.
            right = spend == max(spends) and len(singles) > 1
            place = {"xytext": (4, -6) if right else (6, -4), "ha": "right" if right else "left", "va": "top"}
            axes.annotate(model, (spend, mean), textcoords="offset points", fontsize=8, **place)
        if plan is not None:
            axes.plot(*plan, "o", color="tab:red", ms=9, label="the plan")
        shown = [*self.spend, *(spend for _, spend, _ in singles)]
        if max(shown) > 10 * min(shown) > 0:  # else a logarithmic axis has hardly a tick
            axes.set_xscale("log")
            # Plain numbers: matplotlib's powers of ten need fonts for formulas, and it complains where these are missing.
            for set_labels in (axes.xaxis.set_major_formatter, axes.xaxis.set_minor_formatter):
                set_labels(lambda value, _: f"{value:.10g}" if f"{value:e}"[0] in "125" else "")
        axes.set_xlabel("spend for the batch (money of the prices)")
        axes.set_ylabel("expected accuracy (mean over queries)")
        axes.set_title(title)
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right")
        figure.savefig(path, dpi=150)


class Point(NamedTuple):
    """One budget of a curve: a plan within all limits, and the dual value at `prices`, which no plan can exceed."""

    objective: float
    bound: float
    spend: float
    prices: list[float]
    assignment: NDArray[np.int32] | None


class Drawn(NamedTuple):
    """Points found together, None where a single solve is better; `at` is the budget's position among the prices."""

    budgets: list[float]
    points: list[Point | None]
    passes: int
    at: int


def draw(
    problem: Problem,
    budgets: NDArray[np.float64] | None,
    count: int,
    settings: CoreSettings,
    *,
    plans: bool = False,
    progress: Callable[[str, int, float, float], bool] | None = None,
) -> Drawn:
    """The points of many budgets in a few reads of the matrices: for `budgets`, or `count` of them in equal ratios.

    The budget of `problem` counts for nothing. With `plans`, one more read per point gives its assignment.
    """
    resource = next(r for r, resource in enumerate(problem.resources) if resource.name == "budget")
    wanted = None if budgets is None else budgets.tolist()
    rows = core_problem(problem)
    grid, points, passes = _core.curve(rows, settings, resource, wanted, count, plans, progress)
    at = finite_limits(problem).index((resource, 0))
    return Drawn(grid, [None if point is None else Point(*point) for point in points], passes, at)


def _spread(acc: ArrayLike, cost: ArrayLike, caps: Caps | None, points: int, fixed: dict[str, Any]) -> NDArray[np.float64]:
    """Budgets in equal ratios, from the least possible spend to that of the most accurate plan."""
    least = solve(acc, cost, caps, objective="cost", **fixed).raise_for_status().spend
    most = max(solve(acc, cost, caps, **fixed).raise_for_status().spend, least)
    grid = np.linspace(least, most, points) if least <= 0 else np.geomspace(least, most, points)
    # The ends must not fall short of their plans by rounding.
    grid[0], grid[-1] = least, most
    return grid


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
        Default: `points` budgets in equal ratios, from at most 2 % above the least possible spend to where more money buys
        at most a thousandth more accuracy; in batches whose budgets are solved one by one, from end to end.
    points : int
        Number of budgets where none are given.
    progress : callable, optional
        Called as ``progress(done, total)``.

    Returns
    -------
    Frontier

    Raises
    ------
    ValueError, TypeError
        Bad input, as in `omnirouter.solve`; fewer than two points, or no budgets.
    SolveError
        Not even the cheapest plan is possible, or a budget admits no plan.

    Notes
    -----
    Budgets share a few reads of the matrices. Solved one by one are batches of fewer than some thousand queries, a `rel_gap`
    below 1e-6, and budgets for which the shared reads prove too little; every point is proven to `rel_gap` either way.

    Examples
    --------
    >>> curve = frontier([[0.9, 0.5], [0.8, 0.7]], [[3.0, 1.0], [3.0, 1.0]], budgets=[2.0, 4.0, 6.0])
    >>> curve.accuracy.round(3).tolist()
    [0.6, 0.8, 0.85]
    """
    maybe_callable("progress", progress)
    fixed: dict[str, Any] = {"resources": resources, "allowed": allowed, "rel_gap": rel_gap, "threads": threads}
    grid = None
    if budgets is not None:
        unmasked("budgets", budgets)
        try:
            grid = np.asarray(budgets)
            if grid.dtype.kind not in "fiuO":  # whole numbers beyond int64 are objects
                raise ValueError(f"it has {grid.dtype} entries")
            grid = grid.astype(np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"budgets is not a vector of numbers: {error}") from None
        if grid.ndim != 1 or len(grid) == 0:
            raise ValueError(f"budgets has shape {grid.shape}, expected (k,) with at least one budget")
    else:
        points = whole("points", points, 2, LARGEST_COUNT)
    total = points if grid is None else len(grid)
    # The budget of this problem only says that there is one.
    problem = Problem(acc, cost, caps, 1.0 if grid is None else float(grid.max()), resources=resources, allowed=allowed)
    told = None if progress is None else lambda _phase, done, *_: bool(progress(done, total) and False)
    found = draw(problem, grid, points, core_settings(rel_gap, None, threads), progress=told)
    if grid is None:
        grid = np.asarray(found.budgets) if found.budgets else _spread(acc, cost, caps, points, fixed)
    together = found.points or [None] * total
    done = total - together.count(None)
    rows, duals, n = [], None, problem.n_queries
    for budget, point in zip(grid, together, strict=True):
        if point is not None:
            rows.append((float(budget), point.spend, point.objective / n, point.bound / n, point.prices[found.at]))
            continue
        solution = solve(acc, cost, caps, float(budget), warm_start=duals, **fixed).raise_for_status()
        duals = solution.duals
        rows.append((float(budget), solution.spend, solution.accuracy, solution.bound / n, solution.duals.budget))
        done += 1
        if progress is not None:
            progress(done, total)
    columns = np.asarray(rows).T
    return Frontier(*(np.ascontiguousarray(column) for column in columns))
