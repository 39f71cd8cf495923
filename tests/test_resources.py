"""`Resource`: forms of usage, scopes, senses, and words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from omnirouter import Problem, Resource, Status, solve

ACC = np.array([[0.2, 0.9], [0.3, 0.8], [0.4, 0.95]])
COST = np.array([[1.0, 5.0], [1.0, 4.0], [1.0, 6.0]])


def forms(full: np.ndarray[Any, Any]) -> list[Any]:
    """Every way to say the same usage."""
    out: list[Any] = [full]
    if (full == full[0]).all():
        out += [full[0], full[:1]]
    if (full == full[:, :1]).all():
        out += [full[:, 0], full[:, :1]]
    if (full == full[0, 0]).all():
        out += [float(full[0, 0]), int(full[0, 0])]
    return out


@pytest.mark.parametrize("full", [np.full((3, 2), 2.0), np.tile([1.0, 3.0], (3, 1)), np.tile([[1.0], [2.0], [3.0]], (1, 2))])
def test_every_form_of_a_usage_gives_the_same_plan(full: np.ndarray[Any, Any]) -> None:
    answers = {
        tuple(solve(ACC, COST, resources=[Resource(usage, [99.0, 3.0], per="model", name="r")], rel_gap=0).assignment)
        for usage in forms(full)
    }
    assert len(answers) == 1


def test_acc_and_cost_stand_for_the_matrices() -> None:
    by_name = solve(ACC, COST, resources=[Resource("cost", 9.0, name="r")], rel_gap=0)
    by_value = solve(ACC, COST, resources=[Resource(COST, 9.0, name="r")], rel_gap=0)
    by_budget = solve(ACC, COST, budget=9.0, rel_gap=0)
    assert by_name.assignment.tolist() == by_value.assignment.tolist() == by_budget.assignment.tolist()


def test_groups_take_labels_of_any_type_and_limits_in_sorted_order() -> None:
    named = Resource("cost", {"red": 5.0, "blue": 2.0}, per=["red", "blue", "blue"], name="tenant")
    in_order = Resource("cost", [2.0, 5.0], per=[7, 3, 3], name="tenant")
    for resource in (named, in_order):
        solution = solve(ACC, COST, resources=[resource], rel_gap=0)
        assert solution.assignment.tolist() == [1, 0, 0]
        assert solution.duals.resources["tenant"].shape == (2,)
    assert named.labels == ("blue", "red")


def test_a_minimum_forces_queries_onto_a_model() -> None:
    reserved = Resource(1.0, [2, 0], per="model", sense=">=", name="reserved")
    solution = solve(ACC, COST, resources=[reserved], rel_gap=0)
    assert solution.load.tolist() == [2, 1]
    assert solution.assignment[0] == 1
    assert solution.duals.resources["reserved"][0] > 0


def test_infinite_limits_are_no_limits() -> None:
    free = solve(ACC, COST, rel_gap=0)
    most = Resource("cost", math.inf, name="most")
    least = Resource("cost", -math.inf, sense=">=", name="least")
    loose = solve(ACC, COST, [math.inf, None], math.inf, resources=[most, least], rel_gap=0)
    assert loose.status is Status.OPTIMAL
    assert loose.assignment.tolist() == free.assignment.tolist()


@pytest.mark.parametrize("limit", [-math.inf, {"all": -math.inf}])
def test_a_maximum_of_minus_infinity_is_never_met(limit: Any) -> None:
    try:
        solution = solve(ACC, COST, resources=[Resource(1.0, limit, name="never")])
    except ValueError as error:
        assert "never" in str(error)  # noqa: PT017
    else:
        assert solution.status is Status.INFEASIBLE


def test_negative_usage_is_a_credit() -> None:
    balance = Resource(np.array([[-1.0, 2.0]] * 3), 0.0, name="balance")
    solution = solve(ACC, COST, resources=[balance], rel_gap=0)
    assert solution.load.tolist() == [2, 1]
    assert Problem(ACC, COST, resources=[balance]).audit(solution.assignment).ok


def test_usage_with_nan_or_infinity_is_refused_by_name() -> None:
    for bad in (math.nan, math.inf):
        usage = np.ones((3, 2))
        usage[2, 1] = bad
        with pytest.raises(ValueError, match="latency"):
            solve(ACC, COST, resources=[Resource(usage, 5.0, name="latency")])
        with pytest.raises(ValueError, match="latency"):
            solve(ACC, COST, resources=[Resource([1.0, 1.0, bad], 5.0, name="latency")])
        with pytest.raises(ValueError, match="latency"):
            solve(ACC, COST, resources=[Resource(bad, 5.0, name="latency")])


@pytest.mark.parametrize(
    ("arguments", "keywords", "error", "message"),
    [
        ((1.0, 1.0), {"name": ""}, TypeError, "name is ''"),
        ((1.0, 1.0), {"name": 3}, TypeError, "name is 3"),
        ((1.0, 1.0), {"name": "r", "sense": "=="}, ValueError, "r: sense is '=='"),
        ((1.0, 1.0), {"name": "r", "per": "group"}, ValueError, "r: per is 'group'"),
        ((1.0, 1.0), {"name": "r", "per": [[1, 2]]}, ValueError, r"r: per has shape \(1, 2\)"),
        ((1.0, 10**400), {"name": "r"}, ValueError, "r: limit holds a whole number beyond float64, expected numbers"),
        ((1.0, math.nan), {"name": "r"}, ValueError, "r: limit"),
        ((1.0, []), {"name": "r"}, ValueError, "r: limit"),
        ((1.0, "much"), {"name": "r"}, TypeError, "r: limit is 'much'"),
    ],
)
def test_bad_resources_are_refused_at_once(
    arguments: tuple[Any, Any], keywords: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Resource(*arguments, **keywords)


@pytest.mark.parametrize(
    ("resource", "error", "message"),
    [
        (Resource(1.0, [1.0, 2.0, 3.0], per="model", name="r"), ValueError, "r: limit has 3 entries, expected 2"),
        (Resource(1.0, 1.0, per=[1, 2], name="r"), ValueError, "r: per has 2 labels, expected 3: one per query"),
        (Resource(1.0, {0: 1.0}, per="model", name="r"), ValueError, r"r: limit has keys \[0\], expected exactly \[0, 1\]"),
        (Resource([1.0] * 4, 1.0, name="r"), ValueError, r"r: usage has shape \(4,\), expected \(2,\), \(3,\) or \(3, 2\)"),
        (Resource(np.ones((2, 3)), 1.0, name="r"), ValueError, r"r: usage has shape \(2, 3\)"),
        (Resource("tokens", 1.0, name="r"), ValueError, "r: usage is 'tokens', expected numbers, 'acc' or 'cost'"),
        (Resource(["a", "b"], 1.0, name="r"), TypeError, "r: usage has dtype"),
    ],
)
def test_resources_that_do_not_fit_the_problem_are_refused(resource: Resource, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        solve(ACC, COST, resources=[resource])
