"""A plan against every limit, from the assignment alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.problem import Problem
from omnirouter.resources import Resource
from omnirouter.verification.limits import UNIT, sign_of

__all__ = ["Sums", "broken_limits", "sums_of"]


@dataclass(frozen=True, slots=True)
class Sums:
    """One sum of a plan: rounded once, as numpy adds it, and the sum of magnitudes.

    A limit is met when either of the first two meets it, as `Problem` says.
    """

    once: float
    numpy: float
    size: float

    @classmethod
    def of(cls, numbers: NDArray[np.float64]) -> Sums:
        """Add up, in the order of the queries."""
        return cls(math.fsum(numbers), float(numbers.sum()), math.fsum(np.abs(numbers)))

    def equals(self, claimed: float, divisor: float = 1.0) -> bool:
        """Whether a claimed sum is this one, up to the last bits of a compensated sum and of the two divisions."""
        nearby = (2 if divisor == 1.0 else 4) * UNIT * self.size / divisor
        return any(abs(claimed - total / divisor) <= nearby for total in (self.once, self.numpy))


def sums_of(problem: Problem, plan: NDArray[Any]) -> tuple[Sums, Sums]:
    """Sums of acc and of cost."""
    queries = np.arange(len(plan))
    acc, cost = (matrix[queries, plan].astype(np.float64) for matrix in (problem.acc, problem.cost))
    return Sums.of(acc), Sums.of(cost)


def broken_limits(problem: Problem, plan: NDArray[Any]) -> list[str]:
    """A sentence for each limit that a plan breaks, and for the first forbidden pair."""
    queries = np.arange(len(plan))
    out = []
    if problem.allowed is not None and not problem.allowed[queries, plan].all():
        first = int(np.argmin(problem.allowed[queries, plan]))
        out.append(f"query {first} is on model {plan[first]}, which is forbidden")
    for resource in problem.resources:
        used = _used(problem, resource, plan)
        if isinstance(resource.per, str):
            member = plan if resource.per == "model" else np.zeros(len(plan), np.intp)
        else:
            member = resource.per
        # A stable sort keeps the order of the queries, which numpy's sum depends on.
        order = np.argsort(member, kind="stable")
        ends = np.searchsorted(member[order], np.arange(len(resource.limit) + 1))
        for k, limit in enumerate(resource.limit):
            total = Sums.of(used[order[ends[k] : ends[k + 1]]])
            sign = sign_of(resource)
            if min(sign * total.once, sign * total.numpy) > sign * limit:
                word = "most" if sign > 0 else "least"
                out.append(f"{resource.describe(k)}: {total.once:.17g} is used, at {word} {limit:.17g} is allowed")
    if problem.min_accuracy is not None:
        acc, _ = sums_of(problem, plan)
        if max(acc.once, acc.numpy) / len(plan) < problem.min_accuracy:
            out.append(
                f"the mean accuracy is {acc.once / len(plan):.17g}, at least {problem.min_accuracy:.17g} is asked for"
            )
    return out


def _used(problem: Problem, resource: Resource, plan: NDArray[Any]) -> NDArray[np.float64]:
    usage = resource.usage
    if isinstance(usage, str):
        usage = problem.acc if usage == "acc" else problem.cost
    full = np.broadcast_to(np.asarray(usage), problem.acc.shape)
    used: NDArray[np.float64] = full[np.arange(len(plan)), plan].astype(np.float64)
    return used
