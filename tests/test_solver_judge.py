"""HiGHS as an independent judge of plans, bounds and verdicts, on problems with every kind of limit.

HiGHS works with tolerances, the solver with exact sums. So a plan of HiGHS counts only when numpy's audit accepts it,
and a verdict "infeasible" of the solver is refuted by such a plan alone.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import highspy
import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import sparse

from instances import KINDS, Kind, batch
from omnirouter import Problem, Resource, Solution, Status
from omnirouter.solver import solve_problem


class Verdict(NamedTuple):
    """What HiGHS says: whether it proved infeasibility, its plan, its bound (in the sense of the problem)."""

    infeasible: bool
    plan: NDArray[np.int64] | None
    bound: float


def limits(problem: Problem) -> tuple[Any, NDArray[np.float64], NDArray[np.float64]]:
    """Rows (sparse), lower and upper ends of every limit, each divided by its largest number."""
    n, m = problem.acc.shape
    rows, lower, upper = [], [], []
    for resource in problem.resources:
        usage = (
            {"acc": problem.acc, "cost": problem.cost}[resource.usage] if isinstance(resource.usage, str) else resource.usage
        )
        full = np.broadcast_to(np.asarray(usage), (n, m)).astype(float)
        if isinstance(resource.per, str):
            member = np.broadcast_to(np.arange(m) if resource.per == "model" else np.zeros(m), (n, m))
        else:
            member = np.broadcast_to(resource.per[:, None], (n, m))
        for k in np.flatnonzero(np.isfinite(resource.limit)):
            row = np.where(member == k, full, 0.0).ravel()
            size = float(np.abs(row).max()) or 1.0
            rows.append(sparse.csr_matrix(row / size))
            least = resource.sense == ">="
            lower.append(resource.limit[k] / size if least else -np.inf)
            upper.append(np.inf if least else resource.limit[k] / size)
    matrix = sparse.vstack(rows) if rows else sparse.csr_matrix((0, n * m))
    return matrix, np.asarray(lower), np.asarray(upper)


def judge(problem: Problem, *, relaxed: bool = False, time_limit: float = 30.0, tolerance: float | None = 1e-9) -> Verdict:
    """The whole problem, or its linear relaxation, by HiGHS; without a tolerance, by its own."""
    n, m = problem.acc.shape
    sign = 1.0 if problem.objective == "cost" else -1.0
    objective = (problem.cost if sign > 0 else problem.acc).astype(float).ravel()
    size = float(np.abs(objective).max()) or 1.0
    one_each = sparse.kron(sparse.identity(n), np.ones((1, m)))
    matrix, lower, upper = limits(problem)
    rows = sparse.vstack([one_each, matrix]).tocsc()
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n * m, rows.shape[0]
    lp.col_cost_ = sign * objective / size
    lp.col_lower_ = np.zeros(n * m)
    lp.col_upper_ = np.ones(n * m) if problem.allowed is None else problem.allowed.ravel().astype(float)
    lp.row_lower_ = np.concatenate([np.ones(n), lower])
    lp.row_upper_ = np.concatenate([np.ones(n), upper])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
    if not relaxed:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * (n * m)
    highs = highspy.Highs()
    highs.silent()
    options = {"mip_rel_gap": 0.0, "mip_abs_gap": 1e-9, "time_limit": time_limit, "threads": 1}
    tolerances = ("primal_feasibility_tolerance", "dual_feasibility_tolerance", "mip_feasibility_tolerance")
    strict = {} if tolerance is None else dict.fromkeys(tolerances, tolerance)
    for option, value in (options | strict).items():
        highs.setOptionValue(option, value)
    highs.passModel(lp)
    highs.run()
    infeasible = highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible
    info, solution = highs.getInfo(), highs.getSolution()
    if infeasible:
        return Verdict(True, None, np.nan)
    bound = info.objective_function_value if relaxed else info.mip_dual_bound
    plan = np.reshape(solution.col_value, (n, m)).argmax(axis=1) if solution.value_valid and not relaxed else None
    return Verdict(False, plan, sign * bound * size)


def check(problem: Problem, solution: Solution, verdict: Verdict) -> None:
    """Assert that nothing HiGHS knows contradicts the solution."""
    sign = 1.0 if problem.objective == "accuracy" else -1.0
    audit = None if verdict.plan is None else problem.audit(verdict.plan)
    if solution.status is Status.INFEASIBLE:
        assert audit is None or not audit.ok, f"HiGHS has a plan of {audit.objective}; {solution.message}"
        return
    assert not verdict.infeasible, f"HiGHS: infeasible; {solution.message}"
    assert solution.assignment is not None, solution.message
    own = problem.audit(solution.assignment)
    assert own.ok, own.violations
    assert own.objective == pytest.approx(solution.objective, rel=1e-12, abs=1e-300)
    tolerance = 1e-6 * abs(solution.objective)
    assert sign * solution.objective <= sign * verdict.bound + tolerance
    if audit is not None and audit.ok:
        assert sign * solution.bound >= sign * audit.objective - 1e-11 * abs(audit.objective)
        if solution.status is Status.OPTIMAL:
            allowed = solution.info.settings["rel_gap"] * abs(audit.objective)
            assert sign * (audit.objective - solution.objective) <= allowed + 1e-11 * abs(audit.objective)


def rich_problem(n: int, m: int, seed: int) -> Problem:
    """A problem of some kind, form and limits; about one in six is infeasible."""
    rng = np.random.default_rng([seed, 7])
    acc, cost, caps, budget = batch(n, m, seed, KINDS[seed % len(KINDS)])
    keywords: dict[str, Any] = {"caps": caps}
    if seed % 2:
        keywords["min_accuracy"] = float(np.clip(acc.mean() + rng.uniform(-0.1, 0.15), 0, 1))
    else:
        keywords["budget"] = budget * rng.choice([0.7, 1.0, 1.5])
    if seed % 3 == 0:
        allowed = rng.random((n, m)) < 0.85
        allowed[np.arange(n), rng.integers(0, m, n)] = True
        keywords["allowed"] = allowed
    resources = []
    if seed % 4 == 1:
        tokens = rng.lognormal(5, 1, n)
        resources.append(
            Resource(tokens[:, None], 1.6 * tokens.sum() * rng.dirichlet(np.full(m, 5.0)), per="model", name="tokens")
        )
    if seed % 4 == 2:
        tenant = rng.integers(0, min(n, 3), n)
        share = {label: 1.3 * budget * float((tenant == label).mean()) for label in np.unique(tenant).tolist()}
        resources.append(Resource("cost", share, per=tenant, name="tenant"))
    if seed % 5 == 3:
        reserved = np.floor(caps * rng.uniform(0, 0.6, m))
        resources.append(Resource(1.0, reserved, per="model", sense=">=", name="reserved"))
    if seed % 6 == 4:
        resources.append(Resource(rng.random((n, m)), 0.5 * n, name="latency"))
    return Problem(acc, cost, **keywords, resources=resources)


SMALL = [(1, 6), (7, 1), (5, 9), (12, 4), (20, 10), (60, 4), (30, 3)]


# Seed 17: a query whose tokens pass every model's limit takes 20 s of branching.
@pytest.mark.parametrize("seed", [seed if seed != 17 else pytest.param(17, marks=pytest.mark.slow) for seed in range(42)])
def test_small_problems_with_every_kind_of_limit(seed: int) -> None:
    problem = rich_problem(*SMALL[seed % len(SMALL)], seed)
    solution = solve_problem(problem, rel_gap=0, time_limit=60)
    assert solution.status in (Status.OPTIMAL, Status.INFEASIBLE), solution.message
    check(problem, solution, judge(problem))


# The last three need a search of seconds; HiGHS needs one second or less.
HARD = [(100, 6, 137), (330, 2, 140), (20, 32, 142)]
MIDDLE = [(250, 4, 1), (250, 4, 4), (100, 10, 10), (100, 10, 15), (330, 3, 6), (50, 20, 11)]


@pytest.mark.parametrize(("n", "m", "seed"), MIDDLE + [pytest.param(*size, marks=pytest.mark.slow) for size in HARD])
def test_a_thousand_pairs_are_solved_to_the_optimum(n: int, m: int, seed: int) -> None:
    acc, cost, caps, budget = batch(n, m, seed, KINDS[seed % len(KINDS)])
    limit = {"budget": budget} if seed % 2 else {"min_accuracy": float(acc.mean())}
    problem = Problem(acc, cost, caps, **limit)
    solution = solve_problem(problem, rel_gap=0, time_limit=60)
    assert solution.status is Status.OPTIMAL, solution.message
    check(problem, solution, judge(problem))


@pytest.mark.parametrize("form", ["budget", "min_accuracy"])
@pytest.mark.parametrize("kind", ["cont", "class", "uniform"])
@pytest.mark.parametrize("n", [600, pytest.param(2000, marks=pytest.mark.slow)])
def test_thousands_of_queries_against_the_relaxation(n: int, kind: Kind, form: str) -> None:
    acc, cost, caps, budget = batch(n, 10, 1, kind)
    limit = {"budget": budget} if form == "budget" else {"min_accuracy": float(acc.mean())}
    tokens = np.random.default_rng(0).lognormal(5, 1, n)
    resource = Resource(tokens[:, None], np.full(10, tokens.sum() / 4), per="model", name="tokens")
    problem = Problem(acc, cost, caps, **limit, resources=[resource])
    solution = solve_problem(problem)
    relaxation = judge(problem, relaxed=True)
    assert solution.status is Status.OPTIMAL, solution.message
    check(problem, solution, relaxation)
    # The bound is the relaxation's or better, by a search; it is never past the plan.
    sign = 1.0 if form == "budget" else -1.0
    assert sign * solution.bound <= sign * relaxation.bound + 1e-4 * abs(relaxation.bound)
