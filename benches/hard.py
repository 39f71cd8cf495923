"""Hard instances as a table of proven gaps, each with the limits that hold it; simulated data, two threads.

    python benches/hard.py [--quick] [--only WORDS] [--gap 1e-4] [--limit 60] [--json FILE]

Routing instances ask for `--gap` (default 1e-4), generalised assignment for the proven optimum; each has `--limit` seconds
(default 60; `make results` gives 5), generalised assignment never more than 10. "binds" counts limits with a positive price.
Where a gap above 1e-4 is left, the last column names the limits without which it goes: the instance is solved again with
each kind of limit left out, 10 s each.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

import omnirouter
from hard_batches import ASSIGNMENT_SIZES, LARGE, ROUTING, Arguments, assignment_type
from measure import described, lines, short, table, write_json

COLUMNS = ("instance", "n × m", "status", "proven gap", "binds", "nodes", "passes", "time", "gap is held by")
TARGET, SHORT = 1e-4, 10.0


@dataclass
class Case:
    """One instance and how it is to be solved."""

    name: str
    arguments: Arguments
    settings: dict[str, Any]


@dataclass
class Row:
    """One line of the table."""

    name: str
    n: int
    m: int
    status: str
    gap: float
    binds: str
    nodes: int
    passes: int
    seconds: float
    held_by: str

    def cells(self) -> tuple[str, ...]:
        size, gap = f"{self.n:,} × {self.m}", "none" if np.isinf(self.gap) else f"{self.gap:.0e}"
        numbers = (f"{self.nodes:,}", str(self.passes), short(self.seconds))
        return (self.name, size, self.status, gap, self.binds, *numbers, self.held_by)


def cases(quick: bool, gap: float, limit: float, only: str) -> Iterator[Case]:
    """All instances whose name holds the words, made one at a time."""
    settings = {"rel_gap": gap, "time_limit": limit, "threads": 2}
    for n in (1_000,) if quick else (10_000, 100_000):
        for name, make in ROUTING.items():
            if n <= 10_000 or name in LARGE:
                full = name if n <= 10_000 else f"{name}, {n:,} queries"
                if only in full:
                    yield Case(full, make(n), settings)
    for kind in "ABCDE":
        for n, m in ASSIGNMENT_SIZES[:1] if quick else ASSIGNMENT_SIZES:
            name = f"assignment {kind}, {n} jobs, {m} agents"
            if only in name:
                yield Case(name, assignment_type(kind, n, m), settings | {"rel_gap": 0.0, "time_limit": min(limit, SHORT)})


def solve(case: Case) -> Row:
    """Solve, audit the plan, and say what binds."""
    solution = omnirouter.solve(**case.arguments, **case.settings)
    if solution.assignment is not None:
        violations = solution.problem.audit(solution.assignment).violations
        assert not violations, f"{case.name}: {violations}"
    info, (n, m) = solution.info, solution.problem.acc.shape
    held = held_by(case) if solution.gap > TARGET else ""
    return Row(
        case.name,
        n,
        m,
        solution.status.value,
        solution.gap,
        binding(solution),
        info.nodes,
        info.passes,
        info.total_time,
        held,
    )


def binding(solution: omnirouter.Solution) -> str:
    """The kinds of limits that bind, with how many of them do."""
    duals, words = solution.duals, []
    for name, price in (("budget", duals.budget), ("min_accuracy", duals.min_accuracy)):
        if price > 0:
            words.append(name)
    for name, prices in (("caps", duals.caps), *duals.resources.items()):
        if (count := int(np.count_nonzero(prices))) > 0:
            words.append(f"{count} of {len(prices)} {name}")
    return ", ".join(words) or "nothing"


def held_by(case: Case) -> str:
    """The kinds of limits without which the gap falls to 1e-4."""
    arguments, names = case.arguments, []
    for name in ("budget", "min_accuracy", "caps"):
        if name in arguments:
            names.append((name, {key: value for key, value in arguments.items() if key != name}))
    for left_out in arguments.get("resources", []):
        names.append((left_out.name, arguments | {"resources": [r for r in arguments["resources"] if r is not left_out]}))
    objective = "cost" if "min_accuracy" in arguments and "budget" not in arguments else arguments.get("objective")
    settings = case.settings | {"objective": objective, "rel_gap": TARGET, "time_limit": SHORT}
    freed = [name for name, rest in names if omnirouter.solve(**(rest | settings)).gap <= TARGET]
    return " or ".join(freed) or "several together"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="1,000 queries, and the smallest assignment problems")
    parser.add_argument("--only", default="", metavar="WORDS", help="only instances whose name holds these words")
    parser.add_argument("--gap", type=float, default=1e-4, help="gap asked for on routing instances")
    parser.add_argument("--limit", type=float, default=60.0, help="seconds per instance")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to a file")
    arguments = parser.parse_args()
    rows = []
    print(table(COLUMNS, []), flush=True)
    for case in cases(arguments.quick, arguments.gap, arguments.limit, arguments.only):
        rows.append(solve(case))
        print(lines([rows[-1].cells()]), flush=True)
    print(f"\nSimulated, seeds in benches/hard_batches.py; limit {arguments.limit:g} s; {described()}")
    settings = {"gap": arguments.gap, "limit": arguments.limit, "threads": 2}
    write_json(arguments.json, {"settings": settings, "rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
