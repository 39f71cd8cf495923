"""The cost–accuracy curve: grid, bounds, prices, picture."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import omnirouter
from omnirouter import SolveError, frontier


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


def test_drawing_leaves_pyplot_alone(tmp_path: Path) -> None:
    code = (
        "import sys, omnirouter; curve = omnirouter.frontier([[0.9, 0.5]], [[3.0, 1.0]], points=2); "
        f"curve.plot({str(tmp_path / 'c.png')!r}); print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
