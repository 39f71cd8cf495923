"""`solve` where the answer is known without a solver; further known answers are in test_known_solves.py."""

from __future__ import annotations

import itertools
import json
import logging
import math
import time
from typing import Any

import numpy as np
import pytest

from instances import KINDS, Kind, batch
from omnirouter import Duals, Problem, Resource, SolveError, Status, solve
from omnirouter.solution import Progress


def exact(*arguments: Any, **keywords: Any) -> Any:
    return solve(*arguments, **keywords, rel_gap=0)


def best_by_trying(problem: Problem) -> float | None:
    """The best objective over all m**n plans that the audit accepts."""
    n, m = problem.acc.shape
    audits = (problem.audit(np.array(plan)) for plan in itertools.product(range(m), repeat=n))
    values = [audit.objective for audit in audits if audit.ok]
    if not values:
        return None
    return max(values) if problem.objective == "accuracy" else min(values)


# Shapes and degenerate data


@pytest.mark.parametrize("m", [1, 2, 40])
def test_one_query(m: int) -> None:
    acc, cost = np.linspace(0, 1, m)[None], np.linspace(0, 1, m)[None]
    assert exact(acc, cost).assignment.tolist() == [m - 1]
    assert exact(acc, cost, budget=0.5).spend <= 0.5
    assert exact(acc, cost, min_accuracy=0.0).assignment.tolist() == [0]


def test_one_model_has_one_plan() -> None:
    acc, cost = np.full((30, 1), 0.5), np.full((30, 1), 2.0)
    assert exact(acc, cost, [30], 60.0).objective == 15
    assert exact(acc, cost, [29]).status is Status.INFEASIBLE
    assert exact(acc, cost, budget=math.nextafter(60, 0)).status is Status.INFEASIBLE


def test_fewer_queries_than_models() -> None:
    acc, cost, _, _ = batch(3, 30)
    solution = exact(acc, cost, np.ones(30))
    assert sorted(solution.load.tolist())[-3:] == [1, 1, 1]
    assert solution.status is Status.OPTIMAL


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(3))
def test_tiny_batches_equal_exhaustive_search_in_both_forms(kind: Kind, seed: int) -> None:
    acc, cost, caps, budget = batch(5, 3, seed, kind)
    for limit in (
        {"budget": budget},
        {"min_accuracy": float(acc.mean())},
        {"budget": budget, "min_accuracy": 0.4, "objective": "cost"},
    ):
        solution = exact(acc, cost, caps, **limit)
        best = best_by_trying(solution.problem)
        if best is None:
            assert solution.status is Status.INFEASIBLE
        else:
            assert solution.objective == pytest.approx(best, rel=1e-12)


def test_rows_that_are_all_equal_with_caps_and_a_budget() -> None:
    acc, cost = np.tile([0.25, 0.5, 1.0], (90, 1)), np.tile([1.0, 2.0, 4.0], (90, 1))
    solution = exact(acc, cost, [90, 40, 30], budget=200.0)
    assert solution.status is Status.OPTIMAL
    assert solution.spend <= 200
    # acc is cost / 4, so that all plans which spend the same tie.
    assert solution.objective == 50


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_numbers_that_are_all_equal(value: float) -> None:
    matrix = np.full((40, 4), value)
    solution = exact(matrix, matrix, [10, 10, 10, 10], 40 * value)
    assert solution.status is Status.OPTIMAL
    assert solution.load.tolist() == [10, 10, 10, 10]
    assert solution.gap == 0


def test_zero_costs_admit_a_budget_of_zero() -> None:
    acc, cost, _, _ = batch(50, 4)
    cost[:, 1] = 0
    solution = exact(acc, cost, budget=0.0)
    assert solution.assignment.tolist() == [1] * 50
    assert solution.spend == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("n", [10, 999, 20_000])
def test_the_cheapest_plan_is_found_at_its_own_price(n: int, dtype: Any) -> None:
    acc, cost, _, _ = batch(n, 5, seed=n)
    cost = cost.astype(dtype)
    budget = float(cost.min(axis=1).astype(np.float64).sum())
    solution = solve(acc, cost, budget=budget)
    assert solution.status is Status.OPTIMAL
    assert (cost[np.arange(n), solution.assignment] == cost.min(axis=1)).all()


