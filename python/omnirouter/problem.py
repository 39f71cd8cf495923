"""The problem of routing a batch: matrices, limits, and an audit that trusts nobody.

maximise  sum_ij acc[i, j] x[i, j]     (or minimise the same sum of cost)
such that sum_j x[i, j] = 1 for every query i, x in {0, 1}, and every limit holds
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter.checks import is_number, real, unmasked
from omnirouter.resources import Resource, as_array, assembled

__all__ = ["Audit", "Caps", "Objective", "Problem"]

Objective = Literal["accuracy", "cost"]
Caps: TypeAlias = "ArrayLike | Sequence[float | None]"

_FLOATS = (np.dtype(np.float32), np.dtype(np.float64))


@dataclass(frozen=True, slots=True)
class Audit:
    """What a plan really does, recomputed in numpy.

    Attributes
    ----------
    objective, spend, accuracy : float
        Sum of the objective, sum of cost (money), mean of acc over the plan.
    load : (m,) int64
        Queries per model.
    violations : tuple of str
        One sentence per limit or pair that is broken; empty for a plan that may be used.
    """

    objective: float
    spend: float
    accuracy: float
    load: NDArray[np.int64]
    violations: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether every limit is met."""
        return not self.violations


@dataclass(frozen=True, slots=True, init=False)
class Problem:
    """Queries, models and limits, checked once.

    Parameters
    ----------
    acc : (n, m) array_like
        Expected quality of each model on each query. float32 and float64 in C order are used as they are, also read-only
        and memory-mapped ones, and are never written; Fortran order, strided, float16 and integer input is copied once.
    cost : (n, m) array_like
        Expected money per query and model, >= 0; same conversions.
    caps : (m,) array_like of int, optional
        Most queries per model; None or infinity in an entry is no limit.
    budget : float, optional
        Most money for the whole batch.
    min_accuracy : float in [0, 1], optional
        Least mean of acc over the plan.
    resources : sequence of Resource
        Further limits.
    allowed : (n, m) array_like of bool, optional
        False forbids the pair.
    objective : {"accuracy", "cost"}, optional
        What is optimised. Default: cost where only `min_accuracy` is given, else accuracy.

    Raises
    ------
    ValueError, TypeError
        Wrong shapes, types or numbers; the message names the argument, what came and what was expected. Entries of the
        matrices are checked when the problem is solved.

    Notes
    -----
    A limit is met when the float64 sum of its numbers does not pass it, where the sum is taken exactly and rounded once
    (`math.fsum`) or as numpy adds it; one of the two must hold. So no verdict depends on the order of the queries, and a
    budget computed with numpy from a plan admits that plan.

    Numbers lie within ±1e100, and a matrix or usage that is not all zero holds one of at least 1e-100; -0.0 is 0, subnormal
    numbers are numbers. Differences in the objective below 1e-12 of its largest entry are not told apart.

    Examples
    --------
    >>> problem = Problem([[0.9, 0.6], [0.8, 0.7]], [[2.0, 1.0], [2.0, 1.0]], budget=3.0)
    >>> problem.audit([0, 1]).spend
    3.0
    >>> problem.audit([0, 0]).violations
    ('budget: 4 is used, at most 3 is allowed',)
    """

    acc: NDArray[Any]
    cost: NDArray[Any]
    resources: tuple[Resource, ...]
    allowed: NDArray[np.bool_] | None
    objective: Objective
    min_accuracy: float | None

    def __init__(
        self,
        acc: ArrayLike,
        cost: ArrayLike,
        caps: Caps | None = None,
        budget: float | None = None,
        *,
        min_accuracy: float | None = None,
        resources: Sequence[Resource] = (),
        allowed: ArrayLike | None = None,
        objective: Objective | None = None,
    ) -> None:
        acc = as_matrix("acc", acc)
        n, m = acc.shape
        cost = as_matrix("cost", cost)
        if cost.shape != (n, m):
            raise ValueError(f"cost has shape {cost.shape}, expected {(n, m)} as acc has")
        if n == 0 or m == 0:
            raise ValueError(f"acc has shape {(n, m)}, expected at least one query and one model")
        limits = short_limits(n, m, caps, budget, min_accuracy)
        limits.extend(resource.fitted(n, m) for resource in user_resources(resources))
        put = object.__setattr__  # the class is frozen
        put(self, "acc", acc)
        put(self, "cost", cost)
        put(self, "resources", tuple(limits))
        put(self, "allowed", None if allowed is None else as_allowed("allowed", allowed, (n, m)))
        put(self, "objective", objective_or_default(objective, budget, min_accuracy))
        put(self, "min_accuracy", None if min_accuracy is None else float(min_accuracy))

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return int(self.acc.shape[0])

    @property
    def n_models(self) -> int:
        """Number of models."""
        return int(self.acc.shape[1])

    def audit(self, assignment: ArrayLike) -> Audit:
        """Recompute what a plan costs, scores and uses.

        Parameters
        ----------
        assignment : (n,) array_like of int
            The model of each query.

        Returns
        -------
        Audit
            Sums over the plan, and a sentence for each limit it breaks.

        Raises
        ------
        ValueError
            Wrong length, a model that does not exist, or masked entries.
        """
        plan = as_array("assignment", assignment)
        n, m = self.acc.shape
        if plan.shape != (n,) or plan.dtype.kind not in "iu":
            raise ValueError(f"assignment is {plan.dtype} of shape {plan.shape}, expected integers of shape {(n,)}")
        if plan.size and (plan.min() < 0 or plan.max() >= m):
            raise ValueError(f"assignment has models from {plan.min()} to {plan.max()}, expected 0 to {m - 1}")
        queries = np.arange(n)
        acc = self.acc[queries, plan].astype(np.float64)
        cost = self.cost[queries, plan].astype(np.float64)
        violations = []
        if self.allowed is not None and not self.allowed[queries, plan].all():
            first = int(np.argmin(self.allowed[queries, plan]))
            violations.append(f"allowed: query {first} is on model {plan[first]}, which is forbidden")
        for resource in self.resources:
            violations.extend(resource.violations(self.usage(resource, plan), plan))
        total = acc if self.objective == "accuracy" else cost
        return Audit(
            objective=math.fsum(total),
            spend=math.fsum(cost),
            accuracy=math.fsum(acc) / n,
            load=np.bincount(plan, minlength=m).astype(np.int64),
            violations=tuple(violations),
        )

    def usage(self, resource: Resource, plan: NDArray[Any]) -> NDArray[np.float64]:
        """What each query of a plan uses of a resource, (n,) float64."""
        usage = resource.usage
        if isinstance(usage, str):
            usage = self.acc if usage == "acc" else self.cost
        full = np.broadcast_to(np.asarray(usage), self.acc.shape)
        used: NDArray[np.float64] = full[np.arange(len(plan)), plan].astype(np.float64)
        return used


