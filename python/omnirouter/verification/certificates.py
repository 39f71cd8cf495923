"""That there is no plan, from a certificate.

A *ray* is a price >= 0 per limit at which every plan costs more than the limits pay (Farkas): the dual without an objective
is positive. A *query* is one that no model may take, or that passes a limit alone wherever it may go. Anything else is the
word of a search, and checked only where all plans can be tried.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.problem import Problem
from omnirouter.verification.bounds import dual_value
from omnirouter.verification.enumeration import Exhausted, find_plan
from omnirouter.verification.limits import (
    FINEST,
    Facts,
    lowest_bit,
    members,
    of_open_pairs,
    open_pairs,
    prices_of,
    sign_of,
    usage_of,
)
from omnirouter.verification.plans import Sums, broken_limits
from omnirouter.verification.result import Support

__all__ = ["check_infeasible"]


def check_infeasible(
    problem: Problem,
    known: list[Facts],
    certificate: Mapping[str, Any] | None,
    effort: int,
    findings: list[str],
    notes: list[str],
) -> tuple[Support, bool]:
    """What shows that there is no plan, and whether in rational numbers; adds what is wrong, or not checked."""
    certificate = certificate or {}
    kind = certificate.get("kind")
    if kind == "query":
        return _query(problem, known, certificate["query"], findings), True
    if kind == "ray":
        return _ray(problem, known, certificate, findings)
    if kind != "search":
        findings.append("the status is infeasible, but there is no certificate")
        return "nothing", False
    if (limit := _out_of_reach(problem)) is not None:
        notes.append(f"{limit} is out of reach even if every other limit is dropped")
        return "certificate", True
    free = [np.zeros(len(resource.limit)) for resource in problem.resources]
    try:
        plan = find_plan(problem, known, free, np.inf, lambda plan: not broken_limits(problem, plan), effort)
    except Exhausted:
        notes.append("not checked: that there is no plan is proven by search")
        return "search", False
    if plan is not None:
        findings.append(f"the status is infeasible, but there is a plan: {plan.tolist()}")
    return "enumeration", False


def _query(problem: Problem, known: list[Facts], query: Any, findings: list[str]) -> Support:
    if not isinstance(query, int) or not 0 <= query < problem.n_queries:
        findings.append(f"the certificate names the query {query!r}, which does not exist")
        return "nothing"
    open_models = np.flatnonzero(open_pairs(problem, known, slice(query, query + 1))[0])
    if open_models.size:
        findings.append(f"the certificate says that no model can take query {query}, but model {open_models[0]} can")
        return "nothing"
    return "certificate"


def _ray(problem: Problem, known: list[Facts], certificate: Mapping[str, Any], findings: list[str]) -> tuple[Support, bool]:
    prices, wrong = prices_of(problem, certificate["prices"])
    if wrong:
        findings += [f"certificate: {text}" for text in wrong]
        return "nothing", False
    limits: list[NDArray[Any]] = [resource.limit for resource in problem.resources]
    if certificate.get("rounded"):
        limits = _rounded_limits(problem, known)
    priced = dual_value(problem, known, prices, weight=0.0, limits=limits)
    if priced.least <= 0 < priced.value:
        # Numbers that no plan can use may have made it look less certain than it is.
        priced = dual_value(problem, of_open_pairs(problem, known), prices, weight=0.0, limits=limits)
    if priced.least > 0:
        return "certificate", priced.exact
    findings.append(f"the certificate shows nothing: its value is {priced.value:.6g}, expected more than {priced.error:.2g}")
    return "nothing", priced.exact


def _rounded_limits(problem: Problem, known: list[Facts]) -> list[NDArray[Any]]:
    """The limits as rational numbers, moved inwards to the next value that a plan can reach.

    Queries with one open model use what they use. Where all that the others can use under a limit are multiples of a power
    of two, so is what they use in sum: the rest of the limit is of no use (a Chvátal-Gomory cut). Pairs that a limit rules
    out may count as open or not; either is true, and the stricter one is taken.
    """
    everything = slice(0, problem.n_queries)
    allowed = np.ones(problem.acc.shape, bool) if problem.allowed is None else problem.allowed
    views = [(free, (free.sum(axis=1) > 1)[:, None]) for free in (open_pairs(problem, known, everything), allowed)]
    out: list[NDArray[Any]] = []
    for resource, fact in zip(problem.resources, known, strict=True):
        # A whole number, as a float would take the sums below out of rational arithmetic.
        sign, admitted = int(sign_of(resource)), fact.admitted(resource.limit, problem.n_queries)
        usage, member = usage_of(problem, resource, everything), members(problem, resource, everything)
        limits = resource.limit.astype(object)
        for k in np.flatnonzero(np.isfinite(resource.limit)):
            given, counts = Fraction(limits[k]), member == k
            for free, choice in views:
                fixed = sum(map(Fraction, usage[free & ~choice & counts].tolist()), Fraction(0))
                exponent = int(lowest_bit(usage[free & choice & counts]).min(initial=2000))
                if FINEST < exponent < 2000:
                    grain, room = Fraction(2) ** exponent, sign * (given - fixed) + Fraction(float(admitted[k]))
                    inner = sign * math.floor(room / grain) * grain + fixed
                    limits[k] = sign * min(sign * limits[k], sign * inner)
        out.append(limits)
    return out


def _out_of_reach(problem: Problem) -> str | None:
    """A limit that no plan meets, whatever the others say, by a single ulp if need be.

    Rounding is monotone: when the least usage of every query, added in the same order, passes the limit, so does every
    plan. The order is the same for all plans where the queries that count are.
    """
    for resource in problem.resources:
        if isinstance(resource.per, str) and resource.per == "model":
            continue
        sign = sign_of(resource)
        usage = sign * usage_of(problem, resource, slice(0, problem.n_queries))
        if problem.allowed is not None:
            usage = np.where(problem.allowed, usage, np.inf)
        least = usage.min(axis=1)
        for k, limit in enumerate(resource.limit):
            mine = least if isinstance(resource.per, str) else least[resource.per == k]
            total = Sums.of(mine)
            if min(total.once, total.numpy) > sign * limit:
                return resource.describe(k)
    return None
