"""Laws of `solve` beside those of `test_laws.py`: the quality form, input layouts, threads, warm starts, resources."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from instances import KINDS, Kind, batch
from omnirouter import Resource, Solution, Status, solve

SEEDS = st.integers(0, 2**32 - 1)
LAWS = settings(max_examples=40, deadline=None)


@st.composite
def keywords(draw: Any) -> dict[str, Any]:
    """Keywords of `solve` for up to 15 × 5 numbers, either form."""
    n, m = draw(st.integers(1, 15)), draw(st.integers(1, 5))
    kind: Kind = draw(st.sampled_from(KINDS))
    acc, cost, caps, budget = batch(n, m, draw(SEEDS), kind)
    given: dict[str, Any] = {"acc": acc, "cost": cost, "caps": caps}
    if draw(st.booleans()):
        return given | {"budget": budget * draw(st.floats(0.5, 3))}
    return given | {"min_accuracy": draw(st.floats(0, 1)) * float(acc.max(axis=1).mean())}


def exact(**given: Any) -> Solution:
    return solve(**given, rel_gap=0)


def close(a: float, b: float) -> None:
    np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-12)


@LAWS
@given(keywords())
def test_the_plan_is_within_the_bound_and_the_audit_sums_the_same(given: dict[str, Any]) -> None:
    solution = exact(**given)
    assert solution.status in (Status.OPTIMAL, Status.INFEASIBLE)
    if solution.assignment is None:
        assert np.isnan(solution.objective)
        assert solution.gap == np.inf
        assert not solution.load.any()
        return
    audit = solution.problem.audit(solution.assignment)
    assert audit.ok
    close(audit.objective, solution.objective)
    close(audit.spend, solution.spend)
    close(audit.accuracy, solution.accuracy)
    assert audit.load.tolist() == solution.load.tolist()
    sign = 1 if solution.problem.objective == "accuracy" else -1
    assert sign * solution.objective <= sign * solution.bound


@LAWS
@given(keywords(), SEEDS)
def test_order_does_not_matter_in_either_form(given: dict[str, Any], seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, m = given["acc"].shape
    rows, columns = rng.permutation(n), rng.permutation(m)
    moved = {name: given[name][np.ix_(rows, columns)] for name in ("acc", "cost")}
    a, b = exact(**given), exact(**(given | moved | {"caps": given["caps"][columns]}))
    assert a.status is b.status
    close(a.objective, b.objective)


@LAWS
@given(keywords(), st.floats(0, 1), st.integers(0, 3))
def test_looser_limits_never_hurt_in_either_form(given: dict[str, Any], looser: float, slots: int) -> None:
    loose = given | {"caps": given["caps"] + slots}
    if "budget" in given:
        loose["budget"] = given["budget"] * (1 + looser)
    else:
        loose["min_accuracy"] = given["min_accuracy"] * (1 - looser)
    a, b = exact(**given), exact(**loose)
    if a.assignment is None:
        return
    assert b.status is Status.OPTIMAL
    sign = 1 if a.problem.objective == "accuracy" else -1
    assert sign * b.objective >= sign * a.objective - 1e-12 * abs(a.objective)


@LAWS
@given(keywords(), st.integers(-30, 30))
def test_powers_of_two_of_money_change_no_bit_of_the_plan(given: dict[str, Any], power: int) -> None:
    factor = 2.0**power
    scaled = given | {"cost": given["cost"] * factor}
    if "budget" in given:
        scaled["budget"] = given["budget"] * factor
    a, b = exact(**given), exact(**scaled)
    assert a.status is b.status
    if a.assignment is None:
        return
    money = a.problem.objective == "cost"
    close(a.objective * (factor if money else 1), b.objective)
    close(a.duals.budget, b.duals.budget * factor)
    close(a.duals.min_accuracy * (factor if money else 1), b.duals.min_accuracy)
    np.testing.assert_allclose(a.duals.caps * (factor if money else 1), b.duals.caps, rtol=1e-9, atol=1e-12)


@LAWS
@given(keywords(), SEEDS)
def test_duals_bound_the_optimum_by_weak_duality(given: dict[str, Any], seed: int) -> None:
    """Prices recomputed in numpy: sum of best priced choices plus what the limits are worth is no worse than the bound."""
    solution = exact(**given)
    if solution.assignment is None:
        return
    acc, cost, duals, n = given["acc"], given["cost"], solution.duals, len(given["acc"])
    caps = float(duals.caps @ given["caps"])
    if "budget" in given:
        value = float((acc - duals.budget * cost - duals.caps).max(axis=1).sum()) + duals.budget * given["budget"] + caps
        assert value >= solution.objective - 1e-9
    else:
        floor = duals.min_accuracy / n
        value = float((cost - floor * acc + duals.caps).min(axis=1).sum()) + floor * given["min_accuracy"] * n - caps
        assert value <= solution.objective + 1e-9 * abs(solution.objective)


@LAWS
@given(keywords(), SEEDS)
def test_a_resource_says_the_same_as_its_short_name(given: dict[str, Any], seed: int) -> None:
    plain = exact(**given)
    resources = [Resource(1.0, given["caps"], per="model", name="slots")]
    rest = {name: value for name, value in given.items() if name != "caps"}
    if "budget" in rest:
        resources.append(Resource("cost", rest.pop("budget"), name="money"))
        other = exact(**rest, resources=resources)
    else:
        other = exact(**rest, resources=resources)
    assert plain.status is other.status
    close(plain.objective, other.objective)


@LAWS
@given(keywords())
def test_groups_of_one_query_forbid_what_they_cannot_afford(given: dict[str, Any]) -> None:
    n = len(given["acc"])
    most = np.median(given["cost"], axis=1)
    as_group = exact(**given, resources=[Resource("cost", most, per=np.arange(n), name="each")])
    as_mask = exact(**given, allowed=given["cost"] <= most[:, None])
    assert as_group.status is as_mask.status
    close(as_group.objective, as_mask.objective)


def layouts(matrix: NDArray[Any], folder: Any) -> dict[str, NDArray[Any]]:
    """The same numbers in memory that is laid out otherwise; all read-only."""
    file = folder / f"{len(list(folder.iterdir()))}.bin"
    mapped = np.memmap(file, dtype=matrix.dtype, mode="w+", shape=matrix.shape)
    mapped[:] = matrix
    mapped.flush()
    unaligned = np.frombuffer(b"\0" + matrix.tobytes(), dtype=np.uint8)[1:].view(matrix.dtype).reshape(matrix.shape)
    out = {
        "C": matrix.copy(),
        "Fortran": np.asfortranarray(matrix),
        "every second column": np.repeat(matrix, 2, axis=1)[:, ::2],
        "backwards": matrix[::-1].copy()[::-1],
        "memory-mapped": np.memmap(file, dtype=matrix.dtype, mode="r", shape=matrix.shape),
        "unaligned": unaligned,
        "other byte order": matrix.astype(matrix.dtype.newbyteorder()),
    }
    for array in out.values():
        array.flags.writeable = False
    return out


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, np.int16, np.uint8, np.int64])
def test_every_layout_and_type_equals_its_float64_copy(dtype: Any, tmp_path: Any) -> None:
    acc, cost, caps, _ = batch(700, 6, seed=3)
    acc, cost = np.round(acc * 16), np.ceil(cost * 1e4)
    if np.dtype(dtype).kind == "f":
        acc, cost = acc / 16, cost / 7
    acc, cost = acc.astype(dtype), np.minimum(cost, 250).astype(dtype)
    budget = float(cost.astype(float).mean() * 700 * 0.7)
    expected = solve(acc.astype(np.float64), cost.astype(np.float64), caps, budget)
    assert expected.status is Status.OPTIMAL
    for name, a in layouts(acc, tmp_path).items():
        c = layouts(cost, tmp_path)[name]
        before = a.tobytes(), c.tobytes()
        solution = solve(a, c, caps, budget)
        assert solution.assignment.tolist() == expected.assignment.tolist(), name
        assert (solution.objective, solution.bound) == (expected.objective, expected.bound), name
        assert (a.tobytes(), c.tobytes()) == before, name


@pytest.mark.parametrize(("kind", "form"), [("cont", "budget"), ("class", "min_accuracy"), ("uniform", "min_accuracy")])
def test_threads_change_no_bit(kind: Kind, form: str) -> None:
    acc, cost, caps, budget = batch(20_000, 8, 1, kind)
    limit = {"budget": budget} if form == "budget" else {"min_accuracy": float(acc.mean())}
    first, *others = (solve(acc, cost, caps, threads=threads, **limit) for threads in (1, 2, 3, 8))
    assert first.gap <= 1e-4
    for other in others:
        assert other.assignment.tobytes() == first.assignment.tobytes()
        assert (other.objective, other.bound, other.gap) == (first.objective, first.bound, first.gap)
        assert other.duals.to_dict() == first.duals.to_dict()


@pytest.mark.parametrize("kind", KINDS)
def test_a_warm_start_reaches_the_objective_within_the_gap(kind: Kind) -> None:
    acc, cost, caps, budget = batch(9000, 6, 2, kind)
    cold = solve(acc, cost, caps, budget)
    for start in (cold.duals, solve(acc, cost, caps, budget * 1.2).duals, solve(acc[:500], cost[:500], None, budget).duals):
        warm = solve(acc, cost, caps, budget, warm_start=start)
        assert warm.status is cold.status
        # A gap is relative to the larger of objective and bound.
        largest = max(abs(solution.bound) for solution in (warm, cold))
        assert abs(warm.objective - cold.objective) <= (cold.gap + warm.gap) * largest + 1e-9
