"""How long "no plan" takes, and what it says: random batches with many kinds of limits at once.

    python benches/infeasible.py [--quick] [--seed 1] [--json FILE]

Simulated float32 batches, two threads. Each draws some of: caps too small, a small budget, a floor, forbidden pairs, tokens
per model, reserved minima, budgets of twenty tenants; those that turn out feasible are left out. The last row asks for one
thing only, caps that sum to less than n. "limits" are those that the answer names; "nearest found" those among them for
which it names a plan's value, "bound only" those for which it says how far they must at least be moved. `omnirouter.verify`
checks every certificate.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import omnirouter
from batches import routing
from measure import described, short, table, write_json
from omnirouter import Resource

SIZES, QUICK_SIZES = ((2_000, 20), (20_000, 20)), ((2_000, 10),)
PROBLEMS, QUICK_PROBLEMS = 60, 10
SHORT, QUICK_SHORT = (300_000, 20), (20_000, 10)
TENANTS = 20
COLUMNS = ("instance", "infeasible", "median", "slowest", "limits", "nearest found", "bound only", "certificates refused")


@dataclass
class Answer:
    """One infeasible solve."""

    seconds: float
    limits: int
    nearest: int
    bounded: int
    accepted: bool


def drawn(n: int, m: int, seed: int) -> dict[str, Any]:
    """The arguments of a solve with some of many limits."""
    rng = np.random.default_rng(seed)
    acc, cost, caps, budget = routing(n, m, seed)
    arguments: dict[str, Any] = {"acc": acc, "cost": cost, "caps": caps, "budget": budget}
    if rng.random() < 0.6:
        arguments["caps"] = np.floor(caps * rng.uniform(0.5, 0.8))
    if rng.random() < 0.4:
        arguments["budget"] = budget * rng.uniform(0.2, 1.0)
    if rng.random() < 0.4:
        arguments["min_accuracy"] = rng.uniform(0.7, 0.95)
    if rng.random() < 0.4:
        arguments["allowed"] = rng.random((n, m)) < 0.7
        arguments["allowed"][:, 0] = True
    resources = []
    if rng.random() < 0.3:
        tokens = np.round(rng.lognormal(6, 1, (n, m)))
        resources.append(Resource(tokens, rng.uniform(0.5, 2.0) * 800 * n / m, per="model", name="tokens"))
    if rng.random() < 0.3:
        reserved = np.floor(rng.uniform(0.02, 0.9) * n / m)
        resources.append(Resource(1.0, reserved, per="model", sense=">=", name="reserved"))
    if rng.random() < 0.3:
        share = arguments["budget"] / TENANTS * rng.uniform(0.5, 1.5)
        resources.append(Resource("cost", share, per=np.arange(n) % TENANTS, name="tenant"))
    return arguments | {"resources": resources}


def short_caps(n: int, m: int, seed: int) -> dict[str, Any]:
    """Caps of 0.6 of the batch's own, which sum to 0.96 n."""
    batch = routing(n, m, seed)
    return batch._asdict() | {"caps": np.floor(0.6 * batch.caps)}


def answers(problems: Iterator[dict[str, Any]]) -> Iterator[Answer]:
    """Those that have no plan."""
    for arguments in problems:
        start = time.perf_counter()
        solution = omnirouter.solve(**arguments, threads=2)
        seconds = time.perf_counter() - start
        if solution.status is not omnirouter.Status.INFEASIBLE:
            continue
        nearest = sum(not math.isnan(conflict.reachable) for conflict in solution.conflicts)
        bounded = sum(math.isnan(conflict.reachable) and not math.isnan(conflict.bound) for conflict in solution.conflicts)
        accepted = omnirouter.verify(solution.problem, solution).ok
        yield Answer(seconds, len(solution.conflicts), nearest, bounded, accepted)


def row(instance: str, found: list[Answer], drawn: int) -> dict[str, Any]:
    """A line of the table."""
    return {
        "instance": instance,
        "infeasible": f"{len(found)} of {drawn}",
        "median": short(statistics.median(answer.seconds for answer in found)),
        "slowest": short(max(answer.seconds for answer in found)),
        "limits": sum(answer.limits for answer in found),
        "nearest found": sum(answer.nearest for answer in found),
        "bound only": sum(answer.bounded for answer in found),
        "certificates refused": sum(not answer.accepted for answer in found),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few small problems")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="write the numbers there too")
    arguments = parser.parse_args()
    count, seed = QUICK_PROBLEMS if arguments.quick else PROBLEMS, arguments.seed
    rows = []
    for n, m in QUICK_SIZES if arguments.quick else SIZES:
        found = list(answers(drawn(n, m, seed + more) for more in range(count)))
        rows.append(row(f"{n:,} × {m}, many limits", found, count))
    n, m = QUICK_SHORT if arguments.quick else SHORT
    rows.append(row(f"{n:,} × {m}, caps sum to 0.96 n", list(answers(iter([short_caps(n, m, seed)]))), 1))
    print(table(COLUMNS, (tuple(row[name] for name in COLUMNS) for row in rows)))
    print(f"\nSimulated, seed {seed}; {described()}")
    write_json(arguments.json, {"settings": {"seed": seed, "problems": count}, "rows": rows})


if __name__ == "__main__":
    main()
