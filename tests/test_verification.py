"""`verify`: sound solutions pass, and whatever is tampered with is caught."""

from __future__ import annotations

import copy
import itertools
import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instances import KINDS, Kind, batch
from omnirouter import Problem, Resource, Solution, Status, solve, verify
from omnirouter.verification import bounds, limits
from omnirouter.verification.bounds import dual_value
from omnirouter.verification.limits import facts
from omnirouter.verification.plans import Sums


def rich(seed: int = 0, n: int = 40, **change: Any) -> Problem:
    """Every kind of limit at once, all binding somewhat."""
    acc, cost, caps, budget = batch(n, 4, seed)
    rng = np.random.default_rng([seed, 1])
    tokens, tenant = rng.lognormal(0, 0.5, n), rng.integers(0, 2, n)
    resources = [
        Resource(tokens[:, None], np.full(4, tokens.sum() * 0.45), per="model", name="tokens"),
        Resource("cost", [0.8 * budget] * 2, per=tenant, name="tenant"),
        Resource(1.0, [2, 2, 0, 1], per="model", sense=">=", name="reserved"),
    ]
    keywords: dict[str, Any] = {"caps": np.maximum(caps, n / 3).round(), "budget": budget * 1.2, "resources": resources}
    return Problem(acc, cost, **(keywords | change))


def solved(problem: Problem, **keywords: Any) -> Solution:
    from omnirouter.solver import solve_problem

    return solve_problem(problem, **keywords)


def tampered(solution: Solution, **change: Any) -> dict[str, Any]:
    data = json.loads(json.dumps(solution.to_dict()))
    return data | change


# Sound solutions


@pytest.mark.parametrize("seed", range(4))
def test_a_sound_solution_is_verified_from_its_json_as_well(seed: int) -> None:
    problem = rich(seed)
    solution = solved(problem)
    for claim in (solution, tampered(solution)):
        found = verify(problem, claim)
        assert found.ok, found
        assert found.exact
        assert found.objective == pytest.approx(solution.objective, rel=1e-12)
        assert found.load.tolist() == solution.load.tolist()
        assert found.dual_bound >= found.objective
        json.dumps(found.to_dict(), allow_nan=False)
    assert "verified" in str(verify(problem, solution)) or "not contradicted" in str(verify(problem, solution))


