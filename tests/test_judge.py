"""HiGHS as an independent judge: its MILP and the solver must agree on status and optimum."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
import pytest

from omnirouter import Problem, Status, solve
from omnirouter.solver import solve_problem
from test_known_solves import batch


def highs_optimum(problem: Problem) -> float | None:
    """Proven optimum of the whole problem by HiGHS, or None where it says infeasible."""
    n, m = problem.acc.shape
    highs = highspy.Highs()
    highs.silent()
    for option, value in {"mip_rel_gap": 0.0, "mip_abs_gap": 1e-9, "time_limit": 60.0, "threads": 1}.items():
        highs.setOptionValue(option, value)
    objective = problem.acc if problem.objective == "accuracy" else problem.cost
    upper = np.ones((n, m)) if problem.allowed is None else problem.allowed.astype(float)
    x = [[highs.addBinary() for _ in range(m)] for _ in range(n)]
    for i in range(n):
        highs.addConstr(sum(x[i]) == 1)
        for j in range(m):
            if not upper[i, j]:
                highs.addConstr(x[i][j] == 0)
    for resource in problem.resources:
        usage = {"acc": problem.acc, "cost": problem.cost}.get(resource.usage) if isinstance(resource.usage, str) else None
        full = np.broadcast_to(np.asarray(resource.usage if usage is None else usage), (n, m)).astype(float)
        for k, limit in enumerate(resource.limit):
            if not np.isfinite(limit):
                continue
            if isinstance(resource.per, str):
                mine = [(i, j) for i in range(n) for j in range(m) if resource.per == "all" or j == k]
            else:
                mine = [(i, j) for i in range(n) if resource.per[i] == k for j in range(m)]
            total = sum(float(full[i, j]) * x[i][j] for i, j in mine)
            highs.addConstr(total <= float(limit) if resource.sense == "<=" else total >= float(limit))
    total = sum(float(objective[i, j]) * x[i][j] for i in range(n) for j in range(m))
    (highs.maximize if problem.objective == "accuracy" else highs.minimize)(total)
    if highs.getModelStatus() == highspy.HighsModelStatus.kInfeasible:
        return None
    assert highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return float(highs.getInfo().objective_function_value)


def random_problem(seed: int) -> Problem:
    rng = np.random.default_rng(seed)
    n, m = [(60, 5), (25, 10), (100, 3), (8, 12), (40, 6)][seed % 5]
    acc, cost, caps, budget = batch(n, m, seed)
    if seed % 3 == 0:
        cost = np.tile(cost[0], (n, 1))
        budget = float(n * cost[0].mean() * 0.5)
    caps = np.ceil(caps * rng.choice([0.9, 1.1, 2.0]))
    keywords: dict[str, Any] = {"budget": budget} if seed % 2 else {"min_accuracy": float(acc.mean()), "budget": None}
    if seed % 7 == 0:
        allowed = rng.random((n, m)) < 0.8
        allowed[:, 0] = True
        keywords["allowed"] = allowed
    return Problem(acc, cost, caps, **keywords)


@pytest.mark.parametrize("seed", range(24))
def test_small_problems_are_solved_to_the_optimum_that_highs_proves(seed: int) -> None:
    problem = random_problem(seed)
    solution = solve_problem(problem, rel_gap=0, time_limit=60)
    optimum = highs_optimum(problem)
    if optimum is None:
        assert solution.status is Status.INFEASIBLE
        return
    assert solution.status is Status.OPTIMAL, solution.message
    assert solution.objective == pytest.approx(optimum, rel=1e-6, abs=1e-9)
    assert problem.audit(solution.assignment).ok


@pytest.mark.slow
@pytest.mark.parametrize("form", [{"budget": None}, {"min_accuracy": 0.6}])
def test_a_thousand_queries_stay_within_the_proven_gap_of_highs(form: dict[str, Any]) -> None:
    acc, cost, caps, budget = batch(1000, 6)
    keywords = {"budget": budget} if "budget" in form else form
    solution = solve(acc, cost, caps, **keywords)
    optimum = highs_optimum(solution.problem)
    assert optimum is not None
    sign = 1 if "budget" in keywords else -1
    assert sign * solution.objective <= sign * optimum * (1 + sign * 1e-7)
    assert sign * solution.bound >= sign * optimum * (1 - sign * 1e-7)
    assert abs(solution.objective - optimum) <= 1.1e-4 * abs(optimum)
