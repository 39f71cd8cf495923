"""A plan is found wherever one exists: limits drawn tightly around a hidden plan, HiGHS the judge of what is not found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from instances import KINDS, batch
from omnirouter import Problem, Resource
from omnirouter.solver import solve_problem
from test_solver_judge import judge

TIGHT = ("caps", "tokens", "tokens by pair", "floor", "tenants", "everything")
SIZES = [(12, 4), (60, 8), (150, 12), (400, 5), (1_000, 10), (2_000, 10)]


def around_a_plan(tight: str, n: int, m: int, seed: int) -> Problem:
    """Limits that a hidden plan meets with next to nothing to spare."""
    rng = np.random.default_rng([seed, n, m, TIGHT.index(tight)])
    acc, cost, _, _ = batch(n, m, seed, KINDS[seed % len(KINDS)])
    # Each hidden plan weighs money in its own way, with some noise so that it is not the best within its limits.
    price = rng.lognormal(0, 1) * acc.std() / max(cost.std(), 1e-12)
    plan = (acc - price * cost + 0.2 * acc.std() * rng.standard_normal((n, m)) - 0.5 * rng.random(m)).argmax(axis=1)
    queries, spare = np.arange(n), 1 + rng.choice([1e-3, 1e-2])
    load = np.bincount(plan, minlength=m).astype(float)
    keywords: dict[str, Any] = {"budget": spare * float(cost[queries, plan].sum())}
    resources = []
    if tight in ("caps", "everything"):
        keywords["caps"] = load
    if tight in ("tokens", "tokens by pair", "everything"):
        tokens = np.ceil(rng.lognormal(5, 1, (n, m if tight == "tokens by pair" else 1)))
        used = np.bincount(plan, np.broadcast_to(tokens, (n, m))[queries, plan], minlength=m)
        resources.append(Resource(tokens, np.ceil(spare * used), per="model", name="tokens"))
    if tight in ("floor", "everything"):
        keywords["min_accuracy"] = float(acc[queries, plan].mean()) / spare
    if tight in ("tenants", "everything"):
        tenant = rng.integers(0, max(2, n // 40), n)
        groups = np.unique(tenant).tolist()
        money = {t: spare * float(cost[queries, plan][tenant == t].sum()) for t in groups}
        least = {t: float(acc[queries, plan][tenant == t].sum()) / spare for t in groups}
        resources.append(Resource("cost", money, per=tenant, name="tenant budget"))
        resources.append(Resource("acc", least, per=tenant, sense=">=", name="tenant floor"))
    return Problem(acc, cost, **keywords, resources=resources)


def check(tight: str, n: int, m: int, seed: int) -> None:
    problem = around_a_plan(tight, n, m, seed)
    solution = solve_problem(problem, rel_gap=1e-2, threads=1, time_limit=30.0)
    if solution.assignment is not None:
        assert problem.audit(solution.assignment).ok
        return
    verdict = judge(problem, time_limit=30.0)
    assert verdict.plan is None or not problem.audit(verdict.plan).ok, f"HiGHS has a plan; {solution.message}"


@pytest.mark.parametrize("tight", TIGHT)
def test_a_plan_is_found_in_small_problems(tight: str) -> None:
    for seed in range(3):
        check(tight, *SIZES[seed % 2], seed)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tight", TIGHT)
def test_a_plan_is_found_wherever_there_is_one(tight: str, size: tuple[int, int]) -> None:
    for seed in range(100, 105 if size[0] <= 400 else 103):
        check(tight, *size, seed)
