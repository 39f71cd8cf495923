"""Fixtures shared by the Python tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from omnirouter import Solution, solver, verify

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real outcome tables; it is not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real outcome tables (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session", autouse=True)
def every_solution_is_verified() -> Iterator[None]:
    """Whatever a test solves, the independent checker has the last word on it."""
    build = solver._solution

    def verified(problem: Any, *rest: Any) -> Solution:
        solution = build(problem, *rest)
        found = verify(problem, solution, effort=3_000)
        assert found.ok, found
        return solution

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "_solution", verified)
        yield
