"""Two related problems, one answer: what a change of the data must do to the plan; and degenerate data of every kind."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances import KINDS, Kind, batch
from omnirouter import Resource, Status, solve

SEEDS = st.integers(0, 2**32 - 1)
LAWS = settings(max_examples=40, deadline=None)


def exact(**keywords: Any) -> Any:
    return solve(**keywords, rel_gap=0)


@st.composite
def problems(draw: Any) -> dict[str, Any]:
    n, m = draw(st.integers(1, 12)), draw(st.integers(1, 5))
    kind: Kind = draw(st.sampled_from(KINDS))
    acc, cost, caps, budget = batch(n, m, draw(SEEDS), kind)
    problem = {"acc": acc, "cost": cost, "caps": caps}
    if draw(st.booleans()):
        return problem | {"budget": budget * draw(st.floats(0.6, 2))}
    return problem | {"min_accuracy": draw(st.floats(0.2, 1)) * float(acc.max(axis=1).mean())}


@LAWS
@given(problems())
def test_twice_every_query_and_twice_every_limit_is_at_least_twice_as_good(problem: dict[str, Any]) -> None:
    twice = problem | {name: np.repeat(problem[name], 2, axis=0) for name in ("acc", "cost")}
    twice["caps"] = 2 * problem["caps"]
    if "budget" in problem:
        # One ulp: twice a rounded sum is not always the rounded sum of twice the numbers.
        twice["budget"] = float(np.nextafter(2 * problem["budget"], np.inf))
    a, b = exact(**problem), exact(**twice)
    if a.assignment is None:
        return
    sign = 1 if a.problem.objective == "accuracy" else -1
    small = 1e-9 * max(abs(a.objective), 1e-12)
    # The doubled plan is a plan of the doubled problem.
    assert sign * b.objective >= sign * 2 * a.objective - small
    if "budget" in problem and problem["cost"].max() > problem["budget"]:
        return  # what passes the budget alone may fit into twice the budget
    # What both relaxations allow is the same for each copy.
    assert sign * b.objective <= sign * 2 * a.dual_bound + 1e-9 * abs(a.dual_bound) + 1e-12


@LAWS
@given(problems(), st.integers(-40, 40), st.integers(-40, 0))
def test_powers_of_two_change_no_bit_of_the_plan(problem: dict[str, Any], money: int, quality: int) -> None:
    other = problem | {"cost": problem["cost"] * 2.0**money, "acc": problem["acc"] * 2.0**quality}
    if "budget" in problem:
        other["budget"] = problem["budget"] * 2.0**money
    else:
        other["min_accuracy"] = problem["min_accuracy"] * 2.0**quality
    a, b = exact(**problem), exact(**other)
    assert a.status is b.status
    if a.assignment is not None:
        assert a.assignment.tobytes() == b.assignment.tobytes()
        factor = 2.0 ** (quality if a.problem.objective == "accuracy" else money)
        assert a.objective * factor == b.objective


@LAWS
@given(problems(), SEEDS)
def test_a_dominated_model_changes_nothing(problem: dict[str, Any], seed: int) -> None:
    """A model no better and no cheaper than another on each query, where that other has room for all."""
    rng = np.random.default_rng(seed)
    acc, cost, caps = problem["acc"], problem["cost"], problem["caps"].copy()
    n, m = acc.shape
    better = int(rng.integers(m))
    caps[better] = n
    worse = np.column_stack([acc, acc[:, better] * rng.random(n)]), np.column_stack([cost, cost[:, better] * 1.5])
    a = exact(**(problem | {"caps": caps}))
    b = exact(**(problem | {"acc": worse[0], "cost": worse[1], "caps": np.append(caps, n)}))
    assert a.status is b.status
    np.testing.assert_allclose(a.objective, b.objective, rtol=1e-9, atol=1e-12)


@LAWS
@given(problems(), SEEDS)
def test_forbidden_is_as_good_as_a_cost_that_no_budget_meets(problem: dict[str, Any], seed: int) -> None:
    if "budget" not in problem:
        return
    allowed = np.random.default_rng(seed).random(problem["acc"].shape) < 0.7
    a = exact(**problem, allowed=allowed)
    b = exact(**(problem | {"cost": np.where(allowed, problem["cost"], 1e6)}))
    assert a.status is b.status
    np.testing.assert_allclose(a.objective, b.objective, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("column", ["acc", "cost"])
@pytest.mark.parametrize("form", ["budget", "min_accuracy"])
def test_sorted_queries_are_solved_as_shuffled_ones(column: str, form: str) -> None:
    acc, cost, caps, budget = batch(12_000, 6, 3)
    limit: dict[str, float] = {"budget": budget} if form == "budget" else {"min_accuracy": float(acc.mean())}
    order = np.argsort({"acc": acc, "cost": cost}[column].sum(axis=1), kind="stable")
    a, b = solve(acc, cost, caps, **limit), solve(acc[order], cost[order], caps, **limit)
    assert a.status is b.status is Status.OPTIMAL
    sign = 1 if form == "budget" else -1
    assert sign * a.objective <= sign * b.bound
    assert sign * b.objective <= sign * a.bound


def test_a_tenant_at_the_end_that_samples_hardly_see() -> None:
    acc, cost, caps, budget = batch(20_000, 6, 4)
    tenant = np.zeros(20_000, dtype=int)
    tenant[-40:] = 1
    dear = np.sort(cost[-40:].min(axis=1)).sum() * 1.01
    solution = solve(acc, cost, caps, budget, resources=[Resource("cost", [np.inf, dear], per=tenant, name="tenant")])
    assert solution.status is Status.OPTIMAL
    assert cost[np.arange(19_960, 20_000), solution.assignment[-40:]].sum() <= dear


def test_one_tiny_cap_among_wide_ones() -> None:
    acc, cost, _, budget = batch(9_000, 6, 5)
    for slots in (0, 1, 3):
        solution = solve(acc, cost, [9_000, 9_000, 9_000, 9_000, 9_000, slots], budget)
        assert solution.status is Status.OPTIMAL
        assert solution.load[5] == slots


@pytest.mark.parametrize("kind", KINDS)
def test_models_without_any_room_are_as_good_as_absent(kind: Kind) -> None:
    acc, cost, _, budget = batch(40, 5, 6, kind)
    keep = [1, 3, 4]
    caps = np.where(np.isin(np.arange(5), keep), 20, 0)
    closed, absent = exact(acc=acc, cost=cost, caps=caps, budget=budget), None
    absent = exact(acc=acc[:, keep], cost=cost[:, keep], caps=caps[keep], budget=budget)
    assert closed.status is absent.status
    np.testing.assert_allclose(closed.objective, absent.objective, rtol=1e-9)
    assert exact(acc=acc, cost=cost, caps=np.zeros(5, dtype=int)).status is Status.INFEASIBLE


@pytest.mark.parametrize("value", [0.0, 1.0, 1 / 3, -0.0])
def test_equal_scores_leave_it_to_the_other_limits(value: float) -> None:
    _, cost, caps, budget = batch(60, 5, 7)
    acc = np.full((60, 5), value)
    solution = exact(acc=acc, cost=cost, caps=caps, budget=budget)
    assert solution.status is Status.OPTIMAL
    assert solution.objective == pytest.approx(60 * value)
    assert exact(acc=acc, cost=cost, caps=caps, min_accuracy=abs(value)).status is Status.OPTIMAL


@pytest.mark.parametrize("n", [3, 10, 47, 300])
def test_thirds_meet_the_floor_that_they_add_up_to(n: int) -> None:
    """Sums of thirds are not exact; the mean of a plan, as numpy computes it, admits that plan."""
    rng = np.random.default_rng(n)
    acc, cost = rng.integers(0, 4, (n, 3)) / 3, rng.random((n, 3))
    assert exact(acc=acc, cost=cost, min_accuracy=float(acc.max(axis=1).mean())).status is Status.OPTIMAL


@pytest.mark.parametrize("seed", range(10))
def test_a_floor_above_the_best_sum_of_thirds_is_never_met(seed: int) -> None:
    """By one ulp or two no relaxation can tell, so the search may give up; it never returns a plan."""
    rng = np.random.default_rng(seed)
    acc, cost = rng.integers(0, 4, (6, 3)) / 3, rng.random((6, 3))
    best = acc.max(axis=1)
    floor = max(float(np.sum(best)), math.fsum(best)) / 6
    while floor * 6 <= max(float(np.sum(best)), math.fsum(best)):
        floor = math.nextafter(floor, 2)
    if floor <= 1:
        assert exact(acc=acc, cost=cost, min_accuracy=floor).status in (Status.INFEASIBLE, Status.ITERATION_LIMIT)


@pytest.mark.parametrize("seed", range(20))
def test_a_budget_one_ulp_short_of_the_cheapest_plan_is_infeasible(seed: int) -> None:
    rng = np.random.default_rng(seed)
    cost = rng.integers(1, 1000, (25, 4)) / 64  # sums are exact
    cheapest = float(cost.min(axis=1).sum())
    assert exact(acc=rng.random((25, 4)), cost=cost, budget=cheapest).spend == cheapest
    short = exact(acc=rng.random((25, 4)), cost=cost, budget=float(np.nextafter(cheapest, 0)))
    assert short.status is Status.INFEASIBLE


def test_negative_zeros_and_subnormals_are_numbers() -> None:
    acc = np.array([[0.5, -0.0], [0.25, 5e-324], [0.75, 0.5]])
    cost = np.array([[1.0, -0.0], [1.0, 5e-324], [1.0, 1e-310]])
    solution = exact(acc=acc, cost=cost, budget=1.0)
    assert solution.assignment.tolist() == [0, 1, 1]
    assert solution.spend == 1.0
    free = exact(acc=acc, cost=cost, budget=0.0)
    assert free.status is Status.INFEASIBLE
    assert exact(acc=acc, cost=cost, budget=1e-310 + 5e-324).assignment.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cost": [[1.0, 1e300]]}, r"cost\[0, 1\] is 1e300, expected a number within ±1e100"),
        ({"acc": [[-1e101, 0.5]]}, r"acc\[0, 0\] is -1e101"),
        ({"cost": [[1e-300, 0.0]]}, "largest magnitude in cost is 1e-300, expected 0 or at least 1e-100"),
        ({"resources": [Resource([[1e200, 1.0]], 5.0, name="tokens")]}, r"tokens.usage\[0\] is 1000000"),
        ({"resources": [Resource(1.0, 1e200, sense=">=", name="tokens")]}, r"tokens\[0\] is 1000000"),
        ({"seed": 2**63}, "seed is 9223372036854775808"),
        ({"threads": 10**30}, "threads is 1000"),
        ({"resources": 1j}, "resources is complex, expected a sequence of Resource"),
        ({"objective": np.zeros(2)}, "objective is array"),
        ({"acc": [[1.0, 2.0], [1.0]]}, "acc is no array of numbers, expected rows of equal length"),
        ({"allowed": [[True], [True, False]]}, "allowed is no array"),
        ({"resources": [Resource([[1.0], [1.0, 2.0]], 1.0, name="tokens")]}, "tokens: usage is no array"),
    ],
)
def test_numbers_beyond_the_range_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {"acc": [[0.5, 0.4]], "cost": [[1.0, 2.0]]}
    with pytest.raises((ValueError, TypeError), match=message):
        solve(**(good | change))


def test_a_matrix_that_hardly_counts_is_added_up_exactly() -> None:
    """Chosen numbers that vanish beside the largest entry are still what is reported."""
    cost = np.array([[1e-30, 1e60], [3e-30, 1e60]])
    solution = exact(acc=np.array([[0.9, 0.1], [0.9, 0.1]]), cost=cost)
    assert solution.spend == 4e-30


@pytest.mark.parametrize("kind", ["cont", "class", "uniform"])
@pytest.mark.parametrize("form", ["budget", "min_accuracy"])
@pytest.mark.parametrize("seed", [1, 6, 15, 20])  # 6, 15 and 20: a budget that does not bind leaves all to ties
def test_benign_batches_take_at_most_three_passes(kind: Kind, form: str, seed: int) -> None:
    acc, cost, caps, budget = batch(100_000, 8, seed, kind)
    acc, cost = acc.astype(np.float32), cost.astype(np.float32)
    limit = {"budget": budget} if form == "budget" else {"min_accuracy": float(acc.mean())}
    solution = solve(acc, cost, caps, **limit)
    assert solution.status is Status.OPTIMAL
    # One price per model ties whole columns: the top may lie outside the box, and then its bound takes a pass.
    assert solution.info.passes <= (4 if kind == "class" else 3)