def objective_or_default(objective: Objective | None, budget: object, min_accuracy: object) -> Objective:
    """What is optimised where the caller leaves it open."""
    if objective is not None and not (isinstance(objective, str) and objective in ("accuracy", "cost")):
        raise ValueError(f"objective is {objective!r}, expected 'accuracy' or 'cost'")
    return objective or ("cost" if min_accuracy is not None and budget is None else "accuracy")


def short_limits(n: int, m: int, caps: Caps | None, budget: float | None, min_accuracy: float | None) -> list[Resource]:
    """The limits with names of their own, as resources that fit n queries and m models."""
    limits = []
    if budget is not None:
        limits.append(_budget(budget))
    if min_accuracy is not None:
        limits.append(_floor(min_accuracy, n))
    if caps is not None:
        limits.append(_caps(caps, m))
    return limits


def user_resources(resources: Sequence[Resource]) -> list[Resource]:
    """The further limits, each with a name of its own."""
    if isinstance(resources, tuple) and not resources:
        return []
    seen = {"budget", "caps", "min_accuracy"}
    if not isinstance(resources, Sequence):
        raise TypeError(f"resources is {type(resources).__name__}, expected a sequence of Resource")
    for at, resource in enumerate(resources):
        if not isinstance(resource, Resource):
            raise TypeError(f"resources[{at}] is {type(resource).__name__}, expected Resource")
        if resource.name in seen:
            raise ValueError(f"resources[{at}] has the name {resource.name!r}, which is taken")
        seen.add(resource.name)
    return list(resources)


