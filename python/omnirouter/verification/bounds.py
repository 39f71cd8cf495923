"""The Lagrangian dual at given prices: in rational numbers, or in float64 with a proven bound of the error.

For prices ``p >= 0`` no plan within the limits has a lower value than

    sum_i min_j (w f_ij + sum_k p_k s_k u^k_ij) - sum_k p_k s_k b_k

where ``w`` is +1 (cost), -1 (accuracy) or 0 (whether there is any plan: a positive value says no).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.problem import Problem
from omnirouter.verification.limits import UNIT, Facts, blocks, members, open_pairs, sign_of, usage_of

__all__ = ["Priced", "dual_value", "priced_rows", "weight_of"]

EXACT_NUMBERS = 20_000  # pairs times limits up to which rational numbers are used


@dataclass(frozen=True, slots=True)
class Priced:
    """A value of the dual (minimised).

    Attributes
    ----------
    value : float
        The dual, within `error`; infinity where a query has no open pair. Every plan that float64 sums admit is at or above
        ``value - error``.
    error : float
        Rounding of the evaluation, and what float64 sums admit beyond the limits.
    size : float
        Magnitude of its terms, added up: one for all queries, one per limit.
    exact : bool
        Whether it was evaluated in rational numbers.
    """

    value: float
    error: float
    size: float
    exact: bool

    @property
    def least(self) -> float:
        """No plan is below this."""
        return self.value if math.isinf(self.value) else math.nextafter(self.value - self.error, -math.inf)


def weight_of(problem: Problem) -> float:
    """+1 where cost is minimised, -1 where accuracy is maximised."""
    return 1.0 if problem.objective == "cost" else -1.0


def dual_value(
    problem: Problem,
    known: list[Facts],
    prices: list[NDArray[np.float64]],
    *,
    weight: float,
    limits: list[NDArray[Any]] | None = None,
) -> Priced:
    """Evaluate the dual.

    Parameters
    ----------
    problem : Problem
        Its numbers are read block by block.
    known : list of Facts
        One per resource.
    prices : list of float array
        Per resource, one price >= 0 per limit, in units of the objective per unit of usage.
    weight : float
        On the objective, see above.
    limits : list of array, optional
        Other right-hand sides than the problem's, floats or rational numbers.
    """
    n, m = problem.acc.shape
    exact = n * m * (1 + len(prices)) <= EXACT_NUMBERS
    if limits is None:
        limits = [resource.limit for resource in problem.resources]
    total, error, magnitude = Fraction(0), 0.0, 0.0
    for rows in blocks(n, m):
        shut = ~open_pairs(problem, known, rows)
        if shut.all(axis=1).any():  # no plan at all
            return Priced(math.inf, 0.0, 0.0, True)
        priced, size = priced_rows(problem, prices, rows, weight=weight, exact=exact)
        priced[shut] = math.inf
        least = priced.min(axis=1)
        if exact:
            subtotal = sum(least, Fraction(0))
        else:
            size[shut] = 0.0
            subtotal = math.fsum(least)
            # Each pair: one rounding per product and per addition. The sum: one.
            error += (len(prices) + 2) * 1.01 * UNIT * math.fsum(size.max(axis=1)) + UNIT * abs(subtotal)
        total += Fraction(subtotal)
        magnitude += float(abs(subtotal))
    for resource, price, limit, fact in zip(problem.resources, prices, limits, known, strict=True):
        counted = np.flatnonzero(price > 0)
        for member in counted:
            total -= Fraction(sign_of(resource)) * Fraction(float(price[member])) * Fraction(limit[member])
        magnitude += float(np.abs(price[counted] * resource.limit[counted]).sum())
        admitted = fact.admitted(resource.limit, n)
        error += 1.01 * math.fsum(price[counted] * admitted[counted])
    return Priced(float(total), error * 1.01 + UNIT * abs(float(total)), magnitude, exact)


def priced_rows(
    problem: Problem, prices: list[NDArray[np.float64]], rows: slice, *, weight: float, exact: bool
) -> tuple[NDArray[Any], NDArray[np.float64]]:
    """Priced objective of a block of rows (rational numbers where `exact`), and the magnitudes of its terms added up."""
    convert: Callable[[NDArray[np.float64]], NDArray[Any]] = np.frompyfunc(Fraction, 1, 1) if exact else np.asarray
    objective = (problem.cost if problem.objective == "cost" else problem.acc)[rows].astype(np.float64)
    priced = convert(weight * objective)
    size = np.abs(weight * objective)
    for resource, price in zip(problem.resources, prices, strict=True):
        if not price.any():
            continue
        rate = sign_of(resource) * price[members(problem, resource, rows)]
        usage = usage_of(problem, resource, rows)
        priced = priced + convert(rate) * convert(usage)
        size += np.abs(rate * usage)
    return priced, size
