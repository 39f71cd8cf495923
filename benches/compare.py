"""omnirouter against other solvers and the plain subgradient method: simulated batches, one run, medians and ratios.

    python benches/compare.py [--quick] [--limit 60] [--runs 5] [--seed 1] [--json FILE]

Every row of an instance gets the same float32 numbers. omnirouter returns an integer plan with a proven gap, from Python,
checks of its input included; the others are timed inside their run alone, without building the model. All may use two
threads and are asked for a gap of 1e-6. A peer that meets the time limit is shown with ">", and so is the ratio; one that
does not keep to it is ended a minute later. Every answer is recomputed: "check" says ok where its limits hold to 1e-6
(plans: exactly) and its value agrees to 1e-5, else what does not. omnirouter's times are medians of `--runs`; a peer's of
three runs, or of one that takes over two seconds.
The rows of the subgradient method give its time to each gap, against omnirouter's when asked for that gap.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

import numpy as np

import omnirouter
from batches import Batch, routing
from measure import described, lines, median_time, short, table, write_json
from omnirouter import _core
from peers import GAP, INTEGERS, RELAXATIONS, THREADS, Answer
from subgradient import Run, subgradient

# Queries, models, and whether the integer solvers take part.
SIZES = ((64, 10, True), (256, 32, True), (1_000, 10, True), (10_000, 10, True), (100_000, 10, False))
QUICK = ((64, 10, True), (1_000, 10, True))
SMALL = ((64, 10), (256, 32))
SMALL_SEEDS = 9
# Seconds beyond its limit after which a peer is ended: it has to be started and to build its model first.
BUILD = 60.0
PLAIN_GAPS = (1e-3, 1e-4, 1e-6)
COLUMNS = ("instance", "solver", "answer", "value", "time", "omnirouter is faster by", "check")


@dataclass
class Row:
    """One solver on one instance."""

    instance: str
    solver: str
    answer: str
    value: float
    seconds: float
    limited: bool
    ratio: float | None
    check: str

    def cells(self) -> tuple[str, ...]:
        sign = "> " if self.limited else ""
        ratio = (
            "" if self.ratio is None else f"{sign}{self.ratio:,.3g} ×" if self.ratio < 100 else f"{sign}{self.ratio:,.0f} ×"
        )
        value = f"{self.value:.4f}" if np.isfinite(self.value) else "none"
        return self.instance, self.solver, self.answer, value, sign + short(self.seconds), ratio, self.check


def compare(n: int, m: int, integers: bool, seed: int, runs: int, limit: float) -> list[Row]:
    """All rows of one instance."""
    batch = routing(n, m, seed)
    solution, seconds = ours(batch, GAP, runs)
    bind = int((solution.duals.caps > 0).sum())
    name = f"{n:,} × {m}, {bind} of {m} caps and {'the' if solution.duals.budget > 0 else 'no'} budget bind"
    answer = f"plan, gap {solution.gap:.0e} proven, {solution.info.passes} passes"
    wrong = list(solution.problem.audit(solution.raise_for_status().assignment).violations)  # type: ignore[arg-type]
    if solution.bound < solution.objective:
        wrong.append("bound below the plan")
    rows = [Row(name, "omnirouter", answer, solution.objective, seconds, False, None, "; ".join(wrong) or "ok")]
    reference: float | None = None
    for solver in RELAXATIONS:
        answered = run_peer(solver, (n, m), seed, limit)
        value = answered.value(batch)
        check = check_relaxation(answered, value, batch, solution, reference)
        if answered.done and reference is None:
            reference = value
        rows.append(peer_row(solver, "relaxation", value, answered, seconds, check))
    for solver in INTEGERS if integers else ():
        answered = run_peer(solver, (n, m), seed, limit)
        value = answered.value(batch)
        rows.append(peer_row(solver, "plan", value, answered, seconds, check_plan(answered, value, solution)))
    run = subgradient(batch, PLAIN_GAPS, limit)
    check = check_plain(run, solution)
    for gap in PLAIN_GAPS:
        seconds = ours(batch, gap, runs)[1]
        rows.append(plain_row(run, gap, seconds, check))
        if gap not in run.reached:
            break
    return rows


def ours(batch: Batch, gap: float, runs: int) -> tuple[omnirouter.Solution, float]:
    """A solution, and the median seconds of a call from Python."""

    def solve() -> omnirouter.Solution:
        return omnirouter.solve(*batch, rel_gap=gap, threads=THREADS)

    # Small solves are repeated more: a median of five says little about 100 µs.
    return solve(), median_time(solve, max(runs, min(200, 20_000 // len(batch.acc))))


def run_peer(solver: str, size: tuple[int, int], seed: int, limit: float) -> Answer:
    """The answer of the run of median time, in a process of its own: not every peer keeps to its time limit."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=answer_all, args=(there, solver, size, seed, limit))
    process.start()
    there.close()
    answers: list[Answer] = []
    try:
        while here.poll(limit + BUILD):
            answers.append(here.recv())
    except EOFError:
        pass
    else:
        answers.append(Answer(limit, False, None))
    finally:
        process.kill()
        process.join()
    if not answers:
        raise RuntimeError(f"{solver} ended without an answer on {size[0]} × {size[1]}")
    middle = statistics.median_low(answer.seconds for answer in answers)
    return next(answer for answer in answers if answer.seconds == middle)


