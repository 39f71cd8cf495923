"""Ten thousand solves in one process: resident memory must not grow.

    python benches/memory.py --solves 10000

Small and mid problems, both forms, infeasible ones, ones stopped by a callback or a time limit, refused ones. Prints the
resident memory after each tenth, and fails where the last half grew by more than 4 MB.
"""

from __future__ import annotations

import argparse
import gc
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from omnirouter import solve


def resident() -> float:
    """MB of memory in use, from /proc (Linux)."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise RuntimeError("no VmRSS in /proc/self/status")


def one(at: int, big: tuple[Any, Any]) -> str:
    """The at-th solve; how it ended."""
    rng = np.random.default_rng(at)
    kind = at % 10
    if kind == 9 and at % 100 == 9:
        acc, cost = big
    else:
        n = int(rng.integers(1, 60 if kind else 600))
        acc, cost = rng.random((n, 5)), rng.random((n, 5))
    n = len(acc)
    given: dict[str, Any] = {"caps": np.full(5, n // 2 + 1), "budget": 0.4 * n}
    if kind == 1:
        given["budget"] = 0.01 * n
    elif kind == 2:
        given = {"min_accuracy": 0.7}
    elif kind == 3:
        given["callback"] = lambda _: True
    elif kind == 4:
        given["time_limit"] = 1e-6
    elif kind == 5:
        given["budget"] = float("nan")
    elif kind == 6:
        given["callback"] = lambda _: 1 // 0
    try:
        return str(solve(acc, cost, **given).status.value)
    except (ValueError, ZeroDivisionError) as error:
        return type(error).__name__


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--solves", type=int, default=10_000)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    big = rng.random((20_000, 5), dtype=np.float32), rng.random((20_000, 5), dtype=np.float32)
    ends: Counter[str] = Counter()
    memory = []
    for at in range(args.solves):
        ends[one(at, big)] += 1
        if (at + 1) % max(args.solves // 10, 1) == 0:
            gc.collect()
            memory.append(resident())
            print(f"{at + 1:6d} solves  {memory[-1]:7.1f} MB", flush=True)
    print(dict(ends.most_common()))
    if memory[-1] - memory[len(memory) // 2 - 1] > 4:
        raise SystemExit("memory grows")


if __name__ == "__main__":
    main()