def test_rational_and_float_arithmetic_agree_within_the_stated_error(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = rich(3, 60)
    known = [facts(problem, resource, grains=True) for resource in problem.resources]
    rng = np.random.default_rng(0)
    for _ in range(10):
        prices = [rng.random(resource.limit.size) for resource in problem.resources]
        exact = dual_value(problem, known, prices, weight=-1.0)
        monkeypatch.setattr(bounds, "EXACT_NUMBERS", 0)
        monkeypatch.setattr(limits, "PAIRS_PER_BLOCK", 37)
        rough = dual_value(problem, known, prices, weight=-1.0)
        monkeypatch.undo()
        assert exact.exact
        assert not rough.exact
        assert abs(exact.value - rough.value) <= rough.error
        assert rough.error < 1e-12 * rough.size
        assert rough.least <= exact.value


def test_a_search_is_taken_at_its_word_only_where_it_cannot_be_checked() -> None:
    acc, cost, caps, budget = batch(60, 4, 1, "uniform")
    problem = Problem(acc, cost, caps, budget)
    solution = solved(problem, rel_gap=0)
    assert abs(solution.bound) < abs(solution.dual_bound) * (1 - 1e-9)
    checked, trusted = verify(problem, solution), verify(problem, solution, effort=1)
    assert (checked.ok, checked.proven, checked.support) == (True, True, "enumeration")
    assert (trusted.ok, trusted.proven, trusted.support) == (True, False, "search")
    assert "proven by search" in trusted.notes[0]


# Tampering


@pytest.mark.parametrize("seed", range(3))
def test_every_flip_of_the_assignment_is_caught(seed: int) -> None:
    problem = rich(seed, 16)
    solution = solved(problem, rel_gap=0)
    assert solution.assignment is not None
    for i, j in itertools.product(range(16), range(4)):
        plan = solution.assignment.copy()
        if plan[i] != j:
            plan[i] = j
            assert not verify(problem, replace(solution, assignment=plan)).ok


def test_a_worse_plan_with_figures_that_fit_is_not_optimal() -> None:
    acc, cost, caps, budget = batch(12, 3, 0, "uniform")
    problem = Problem(acc, cost, caps, budget)
    best = solved(problem, rel_gap=0)
    worse = solved(Problem(acc, cost, caps, 0.9 * budget), rel_gap=0)
    assert worse.objective < best.objective
    lie = replace(worse, bound=worse.objective, dual_bound=best.dual_bound, duals=best.duals)
    found = verify(problem, lie)
    assert any("there is a plan with" in text for text in found.findings), found


@pytest.mark.parametrize("name", ["objective", "spend", "accuracy", "bound", "dual_bound"])
@pytest.mark.parametrize("factor", [1 - 1e-6, 1 + 1e-6, -1.0, math.nan])
def test_moved_figures_are_caught(name: str, factor: float) -> None:
    for form in ({}, {"objective": "cost", "min_accuracy": 0.4}):
        problem = rich(1, **form)
        solution = solved(problem)
        moved = getattr(solution, name) * factor
        harmless = (
            name == "dual_bound"
            and math.isfinite(factor)
            and ((factor > 1 and problem.objective == "accuracy") or (factor < 1 and problem.objective == "cost"))
        )
        found = verify(problem, replace(solution, **{name: moved}))
        assert found.ok == (harmless and abs(moved - solution.bound) > abs(solution.dual_bound - solution.bound)), (
            found,
            moved,
        )


def test_a_bound_that_is_too_good_is_refuted_by_a_plan() -> None:
    acc, cost, caps, budget = batch(30, 4, 2, "uniform")
    problem = Problem(acc, cost, caps, budget)
    solution = solved(problem, rel_gap=0)
    assert solution.objective == pytest.approx(solution.bound, rel=1e-11)
    # The plan is withheld, as by a time limit, and the bound moved below it.
    lie = replace(
        solution,
        status=Status.TIME_LIMIT,
        assignment=None,
        objective=math.nan,
        spend=math.nan,
        accuracy=math.nan,
        gap=math.inf,
        load=np.zeros(4, np.int64),
    )
    assert verify(problem, lie).ok
    found = verify(problem, replace(lie, bound=solution.bound * (1 - 1e-9)))
    assert any("there is a plan with" in text for text in found.findings)


@pytest.mark.parametrize("change", [0.5, 0.99, 1.01, 2.0, -1.0, math.nan, math.inf])
def test_duals_that_were_scaled_are_caught(change: float) -> None:
    problem = Problem(*batch(200, 4, 3))
    data = tampered(solved(problem))
    assert data["duals"]["budget"] > 0
    data["duals"]["budget"] *= change
    assert not verify(problem, data).ok


def test_a_price_of_no_limit_is_caught() -> None:
    problem = rich(2, caps=[None, 20, 20, 20])
    data = tampered(solved(problem))
    data["duals"]["caps"][0] = 0.1
    assert any("has a price but no limit" in text for text in verify(problem, data).findings)


@pytest.mark.parametrize("other", list(Status))
def test_another_status_is_caught(other: Status) -> None:
    acc, cost, caps, budget = batch(200, 4, 3)
    problem = Problem(acc, cost, caps, budget)
    loose = Problem(acc, cost, caps, 0.0)
    rough = solved(problem, rel_gap=0, callback=lambda progress: math.isfinite(progress.gap))
    for mine, solution in ((problem, solved(problem)), (loose, solved(loose)), (problem, rough)):
        same = other is solution.status
        # A search that was stopped early may as well have given up, or run out of time.
        unfinished = {Status.FEASIBLE, Status.TIME_LIMIT, Status.STOPPED}
        same = same or {other, solution.status} <= unfinished
        assert verify(mine, replace(solution, status=other)).ok == same, (solution.status, other)


def test_figures_of_a_plan_without_one_are_caught() -> None:
    problem = Problem([[0.5]], [[1.0]], budget=0.5)
    solution = solved(problem)
    assert solution.status is Status.INFEASIBLE
    for change in ({"objective": 0.5}, {"spend": 1.0}, {"load": np.array([1])}, {"gap": 0.0}):
        assert not verify(problem, replace(solution, **change)).ok


def test_one_ulp_of_the_limit_decides() -> None:
    for numbers in ([0.1] * 10, [1 / 3] * 7, [5 / 16] * 9):
        cost = np.array(numbers)[:, None]
        problem = Problem(np.ones_like(cost), cost, budget=math.fsum(numbers))
        solution = solved(problem)
        assert verify(problem, solution).ok
        least = min(math.fsum(numbers), float(cost.sum()))
        for level, ok in ((least, True), (math.nextafter(least, 0), False)):
            found = verify(Problem(np.ones_like(cost), cost, budget=level), solution)
            assert found.ok == ok, found
        beyond = replace(solution, spend=math.nextafter(solution.problem.resources[0].limit[0], math.inf))
        assert verify(problem, beyond).ok == (beyond.spend == float(cost.sum()))


@pytest.mark.parametrize("floor", [1 / 3, 5 / 16, 0.7])
def test_a_floor_is_checked_as_a_mean(floor: float) -> None:
    acc = np.full((7, 1), floor)
    problem = Problem(acc, acc, min_accuracy=floor)
    solution = solved(problem)
    assert verify(problem, solution).ok
    higher = Problem(acc, acc, min_accuracy=floor + 2e-16)
    assert not verify(higher, solution).ok


def test_a_forbidden_pair_is_caught() -> None:
    problem = rich(0)
    solution = solved(problem)
    allowed = np.ones((40, 4), bool)
    allowed[5, solution.assignment[5]] = False
    found = verify(rich(0, allowed=allowed), solution)
    assert any("query 5" in text and "forbidden" in text for text in found.findings)


# Certificates


def certified(**keywords: Any) -> tuple[Problem, Solution]:
    problem = Problem(**keywords)
    solution = solved(problem, rel_gap=0)
    assert solution.status is Status.INFEASIBLE
    return problem, solution


ONES = np.ones((30, 3))


def test_a_count_is_a_certificate_in_words() -> None:
    problem, solution = certified(acc=ONES, cost=ONES, caps=[10, 10, 9])
    assert "model 0, model 1 and model 2 can take 29 queries, 30 may go nowhere else" in solution.message
    found = verify(problem, solution)
    assert (found.ok, found.support, found.exact) == (True, "certificate", True)


def test_a_hall_cut_is_a_certificate_in_words() -> None:
    allowed = np.ones((30, 3), bool)
    allowed[:20, 2] = False
    problem, solution = certified(acc=ONES, cost=ONES, caps=[10, 9, 30], allowed=allowed)
    assert "model 0 and model 1 can take 19 queries, 20 may go nowhere else" in solution.message
    assert verify(problem, solution).support == "certificate"


def test_minima_that_are_too_many_are_a_count_too() -> None:
    allowed = np.ones((30, 3), bool)
    allowed[5:, 1] = False
    reserved = Resource(1.0, [0, 8, 0], per="model", sense=">=", name="reserved")
    problem, solution = certified(acc=ONES, cost=ONES, allowed=allowed, resources=[reserved])
    assert "model 1 must get 8 queries, only 5 may go there" in solution.message
    assert verify(problem, solution).support == "certificate"


def test_a_mean_may_differ_by_the_rounding_of_its_sum_and_of_its_division() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        sums = Sums.of(rng.random(int(rng.integers(2, 9))))
        n = int(rng.integers(2, 9))
        assert sums.equals(math.nextafter(sums.once, 9.0) / n, n)
        assert not sums.equals(sums.once / n * (1 + 1e-14), n)


def test_values_near_the_smallest_number_have_words() -> None:
    _, solution = certified(acc=np.full((1, 2), 0.5), cost=np.array([[1e-320, 1.0]]), budget=0.0)
    assert "at least 1e-320 is needed" in solution.message


def test_one_limit_out_of_reach_says_so_and_what_holds_it() -> None:
    acc, cost, _, _ = batch(50, 4, 0)
    problem, solution = certified(acc=acc, cost=cost, budget=float(cost.min(axis=1).sum()) * 0.9)
    assert "even the cheapest model for every query passes the budget" in solution.message
    best = int(acc.mean(axis=0).argmax())
    caps: list[float | None] = [None] * 4
    caps[best] = 3
    problem, solution = certified(acc=acc, cost=cost, caps=caps, min_accuracy=float(acc.max(axis=1).mean()) - 1e-3)
    assert "is reachable within the other limits" in solution.message
    floor = next(conflict for conflict in solution.conflicts if conflict.name == "min_accuracy")
    assert [problem.resources[r].describe(member) for r, member in floor.held_by] == [f"caps[{best}]"]
    assert f"(caps[{best}] holds it)" in solution.message
    assert verify(problem, solution).support == "certificate"


def test_whole_queries_can_be_the_reason() -> None:
    # Two tokens a query and three per model: the relaxation splits a query, whole ones do not fit.
    tokens = Resource(2.0, [3.0, 3.0, 3.0], per="model", name="tokens")
    problem, solution = certified(acc=np.ones((4, 3)), cost=np.ones((4, 3)), resources=[tokens])
    assert solution.certificate is not None
    assert solution.certificate.rounded
    assert verify(problem, solution).support == "certificate"
    without = replace(solution, certificate=replace(solution.certificate, rounded=False))
    assert not verify(problem, without).ok


def test_sixteenths_between_two_floors_are_rounded() -> None:
    acc = np.array([[0.5, 0.25]] * 5)
    floor = Resource("acc", 1.55, sense=">=", name="floor")
    ceiling = Resource("acc", 1.7, name="ceiling")
    problem, solution = certified(acc=acc, cost=acc, resources=[floor, ceiling])
    found = verify(problem, solution)
    assert found.ok
    assert found.proven


def test_a_pair_too_dear_for_the_budget_makes_no_ray_doubtful() -> None:
    # Rounding errors of the dear pair alone would be larger than all that is missing, but no plan can take it.
    acc, cost = np.full((2, 2), 0.5), np.array([[1e-43, 1e-52], [1e-60, 4.6e14]])
    _, solution = certified(acc=acc, cost=cost, budget=3.8e14, resources=[Resource("cost", 1.3, sense=">=", name="spent")])
    assert solution.certificate is not None
    assert solution.certificate.kind == "ray"


def test_a_limit_that_rules_a_pair_out_helps_a_rounded_ray() -> None:
    floor, tokens = 0.9047619047619048, Resource(74.76635214888881, [41.107, 78.518], per="model", name="tokens")
    problem, solution = certified(acc=[[0.9375, 0.875]], cost=[[1.0, 2.0]], min_accuracy=floor, resources=[tokens])
    found = verify(problem, solution)
    assert (found.ok, found.proven) == (True, True)


def test_a_search_is_a_certificate_only_where_all_plans_can_be_tried() -> None:
    acc, cost, _, _ = batch(6, 3, 0, "uniform")
    sums = sorted(math.fsum(cost[np.arange(6), plan]) for plan in itertools.product(range(3), repeat=6))
    gaps = np.diff(sums)
    at = 300 + int(np.argmax(gaps[300:400]))
    low, high = sums[at] + 0.3 * gaps[at], sums[at + 1] - 0.3 * gaps[at]
    between = [Resource("cost", low, sense=">=", name="low"), Resource("cost", high, name="high")]
    problem, solution = certified(acc=acc, cost=cost, resources=between)
    assert solution.certificate is not None
    assert solution.certificate.kind == "search"
    checked, trusted = verify(problem, solution), verify(problem, solution, effort=10)
    assert (checked.ok, checked.proven, checked.support) == (True, True, "enumeration")
    assert (trusted.ok, trusted.proven, trusted.support) == (True, False, "search")
    # A wider interval holds a plan.
    wider = [Resource("cost", sums[at], sense=">=", name="low"), Resource("cost", high, name="high")]
    found = verify(Problem(acc, cost, resources=wider), solution)
    assert any("there is a plan" in text for text in found.findings)


@pytest.mark.parametrize("n", [30, 3000])
def test_a_query_without_a_model_is_a_certificate(n: int) -> None:
    allowed = np.ones((n, 3), bool)
    allowed[n - 2] = False
    problem, solution = certified(acc=np.ones((n, 3)), cost=np.ones((n, 3)), allowed=allowed)
    assert verify(problem, solution).support == "certificate"
    other = replace(solution, certificate=replace(solution.certificate, query=3))
    assert not verify(problem, other).ok
    for query in (-1, n, None, "3"):
        assert not verify(problem, replace(solution, certificate=replace(solution.certificate, query=query))).ok


def test_a_corrupted_ray_is_caught() -> None:
    problem, solution = certified(acc=ONES, cost=ONES, caps=[10, 10, 9])
    data = tampered(solution)
    for caps in (
        [0, 0, 0],
        [1, 1, 0],
        [1, 1, 1.2],
        [-1, -1, -1],
        [1, 1, -1],
        [math.nan, 1, 1],
        [math.inf, 1, 1],
        [2, 2, 2.3],
    ):
        bad = copy.deepcopy(data)
        bad["certificate"]["prices"]["caps"] = caps
        assert not verify(problem, bad).ok, caps
    good = copy.deepcopy(data)
    good["certificate"]["prices"]["caps"] = [7.0, 7.0, 7.0]
    assert verify(problem, good).ok
    assert not verify(problem, data | {"certificate": None}).ok
    assert not verify(problem, data | {"certificate": {"kind": "trust me"}}).ok


# What cannot be compared


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"assignment": [0, 1]}, "the plan has 2 queries, expected 40"),
        ({"assignment": [0.5] * 40}, "assignment is float64"),
        ({"load": [1, 2]}, "loads of 2 models, expected 4"),
        ({"duals": {"budget": 0, "min_accuracy": 0, "caps": [1.0], "resources": {}}}, "prices for caps"),
        ({"duals": None}, "the plan has no prices for budget"),
        ({"duals": {}}, "the plan has no prices for budget"),
        ({"duals": {"budget": "x"}}, "the plan has no prices for budget"),
        ({"duals": {"budget": 0.0, "min_accuracy": 0.0, "caps": [0.0] * 4}}, "the plan has no prices for tokens"),
        ({"bound": 10**400}, "the plan's bound is no number: int too large"),
        ({"bound": "x"}, "the plan's bound is no number: could not convert"),
        ({"info": None}, "is not what Solution.to_dict gives"),
        ({"info": {"settings": {"rel_gap": "x"}}}, "the plan's rel_gap is no number"),
        ({"load": [[1], [2, 3]]}, "the plan's load is no list of whole numbers"),
        ({"certificate": 3}, "the plan's certificate is 3, expected an object"),
        ({"certificate": {"kind": "ray"}}, "the plan's certificate is of kind 'ray' and has no prices"),
        ({"certificate": {"kind": "ray", "prices": 3}}, "the plan has no prices for budget"),
        ({"certificate": {"kind": "query"}}, "the plan's certificate is of kind 'query' and has no query"),
    ],
)
def test_what_cannot_be_compared_is_refused(change: dict[str, Any], words: str) -> None:
    problem = rich(0)
    if "certificate" in change:
        change = {"status": "infeasible", "assignment": None} | change
    with pytest.raises(ValueError, match=words):
        verify(problem, tampered(solved(problem), **change))
    data = tampered(solved(problem))
    del data["bound"]
    with pytest.raises(ValueError, match="bound"):
        verify(problem, data)


