"""The cost–accuracy curve: grid, bounds, prices, picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import omnirouter
from omnirouter import Problem, Resource, Solution, SolveError, frontier, solver
from omnirouter.curve import Drawn, Point, draw
from omnirouter.solver import core_settings


def problem(seed: int, n: int = 120, m: int = 4) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.random((n, m)), rng.random((n, m)) + 0.01


def test_the_curve_goes_from_the_cheapest_to_the_most_accurate_plan() -> None:
    acc, cost = problem(0)
    curve = frontier(acc, cost, points=7)
    assert curve.budgets[0] == pytest.approx(cost.min(axis=1).sum(), rel=1e-3)
    assert curve.accuracy[-1] == pytest.approx(acc.max(axis=1).mean(), rel=1e-3)
    assert np.allclose(np.diff(np.log(curve.budgets)), np.log(curve.budgets[-1] / curve.budgets[0]) / 6)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_point_is_within_its_budget_and_under_its_bound(seed: int) -> None:
    acc, cost = problem(seed, n=40)
    curve = frontier(acc, cost, [10, None, 20, None], points=6)
    assert np.all(curve.spend <= curve.budgets)
    assert np.all(curve.accuracy <= curve.bound * (1 + 1e-12))
    assert np.all(curve.bound - curve.accuracy <= 1e-4 * curve.bound + 1e-12)
    # More money never hurts, up to the gap.
    assert np.all(np.diff(curve.accuracy) >= -1e-4)
    assert np.all(curve.price >= 0)


def test_a_point_is_what_solve_finds() -> None:
    acc, cost = problem(1)
    curve = frontier(acc, cost, budgets=[30.0, 40.0], rel_gap=0)
    for budget, accuracy in zip(curve.budgets, curve.accuracy, strict=True):
        assert omnirouter.solve(acc, cost, budget=budget, rel_gap=0).accuracy == pytest.approx(accuracy, rel=1e-12)


def test_progress_counts_to_the_last_budget() -> None:
    seen = []
    frontier(*problem(2), points=3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"points": 1}, "points is 1"),
        ({"budgets": []}, r"budgets has shape \(0,\)"),
        ({"budgets": 3.0}, r"budgets has shape \(\)"),
        ({"budgets": "abc"}, "budgets is not a vector of numbers"),
        ({"budgets": [1.0, 10**400]}, "budgets is not a vector of numbers: int too large"),
        ({"budgets": [np.nan]}, "budget is nan"),
    ],
)
def test_bad_grids_are_named(arguments: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        frontier(*problem(3), **arguments)


def test_a_budget_that_admits_no_plan_is_an_error() -> None:
    with pytest.raises(SolveError, match=r"budget 0\.1 cannot be met"):
        frontier(*problem(4), budgets=[0.1, 30.0])


def test_to_dict_holds_plain_lists() -> None:
    curve = frontier(*problem(5), points=3)
    data = curve.to_dict()
    assert sorted(data) == ["accuracy", "bound", "budgets", "price", "spend"]
    assert all(type(entry) is float for column in data.values() for entry in column)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_picture_is_drawn_also_where_models_are_free(tmp_path: Path, free: bool, suffix: str) -> None:
    acc, cost = problem(6)
    curve = frontier(acc, cost * np.array([0.0 if free else 1.0, 1, 2, 3]), points=4)
    out = tmp_path / f"curve.{suffix}"
    singles = [("a", 0.0 if free else 1.0, 0.4), ("b", 9.0, 0.6)]
    curve.plot(out, plan=(curve.spend[1], curve.accuracy[1]), singles=singles, title="a picture")
    assert out.stat().st_size > 5000


@pytest.mark.parametrize(("widest", "scale"), [(9.0, "linear"), (1000.0, "log")])
def test_a_narrow_range_of_spends_is_drawn_on_a_linear_axis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, widest: float, scale: str
) -> None:
    drawn: list[Any] = []
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda figure, *_, **__: drawn.append(figure))
    acc, cost = problem(6)
    curve = frontier(acc, cost + 1.0, points=3)
    curve.plot(tmp_path / "curve.png", singles=[("a", float(curve.spend[0]) / 9.0 * widest, 0.4)])
    assert drawn[0].axes[0].get_xscale() == scale


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys, omnirouter; curve = omnirouter.frontier([[0.9, 0.5]], [[3.0, 1.0]], points=2); "
        f"curve.plot({str(tmp_path / 'c.png')!r}); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


# Many budgets at once


def large(seed: int = 0, n: int = 6_000, m: int = 6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A batch large enough for budgets to share reads: accuracies k/16, single precision costs, caps that bind."""
    rng = np.random.default_rng(seed)
    skill = np.linspace(-0.5, 1.5, m) + rng.normal(0, 0.5, (n, m))
    acc = (np.rint(16 / (1 + np.exp(-skill))) / 16).astype(np.float32)
    cost = (1e-4 * np.exp(np.linspace(0, 3, m)) * rng.lognormal(0, 0.5, (n, m))).astype(np.float32)
    return acc, cost, np.ceil(1.6 * n * np.full(m, 1 / m))


