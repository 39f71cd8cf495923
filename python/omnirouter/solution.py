"""What a solve returns: a plan, its proof, and the prices of the limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import SolveError
from omnirouter.form import Form
from omnirouter.problem import Problem

__all__ = ["Conflict", "Duals", "Explanation", "Info", "Progress", "Solution", "Status"]


class Status(str, Enum):
    """How a solve ended."""

    OPTIMAL = "optimal"
    """The gap is proven to be at most `rel_gap`."""
    FEASIBLE = "feasible"
    """A plan that meets every limit, with a larger proven gap."""
    INFEASIBLE = "infeasible"
    """Proven: no plan meets every limit; `Solution.conflicts` says which, and what is reachable."""
    ITERATION_LIMIT = "iteration_limit"
    """The search gave up without a plan and without a proof that there is none."""
    TIME_LIMIT = "time_limit"
    """The time limit came first; the best plan so far, if any, is kept."""
    STOPPED = "stopped"
    """A callback stopped it; the best plan so far, if any, is kept."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a solve stands; given to callbacks.

    Attributes
    ----------
    phase : str
        "ascent" (multipliers) or "search" (plan and proof).
    queries : int
        Queries that this phase works on.
    bound, objective, gap : float
        Best proven bound and best plan so far; NaN (gap: infinity) before there is one.
    elapsed : float
        Seconds since the start.
    """

    phase: str
    queries: int
    bound: float
    objective: float
    gap: float
    elapsed: float


@dataclass(frozen=True, slots=True, eq=False)
class Duals:
    """Shadow prices, all >= 0: what one unit more of a limit gains in the objective.

    Attributes
    ----------
    budget : float
        Per unit of money.
    min_accuracy : float
        Per unit of mean accuracy that the floor is lowered.
    caps : (m,) float64
        Per query more on a model.
    resources : mapping from name to float64 array
        Per unit of each limit of the further resources.
    """

    budget: float
    min_accuracy: float
    caps: NDArray[np.float64]
    resources: Mapping[str, NDArray[np.float64]]

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "budget": self.budget,
            "min_accuracy": self.min_accuracy,
            "caps": self.caps.tolist(),
            "resources": {name: prices.tolist() for name, prices in self.resources.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Duals:
        """The inverse of `to_dict`."""
        resources = {name: np.asarray(prices, dtype=np.float64) for name, prices in data["resources"].items()}
        caps = np.asarray(data["caps"], dtype=np.float64)
        return cls(float(data["budget"]), float(data["min_accuracy"]), caps, resources)


@dataclass(frozen=True, slots=True)
class Conflict:
    """A limit that cannot be met together with the others.

    Attributes
    ----------
    name : str
        The limit, such as "budget" or "caps[2]".
    asked, reachable, bound : float
        Its value, and the nearest value that some plan reaches within all other limits; NaN where none was found:
        the others conflict too, or the value was not computed. No plan within the other limits comes nearer than `bound`
        (NaN where that was not computed).
    """

    name: str
    asked: float
    reachable: float
    bound: float


@dataclass(frozen=True, slots=True)
class Info:
    """Work done: reads of all rows, nodes of the search, seconds per phase, and the settings used.

    Of an oracle also: complete readings of its source (the first one, which checks the numbers, included); rounds of
    messages with shards, and bytes sent and received in all.
    """

    passes: int
    nodes: int
    relax_time: float
    search_time: float
    total_time: float
    settings: Mapping[str, Any]
    version: str
    readings: int = 0
    rounds: int = 0
    message_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a query went where it went: the priced objective of each model, the chosen model and the runner-up.

    Attributes
    ----------
    query, chosen, runner_up : int
        Positions; the runner-up is -1 where there is one model.
    acc, cost, priced : (m,) float64
        `priced` is the objective less the prices of what the pair uses (for cost: plus), -inf or inf where forbidden.
    """

    query: int
    chosen: int
    runner_up: int
    acc: NDArray[np.float64]
    cost: NDArray[np.float64]
    priced: NDArray[np.float64]

    def __str__(self) -> str:
        lines = [f"query {self.query}: model {self.chosen}, runner-up {self.runner_up}"]
        lines.append(f"{'model':>6} {'acc':>9} {'cost':>12} {'priced':>12}")
        for j in range(len(self.acc)):
            mark = "  <- chosen" if j == self.chosen else ""
            lines.append(f"{j:>6} {self.acc[j]:>9.4f} {self.cost[j]:>12.6g} {self.priced[j]:>12.6g}{mark}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True, eq=False)
class Solution:
    """A plan for every query, with its proof.

    Attributes
    ----------
    status, message : Status, str
        How it ended, in a word and in a sentence.
    assignment : (n,) int32 or None
        The model of each query, read-only; None without a plan, never half of one. It meets every limit exactly.
    objective, bound, gap : float
        Sum of the objective over the plan (NaN without one); no plan is better than `bound`; `gap` is
        ``|bound - objective| / max(|bound|, |objective|)``, infinity without a plan.
    spend, accuracy : float
        Sum of cost and mean of acc over the plan; NaN without one.
    load : (m,) int64
        Queries per model; zeros without a plan.
    duals : Duals
        Shadow prices of the limits.
    conflicts : tuple of Conflict
        Of an infeasible problem: what cannot hold together.
    info : Info
        Work and times (seconds).
    """

    status: Status
    message: str
    assignment: NDArray[np.int32] | None
    objective: float
    bound: float
    gap: float
    spend: float
    accuracy: float
    load: NDArray[np.int64]
    duals: Duals
    conflicts: tuple[Conflict, ...]
    info: Info
    problem: Problem | Form = field(repr=False)

    def raise_for_status(self) -> Solution:
        """Return self where there is a plan, else raise `SolveError` with the message."""
        if self.assignment is None:
            raise SolveError(self.message)
        return self

    def explain(self, i: int) -> Explanation:
        """Show why query `i` went where it went, by the prices of the limits.

        Raises
        ------
        IndexError
            No such query.
        SolveError
            There is no plan, or the rows are not in memory.
        """
        assignment = self.raise_for_status().assignment
        assert assignment is not None
        if not isinstance(self.problem, Problem):
            raise SolveError(
                "the rows of an oracle are elsewhere: a query can be explained only where acc and cost are in memory"
            )
        if not 0 <= i < len(assignment):
            raise IndexError(f"query {i} does not exist, expected 0 to {len(assignment) - 1}")
        priced = priced_objective(self.problem, self.duals, i)
        order = np.argsort(priced if self.problem.objective == "cost" else -priced, kind="stable")
        others = [int(j) for j in order if j != assignment[i]]
        acc, cost = self.problem.acc[i].astype(np.float64), self.problem.cost[i].astype(np.float64)
        return Explanation(i, int(assignment[i]), others[0] if others else -1, acc, cost, priced)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, ready for JSON; NaN and infinity become None."""
        return {
            "status": self.status.value,
            "message": self.message,
            "assignment": None if self.assignment is None else self.assignment.tolist(),
            **{name: _finite(getattr(self, name)) for name in ("objective", "bound", "gap", "spend", "accuracy")},
            "load": self.load.tolist(),
            "duals": self.duals.to_dict(),
            "conflicts": [
                {"name": c.name, "asked": c.asked, "reachable": _finite(c.reachable), "bound": _finite(c.bound)}
                for c in self.conflicts
            ],
            "info": {name: getattr(self.info, name) for name in Info.__slots__} | {"settings": dict(self.info.settings)},
        }

    def __repr__(self) -> str:
        return (
            f"Solution({self.status.value}, objective={self.objective:.8g}, bound={self.bound:.8g}, gap={self.gap:.2g}, "
            f"spend={self.spend:.8g}, accuracy={self.accuracy:.6g}, load={np.array2string(self.load, threshold=12)})"
        )


def priced_objective(problem: Problem, duals: Duals, i: int) -> NDArray[np.float64]:
    """The objective of query `i` on each model, less (cost: plus) the prices of what the pair uses, (m,) float64."""
    n, m = problem.acc.shape
    sign = 1.0 if problem.objective == "cost" else -1.0
    priced: NDArray[np.float64] = (problem.cost if problem.objective == "cost" else problem.acc)[i].astype(np.float64)
    for resource in problem.resources:
        if resource.name == "budget":
            prices = np.full(m, duals.budget)
        elif resource.name == "min_accuracy":
            prices = np.full(m, duals.min_accuracy / n)
        else:
            own = duals.caps if resource.name == "caps" else duals.resources[resource.name]
            if isinstance(resource.per, str):
                prices = own if resource.per == "model" else np.full(m, own[0])
            else:
                prices = np.full(m, own[resource.per[i]])
        usage = resource.usage
        if isinstance(usage, str):
            usage = problem.acc if usage == "acc" else problem.cost
        row = np.broadcast_to(np.asarray(usage), (n, m))[i].astype(np.float64)
        priced += sign * (1.0 if resource.sense == "<=" else -1.0) * prices * row
    if problem.allowed is not None:
        priced[~problem.allowed[i]] = sign * math.inf
    return priced


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
