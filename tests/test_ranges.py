"""`price_ranges`: inside, the relaxation changes by exactly the price; outside, by another slope; HiGHS is the judge."""

from __future__ import annotations

import math

import highspy
import numpy as np
import pytest
from scipy import sparse

from instances import KINDS, Kind, batch
from omnirouter import PriceRange, Problem, Resource, price_ranges, solve
from omnirouter.solver import solve_problem
from test_solver_judge import judge, limits


def moved(problem: Problem, found: PriceRange, limit: float) -> float:
    """Best value of the relaxation with one limit elsewhere."""
    resources = []
    for r, resource in enumerate(problem.resources):
        limits = resource.limit.copy()
        if found.limit[0] == r:
            limits[found.limit[1]] = limit * (problem.n_queries if resource.name == "min_accuracy" else 1)
        per = resource.per if isinstance(resource.per, str) else np.asarray(resource.per)
        resources.append(Resource(resource.usage, limits, per=per, sense=resource.sense, name=f"r{r}"))
    other = Problem(problem.acc, problem.cost, resources=resources, allowed=problem.allowed, objective=problem.objective)
    return judge(other, relaxed=True).bound


def check(problem: Problem, found: PriceRange) -> None:
    """The value moves by the price up to both ends, and by less (more) beyond them."""
    sense = problem.resources[found.limit[0]].sense
    # One unit more of a maximum helps; so does one less of a minimum. Help is a gain in accuracy or a saving of cost.
    gain = found.price * (1 if sense == "<=" else -1) * (1 if problem.objective == "accuracy" else -1)
    here = moved(problem, found, found.at)
    near = 1e-7 * (1 + abs(here))
    for end, outwards in ((found.low, -1), (found.high, 1)):
        if math.isinf(end):
            continue
        assert moved(problem, found, end) == pytest.approx(here + gain * (end - found.at), abs=near)
        beyond = end + outwards * max(0.02 * abs(found.at), 1e-3)
        with np.errstate(invalid="ignore"):
            value, line = moved(problem, found, beyond), here + gain * (beyond - found.at)
        # Beyond, less is gained or more is lost; NaN: no plan is left there.
        assert math.isnan(value) or (line - value if problem.objective == "accuracy" else value - line) >= -near


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", ["budget", "min_accuracy"])
def test_the_value_moves_by_the_price_inside_a_range(kind: Kind, form: str) -> None:
    acc, cost, caps, budget = batch(30, 4, 5, kind)
    best = solve(acc, cost, caps).accuracy
    limit = {"budget": budget} if form == "budget" else {"min_accuracy": 0.95 * best}
    problem = Problem(acc, cost, caps, **limit)
    ranges = price_ranges(solve_problem(problem), tolerance=0)
    assert len(ranges) == 5
    for found in ranges:
        assert found.low <= found.at * (1 + 1e-9) + 1e-9
        assert found.high >= found.at * (1 - 1e-9) - 1e-9
        check(problem, found)


def test_minima_tokens_and_tenants_have_ranges_too() -> None:
    acc, cost, _, budget = batch(40, 4, 2, "uniform")
    rng = np.random.default_rng(0)
    tokens, tenant = rng.lognormal(0, 0.5, 40), rng.integers(0, 2, 40)
    resources = [
        Resource(tokens[:, None], np.full(4, tokens.sum() * 0.3), per="model", name="tokens"),
        Resource("cost", [0.5 * budget] * 2, per=tenant, name="tenant"),
        Resource(1.0, [12, 2, -math.inf, 11], per="model", sense=">=", name="reserved"),
    ]
    problem = Problem(acc, cost, resources=resources)
    ranges = {found.name: found for found in price_ranges(solve_problem(problem), tolerance=0)}
    assert "reserved[2]" not in ranges
    assert len(ranges) == 9
    assert sum(found.price > 0 for found in ranges.values()) >= 3
    for found in ranges.values():
        check(problem, found)


def test_a_limit_that_does_not_bind_has_no_upper_end() -> None:
    acc, cost, _, budget = batch(50, 4, 1, "uniform")
    solution = solve(acc, cost, [50, 50, 50, 50], budget)
    used = {found.name: found for found in price_ranges(solution)}
    for j in range(4):
        assert used[f"caps[{j}]"].high == math.inf
        assert used[f"caps[{j}]"].low == pytest.approx(solution.load[j], abs=2)


def test_a_tolerance_widens_the_range_to_where_the_price_has_moved_by_it() -> None:
    acc, cost, caps, budget = batch(400, 5, 3, "uniform")
    solution = solve(acc, cost, caps, budget, rel_gap=1e-3)
    last = (math.inf, -math.inf)
    for tolerance in (0.0, 0.01, 0.1, 0.5):
        money = price_ranges(solution, tolerance=tolerance)[0]
        assert money.low <= last[0]
        assert money.high >= last[1]
        last = money.low, money.high
        for end, outwards in ((money.low, 1 + tolerance), (money.high, 1 - tolerance)):
            inner, outer = (solve(acc, cost, caps, end * f, rel_gap=1e-3).duals.budget for f in (1 - 2e-3, 1 + 2e-3))
            assert outer * (1 - 1e-6) <= money.price * outwards <= inner * (1 + 1e-6)


@pytest.mark.parametrize("kind", ["cont", "uniform"])
def test_which_queries_are_sampled_does_not_matter(kind: Kind) -> None:
    acc, cost, caps, budget = batch(12_000, 5, 4, kind)
    first = price_ranges(solve(acc, cost, caps, budget))
    order = np.random.default_rng(0).permutation(12_000)
    second = price_ranges(solve(acc[order], cost[order], caps, budget))
    for a, b in zip(first, second, strict=True):
        # The prices themselves are those of a gap of 1e-4.
        np.testing.assert_allclose([a.price, a.low, a.high], [b.price, b.low, b.high], rtol=3e-3, atol=1.01)


def test_what_has_no_prices_is_refused() -> None:
    with pytest.raises(ValueError, match="has no prices"):
        price_ranges(solve([[0.5]], [[1.0]], budget=0.5))
    with pytest.raises(ValueError, match="tolerance is -1"):
        price_ranges(solve([[0.5]], [[1.0]]), tolerance=-1)


@pytest.mark.parametrize("seed", range(6))
def test_the_range_of_the_budget_is_that_of_highs(seed: int) -> None:
    """HiGHS ranges the limits for its basis; where that is the only one, as for the budget here, both say the same."""
    acc, cost, caps, budget = batch(40, 4, seed, "uniform")
    problem = Problem(acc, cost, caps, budget)
    matrix, _, upper = limits(problem)
    rows = sparse.vstack([sparse.kron(sparse.identity(40), np.ones((1, 4))), matrix]).tocsc()
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = 160, rows.shape[0]
    lp.col_cost_, lp.col_lower_, lp.col_upper_ = -acc.ravel(), np.zeros(160), np.full(160, highspy.kHighsInf)
    lp.row_lower_ = np.concatenate([np.ones(40), np.full(5, -highspy.kHighsInf)])
    lp.row_upper_ = np.concatenate([np.ones(40), upper])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = rows.indptr, rows.indices, rows.data
    highs = highspy.Highs()
    highs.silent()
    highs.passModel(lp)
    highs.run()
    _, ranging = highs.getRanging()
    found = price_ranges(solve_problem(problem), tolerance=0)[0]
    size = cost.max()
    expected = [ranging.row_bound_dn.value_[40] * size, ranging.row_bound_up.value_[40] * size]
    np.testing.assert_allclose([found.low, found.high], expected, rtol=1e-9)
