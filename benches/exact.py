"""Routing batches of 100 to 2,000 queries to the proven optimum, against HiGHS' branch and cut on the whole; simulated data.

    python benches/exact.py [--rows 100 300 1000 2000] [--kinds cont class ...] [--limit 30] [--json FILE]

Ten models, caps and a budget; both sides use one thread, stop after `--limit` seconds of wall time and want a gap of 0.
Times are of the processor, HiGHS' with building its model. HiGHS' gap is from its own bound to its plan, where numpy's audit
accepts that plan. "ratio" is HiGHS' time over ours; ">" where HiGHS stopped without a proof.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from measure import described, lines, short, silenced, table, write_json
from omnirouter import Problem
from omnirouter.solver import solve_problem

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from instances import KINDS, Kind, batch
from test_solver_judge import judge

MODELS = 10
COLUMNS = ("data", "n × m", "ours", "nodes", "time", "HiGHS", "time", "ratio", "plans")


@dataclass
class Row:
    """Both on one instance; times in seconds, gaps relative, infinity without a plan."""

    kind: str
    seed: int
    n: int
    status: str
    gap: float
    nodes: int
    seconds: float
    highs_gap: float
    highs_seconds: float
    better_by: float

    def cells(self) -> tuple[str, ...]:
        proven = self.highs_gap <= 1e-9
        ours = self.status if self.gap == 0 else f"{self.status}, gap {self.gap:.0e}"
        theirs = "optimal" if proven else "no plan" if self.highs_gap == float("inf") else f"gap {self.highs_gap:.0e}"
        plans = (
            "same"
            if abs(self.better_by) <= 1e-9
            else "ours alone"
            if proven is False and self.better_by == float("inf")
            else (f"ours {'better' if self.better_by > 0 else 'worse'} by {abs(self.better_by):.0e}")
        )
        ratio = f"{'' if proven else '> '}{self.highs_seconds / self.seconds:,.3g} ×"
        size = f"{self.n:,} × {MODELS}"
        return (
            self.kind,
            size,
            ours,
            f"{self.nodes:,}",
            short(self.seconds),
            theirs,
            short(self.highs_seconds),
            ratio,
            plans,
        )


def compare(kind: Kind, n: int, seed: int, limit: float) -> Row:
    """One instance by both."""
    acc, cost, caps, budget = batch(n, MODELS, seed, kind)
    problem = Problem(acc, cost, caps, budget)
    start = time.process_time()
    solution = solve_problem(problem, rel_gap=0, time_limit=limit, threads=1)
    middle = time.process_time()
    with silenced():
        verdict = judge(problem, time_limit=limit, tolerance=None)
    end = time.process_time()
    theirs, gap = None, float("inf")
    if verdict.plan is not None:
        audit = problem.audit(verdict.plan)
        if audit.ok:
            theirs, gap = audit.objective, abs(verdict.bound - audit.objective) / max(abs(audit.objective), 1e-300)
    better = float("inf") if theirs is None else (solution.objective - theirs) / max(abs(theirs), 1e-300)
    ours = (solution.status.value, solution.gap, solution.info.nodes, middle - start)
    return Row(kind, seed, n, *ours, gap, end - middle, better)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="the smallest batches, and 5 s for each side")
    parser.add_argument("--rows", nargs="+", type=int, default=[100, 300, 1_000, 2_000], metavar="N")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seeds", type=int, default=1, help="batches of each kind and size")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--limit", type=float, default=30.0, help="seconds for each side")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to a file")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.limit = options.rows[:1], 5.0
    rows = []
    print(table(COLUMNS, []), flush=True)
    for kind in options.kinds:
        for n in options.rows:
            for seed in range(options.first, options.first + options.seeds):
                rows.append(compare(kind, n, seed, options.limit))
                print(lines([rows[-1].cells()]), flush=True)
    print(f"\nSimulated, seeds from {options.first}; limit {options.limit:g} s; {described()}")
    write_json(
        options.json, {"settings": vars(options) | {"json": str(options.json)}, "rows": [asdict(row) for row in rows]}
    )


if __name__ == "__main__":
    main()
