"""How far each limit can move until its shadow price changes."""

from __future__ import annotations

import math
from dataclasses import dataclass

from omnirouter import _core
from omnirouter.checks import real
from omnirouter.problem import Problem
from omnirouter.solution import Solution
from omnirouter.solver import core_problem, core_settings, finite_limits, start_prices
from omnirouter.words import limit_in_words

__all__ = ["PriceRange", "price_ranges"]


@dataclass(frozen=True, slots=True)
class PriceRange:
    """From where to where a price holds, all other limits staying as they are.

    Attributes
    ----------
    name : str
        The limit, such as "budget" or "caps[2]".
    limit : (int, int)
        Its position in ``problem.resources``, and in that resource's limits.
    price : float
        What one unit more gains.
    at, low, high : float
        Where the limit is, and the ends between which the price stays within the tolerance. Infinite where nothing changes
        any more; NaN where an end was not found.
    """

    name: str
    limit: tuple[int, int]
    price: float
    at: float
    low: float
    high: float


def price_ranges(solution: Solution, *, tolerance: float = 0.1, threads: int = 0) -> tuple[PriceRange, ...]:
    """The range of each limit in which its price holds.

    The best value of the linear relaxation is a concave, piecewise linear function of each limit (convex for a cost), and
    the price is its slope. With ``tolerance=0`` the range is the piece on which the limit lies: there the value changes at
    exactly the price. These pieces are as narrow as one query; a tolerance of 0.1 gives the range in which the slope stays
    within 10 % of the price.

    Parameters
    ----------
    solution : Solution
        With duals, so not an infeasible one.
    tolerance : float >= 0
        Relative change of the price that does not count. Changes below 1e-7 never do.
    threads : int
        As in `solve`.

    Returns
    -------
    tuple of PriceRange
        One per finite limit. Each costs up to two reads of the matrices and two ascents.

    Raises
    ------
    ValueError
        The solution has no duals or is one of an oracle, or the tolerance is negative.

    Examples
    --------
    >>> import omnirouter
    >>> acc = [[0.9, 0.6], [0.8, 0.7], [0.9, 0.2]]
    >>> solution = omnirouter.solve(acc, [[3.0, 1.0]] * 3, budget=5.5)
    >>> found = omnirouter.price_ranges(solution, tolerance=0)[0]
    >>> found.name, round(found.price, 9), round(found.low, 9), round(found.high, 9)
    ('budget', 0.15, 5.0, 7.0)
    """
    if not isinstance(solution, Solution):
        raise TypeError(f"solution is {type(solution).__name__}, expected Solution, as solve gives it")
    if not real("tolerance", tolerance, "a number >= 0") >= 0:
        raise ValueError(f"tolerance is {tolerance}, expected a number >= 0")
    if solution.certificate is not None or math.isnan(solution.dual_bound):
        raise ValueError(f"the solution has no prices: {solution.message}")
    problem = solution.problem
    if not isinstance(problem, Problem):
        raise ValueError("the rows of an oracle are elsewhere: ranges are found only where acc and cost are in memory")
    prices = start_prices(problem, solution.duals)
    settings = core_settings(threads=threads)
    found = _core.price_ranges(core_problem(problem), settings, prices, float(tolerance))
    each = zip(finite_limits(problem), prices, found, strict=True)
    return tuple(_in_units(problem, limit, price, *ends) for limit, price, ends in each)


def _in_units(problem: Problem, limit: tuple[int, int], price: float, low: float, high: float) -> PriceRange:
    resource = problem.resources[limit[0]]
    # The floor is on the mean, in the core it is on the sum.
    unit = problem.n_queries if resource.name == "min_accuracy" else 1
    at = float(resource.limit[limit[1]])
    return PriceRange(limit_in_words(resource, limit[1]), limit, price * unit, at / unit, low / unit, high / unit)
