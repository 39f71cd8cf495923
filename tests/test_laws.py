"""Properties that hold for every problem."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from omnirouter import Solution, solve


@st.composite
def problems(draw: Any) -> dict[str, Any]:
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    grid = draw(st.sampled_from([0, 4, 16]))
    acc, cost = rng.random((n, m)), rng.random((n, m))
    if grid:
        acc, cost = np.round(acc * grid) / grid, np.round(cost * grid) / grid
    low, high = cost.min(axis=1).sum(), cost.max(axis=1).sum()
    caps = rng.integers(0, n + 1, m)
    caps[0] = n
    return {"acc": acc, "cost": cost, "caps": caps, "budget": low + draw(st.floats(0.01, 1)) * (high - low) + 0.05}


def exact(**keywords: Any) -> Solution:
    return solve(**keywords, rel_gap=0)


@settings(max_examples=60, deadline=None)
@given(problems())
def test_bound_and_audit(problem: dict[str, Any]) -> None:
    solution = exact(**problem)
    if solution.assignment is None:
        return
    assert solution.objective <= solution.bound
    assert solution.problem.audit(solution.assignment).ok


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_order_of_queries_and_models_does_not_matter(problem: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = problem["acc"].shape
    rows, columns = rng.permutation(n), rng.permutation(m)
    moved = {name: problem[name][np.ix_(rows, columns)] for name in ("acc", "cost")}
    a, b = exact(**problem), exact(**moved, caps=problem["caps"][columns], budget=problem["budget"])
    assert a.status == b.status
    np.testing.assert_allclose(a.objective, b.objective, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(problems(), st.floats(1, 3), st.integers(0, 3))
def test_more_budget_or_capacity_never_hurts(problem: dict[str, Any], factor: float, slots: int) -> None:
    a = exact(**problem)
    b = exact(**(problem | {"budget": problem["budget"] * factor, "caps": problem["caps"] + slots}))
    if a.assignment is not None:
        assert b.objective >= a.objective - 1e-9


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(-20, 20))
def test_scaling_money_scales_the_price_of_money(problem: dict[str, Any], power: int) -> None:
    factor = 2.0**power
    a = exact(**problem)
    b = exact(**(problem | {"cost": problem["cost"] * factor, "budget": problem["budget"] * factor}))
    np.testing.assert_allclose(a.objective, b.objective, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(a.duals.budget, b.duals.budget * factor, rtol=1e-9, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(-4, 4))
def test_a_constant_on_a_row_moves_the_objective_only(problem: dict[str, Any], shift: int) -> None:
    moved = problem["acc"].copy()
    moved[0] += shift
    a, b = exact(**problem), exact(**(problem | {"acc": moved}))
    assert a.status == b.status
    if a.assignment is not None:
        np.testing.assert_allclose(a.objective + shift, b.objective, rtol=1e-9, atol=1e-9)
