"""Ctrl-C in every phase of a solve, and solves from several threads and processes (see also test_process.py)."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

from instances import batch
from omnirouter import ShardedOracle, solve, solve_oracle

# A solve that would run far longer than the test, then another one to show that the process is still in order.
PROGRAM = """
import time, numpy as np, omnirouter
rng = np.random.default_rng(0)
{setup}
small = rng.random((50, 3))
print("ready", flush=True)
try:
    while True:
        {solve}
except KeyboardInterrupt:
    start = time.perf_counter()
    again = omnirouter.solve(small, small, budget=20.0)
    print("stopped", again.status.value, flush=True)
"""
LARGE = (
    "acc = rng.random((1_500_000, 12), dtype=np.float32); cost = rng.random((1_500_000, 12), dtype=np.float32)",
    "omnirouter.solve(acc, cost, np.full(12, 127_000), budget=400_000.0)",
)
# Subset sums of odd numbers below an even limit: no bound can close the search.
EXACT = (
    "cost = np.stack([np.zeros(60), 2.0 * rng.integers(10**6, 10**7, 60) + 0.5], axis=1); acc = cost / cost.max()",
    "omnirouter.solve(acc, cost, budget=float(cost.sum() / 2), rel_gap=0)",
)
# The limits conflict; the nearest value of each is a solve of its own.
DIAGNOSIS = (
    "acc = rng.random((400_000, 12), dtype=np.float32); cost = rng.random((400_000, 12), dtype=np.float32)",
    "omnirouter.solve(acc, cost, np.full(12, 33_400), budget=1000.0, min_accuracy=0.9)",
)
RANGES = (
    "acc = rng.random((200_000, 12)); cost = rng.random((200_000, 12)); "
    "solution = omnirouter.solve(acc, cost, np.full(12, 17_000), budget=50_000.0)",
    "omnirouter.price_ranges(solution)",
)
FRONTIER = (LARGE[0], "omnirouter.frontier(acc, cost, np.full(12, 127_000), points=50)")
VERIFY = (
    f"{LARGE[0]}; solution = omnirouter.solve(acc, cost, np.full(12, 127_000), budget=400_000.0)",
    "omnirouter.verify(solution.problem, solution)",
)
SHARDS = (
    f"{LARGE[0]}; oracle = omnirouter.ShardedOracle([[(acc[::2], cost[::2])], [(acc[1::2], cost[1::2])]])",
    "omnirouter.solve_oracle(oracle, np.full(12, 127_000), budget=400_000.0)",
)
CALLBACK = (
    "acc = cost = rng.random((4000, 6))",
    "omnirouter.solve(acc, cost, budget=1500.0, callback=lambda p: time.sleep(0.2))",
)

# The thread that reads sits in the code of the source for longer than the test.
SOURCE = (
    """
class Slow:
    def __iter__(self):
        yield np.ones((10, 2)), np.ones((10, 2))
        time.sleep(20)
""",
    "omnirouter.solve_oracle(omnirouter.ChunkedOracle(Slow(), n_queries=10), budget=20.0)",
)

# The same in the third reading of a shard: the first counts rows, the second checks them, then it answers a question.
SHARD_SOURCE = (
    """
class Slow:
    readings = 0
    def __iter__(self):
        self.readings += 1
        yield np.ones((10, 2)), np.ones((10, 2))
        if self.readings > 2:
            time.sleep(20)
""",
    "omnirouter.solve_oracle(omnirouter.ShardedOracle([Slow()]), budget=20.0)",
)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("wait", [0.2, 0.9])
@pytest.mark.parametrize(
    "work",
    [LARGE, EXACT, DIAGNOSIS, RANGES, FRONTIER, VERIFY, SHARDS, CALLBACK, SOURCE, SHARD_SOURCE],
    ids=[
        *["passes", "exact search", "diagnosis", "ranges", "frontier", "verify", "shards"],
        *["callback", "source", "source of a shard"],
    ],
)
def test_ctrl_c_is_raised_promptly_and_leaves_the_process_in_order(
    start: Callable[..., Any], work: tuple[str, str], wait: float
) -> None:
    code = PROGRAM.format(setup=work[0], solve=work[1])
    process = start([sys.executable, "-c", code])
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(wait)
    sent = time.perf_counter()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert out == "stopped optimal\n", errors
    assert process.returncode == 0
    assert time.perf_counter() - sent < 5


# The thread that reads is in Python's code while the interpreter ends, and lets it go and waits for it time and again: up to
# Python 3.13 that would be the end of the thread, and with it of the process.
ENDS = """
import signal, time, numpy as np, omnirouter
class Busy:
    def __iter__(self):
        yield np.ones((10, 2)), np.ones((10, 2))
        end = time.perf_counter() + 0.6
        while time.perf_counter() < end:
            np.copyto(*np.empty((2, 100_000)))
        yield np.ones((10, 2)), np.ones((10, 2))
