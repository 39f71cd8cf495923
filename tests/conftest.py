"""Fixtures shared by the Python tests."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from omnirouter import Problem, Solution, solver, verify

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real outcome tables; it is not part of the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real outcome tables (../shared/data) are not on this machine")
    return SHARED_DATA


@pytest.fixture(scope="session")
def fitted_router() -> Any:
    """The router of `routers`, fitted once."""
    from omnirouter.predictor import embedded_encoder
    from omnirouter.router import Router
    from routers import make_outcomes, make_pool

    return Router.fit(make_outcomes(), make_pool(), encoder=embedded_encoder(threads=1))


@pytest.fixture
def router(fitted_router: Any) -> Any:
    """It without the prices of another test's batch."""
    return type(fitted_router)(fitted_router.predictor, fitted_router.pool)


@pytest.fixture(scope="session")
def report() -> Any:
    """An evaluation of simulated outcomes, made once."""
    from omnirouter import evaluate
    from routers import labelled

    return evaluate(labelled(), predictors=["knn"], points=8, resamples=100)


@pytest.fixture
def start() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts processes that Ctrl-C reaches and that end with the test, however that ends.

    What a shell runs in the background ignores Ctrl-C and hands that down; a handler of our own is not handed down.
    """
    before, children = signal.signal(signal.SIGINT, signal.default_int_handler), []

    def popen(command: list[Any], **keywords: Any) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        children.append(subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, **keywords))
        return children[-1]

    yield popen
    signal.signal(signal.SIGINT, before)
    for child in children:
        with child:
            child.kill()


@pytest.fixture(scope="session", autouse=True)
def every_solution_is_verified() -> Iterator[None]:
    """Whatever a test solves, the independent checker has the last word on it."""
    build = solver._solution

    def verified(problem: Any, *rest: Any) -> Solution:
        solution = build(problem, *rest)
        if isinstance(problem, Problem):  # the rows of an oracle are not here; its tests compare it with rows in memory
            found = verify(problem, solution, effort=3_000)
            assert found.ok, found
        return solution

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(solver, "_solution", verified)
        yield