# Properties


@st.composite
def problems(draw: Any) -> Problem:
    n, m = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind: Kind = draw(st.sampled_from(KINDS))
    acc, cost, _, budget = batch(n, m, int(rng.integers(1000)), kind)
    grid = draw(st.sampled_from([0, 3, 16]))
    if grid:
        acc, cost = np.round(acc * grid) / grid, np.round(cost * grid) / grid
    keywords: dict[str, Any] = {"caps": rng.integers(0, n + 1, m)}
    if draw(st.booleans()):
        keywords["budget"] = max(0.0, budget * draw(st.sampled_from([0.6, 1.0, 1.4])))
    if draw(st.booleans()):
        keywords["min_accuracy"] = draw(st.sampled_from([1 / 3, 0.5, 5 / 16, 2 / 3]))
    if draw(st.booleans()):
        keywords["allowed"] = rng.random((n, m)) < 0.8
    return Problem(acc, cost, **keywords)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_a_tiny_problem_is_always_proven_and_agrees_with_trying_everything(problem: Problem) -> None:
    solution = solved(problem, rel_gap=0)
    found = verify(problem, solution)
    assert found.ok, found
    assert found.proven, found
    n, m = problem.acc.shape
    audits = (problem.audit(np.array(plan)) for plan in itertools.product(range(m), repeat=n))
    values = [audit.objective for audit in audits if audit.ok]
    assert (solution.status is Status.INFEASIBLE) == (not values)
    if values:
        best = max(values) if problem.objective == "accuracy" else min(values)
        assert found.objective == pytest.approx(best, rel=1e-11, abs=1e-11)


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 2**32 - 1))
def test_no_prices_refute_a_plan(problem: Problem, seed: int) -> None:
    """Weak duality, as the checker computes it: at any prices every plan that is admitted is at or above the dual."""
    rng = np.random.default_rng(seed)
    known = [facts(problem, resource, grains=True) for resource in problem.resources]
    prices = [rng.exponential(1.0, resource.limit.size) * np.isfinite(resource.limit) for resource in problem.resources]
    n, m = problem.acc.shape
    for weight in (0.0, -1.0 if problem.objective == "accuracy" else 1.0):
        least = dual_value(problem, known, prices, weight=weight).least
        for plan in itertools.islice(itertools.product(range(m), repeat=n), 300):
            audit = problem.audit(np.array(plan))
            assert not audit.ok or least <= weight * audit.objective


def test_the_dense_solution_of_many_queries_is_checked_in_float64() -> None:
    acc, cost, caps, budget = batch(20_000, 6, 1)
    problem = Problem(acc.astype(np.float32), cost.astype(np.float32), caps, budget)
    solution = solve(problem.acc, problem.cost, caps, budget)
    found = verify(problem, solution)
    assert found.ok
    assert not found.exact
    assert found.gap <= 1e-4
