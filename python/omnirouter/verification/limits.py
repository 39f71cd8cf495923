"""The limits of a problem as plain numbers, block of rows by block of rows, so that memory stays flat."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.problem import Problem
from omnirouter.resources import Resource

__all__ = [
    "FINEST",
    "UNIT",
    "Facts",
    "blocks",
    "facts",
    "lowest_bit",
    "members",
    "of_open_pairs",
    "open_pairs",
    "prices_of",
    "sign_of",
    "usage_of",
]

UNIT = 2.0**-53  # half a unit in the last place of 1: the largest relative error of one float64 operation
PAIRS_PER_BLOCK = 1 << 18
FINEST = -400  # exponents below this are no grain


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the numbers of one resource, per member of its scope.

    Attributes
    ----------
    nonnegative : bool
        Whether no usage is below zero.
    magnitude : float array
        At least the sum of absolute usage that any plan can have.
    grain : float array
        The largest power of two of which every usage is a multiple; 0 where that is too fine to say.
    """

    nonnegative: bool
    magnitude: NDArray[np.float64]
    grain: NDArray[np.float64]

    def admitted(self, limits: NDArray[np.float64], n: int) -> NDArray[np.float64]:
        """How far the exact sum of a plan may pass each limit when its float64 sum does not.

        Sums of multiples of a grain below 2**53 grains have no rounding error. Else: one rounding, or numpy's pairwise
        sum, whose depth is below 32 + log2(n).
        """
        error = (32 + math.log2(max(n, 2))) * 1.01 * UNIT * np.maximum(self.magnitude, np.abs(limits))
        exact = (self.grain > 0) & (self.magnitude < 2.0**52 * self.grain) & (np.abs(limits) < 2.0**52 * self.grain)
        return np.where(exact, 0.0, error)