def stop(*_):
    raise InterruptedError
signal.signal(signal.SIGALRM, stop)
signal.setitimer(signal.ITIMER_REAL, 0.2)
try:
    omnirouter.solve_oracle(omnirouter.ChunkedOracle(Busy(), n_queries=20), budget=20.0)
except InterruptedError:
    print("stopped", flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_the_interpreter_ends_in_order_while_a_source_is_being_read(start: Callable[..., Any]) -> None:
    for _ in range(4):
        process = start([sys.executable, "-c", ENDS])
        out, errors = process.communicate(timeout=60)
        assert (out, errors, process.returncode) == ("stopped\n", "", 0)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_shards_that_were_stopped_can_be_solved_again() -> None:
    acc, cost, caps, budget = batch(9_000, 5)

    class Interrupting:
        readings = 0

        def __iter__(self) -> Any:
            self.readings += 1
            yield acc[:4_000], cost[:4_000]
            if self.readings == 4:  # one counts rows, one checks them, then shards answer
                signal.raise_signal(signal.SIGINT)
                time.sleep(0.3)
            yield acc[4_000:], cost[4_000:]

    oracle = ShardedOracle([Interrupting()])
    with pytest.raises(KeyboardInterrupt):
        solve_oracle(oracle, caps, budget)
    again, expected = solve_oracle(oracle, caps, budget), solve(acc, cost, caps, budget)
    assert again.assignment is not None
    assert expected.assignment is not None
    assert again.assignment.tobytes() == expected.assignment.tobytes()
    assert again.bound == expected.bound


def test_solves_run_side_by_side_with_the_same_answers() -> None:
    problems = [batch(6000, 5, seed) for seed in range(4)]
    alone = [solve(*problem) for problem in problems]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda problem: solve(*problem), problems))
    for a, b in zip(alone, together, strict=True):
        assert a.assignment.tobytes() == b.assignment.tobytes()
        assert a.bound == b.bound


def test_threads_race_on_shared_arrays_with_the_same_answers() -> None:
    """All threads read the same matrices and change places every few instructions."""
    acc, cost, caps, budget = batch(800, 5, 9)
    expected = solve(acc, cost, caps, budget)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(solve, acc, cost, caps, budget, callback=lambda _: False) for _ in range(80)]
            solutions = [call.result() for call in calls]
    finally:
        sys.setswitchinterval(interval)
    for solution in solutions:
        assert solution.assignment.tobytes() == expected.assignment.tobytes()
        assert (solution.objective, solution.bound, solution.duals.to_dict()) == (
            expected.objective,
            expected.bound,
            expected.duals.to_dict(),
        )


def test_a_solve_in_a_thread_that_gets_no_signals_ends() -> None:
    acc, cost, caps, budget = batch(6000, 5)
    done = []
    thread = threading.Thread(target=lambda: done.append(solve(acc, cost, caps, budget)))
    thread.start()
    thread.join(60)
    assert done[0].assignment is not None


def test_a_callback_may_solve_another_problem() -> None:
    acc, cost, caps, budget = batch(4000, 5)
    inner = []
    solve(acc, cost, caps, budget, callback=lambda _: inner.append(solve(acc[:50], cost[:50])) and None)
    assert inner
    assert all(solution.assignment is not None for solution in inner)


def _solve_in_worker(seed: int) -> bytes:
    acc, cost, caps, budget = batch(15_000, 5, seed)
    return bytes(solve(acc, cost, caps, budget, threads=2).assignment.tobytes())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pool_of_forked_workers_gives_the_parents_answers() -> None:
    expected = [_solve_in_worker(seed) for seed in range(4)]
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert pool.map_async(_solve_in_worker, range(4)).get(120) == expected


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_children_forked_after_a_threaded_solve_solve_with_threads_of_their_own() -> None:
    acc, cost, caps, budget = batch(30_000, 6)
    expected = solve(acc, cost, caps, budget, threads=2)
    children = []
    for _ in range(2):
        child = os.fork()
        if child == 0:
            signal.alarm(60)
            same = solve(acc, cost, caps, budget, threads=2).assignment.tobytes() == expected.assignment.tobytes()
            os._exit(0 if same else 1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    assert np.array_equal(solve(acc, cost, caps, budget, threads=2).assignment, expected.assignment)