def answer_all(there: Connection, solver: str, size: tuple[int, int], seed: int, limit: float) -> None:
    """Run in the child: one answer, or three quick ones."""
    # HiGHS prints a banner of its own, whatever it is told.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    batch, peer = routing(*size, seed), (RELAXATIONS | INTEGERS)[solver]
    for _ in range(3):
        answered = peer(batch, limit)
        there.send(answered)
        if answered.seconds > 2:
            break
    there.close()


def peer_row(solver: str, kind: str, value: float, answered: Answer, ours: float, check: str) -> Row:
    kind = kind if answered.done else f"{kind}, unfinished"
    return Row("", solver, kind, value, answered.seconds, not answered.done, answered.seconds / ours, check)


def check_relaxation(
    answered: Answer, value: float, batch: Batch, solution: omnirouter.Solution, reference: float | None
) -> str:
    """No better than another relaxation, no worse than a plan, and within the limits."""
    if answered.x is None or not answered.done:
        return "no answer"
    wrong = []
    if (excess := answered.excess(batch)) > 1e-6:
        wrong.append(f"limits passed by {excess:.0e}")
    if value < solution.objective * (1 - 1e-5):
        wrong.append("worth less than a plan")
    if reference is not None and abs(value / reference - 1) > 1e-5:
        wrong.append(f"value off by {abs(value / reference - 1):.0e}")
    return "; ".join(wrong) or "ok"


def check_plan(answered: Answer, value: float, solution: omnirouter.Solution) -> str:
    """A plan of whole queries that meets every limit exactly, and not better than our bound allows."""
    if answered.x is None:
        return "no plan"
    wrong = []
    if np.abs(answered.x - np.rint(answered.x)).max() > 1e-6:
        wrong.append("not whole")
    wrong.extend(solution.problem.audit(answered.x.argmax(axis=1)).violations)
    if value > solution.bound * (1 + 1e-9):
        wrong.append("above our bound")
    if answered.done and value < solution.objective * (1 - 1e-5):
        wrong.append(f"value off by {1 - value / solution.objective:.0e}")
    return "; ".join(wrong) or "ok"


def check_plain(run: Run, solution: omnirouter.Solution) -> str:
    """The plan within the limits, and the bound above the best plan that is known."""
    if run.assignment is None:
        return "no plan"
    wrong = list(solution.problem.audit(run.assignment).violations)
    if run.bound < solution.objective * (1 - 1e-9):
        wrong.append("bound below a plan")
    return "; ".join(wrong) or "ok"


def plain_row(run: Run, gap: float, ours: float, check: str) -> Row:
    """The subgradient method's time to one gap."""
    done = gap in run.reached
    seconds, passes = run.reached.get(gap, (run.seconds, run.passes))
    words = f"plan, gap {gap if done else run.gap:.0e} proven{'' if done else ', unfinished'}, {passes} passes"
    return Row("", "plain subgradient, re-implemented", words, run.objective, seconds, not done, seconds / ours, check)


def small(n: int, m: int, seed: int, runs: int) -> tuple[object, ...]:
    """Small problems of several seeds from Python at a proven 1e-3: the whole call, and what of it is not the core."""
    gaps, wholes, faces = zip(*(small_of(routing(n, m, seed + more), runs) for more in range(SMALL_SEEDS)), strict=True)
    whole, face = statistics.median(wholes), statistics.median(faces)
    between = f"{short(min(wholes))} to {short(max(wholes))}"
    return f"{n} × {m}", f"{max(gaps):.0e}", short(whole), between, short(face), f"{face / whole:.0%}"


def small_of(batch: Batch, runs: int) -> tuple[float, float, float]:
    """The proven gap of one, the median seconds of a call, and those of a call whose core answers at once."""
    core, kept = _core.solve, []

    def keep(*inputs: Any) -> Any:
        kept.append(core(*inputs))
        return kept[-1]

    def repeat(*_: Any) -> Any:
        return kept[0]

    def solve() -> omnirouter.Solution:
        return omnirouter.solve(*batch, rel_gap=1e-3)

    with mock.patch.object(_core, "solve", keep):
        gap = solve().gap
    whole = median_time(solve, 20 * runs)
    with mock.patch.object(_core, "solve", repeat):
        return gap, whole, median_time(solve, 20 * runs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="two small instances and a limit of 10 s")
    parser.add_argument("--limit", type=float, help="seconds per run of a peer (default 60)")
    parser.add_argument("--runs", type=int, default=5, help="runs of omnirouter, of which the median counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to a file")
    arguments = parser.parse_args()
    limit = arguments.limit or (10.0 if arguments.quick else 60.0)
    rows = []
    print(table(COLUMNS, []), flush=True)
    for size in QUICK if arguments.quick else SIZES:
        own = compare(*size, seed=arguments.seed, runs=arguments.runs, limit=limit)
        print(lines(row.cells() for row in own), flush=True)
        rows.extend(own)
    print(f"\nSmall problems from Python, {SMALL_SEEDS} seeds (their median), default settings but the gap:\n")
    tiny = [small(*size, seed=arguments.seed, runs=arguments.runs) for size in SMALL]
    columns = ("instance", "largest gap", "omnirouter.solve", "between", "of which Python", "share")
    print(table(columns, tiny))
    print(f"\nSimulated, seed {arguments.seed}; limit {limit:g} s; {described()}")
    small_rows = [dict(zip(columns, row, strict=True)) for row in tiny]
    settings = {"seed": arguments.seed, "limit": limit, "runs": arguments.runs, "threads": THREADS, "gap": GAP}
    write_json(arguments.json, {"settings": settings, "rows": [asdict(row) for row in rows], "small": small_rows})


if __name__ == "__main__":
    main()
