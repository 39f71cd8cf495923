"""What a solve returns: a plan, its proof, and the prices of the limits."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from omnirouter.duals import Duals
from omnirouter.errors import SolveError
from omnirouter.explanation import Explanation, explanation_of
from omnirouter.form import Form
from omnirouter.problem import Problem

__all__ = ["Certificate", "Conflict", "Info", "Progress", "Solution", "Status"]


FIGURES = ("objective", "bound", "dual_bound", "gap", "spend", "accuracy")


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
    limit : (int, int)
        Position of the limit in ``problem.resources``, and in that resource's limits.
    held_by : tuple of (int, int)
        The limits that have a price at the nearest value, and so keep it from coming nearer.
    """

    name: str
    asked: float
    reachable: float
    bound: float
    limit: tuple[int, int]
    held_by: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Certificate:
    """Why no plan meets every limit, in a form that `omnirouter.verify` checks.

    Attributes
    ----------
    kind : {"ray", "query", "search"}
        Prices at which every plan needs more than the limits give (Farkas); a query that no model can take; or only the word
        of a search that has tried everything.
    prices : Duals or None
        Of a ray.
    rounded : bool
        Whether the ray is one for limits rounded to the next multiple of what is used under them (whole queries,
        accuracies in sixteenths): then no plan is *whole*.
    query : int or None
        The query that no model can take.
    """

    kind: Literal["ray", "query", "search"]
    prices: Duals | None = None
    rounded: bool = False
    query: int | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        prices = None if self.prices is None else self.prices.to_dict()
        return {"kind": self.kind, "prices": prices, "rounded": self.rounded, "query": self.query}


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
    dual_bound : float
        The part of the bound that `duals` prove alone; what `bound` has beyond it is the work of the search.
    spend, accuracy : float
        Sum of cost and mean of acc over the plan; NaN without one.
    load : (m,) int64
        Queries per model; zeros without a plan.
    duals : Duals
        Shadow prices of the limits.
    conflicts : tuple of Conflict
        Of an infeasible problem: what cannot hold together.
    certificate : Certificate or None
        Of an infeasible problem: the proof.
    info : Info
        Work and times (seconds).
    """

    status: Status
    message: str
    assignment: NDArray[np.int32] | None
    objective: float
    bound: float
    dual_bound: float
    gap: float
    spend: float
    accuracy: float
    load: NDArray[np.int64]
    duals: Duals
    conflicts: tuple[Conflict, ...]
    certificate: Certificate | None
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
        IndexError, TypeError
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
        if isinstance(i, bool) or not isinstance(i, (int, np.integer)):
            raise TypeError(f"i is {i!r}, expected the number of a query, 0 to {len(assignment) - 1}")
        if not 0 <= i < len(assignment):
            raise IndexError(f"query {i} does not exist, expected 0 to {len(assignment) - 1}")
        return explanation_of(self.problem, self.duals, i, int(assignment[i]))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, ready for JSON; NaN and infinity become None."""
        return {
            "status": self.status.value,
            "message": self.message,
            "assignment": None if self.assignment is None else self.assignment.tolist(),
            **{name: _finite(getattr(self, name)) for name in FIGURES},
            "load": self.load.tolist(),
            "duals": self.duals.to_dict(),
            "conflicts": [
                {"name": c.name, "asked": c.asked, "reachable": _finite(c.reachable), "bound": _finite(c.bound)}
                for c in self.conflicts
            ],
            "certificate": None if self.certificate is None else self.certificate.to_dict(),
            "info": {name: getattr(self.info, name) for name in Info.__slots__} | {"settings": dict(self.info.settings)},
        }

    def __repr__(self) -> str:
        return (
            f"Solution({self.status.value}, objective={self.objective:.8g}, bound={self.bound:.8g}, gap={self.gap:.2g}, "
            f"spend={self.spend:.8g}, accuracy={self.accuracy:.6g}, load={np.array2string(self.load, threshold=12)})"
        )


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
