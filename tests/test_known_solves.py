"""`solve` on instances whose answer is known: degenerate shapes, ties, scales, limits of every kind, bad input, statuses."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

import omnirouter
from omnirouter import Problem, Resource, Status, solve
from omnirouter.solution import Progress


def batch(n: int, m: int, seed: int = 0) -> tuple[Any, Any, Any, float]:
    """Accuracies k/16, lognormal costs, uneven caps, a binding budget."""
    rng = np.random.default_rng(seed)
    acc = rng.binomial(16, 1 / (1 + np.exp(-np.linspace(-0.5, 1.5, m) + rng.normal(0, 1, (n, 1))))) / 16
    cost = 1e-4 * np.exp(np.linspace(0, 4, m)) * rng.lognormal(0, 0.6, (n, m))
    caps = np.ceil(1.4 * n * rng.dirichlet(np.full(m, 3.0)))
    low, high = cost.min(axis=1).sum(), cost[np.arange(n), acc.argmax(axis=1)].sum()
    return acc, cost, caps, float(low + 0.3 * (high - low))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 5), (3, 7), (200, 1), (300, 8), (6000, 9)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_audit_agrees_and_bound_holds(n: int, m: int, dtype: Any) -> None:
    acc, cost, caps, budget = batch(n, m)
    acc, cost = acc.astype(dtype), cost.astype(dtype)
    caps, budget = (np.maximum(caps, n / m + 1).round(), max(budget, float(cost.min(1).astype(float).sum())))
    solution = solve(acc, cost, caps, budget)
    assert solution.status is Status.OPTIMAL, solution.message
    audit = Problem(acc, cost, caps, budget).audit(solution.assignment)
    assert audit.ok
    assert audit.objective == pytest.approx(solution.objective, rel=1e-12)
    assert audit.spend == pytest.approx(solution.spend, rel=1e-12)
    assert audit.load.tolist() == solution.load.tolist()
    assert solution.objective <= solution.bound
    assert solution.gap <= 1e-4


def test_quality_form_is_mirrored() -> None:
    acc, cost, caps, _ = batch(2000, 8)
    solution = solve(acc, cost, caps, min_accuracy=0.6)
    assert solution.status is Status.OPTIMAL
    assert solution.accuracy >= 0.6
    assert solution.objective == pytest.approx(solution.spend)
    assert solution.bound <= solution.objective


def test_budget_that_only_the_cheapest_plan_meets() -> None:
    acc, cost, _, _ = batch(500, 6)
    budget = cost.min(axis=1).sum()
    solution = solve(acc, cost, budget=budget)
    assert solution.assignment.tolist() == cost.argmin(axis=1).tolist()
    short = solve(acc, cost, budget=budget * (1 - 1e-6))
    assert short.status is Status.INFEASIBLE
    assert short.conflicts[0].reachable == pytest.approx(budget)


def test_prices_belong_to_the_models_whose_caps_are_finite() -> None:
    acc, cost = np.array([[0.9, 0.8, 0.1]] * 4), np.zeros((4, 3))
    duals = omnirouter.solve(acc, cost, [None, 4, None], math.inf).duals
    assert (duals.budget, duals.caps.tolist()) == (0.0, [0.0, 0.0, 0.0])
    duals = omnirouter.solve(acc, cost, [1, None, None], math.inf).duals
    assert duals.budget == 0.0
    np.testing.assert_allclose(duals.caps, [0.1, 0.0, 0.0], atol=1e-12)
    duals = omnirouter.solve(acc, cost, [2, 1, None], 5.0).duals
    assert duals.caps[0] > duals.caps[1] > duals.caps[2] == 0
    assert not duals.caps.flags.writeable


def test_caps_that_sum_to_exactly_n() -> None:
    acc, cost, _, budget = batch(400, 4)
    solution = solve(acc, cost, [100, 100, 100, 100], budget * 2)
    assert solution.load.tolist() == [100, 100, 100, 100]
    assert solve(acc, cost, [100, 100, 100, 99]).status is Status.INFEASIBLE


@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_money_scales(scale: float) -> None:
    acc, cost, caps, budget = batch(300, 5)
    factor = 2.0 ** round(math.log2(scale))
    plain, scaled = (solve(acc, cost * k, caps, budget * k, rel_gap=0) for k in (1.0, factor))
    assert plain.assignment.tolist() == scaled.assignment.tolist()
    assert scaled.duals.budget == pytest.approx(plain.duals.budget / factor, rel=1e-9)


def test_equal_rows_are_proven() -> None:
    acc, cost = np.tile([0.3, 0.9], (200, 1)), np.tile([0.1, 0.7], (200, 1))
    solution = solve(acc, cost, budget=50.0, rel_gap=0)
    assert solution.status is Status.OPTIMAL
    assert solution.load.tolist() == [150, 50]


def test_flat_prices_are_proven() -> None:
    acc, _, caps, _ = batch(250, 4, seed=2)
    cost = np.tile(np.exp(np.linspace(0, 4, 4)) * 1.234e-3, (250, 1))
    solution = solve(acc, cost, caps, min_accuracy=0.5, rel_gap=0)
    assert solution.status is Status.OPTIMAL
    assert solution.gap == 0


def test_forbidden_pairs_and_zero_costs() -> None:
    acc, cost, _, _ = batch(100, 4)
    allowed = np.random.default_rng(0).random((100, 4)) < 0.6
    allowed[:, 0] = True
    solution = solve(acc, np.zeros_like(cost), budget=0.0, allowed=allowed)
    assert allowed[np.arange(100), solution.assignment].all()
    assert solution.objective == pytest.approx(np.where(allowed, acc, -1).max(axis=1).sum())
    allowed[7] = False
    assert "query 7 has no allowed model" in solve(acc, cost, allowed=allowed).message


def test_resources_of_every_kind_hold_together() -> None:
    acc, cost, caps, budget = batch(3000, 6)
    rng = np.random.default_rng(1)
    tokens, tenant = rng.lognormal(5, 1, 3000), rng.integers(0, 4, 3000)
    resources = [
        Resource(tokens, np.full(6, tokens.sum() / 3), per="model", name="tokens"),
        Resource("cost", dict.fromkeys(range(4), budget * 0.3), per=tenant, name="tenant"),
        Resource(1.0, [100] * 6, per="model", sense=">=", name="reserved"),
        Resource(rng.random((3000, 6)), 1700.0, name="latency"),
    ]
    solution = solve(acc, cost, caps, budget, resources=resources)
    assert solution.status is Status.OPTIMAL, solution.message
    assert solution.problem.audit(solution.assignment).ok
    assert set(solution.duals.resources) == {"tokens", "tenant", "reserved", "latency"}
    explained = solution.explain(5)
    assert explained.chosen == solution.assignment[5]
    again = solve(acc, cost, caps, budget, resources=resources, warm_start=solution.duals)
    assert again.objective == pytest.approx(solution.objective, rel=2e-4)


def test_infeasible_names_the_nearest_reachable_value() -> None:
    acc, cost, caps, _ = batch(500, 5)
    solution = solve(acc, cost, caps, min_accuracy=0.99)
    assert solution.status is Status.INFEASIBLE
    assert solution.assignment is None
    best = solve(acc, cost, caps, rel_gap=0)
    floor = next(conflict for conflict in solution.conflicts if conflict.name == "min_accuracy")
    assert floor.reachable == pytest.approx(best.accuracy, rel=1e-4)
    assert "is reachable within the other limits" in solution.message
    with pytest.raises(omnirouter.SolveError, match="min_accuracy"):
        solution.raise_for_status()
    json.dumps(solution.to_dict(), allow_nan=False)


def test_same_bits_for_any_number_of_threads() -> None:
    acc, cost, caps, budget = batch(30_000, 6)
    first, *others = (solve(acc, cost, caps, budget, threads=threads) for threads in (1, 2, 3, 8))
    for other in others:
        assert np.array_equal(first.assignment, other.assignment)
        assert (first.objective, first.bound) == (other.objective, other.bound)
        assert first.duals.to_dict() == other.duals.to_dict()
    assert first.info.passes <= 3


def test_layouts_and_dtypes_agree(tmp_path: Any) -> None:
    acc, cost, caps, budget = batch(2000, 5)
    acc, cost = acc.astype(np.float16), cost.astype(np.float32)
    np.save(tmp_path / "acc.npy", acc.astype(np.float32))
    mapped = np.load(tmp_path / "acc.npy", mmap_mode="r")
    frozen = cost.copy()
    frozen.flags.writeable = False
    expected = solve(acc.astype(np.float64), cost.astype(np.float64), caps, budget)
    wide = np.repeat(cost, 2, axis=1)
    variants = [(acc, cost), (np.asfortranarray(acc), np.asfortranarray(cost)), (mapped, frozen), (acc, wide[:, ::2])]
    for a, c in variants:
        assert solve(a, c, caps, budget).assignment.tolist() == expected.assignment.tolist()


def test_callback_stops_and_its_exceptions_come_through() -> None:
    acc, cost, caps, budget = batch(3000, 6)
    seen: list[Progress] = []
    solve(acc, cost, caps, budget, callback=seen.append)
    assert {progress.phase for progress in seen} == {"ascent", "search"}
    assert solve(acc, cost, caps, budget, callback=lambda progress: True).status is Status.STOPPED

    def broken(progress: Progress) -> None:
        raise LookupError("from the callback")

    with pytest.raises(LookupError, match="from the callback"):
        solve(acc, cost, caps, budget, callback=broken)


def test_time_limit_is_a_status() -> None:
    acc, cost, caps, budget = batch(20_000, 10)
    assert solve(acc, cost, caps, budget, time_limit=1e-6).status is Status.TIME_LIMIT


def test_verbose_prints_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    acc, cost, _, budget = batch(100, 4)
    solve(acc, cost, None, budget, verbose=True)
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["phase", "queries", "bound", "objective", "gap", "time"]
    assert lines[-1].startswith("optimal")


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"acc": [1.0, 2.0]}, ValueError, r"acc has shape \(2,\), expected \(n_queries, n_models\)"),
        ({"acc": np.zeros((0, 3))}, ValueError, "cost has shape"),
        ({"cost": np.zeros((2, 2))}, ValueError, r"cost has shape \(2, 2\), expected \(2, 3\)"),
        ({"acc": [["a", "b", "c"]] * 2}, TypeError, "acc has dtype"),
        ({"acc": [[0.1, math.nan, 0.2]] * 2}, ValueError, r"acc\[0, 1\] is NaN, expected a finite number"),
        ({"cost": [[1, 1, 1], [1, math.inf, 1]]}, ValueError, r"cost\[1, 1\] is inf"),
        ({"cost": [[1, 1, 1], [1, 1, -2]]}, ValueError, r"cost\[1, 2\] is -2, expected a number >= 0"),
        ({"caps": [1, 2]}, ValueError, r"caps has shape \(2,\), expected \(3,\)"),
        ({"caps": [1, 2.5, 3]}, ValueError, r"caps\[1\] is 2.5"),
        ({"caps": [1, -1, 3]}, ValueError, r"caps\[1\] is -1"),
        ({"budget": -1}, ValueError, "budget is -1"),
        ({"budget": math.nan}, ValueError, "budget is nan"),
        ({"budget": "much"}, TypeError, "budget is 'much'"),
        (
            {"acc": np.full((2, 3), 90.0), "min_accuracy": 0.8},
            ValueError,
            r"acc\[0, 0\] is 90, expected a number in \[0, 1\]",
        ),
        ({"min_accuracy": 85}, ValueError, r"min_accuracy is 85, expected a mean in \[0, 1\]"),
        ({"allowed": np.ones((2, 3))}, ValueError, "allowed is float64"),
        ({"objective": "speed"}, ValueError, "objective is 'speed'"),
        ({"rel_gap": 1.0}, ValueError, "rel_gap is 1"),
        ({"time_limit": 0}, ValueError, "time_limit is 0"),
        ({"threads": -1}, ValueError, "threads is -1"),
        ({"warm_start": {}}, TypeError, "warm_start is dict"),
        ({"callback": 3}, TypeError, "callback is 3"),
        ({"resources": [1]}, TypeError, r"resources\[0\] is int"),
        ({"resources": [Resource(1.0, 1.0, name="budget")]}, ValueError, "taken"),
    ],
)
def test_bad_input_is_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    good: dict[str, Any] = {"acc": np.full((2, 3), 0.5), "cost": np.ones((2, 3))}
    with pytest.raises(error, match=message):
        solve(**(good | change))


def test_ambiguous_usage_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pass \(1, 3\) or \(3, 1\)"):
        solve(np.ones((3, 3)), np.ones((3, 3)), resources=[Resource([1.0, 2.0, 3.0], 5.0, name="tokens")])
