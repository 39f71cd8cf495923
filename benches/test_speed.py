"""pytest-benchmark of the Python face (`make bench-python`); simulated instances. Timings are printed, never asserted."""

from __future__ import annotations

from typing import Any

import pytest

import omnirouter
from batches import routing


@pytest.mark.parametrize(("n", "m"), [(64, 10), (256, 32), (10_000, 10), (100_000, 10)])
def test_solve(benchmark: Any, n: int, m: int) -> None:
    batch = routing(n, m)
    solution = benchmark(omnirouter.solve, *batch)
    assert solution.gap <= 1e-4
    benchmark.extra_info.update(gap=solution.gap, passes=solution.info.passes)
