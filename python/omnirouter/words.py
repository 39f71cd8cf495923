"""Sentences about limits that conflict."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from omnirouter.form import Form
from omnirouter.problem import Problem
from omnirouter.resources import Resource

if TYPE_CHECKING:
    from omnirouter.duals import Duals
    from omnirouter.solution import Certificate, Conflict

__all__ = ["certificate_in_words", "conflict_in_words", "limit_in_words", "listed", "why_infeasible"]

Models = Sequence[str] | None
NAMED = 4  # members of a list that are spelled out


def why_infeasible(
    problem: Problem | Form, conflicts: Sequence[Conflict], certificate: Certificate, models: Models = None
) -> str:
    """Each limit that is part of the conflict with the nearest value that could be met, then the proof."""
    reasons = [conflict_in_words(problem, conflict, models) for conflict in conflicts]
    return f"infeasible: {'; '.join([*reasons, certificate_in_words(problem, certificate, models)])}"


def limit_in_words(resource: Resource, member: int, models: Models = None) -> str:
    """One limit: ``caps[2]``, or "the cap on NAME" where the models have names."""
    if models is None or not isinstance(resource.per, str) or resource.per != "model":
        return resource.describe(member)
    return f"the cap on {models[member]}" if resource.name == "caps" else f"{resource.name} on {models[member]}"


def listed(names: Sequence[str]) -> str:
    """A, B and C; long lists are cut."""
    if len(names) > NAMED:
        return f"{', '.join(names[:NAMED])} and {len(names) - NAMED} more"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def conflict_in_words(problem: Problem | Form, conflict: Conflict, models: Models = None) -> str:
    """What was asked, what is reachable, and what holds it there."""
    resource = problem.resources[conflict.limit[0]]
    name = limit_in_words(resource, conflict.limit[1], models)
    # Six digits, unless they hide what is missing.
    known_value = conflict.bound if math.isnan(conflict.reachable) else conflict.reachable
    close = math.isclose(conflict.asked, known_value, rel_tol=2e-5)
    asked = repr(float(conflict.asked)) if close else f"{conflict.asked:.6g}"
    if name.startswith("the cap on "):
        subject = f"the cap {asked} of {name.removeprefix('the cap on ')}"
    else:
        subject = f"{name} {asked}"
    minimum = resource.sense == ">="
    toward, away = (math.floor, math.ceil) if minimum else (math.ceil, math.floor)
    word, tail = ("at most", "is reachable") if minimum else ("at least", "is needed")
    if math.isnan(conflict.reachable):
        if math.isnan(conflict.bound):
            return f"{subject} cannot be met together with the other limits"
        nearest, known = _rounded(conflict.bound, away), ""
    else:
        reachable = repr(float(conflict.reachable)) if close else _rounded(conflict.reachable, toward)
        nearest, known = reachable, ""
        if abs(conflict.reachable - conflict.bound) > 1e-5 * abs(conflict.bound):
            nearest, known = _rounded(conflict.bound, away), f", and {reachable} is known to be reachable"
    text = f"{subject} cannot be met: {word} {nearest} {tail} within the other limits{known}"
    if conflict.held_by:
        holders = [limit_in_words(problem.resources[r], member, models) for r, member in conflict.held_by]
        text += f" ({listed(holders)} {'holds' if len(holders) == 1 else 'hold'} it)"
    return text


def certificate_in_words(problem: Problem | Form, certificate: Certificate, models: Models = None) -> str:
    """What proves that there is no plan."""
    if certificate.kind == "query":
        query = certificate.query
        assert query is not None
        if isinstance(problem, Form) and problem.allowed:
            return f"query {query} is forbidden, or alone passes a limit, on every model"
        if isinstance(problem, Problem) and problem.allowed is not None and not problem.allowed[query].any():
            return f"query {query} has no allowed model"
        return f"query {query} alone passes a limit on every model it may use"
    if certificate.prices is None:
        return "no plan is left: a search has tried them all"
    priced = list(_priced(problem, certificate.prices))
    names = [limit_in_words(problem.resources[r], member, models) for r, member, _ in priced]
    beyond = " (limits rounded to what sums can reach)" if certificate.rounded else ""
    counted = None if certificate.rounded else _count_in_words(problem, priced, models)
    if counted is not None:
        return counted
    if len(priced) == 1 and names[0] == "budget":
        return f"even the cheapest model for every query passes the budget{beyond}"
    if len(priced) == 1 and names[0] == "min_accuracy":
        return f"even the most accurate model for every query stays below min_accuracy{beyond}"
    if len(priced) == 1:
        word = "least" if problem.resources[priced[0][0]].sense == "<=" else "most"
        return f"{names[0]} is out of reach even where every query uses the {word} it can{beyond}"
    proof = "at the prices of the certificate every plan needs more than they give"
    return f"{listed(names)} cannot hold together: {proof}{beyond}"


def _priced(problem: Problem | Form, prices: Duals) -> list[tuple[int, int, float]]:
    """(resource, member, price) of every limit with a price."""
    return [
        (r, int(member), float(own[member]))
        for r, resource in enumerate(problem.resources)
        for own in [prices.of(resource.name)]
        for member in np.flatnonzero(own > 0)
    ]


def _count_in_words(problem: Problem | Form, priced: list[tuple[int, int, float]], models: Models) -> str | None:
    """A ray with equal prices on capacities, or on minima, of some models is a count (Hall's condition)."""
    kinds = {r for r, _, _ in priced}
    resource = problem.resources[priced[0][0]]
    one_each = isinstance(resource.usage, float) and resource.usage == 1.0
    equal = len({price for _, _, price in priced}) == 1
    if len(kinds) > 1 or not one_each or not equal or not isinstance(resource.per, str) or resource.per != "model":
        return None
    if isinstance(problem, Form) and problem.allowed:
        return None  # the rows that would be counted are elsewhere
    n, m = problem.n_queries, problem.n_models
    inside = np.zeros(m, bool)
    inside[[member for _, member, _ in priced]] = True
    room = float(resource.limit[inside].sum())
    given = problem.allowed if isinstance(problem, Problem) else None
    allowed = np.ones((1, m), bool) if given is None else given
    each = n if given is None else 1
    names = listed([f"model {j}" if models is None else models[j] for j in np.flatnonzero(inside).tolist()])
    if resource.sense == "<=":
        bound = each * int((~allowed[:, ~inside].any(axis=1)).sum())
        text = f"{names} can take {room:.0f} queries, {bound} may go nowhere else"
        return text if bound > room else None
    reach = each * int(allowed[:, inside].any(axis=1).sum())
    text = f"{names} must get {room:.0f} queries, only {reach} may go there"
    return text if reach < room else None


def _rounded(value: float, direction: Callable[[float], int]) -> str:
    """Six digits, rounded to the side on which the limit can be met."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    unit = 10.0 ** (math.floor(math.log10(abs(value))) - 5)
    if unit < 1e-300:  # the quotient would not be exact enough, or its divisor 0
        return repr(float(value))
    nearest = round(value / unit) * unit
    return f"{nearest if math.isclose(nearest, value, rel_tol=1e-12) else direction(value / unit) * unit:.6g}"