@pytest.mark.parametrize("kind", KINDS)
def test_caps_that_sum_to_exactly_n_at_every_size(kind: Kind) -> None:
    for n in (6, 60, 12_000):
        acc, cost, _, _ = batch(n, 4, 1, kind)
        caps = [n // 2, n // 3, n // 6, 0]
        assert solve(acc, cost, caps).load.tolist() == caps
        assert solve(acc, cost, [n // 2, n // 3, n // 6 - 1, 0]).status is Status.INFEASIBLE


@pytest.mark.parametrize("scale", [1e-9, 1e9, 1e-30, 1e30])
def test_money_of_any_size_gives_the_same_value(scale: float) -> None:
    acc, cost, caps, budget = batch(150, 5, 4)
    plain = exact(acc, cost, caps, budget)
    scaled = exact(acc, cost * scale, caps, budget * scale)
    assert scaled.status is Status.OPTIMAL
    assert scaled.objective == pytest.approx(plain.objective, rel=1e-9)
    floor = {"min_accuracy": plain.accuracy}
    assert exact(acc, cost * scale, caps, **floor).objective == pytest.approx(
        exact(acc, cost, caps, **floor).objective * scale
    )


def test_the_bound_holds_beside_a_row_that_costs_a_trillion_times_the_others() -> None:
    for seed in (2, 80):
        rng = np.random.default_rng(seed)
        acc, cost = np.round(rng.random((6, 3)) * 16) / 16, rng.random((6, 3))
        cost[0] = 1e12
        solution = exact(acc, cost, [3, 3, 3], min_accuracy=float(acc.mean()))
        best = best_by_trying(solution.problem)
        assert best is not None
        assert solution.bound <= best


def test_a_budget_near_the_largest_float_is_no_limit() -> None:
    acc, cost, caps, _ = batch(40, 5, 1)
    assert exact(acc, cost, caps, 1e308).status is Status.OPTIMAL


def test_forbidden_pairs_are_never_used_at_any_size() -> None:
    for n in (30, 15_000):
        acc, cost, _, budget = batch(n, 6, 5)
        allowed = np.random.default_rng(0).random((n, 6)) < 0.4
        allowed[:, 0] = True
        allowed.flags.writeable = False
        solution = solve(acc, cost, budget=budget, allowed=allowed)
        assert allowed[np.arange(n), solution.assignment].all()


# Refusals


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["acc", "cost"])
@pytest.mark.parametrize("n", [4, 9000])
def test_what_is_not_finite_is_refused_with_its_position(name: str, bad: float, dtype: Any, n: int) -> None:
    given = {"acc": np.full((n, 3), 0.5, dtype), "cost": np.ones((n, 3), dtype)}
    given[name][n - 1, 2] = bad
    with pytest.raises(ValueError, match=rf"{name}\[{n - 1}, 2\]"):
        solve(**given)


def test_a_forbidden_pair_is_no_licence_for_nan() -> None:
    acc, allowed = np.full((4, 3), 0.5), np.ones((4, 3), bool)
    acc[1, 1], allowed[1, 1] = math.nan, False
    with pytest.raises(ValueError, match=r"acc\[1, 1\] is NaN"):
        solve(acc, np.ones((4, 3)), allowed=allowed)


@pytest.mark.parametrize(
    ("keywords", "error", "name"),
    [
        ({"rel_gap": -1e-9}, ValueError, "rel_gap"),
        ({"rel_gap": math.nan}, ValueError, "rel_gap"),
        ({"rel_gap": "0"}, TypeError, "rel_gap"),
        ({"rel_gap": True}, TypeError, "rel_gap"),
        ({"time_limit": -1}, ValueError, "time_limit"),
        ({"time_limit": math.nan}, ValueError, "time_limit"),
        ({"time_limit": 10**400}, ValueError, "time_limit is a whole number beyond float64"),
        ({"threads": 1.5}, TypeError, "threads"),
        ({"seed": -1}, ValueError, "seed"),
        ({"seed": 0.5}, TypeError, "seed"),
        ({"budget": -math.inf}, ValueError, "budget"),
        ({"warm_start": Duals(0.0, 0.0, np.zeros(2), {})}, ValueError, "warm_start"),
        ({"warm_start": Duals(-1.0, 0.0, np.zeros(3), {}), "budget": 3.0}, ValueError, "warm_start"),
        ({"warm_start": Duals(math.nan, 0.0, np.zeros(3), {}), "budget": 3.0}, ValueError, "warm_start"),
    ],
)
def test_bad_settings_are_refused_by_name(keywords: dict[str, Any], error: type[Exception], name: str) -> None:
    with pytest.raises(error, match=name):
        solve(np.full((4, 3), 0.5), np.ones((4, 3)), **keywords)


# Statuses


def test_infeasible_says_how_near_each_limit_can_be_met() -> None:
    acc, cost, _, _ = batch(6, 3, 3)
    solution = exact(acc, cost, [1, 2, 2])
    assert {conflict.name for conflict in solution.conflicts} == {"caps[0]", "caps[1]", "caps[2]"}
    for conflict in solution.conflicts:
        assert conflict.reachable == conflict.asked + 1
    assert solution.assignment is None
    assert math.isnan(solution.objective)
    assert not solution.load.any()
    with pytest.raises(SolveError, match="caps"):
        solution.raise_for_status()
    with pytest.raises(SolveError, match="caps"):
        solution.explain(0)


@pytest.mark.parametrize("seed", range(8))
def test_reachable_values_equal_exhaustive_search(seed: int) -> None:
    acc, cost, _, _ = batch(6, 3, seed, KINDS[seed % len(KINDS)])
    caps, cheapest = [3, 2, 6], float(cost.min(axis=1).sum())
    floor = min(1.0, float(acc.max(axis=1).mean()))
    solution = exact(acc, cost, caps, budget=0.99 * cheapest, min_accuracy=floor)
    assert solution.status is Status.INFEASIBLE
    for conflict in solution.conflicts:
        others: dict[str, Any] = {"caps": caps, "budget": 0.99 * cheapest, "min_accuracy": floor}
        others.pop("caps" if conflict.name.startswith("caps") else conflict.name)
        if conflict.name == "budget":
            best = best_by_trying(Problem(acc, cost, **others, objective="cost"))
        elif conflict.name == "min_accuracy":
            best = best_by_trying(Problem(acc, cost, **others, objective="accuracy"))
            best = None if best is None else best / 6
        else:
            continue
        if best is None:
            assert math.isnan(conflict.reachable)
        else:
            assert conflict.reachable == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("tightness", [3.0, 0.8], ids=["loose budget", "tight budget"])
def test_the_nearest_cap_admits_a_plan_and_one_less_does_not(tightness: float) -> None:
    # A loose budget lets a plan reach the count of what the caps lack; a tight one needs more of a cheap model.
    acc, cost, _, _ = batch(300, 4, 5, "cont")
    cost, caps = cost * [8.0, 2.0, 4.0, 1.0], [60, 70, 80, 60]
    budget = tightness * solve(acc, cost, [60, 70, 80, 90], objective="cost").spend
    solution = solve(acc, cost, caps, budget)
    assert solution.status is Status.INFEASIBLE
    reached = {c.limit[1]: c.reachable for c in solution.conflicts if c.name.startswith("caps") and c.reachable >= 0}
    assert any(cap > caps[model] + 30 for model, cap in reached.items()) == (tightness < 2)
    for model, cap in reached.items():
        for admitted, status in ((cap, Status.OPTIMAL), (cap - 1, Status.INFEASIBLE)):
            moved = [admitted if j == model else other for j, other in enumerate(caps)]
            assert solve(acc, cost, moved, budget).status is status


def test_infeasible_claims_only_what_is_true() -> None:
    ones = np.ones((30, 14))
    # Lifting any one cap is enough.
    assert "nor can the other limits" not in solve(ones, ones, np.ones(14)).message


def test_a_query_without_a_model_is_named_at_any_size() -> None:
    for n in (5, 12_000):
        allowed = np.ones((n, 3), bool)
        allowed[n - 2] = False
        solution = solve(np.ones((n, 3)), np.ones((n, 3)), allowed=allowed)
        assert solution.status is Status.INFEASIBLE
        assert f"query {n - 2} has no allowed model" in solution.message


# Odd items below an even limit: no bound closes this search.
HARD_COST = np.stack([np.zeros(60), 2.0 * np.random.default_rng(0).integers(10**6, 10**7, 60) + 0.5], axis=1)


def test_a_time_limit_is_kept_and_the_best_plan_with_its_bound_stays() -> None:
    start = time.perf_counter()
    solution = exact(HARD_COST / HARD_COST.max(), HARD_COST, budget=float(HARD_COST.sum() / 2), time_limit=0.3)
    assert time.perf_counter() - start < 5
    assert solution.status is Status.TIME_LIMIT
    assert solution.problem.audit(solution.assignment).ok
    assert solution.objective <= solution.bound
    assert solution.raise_for_status() is solution
    assert solution.info.settings["time_limit"] == 0.3


def test_stopping_keeps_the_best_plan() -> None:
    def enough(progress: Progress) -> bool:
        return math.isfinite(progress.gap)

    solution = exact(HARD_COST / HARD_COST.max(), HARD_COST, budget=float(HARD_COST.sum() / 2), callback=enough)
    assert solution.status is Status.STOPPED
    assert solution.problem.audit(solution.assignment).ok


@pytest.mark.parametrize("error", [KeyError, SystemExit, KeyboardInterrupt, StopIteration])
def test_exceptions_of_a_callback_arrive_unchanged(error: type[BaseException]) -> None:
    acc, cost, caps, budget = batch(500, 4)
    raised = error("mine")

    def callback(_: Progress) -> None:
        raise raised

    with pytest.raises(error) as caught:
        solve(acc, cost, caps, budget, callback=callback)
    assert caught.value is raised


@pytest.mark.parametrize("answer", [None, False, 0, 1, "yes", np.True_])
def test_only_true_stops(answer: Any) -> None:
    acc, cost, caps, budget = batch(500, 4)
    solution = solve(acc, cost, caps, budget, callback=lambda progress: answer)
    assert solution.status is Status.OPTIMAL


def test_progress_is_in_the_sign_of_the_problem_and_never_gets_worse() -> None:
    acc, cost, caps, budget = batch(4000, 6)
    for limit, sign in (({"budget": budget}, 1), ({"min_accuracy": float(acc.mean())}, -1)):
        seen: list[Progress] = []
        solution = solve(acc, cost, caps, **limit, callback=seen.append)
        plans = [sign * progress.objective for progress in seen if math.isfinite(progress.objective)]
        assert plans == sorted(plans)
        assert sign * solution.objective >= plans[-1]
        assert all(sign * progress.bound >= plans[-1] for progress in seen if math.isfinite(progress.bound))
        times = [progress.elapsed for progress in seen]
        assert times == sorted(times)


# What a solution shows


@pytest.mark.parametrize("limit", [{"budget": 0.3}, {"min_accuracy": 0.6}, {"budget": 0.0}, {"min_accuracy": 1.0}])
def test_to_dict_is_json_and_duals_come_back(limit: dict[str, float]) -> None:
    acc, cost, caps, _ = batch(80, 5)
    solution = solve(acc, cost, caps, **limit, resources=[Resource(1.0, [2.0] * 5, per="model", sense=">=", name="least")])
    data = json.loads(json.dumps(solution.to_dict(), allow_nan=False))
    assert data["status"] == solution.status.value
    assert Duals.from_dict(data["duals"]).to_dict() == solution.duals.to_dict()
    if solution.assignment is not None:
        assert data["assignment"] == solution.assignment.tolist()
        assert data["load"] == solution.load.tolist()


@pytest.mark.parametrize("objective", ["accuracy", "cost"])
def test_explanations_price_the_limits(objective: Any) -> None:
    acc, cost, caps, budget = batch(800, 5, 6)
    tenant = np.arange(800) % 2
    resources = [Resource("cost", [0.45 * budget, 0.6 * budget], per=tenant, name="tenant")]
    solution = solve(acc, cost, caps, budget, min_accuracy=0.3, objective=objective, resources=resources)
    duals = solution.duals
    chose_best = 0
    for i in range(800):
        explained = solution.explain(i)
        priced = duals.budget * cost[i] + duals.caps - duals.min_accuracy / 800 * acc[i]
        priced = priced + duals.resources["tenant"][tenant[i]] * cost[i]
        expected = acc[i] - priced if objective == "accuracy" else cost[i] + priced
        np.testing.assert_allclose(explained.priced, expected, rtol=1e-9, atol=1e-12)
        assert explained.chosen != explained.runner_up
        best = expected.max() if objective == "accuracy" else expected.min()
        chose_best += math.isclose(expected[explained.chosen], best, rel_tol=1e-7, abs_tol=1e-7)
        np.testing.assert_allclose(explained.regret, abs(expected - best), rtol=1e-9, atol=1e-9)
        charged = sum(explained.charges.values())
        np.testing.assert_allclose(charged, priced, rtol=1e-9, atol=1e-12)
    assert chose_best > 780
    assert "<- chosen" in str(solution.explain(0))
    for i in (-1, 800):
        with pytest.raises(IndexError, match=f"query {i} does not exist"):
            solution.explain(i)


def test_the_answer_cannot_be_written_to() -> None:
    acc, cost, caps, budget = batch(50, 3)
    solution = solve(acc, cost, caps, budget)
    for array in (solution.assignment, solution.load, solution.duals.caps):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    assert solution.assignment.dtype == np.int32
    assert solution.load.dtype == np.int64


def test_the_log_gets_what_verbose_prints(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> None:
    acc, cost, caps, budget = batch(50, 3)
    with caplog.at_level(logging.INFO, logger="omnirouter"):
        solution = solve(acc, cost, caps, budget, verbose=True)
    printed = capsys.readouterr().out.splitlines()
    assert [record.getMessage() for record in caplog.records] == printed
    assert "50 queries, 3 models" in printed[0]
    assert printed[-1].startswith(solution.message)
    solve(acc, cost, caps, budget)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_call_gives_the_same_bits(kind: Kind) -> None:
    acc, cost, caps, budget = batch(12_000, 5, 8, kind)
    first, second = (solve(acc, cost, caps, budget, seed=3) for _ in range(2))
    assert first.assignment.tobytes() == second.assignment.tobytes()
    assert (first.objective, first.bound, first.info.nodes) == (second.objective, second.bound, second.info.nodes)
    other = solve(acc, cost, caps, budget, seed=4)
    assert abs(other.objective - first.objective) <= (first.gap + other.gap) * abs(first.objective) + 1e-9
