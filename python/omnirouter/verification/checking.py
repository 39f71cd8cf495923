"""`verify`: every claim of a solution against the problem's own numbers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.checks import whole
from omnirouter.problem import Problem
from omnirouter.verification.bounds import Priced, dual_value, weight_of
from omnirouter.verification.certificates import check_infeasible
from omnirouter.verification.claims import Claim
from omnirouter.verification.enumeration import Exhausted, find_plan
from omnirouter.verification.limits import Facts, facts, prices_of
from omnirouter.verification.plans import Sums, broken_limits, sums_of
from omnirouter.verification.result import Support, Verification

__all__ = ["verify"]

RESOLUTION = 4e-12  # differences that a solve does not claim to tell apart, beside the objective or its largest entry
WITH_PLAN = ("optimal", "feasible")
STATUSES = (*WITH_PLAN, "infeasible", "iteration_limit", "time_limit", "stopped")


def verify(problem: Problem, solution: Any, *, effort: int = 100_000) -> Verification:
    """Check a solution with arithmetic of its own; nothing of the solver is used.

    Limits, objective, spend, accuracy and load are recomputed from the assignment; the bound from the multipliers; that
    there is no plan from the certificate. Small problems are checked in rational numbers, large ones in float64 with a
    proven bound of the error, block by block. What the solver's search adds to the bound of the multipliers has no short
    proof: it is checked by trying every plan that could contradict it where these are few, and otherwise reported as the
    search's word.

    Parameters
    ----------
    problem : Problem
        The problem that was meant, not the one that the solution carries. Of a solution of an oracle: its rows in memory.
    solution : Solution or mapping
        What `solve` returned, or its `to_dict`.
    effort : int
        Steps of the trying.

    Returns
    -------
    Verification

    Raises
    ------
    TypeError
        The problem has no rows in memory.
    ValueError
        The solution is not one for this shape of problem, so that nothing can be compared; or `effort` is negative.

    Examples
    --------
    >>> import omnirouter
    >>> solution = omnirouter.solve([[0.9, 0.6], [0.8, 0.7]], [[3.0, 1.0], [3.0, 1.0]], budget=4.0)
    >>> found = omnirouter.verify(solution.problem, solution)
    >>> found.ok, found.proven, round(found.dual_bound, 9)
    (True, True, 1.6)
    """
    if not isinstance(problem, Problem):
        raise TypeError(
            f"problem is {type(problem).__name__}, expected Problem: the rows of an oracle are elsewhere, "
            "and a solution can be verified only where acc and cost are in memory"
        )
    effort = whole("effort", effort)
    claim = Claim.of(solution)
    n, m = problem.acc.shape
    if claim.load.shape != (m,):
        raise ValueError(f"the plan has loads of {claim.load.size} models, expected {m}")
    if claim.assignment is not None and claim.assignment.shape != (n,):
        raise ValueError(f"the plan has {claim.assignment.size} queries, expected {n}")
    small = n * m <= 1 << 22
    known = [facts(problem, resource, grains=small) for resource in problem.resources]
    prices, findings = prices_of(problem, claim.duals)
    notes: list[str] = []
    if claim.status not in STATUSES:
        findings.append(f"the status is {claim.status!r}, expected one of {', '.join(STATUSES)}")
    if findings:
        priced = Priced(-math.inf, 0.0, 0.0, False)
    else:
        priced = dual_value(problem, known, prices, weight=weight_of(problem))
    if claim.status == "infeasible":
        objective = spend = accuracy = math.nan
        load = np.zeros(m, dtype=np.int64)
        findings += _nothing(claim)
        support, exact = check_infeasible(problem, known, claim.certificate, effort, findings, notes)
        dual_bound, gap = math.nan, math.inf
    else:
        objective, spend, accuracy, load = _plan(problem, claim, findings)
        dual_bound, exact = weight_of(problem) * priced.least, priced.exact
        gap = _gap(objective, claim.bound)
        _status(problem, claim, gap, findings)
        findings += _duals(problem, claim, priced)
        support = _bound(problem, known, prices, claim, priced, effort, findings, notes)
    shown: bool = support in ("multipliers", "certificate", "enumeration")
    ok = not findings
    return Verification(
        ok, ok and shown, claim.status, support, objective, spend, accuracy, load, dual_bound, gap, exact,
        tuple(findings), tuple(notes),
    )  # fmt: skip


def _nothing(claim: Claim) -> list[str]:
    """An infeasible problem has no plan, and no figures of one."""
    figures = (claim.objective, claim.spend, claim.accuracy)
    if claim.assignment is not None or claim.load.any() or not all(map(math.isnan, figures)) or claim.gap != math.inf:
        return ["the status is infeasible, yet there are figures of a plan"]
    return []


def _plan(problem: Problem, claim: Claim, findings: list[str]) -> tuple[float, float, float, NDArray[np.int64]]:
    """Objective, spend, accuracy and load of the plan, compared with what is claimed."""
    n, m = problem.acc.shape
    if claim.assignment is None:
        findings += _nothing(claim) and [f"the status is {claim.status}, there is no plan, yet there are figures of one"]
        return math.nan, math.nan, math.nan, np.zeros(m, np.int64)
    plan = claim.assignment
    if plan.min() < 0 or plan.max() >= m:
        findings.append(f"the plan uses models from {plan.min()} to {plan.max()}, expected 0 to {m - 1}")
        return math.nan, math.nan, math.nan, np.zeros(m, np.int64)
    findings += broken_limits(problem, plan)
    acc, cost = sums_of(problem, plan)
    load = np.bincount(plan, minlength=m).astype(np.int64)
    objective = acc if problem.objective == "accuracy" else cost
    for name, claimed, total, divisor in (
        ("objective", claim.objective, objective, 1),
        ("spend", claim.spend, cost, 1),
        ("accuracy", claim.accuracy, acc, n),
    ):
        if not total.equals(claimed, divisor):
            findings.append(f"{name} is {total.once / divisor:.17g}, claimed is {claimed:.17g}")
    findings += _past_the_budget(problem, claim, cost)
    if load.tolist() != claim.load.tolist():
        findings.append(f"the load is {load.tolist()}, claimed is {claim.load.tolist()}")
    return objective.once, cost.once, acc.once / n, load


def _past_the_budget(problem: Problem, claim: Claim, cost: Sums) -> list[str]:
    budget = next((float(resource.limit[0]) for resource in problem.resources if resource.name == "budget"), math.inf)
    if claim.spend > budget and claim.spend not in (cost.once, cost.numpy):
        return [f"the claimed spend {claim.spend:.17g} passes the budget {budget:.17g}"]
    return []


def _gap(objective: float, bound: float) -> float:
    if math.isnan(objective):
        return math.inf
    scale = max(abs(objective), abs(bound))
    gap = 0.0 if scale == 0 else abs(bound - objective) / scale
    return math.inf if math.isnan(gap) else gap


def _status(problem: Problem, claim: Claim, gap: float, findings: list[str]) -> None:
    """Status, gap and bound must tell the same story."""
    if claim.certificate is not None:
        findings.append(f"the status is {claim.status}, yet there is a certificate that there is no plan")
    if claim.assignment is None and claim.status in WITH_PLAN:
        findings.append(f"the status is {claim.status}, but there is no plan")
    if claim.assignment is None:
        return
    if claim.status == "iteration_limit":
        findings.append("the status says that there is no plan, but there is one")
    # A gap that float64 cannot tell from none is stated as 0.
    none = claim.gap == 0 and abs(claim.bound - claim.objective) <= _resolution(problem, claim.bound)
    if not (none or abs(claim.gap - gap) <= 1e-9 * gap):
        findings.append(f"the gap is {gap:.6g}, claimed is {claim.gap:.6g}")
    if (claim.status == "optimal") != (claim.gap <= claim.rel_gap):
        word = "at most" if claim.status == "optimal" else "more than"
        findings.append(
            f"the status is {claim.status}, so the gap should be {word} {claim.rel_gap:g}; it is {claim.gap:.6g}"
        )


def _duals(problem: Problem, claim: Claim, priced: Priced) -> list[str]:
    """The multipliers must prove what is said of them (prices that are off prove less), and the bound be no worse."""
    if math.isnan(claim.dual_bound):
        return ["no bound of the multipliers is claimed"] if claim.status in WITH_PLAN else []
    weight, nearby = weight_of(problem), 1e-9 * priced.size + priced.error
    out = []
    if weight * claim.dual_bound > priced.value + nearby:
        out.append(f"the multipliers prove {weight * priced.value:.12g}, claimed is {claim.dual_bound:.12g}")
    if weight * claim.bound < weight * claim.dual_bound - nearby:
        out.append(f"the bound {claim.bound:.12g} is worse than that of the multipliers, {claim.dual_bound:.12g}")
    return out


def _resolution(problem: Problem, bound: float) -> float:
    matrix = problem.cost if problem.objective == "cost" else problem.acc
    largest = max(abs(float(matrix.max())), abs(float(matrix.min())))
    return RESOLUTION * (abs(bound) + largest)


def _bound(
    problem: Problem,
    known: list[Facts],
    prices: list[NDArray[np.float64]],
    claim: Claim,
    priced: Priced,
    effort: int,
    findings: list[str],
    notes: list[str],
) -> Support:
    """Whether the claimed bound is on the right side of the plan, and what shows it."""
    weight = weight_of(problem)
    if math.isnan(claim.bound):
        if claim.status in WITH_PLAN:
            findings.append("no bound is claimed")
        return "nothing"
    bound = weight * claim.bound
    if claim.assignment is not None and bound > weight * claim.objective:
        findings.append(f"the plan's objective {claim.objective:.17g} is better than the claimed bound {claim.bound:.17g}")
        return "nothing"
    tolerance = _resolution(problem, bound) + 2 * priced.error
    if bound <= priced.least + tolerance:
        return "multipliers"
    if findings:  # prices or plan are wrong already
        return "search"
    slack = bound - priced.least
    beats = bound - tolerance

    def better(plan: NDArray[np.intp]) -> bool:
        acc, cost = sums_of(problem, plan)
        value = cost.once if weight > 0 else -acc.once
        return value < beats and not broken_limits(problem, plan)

    try:
        found = find_plan(problem, known, prices, slack, better, effort)
    except Exhausted:
        notes.append(
            f"not checked: the bound {claim.bound:.10g} is proven by search; "
            f"the multipliers alone show {weight * priced.least:.10g}"
        )
        return "search"
    if found is not None:
        acc, cost = sums_of(problem, found)
        value = cost.once if weight > 0 else acc.once
        findings.append(f"the bound {claim.bound:.17g} is wrong: there is a plan with {value:.17g}")
    return "enumeration"