def as_matrix(name: str, value: ArrayLike) -> NDArray[Any]:
    """A float32 or float64 matrix in C order, the same array where it is one."""
    array = as_array(name, value)
    if array.ndim != 2:
        raise ValueError(f"{name} has shape {array.shape}, expected (n_queries, n_models)")
    if array.dtype not in _FLOATS:
        if array.dtype.kind not in "fiub":
            raise TypeError(f"{name} has dtype {array.dtype}, expected real numbers")
        array = array.astype(np.float32 if array.dtype == np.float16 else np.float64)
    if array.flags.c_contiguous and array.flags.aligned:
        return array
    return np.require(array, requirements=["C", "A"])


def as_allowed(name: str, value: ArrayLike, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """A bool matrix in C order, the same array where it is one."""
    array = as_array(name, value)
    if array.shape != shape or array.dtype != np.bool_:
        raise ValueError(f"{name} is {array.dtype} of shape {array.shape}, expected bool of shape {shape}")
    return np.require(array, requirements=["C", "A"])


def _number(name: str, value: object, expected: str) -> float:
    number = real(name, value, expected)
    if math.isnan(number):
        raise ValueError(f"{name} is nan, expected {expected}")
    return number


def _budget(value: object) -> Resource:
    number = _number("budget", value, "an amount of money >= 0")
    if number < 0:
        raise ValueError(f"budget is {number:g}, expected an amount of money >= 0")
    return assembled("budget", "cost", np.array([number]))


def _floor(value: object, n: int) -> Resource:
    number = _number("min_accuracy", value, "a mean in [0, 1]")
    if not 0 <= number <= 1:
        raise ValueError(f"min_accuracy is {number:g}, expected a mean in [0, 1]")
    # The least float64 sum whose mean, as float64 divides, is not below the floor.
    limit = number * n
    while limit / n < number:
        limit = math.nextafter(limit, math.inf)
    while math.nextafter(limit, -math.inf) / n >= number:
        limit = math.nextafter(limit, -math.inf)
    return assembled("min_accuracy", "acc", np.array([limit]), sense=">=")


def _caps(value: Caps, m: int) -> Resource:
    limits = _whole_numbers(unmasked("caps", value))
    if limits is None or limits.shape != (m,):
        limits = _caps_one_by_one(value, m)
    return assembled("caps", 1.0, limits, per="model")


def _whole_numbers(value: Caps) -> NDArray[np.float64] | None:
    """All caps at once where they are plain numbers >= 0; None where one of them needs a look, or a word."""
    if isinstance(value, np.ndarray):
        plain = value.dtype.kind in "fiu"
    else:
        plain = isinstance(value, (list, tuple)) and all(entry is None or is_number(entry) for entry in value)
    if not plain:
        return None
    try:
        limits = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        return None
    # Also false for negative numbers, and for NaN, which is what None becomes.
    whole = np.floor(np.abs(limits)) == limits
    return limits if np.count_nonzero(whole) == whole.size else None


def _caps_one_by_one(value: Caps, m: int) -> NDArray[np.float64]:
    entries = np.asarray(value, dtype=object)
    if entries.shape != (m,):
        raise ValueError(f"caps has shape {entries.shape}, expected {(m,)}: one entry per model")
    limits = np.empty(m)
    for j, entry in enumerate(entries):
        number = math.inf if entry is None else _number(f"caps[{j}]", entry, "a whole number >= 0, or None for no limit")
        if number < 0 or (math.isfinite(number) and number != math.floor(number)):
            raise ValueError(f"caps[{j}] is {number:g}, expected a whole number >= 0, or None for no limit")
        limits[j] = number
    return limits
