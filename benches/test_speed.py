"""pytest-benchmark of the Python face (`make bench-python`); simulated batches. Timings are printed, never asserted."""

from __future__ import annotations

from typing import Any

import pytest

import omnirouter
from batches import routing


@pytest.mark.parametrize(("n", "m", "gap"), [(64, 10, 1e-3), (256, 32, 1e-3), (10_000, 10, 1e-4), (100_000, 10, 1e-4)])
def test_solve(benchmark: Any, n: int, m: int, gap: float) -> None:
    batch = routing(n, m)
    solution = benchmark(omnirouter.solve, *batch, rel_gap=gap)
    assert solution.gap <= gap
    benchmark.extra_info.update(gap=solution.gap, passes=solution.info.passes)


@pytest.mark.parametrize(("n", "m"), [(64, 10), (256, 32)])
def test_problem_without_the_solve(benchmark: Any, n: int, m: int) -> None:
    batch = routing(n, m)
    problem = benchmark(omnirouter.Problem, *batch)
    assert problem.acc is batch.acc