def blocks(n: int, m: int) -> Iterator[slice]:
    """Rows in pieces of some two megabytes of float64."""
    size = max(1, PAIRS_PER_BLOCK // m)
    return (slice(first, min(n, first + size)) for first in range(0, n, size))


def sign_of(resource: Resource) -> float:
    """+1 for a maximum, -1 for a minimum: every limit is read as ``sign * usage <= sign * limit``."""
    return 1.0 if resource.sense == "<=" else -1.0


def usage_of(problem: Problem, resource: Resource, rows: slice) -> NDArray[np.float64]:
    """Usage of a block of rows, (rows, m) float64, possibly broadcast."""
    usage = resource.usage
    if isinstance(usage, str):
        usage = problem.acc if usage == "acc" else problem.cost
    array = np.asarray(usage)
    if array.ndim == 2 and array.shape[0] == problem.n_queries:
        array = array[rows]
    return np.broadcast_to(array.astype(np.float64), (rows.stop - rows.start, problem.n_models))


def members(problem: Problem, resource: Resource, rows: slice) -> NDArray[np.intp]:
    """Under which limit of the resource each pair of a block counts, (rows, m), broadcast."""
    shape = (rows.stop - rows.start, problem.n_models)
    if not isinstance(resource.per, str):
        return np.broadcast_to(resource.per[rows, None].astype(np.intp), shape)
    return np.broadcast_to(np.arange(shape[1]) if resource.per == "model" else np.intp(0), shape)


def facts(problem: Problem, resource: Resource, *, grains: bool) -> Facts:
    """One read of the usage of a resource."""
    count = len(resource.limit)
    magnitude, exponent, nonnegative = np.zeros(count), np.full(count, 2000), True
    for rows in blocks(problem.n_queries, problem.n_models):
        usage = usage_of(problem, resource, rows)
        nonnegative = nonnegative and bool((usage >= 0).all())
        magnitude += _most_used(resource, rows, np.abs(usage))
        if grains:
            np.minimum.at(exponent, members(problem, resource, rows), lowest_bit(usage))
    if nonnegative and resource.sense == "<=":
        # A plan within the limit uses no more than that.
        magnitude = np.minimum(magnitude, np.abs(resource.limit) * 1.001)
    magnitude = magnitude * 1.001  # the sums above are rounded themselves
    usable = grains & (exponent > FINEST)
    grain = np.where(usable, np.ldexp(1.0, np.clip(exponent, FINEST, 900)), 0.0)
    return Facts(nonnegative, magnitude, grain)


def of_open_pairs(problem: Problem, known: list[Facts]) -> list[Facts]:
    """The same facts with the magnitudes of pairs that some plan might use, at the price of one more read."""
    magnitudes = [np.zeros(len(resource.limit)) for resource in problem.resources]
    for rows in blocks(problem.n_queries, problem.n_models):
        usable = open_pairs(problem, known, rows)
        for magnitude, resource in zip(magnitudes, problem.resources, strict=True):
            magnitude += _most_used(resource, rows, np.where(usable, np.abs(usage_of(problem, resource, rows)), 0.0))
    least = zip(known, magnitudes, strict=True)
    return [replace(fact, magnitude=np.minimum(fact.magnitude, magnitude * 1.001)) for fact, magnitude in least]


def _most_used(resource: Resource, rows: slice, size: NDArray[np.float64]) -> NDArray[np.float64]:
    """What any plan for a block of rows can use under each limit, of pairs that use (rows, m) in size."""
    if not isinstance(resource.per, str):
        return np.bincount(resource.per[rows], size.max(axis=1), minlength=len(resource.limit)).astype(np.float64)
    most: NDArray[np.float64] = size.sum(axis=0) if resource.per == "model" else size.max(axis=1).sum(keepdims=True)
    return most


def lowest_bit(numbers: NDArray[np.float64]) -> NDArray[np.intp]:
    """Exponent of the lowest bit that is set; large where the number is 0."""
    fraction, exponent = np.frexp(numbers)
    whole = np.abs(np.ldexp(fraction, 53)).astype(np.int64)
    low = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return np.where(whole == 0, 2000, exponent - 53 + low)


def open_pairs(problem: Problem, known: list[Facts], rows: slice) -> NDArray[np.bool_]:
    """Pairs of a block that some plan might use: allowed, and not passing a limit alone where nothing can make up for it.

    A float64 sum of numbers >= 0 is never below one of them, in whatever order it is taken.
    """
    shape = (rows.stop - rows.start, problem.n_models)
    out = np.ones(shape, bool) if problem.allowed is None else problem.allowed[rows].copy()
    for resource, fact in zip(problem.resources, known, strict=True):
        if resource.sense == "<=" and fact.nonnegative:
            limit = resource.limit[members(problem, resource, rows)]
            out &= usage_of(problem, resource, rows) <= limit
    return out


def prices_of(problem: Problem, duals: Mapping[str, Any]) -> tuple[list[NDArray[np.float64]], list[str]]:
    """Prices per member of every resource, and a sentence for each that cannot be one.

    Raises
    ------
    ValueError
        They are no numbers, or not one per limit.
    """
    prices, findings = [], []
    for resource in problem.resources:
        name = resource.name
        try:
            own = duals[name] if name in ("budget", "caps", "min_accuracy") else duals["resources"].get(name)
            price = np.atleast_1d(np.asarray(np.nan if own is None else own, dtype=np.float64))
        except (KeyError, AttributeError, TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"the plan has no prices for {name}, expected numbers as Duals.to_dict gives them: {error!r}"
            ) from None
        if price.shape != resource.limit.shape:
            raise ValueError(f"the plan has {price.size} prices for {name}, expected {resource.limit.size}")
        if name == "min_accuracy":
            price = price / problem.n_queries
        for member in np.flatnonzero(~((price >= 0) & (price < math.inf))):
            findings.append(f"the price of {resource.describe(int(member))} is {price[member]:g}, expected a number >= 0")
        for member in np.flatnonzero((price > 0) & ~np.isfinite(resource.limit)):
            findings.append(f"{resource.describe(int(member))} has a price but no limit")
        prices.append(price)
    return prices, findings