def solution_of(problem: Problem, point: Point) -> Solution:
    """A point as a solution; building it has it verified (conftest.py)."""
    assert point.assignment is not None
    audit = problem.audit(point.assignment)
    assert audit.ok
    load = np.bincount(point.assignment, minlength=problem.n_models).tolist()
    raw = {
        "status": "optimal",
        "assignment": point.assignment,
        "objective": point.objective,
        "bound": point.bound,
        "dual_bound": point.bound,
        "gap": abs(point.bound - point.objective) / max(abs(point.bound), abs(point.objective)),
        "duals": point.prices,
        "tally": ([point.objective, point.spend], load, []),
        "conflicts": [],
        "certificate": None,
        "passes": 0,
        "nodes": 0,
        "times": (0.0, 0.0, 0.0),
    }
    return solver._solution(problem, raw, {"rel_gap": 1e-4})


def drawn(problem: Problem, budgets: np.ndarray | None, count: int = 0, **keywords: object) -> Drawn:
    return draw(problem, budgets, count, core_settings(threads=1), plans=True, **keywords)


LIMITS = {
    "caps": lambda acc, cost, rng: {},
    "tokens": lambda acc, cost, rng: {
        "resources": [
            Resource(rng.integers(20, 400, len(acc)).astype(float), np.full(6, 50.0 * len(acc)), per="model", name="tokens")
        ]
    },
    "latency": lambda acc, cost, rng: {
        "resources": [Resource(rng.lognormal(0, 0.4, acc.shape), 0.98 * len(acc), name="latency")]
    },
    "tenants": lambda acc, cost, rng: {
        "resources": [Resource(acc, np.full(5, 0.5 * len(acc) / 5), per=np.arange(len(acc)) % 5, sense=">=", name="floors")]
    },
    "minima": lambda acc, cost, rng: {
        "resources": [Resource(1.0, np.full(6, 0.05 * len(acc)), per="model", sense=">=", name="reserved")]
    },
    "forbidden": lambda acc, cost, rng: {"allowed": rng.random(acc.shape) < 0.8},
}


@pytest.mark.parametrize("kind", LIMITS)
def test_budgets_that_share_reads_are_proven_under_every_kind_of_limit(kind: str) -> None:
    acc, cost, caps = large()
    more = LIMITS[kind](acc, cost, np.random.default_rng(1))
    least = omnirouter.solve(acc, cost, caps, objective="cost", **more).spend
    budgets = least * np.geomspace(1.1, 4, 8)
    found = drawn(Problem(acc, cost, caps, 1.0, **more), budgets)
    # The others are left to single solves.
    assert sum(point is not None for point in found.points) >= 6
    for budget, point in zip(budgets, found.points, strict=True):
        if point is None:
            continue
        solution = solution_of(Problem(acc, cost, caps, budget, **more), point)
        assert solution.gap <= 1e-4
        single = omnirouter.solve(acc, cost, caps, budget, **more)
        assert point.objective <= single.bound * (1 + 1e-12)
        assert point.bound >= single.objective * (1 - 1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_fifty_budgets_take_few_reads(seed: int) -> None:
    acc, cost, caps = large(seed, n=20_000)
    found = drawn(Problem(acc, cost, caps, 1.0), None, 50)
    assert len(found.budgets) == 50
    # The others, where a limit begins to bind, are left to single solves.
    assert sum(point is not None for point in found.points) >= 47
    assert found.passes <= 8
    ratios = np.diff(np.log(found.budgets))
    assert np.allclose(ratios, ratios[0])
    least = omnirouter.solve(acc, cost, caps, objective="cost")
    most = omnirouter.solve(acc, cost, caps)
    assert least.spend * (1 + 1e-3) <= found.budgets[0] <= least.spend * 1.021
    last = [point for point in found.points if point is not None][-1]
    assert last.objective >= most.objective * (1 - 3e-3)
    assert found.budgets[-1] <= most.spend * 1.01


def test_the_curve_has_the_same_bits_for_any_number_of_threads() -> None:
    acc, cost, caps = large(3)
    one, two = (frontier(acc, cost, caps, points=9, threads=threads) for threads in (1, 2))
    assert one.to_dict() == two.to_dict()


def test_a_large_curve_reports_progress_and_impossible_budgets() -> None:
    acc, cost, caps = large(4)
    seen = []
    curve = frontier(acc, cost, caps, points=12, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (12, 12)
    assert np.all(curve.spend <= curve.budgets)
    with pytest.raises(SolveError, match=r"budget .* cannot be met"):
        frontier(acc, cost, caps, budgets=[0.5 * curve.spend[0], 2 * curve.spend[0]])
    with pytest.raises(ZeroDivisionError):
        frontier(acc, cost, caps, points=4, progress=lambda done, total: 1 / 0)


def test_an_exact_curve_is_left_to_single_solves() -> None:
    acc, cost, caps = large(5)
    found = draw(Problem(acc, cost, caps, 1.0), np.array([2.0, 3.0]), 0, core_settings(rel_gap=0.0))
    assert found.points == [None, None]
    assert found.passes == 0
