"""`Problem`: what it accepts, what it refuses, and an audit that recomputes everything."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from instances import batch
from omnirouter import Problem, Resource


def good(**change: Any) -> Problem:
    return Problem(**({"acc": np.full((4, 3), 0.5), "cost": np.ones((4, 3))} | change))


def test_the_objective_follows_from_the_limits() -> None:
    assert good().objective == "accuracy"
    assert good(budget=3).objective == "accuracy"
    assert good(min_accuracy=0.2).objective == "cost"
    assert good(min_accuracy=0.2, budget=3).objective == "accuracy"
    assert good(min_accuracy=0.2, budget=3, objective="cost").objective == "cost"


def test_float_matrices_in_c_order_are_not_copied() -> None:
    for dtype in (np.float32, np.float64):
        acc, cost = np.zeros((4, 3), dtype), np.zeros((4, 3), dtype)
        acc.flags.writeable = False
        problem = Problem(acc, cost)
        assert problem.acc is acc
        assert problem.cost is cost
    copied = Problem(np.asfortranarray(acc), np.zeros((4, 3), np.float16))
    assert copied.acc.flags.c_contiguous
    assert copied.cost.dtype == np.float32
    assert (copied.n_queries, copied.n_models) == (4, 3)


@pytest.mark.parametrize(
    "caps",
    [
        [1, None, 2],
        (1.0, math.inf, 2),
        np.array([1, np.inf, 2], np.float32),
        np.array([1, None, 2], dtype=object),
    ],
)
def test_caps_of_any_kind_are_the_same_limits(caps: Any) -> None:
    (resource,) = good(caps=caps).resources
    assert resource.limit.tolist() == [1.0, math.inf, 2.0]
    assert (resource.name, resource.per, resource.sense, resource.usage) == ("caps", "model", "<=", 1.0)
    assert good(caps=np.array([1, 2, 3], np.uint8)).resources[0].limit.dtype == np.float64


def test_a_callers_caps_may_change_afterwards() -> None:
    caps = np.array([1.0, 2.0, 3.0])
    problem = good(caps=caps)
    caps[0] = 7
    assert problem.resources[0].limit[0] == 1


def test_audit_finds_each_broken_limit() -> None:
    allowed = np.ones((4, 3), dtype=bool)
    allowed[2, 1] = False
    tenant = Resource("cost", {"a": 1.5, "b": 9.0}, per=["a", "a", "b", "b"], name="tenant")
    reserved = Resource(1.0, [0, 0, 2], per="model", sense=">=", name="reserved")
    problem = good(caps=[9, 3, None], budget=3.5, min_accuracy=0.75, allowed=allowed, resources=[tenant, reserved])
    audit = problem.audit(np.array([1, 1, 1, 1]))
    assert not audit.ok
    text = "\n".join(audit.violations)
    for part in (
        "allowed: query 2 is on model 1, which is forbidden",
        "budget: 4 is used, at most 3.5 is allowed",
        "min_accuracy: 2 is used, at least 3 is allowed",
        "caps[1]: 4 is used, at most 3 is allowed",
        "tenant['a']: 2 is used, at most 1.5 is allowed",
        "reserved[2]: 0 is used, at least 2 is allowed",
    ):
        assert part in text
    assert len(audit.violations) == 6
    assert audit.load.tolist() == [0, 4, 0]


def test_audit_sums_equal_plain_sums() -> None:
    acc, cost, caps, budget = batch(500, 6)
    plan = np.random.default_rng(0).integers(0, 6, 500)
    audit = Problem(acc, cost, caps, budget).audit(plan)
    chosen = np.arange(500), plan
    assert audit.objective == math.fsum(acc[chosen])
    assert audit.spend == math.fsum(cost[chosen])
    assert audit.accuracy == pytest.approx(acc[chosen].mean(), rel=1e-14)
    assert audit.load.tolist() == np.bincount(plan, minlength=6).tolist()


@pytest.mark.parametrize("n", [10, 1000, 4097])
def test_a_budget_summed_by_numpy_admits_its_own_plan_and_an_ulp_less_does_not(n: int) -> None:
    cost = np.full((n, 1), 0.1)
    acc = np.ones((n, 1))
    sums = {float(cost.sum()), math.fsum(cost[:, 0])}
    for budget in sums:
        assert Problem(acc, cost, budget=budget).audit(np.zeros(n, int)).ok
    assert not Problem(acc, cost, budget=math.nextafter(min(sums), 0)).audit(np.zeros(n, int)).ok


@pytest.mark.parametrize("floor", [0.1, 1 / 3, 0.7, 0.875, 1.0])
@pytest.mark.parametrize("n", [1, 3, 7, 48])
def test_a_floor_admits_exactly_the_means_that_reach_it(floor: float, n: int) -> None:
    for level in (floor, math.nextafter(floor, 0), math.nextafter(floor, 2)):
        acc = np.full((n, 1), level)
        audit = Problem(acc, acc, min_accuracy=floor).audit(np.zeros(n, int))
        assert audit.ok or audit.accuracy < floor
        assert not audit.ok or audit.accuracy >= floor or float(acc.sum()) / n >= floor


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ([0, 0, 0], r"shape \(3,\), expected integers of shape \(4,\)"),
        ([0.0, 0.0, 0.0, 0.0], "assignment is float64"),
        ([0, 0, 0, 3], "models from 0 to 3, expected 0 to 2"),
        ([-1, 0, 0, 0], "models from -1 to 0"),
    ],
)
def test_audit_refuses_what_is_no_plan(plan: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        good().audit(plan)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"acc": 0.5}, ValueError, r"acc has shape \(\)"),
        ({"acc": np.zeros((2, 2, 2))}, ValueError, r"acc has shape \(2, 2, 2\)"),
        ({"acc": np.zeros((0, 3)), "cost": np.zeros((0, 3))}, ValueError, "at least one query and one model"),
        ({"acc": np.zeros((4, 0)), "cost": np.zeros((4, 0))}, ValueError, "at least one query and one model"),
        ({"cost": np.ones((4, 3), complex)}, TypeError, "cost has dtype complex128, expected real numbers"),
        ({"cost": np.full((4, 3), None)}, TypeError, "cost has dtype object"),
        ({"acc": np.full((4, 3), "2020-01-01", "M8[D]")}, TypeError, "acc has dtype"),
        ({"caps": 3}, ValueError, r"caps has shape \(\)"),
        ({"caps": [1, math.nan, 1]}, ValueError, r"caps\[1\] is nan"),
        ({"caps": [1, 10**400, 1]}, ValueError, r"caps\[1\] is a whole number beyond float64, expected a whole number"),
        ({"budget": 10**400}, ValueError, "budget is a whole number beyond float64, expected an amount of money"),
        ({"caps": [1, "x", 1]}, TypeError, r"caps\[1\] is 'x'"),
        ({"caps": np.array([1, 2, 2.5])}, ValueError, r"caps\[2\] is 2.5, expected a whole number"),
        ({"caps": np.array([1, -1, 2])}, ValueError, r"caps\[1\] is -1, expected a whole number"),
        ({"caps": [[1, 2, 3]]}, ValueError, r"caps has shape \(1, 3\)"),
        ({"caps": [1, 2, 3j]}, TypeError, r"caps\[2\] is 3j"),
        ({"caps": [1, 1, -math.inf]}, ValueError, r"caps\[2\] is -inf"),
        ({"budget": [1, 2]}, TypeError, "budget is"),
        ({"min_accuracy": -0.1}, ValueError, r"min_accuracy is -0.1, expected a mean in \[0, 1\]"),
        ({"min_accuracy": math.nan}, ValueError, "min_accuracy is nan"),
        (
            {"allowed": np.ones((3, 4), bool)},
            ValueError,
            r"bool of shape \(3, 4\), expected bool of shape \(4, 3\)",
        ),
        ({"resources": [Resource(1.0, 1.0, name="x")] * 2}, ValueError, r"resources\[1\] has the name 'x', which is taken"),
    ],
)
def test_bad_arguments_are_named(change: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        good(**change)
