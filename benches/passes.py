"""How near a solve is to the memory's rate: reads per solve, memory beside the input, cost per pair, and whole curves.

    python benches/passes.py [--quick] [--runs 3] [--seed 1] [--json FILE]

Simulated float32 batches, two threads, a proven gap of 1e-6. "reads" is the time of a solve over the time of one read of
both matrices in the same process: the better of one thread's and two threads' read, each the best of several numpy
reductions. "extra memory" is the growth of the resident set's peak (VmHWM) during a solve in a fresh process, as a share of
both matrices. Times are medians of `--runs`.
"""

from __future__ import annotations

import argparse
import ctypes
import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import omnirouter
from batches import Batch, routing
from measure import described, median_time, read_times, short, table, write_json

SETTINGS: dict[str, Any] = {"rel_gap": 1e-6, "threads": 2}
LARGE, QUICK_LARGE = ((1_000_000, 10), (1_000_000, 64)), ((1_000_000, 10),)
LENGTHS, QUICK_LENGTHS = (10_000, 100_000, 1_000_000, 10_000_000), (10_000, 100_000)
CURVE, QUICK_CURVE, POINTS, CURVES = (100_000, 10), (10_000, 10), 50, 6


def reads(n: int, m: int, seed: int, runs: int) -> dict[str, Any]:
    """One large solve against one read of its matrices."""
    batch = routing(n, m, seed)
    solution, seconds = solved(batch, runs)
    read = read_times(batch[:2])
    return {
        "instance": f"{n:,} × {m}",
        "binding caps": int((solution.duals.caps > 0).sum()),
        "proven gap": solution.gap,
        "passes": solution.info.passes,
        "solve": seconds,
        "read, one thread": read[1],
        "read, two threads": read[2],
        "reads": seconds / min(read.values()),
        "extra memory": extra_memory(n, m, seed),
    }


def solved(batch: Batch, runs: int) -> tuple[omnirouter.Solution, float]:
    """A solution and the median seconds of a solve."""
    solution = omnirouter.solve(*batch, **SETTINGS)
    return solution, median_time(lambda: omnirouter.solve(*batch, **SETTINGS), runs)


def extra_memory(n: int, m: int, seed: int) -> float:
    """Growth of the peak of the resident set in a solve, as a share of acc and cost; NaN where the system does not tell."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(peak_of_a_solve, n, m, seed).result()


def peak_of_a_solve(n: int, m: int, seed: int) -> float:
    """To be called in a fresh process: memory that an earlier solve has given back would hide what this one takes."""
    batch = routing(n, m, seed)
    try:
        # What making the batch has left free would hide what a solve takes. The peak is set back to what is resident now.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5")
        before = resident_peak()
    except (OSError, AttributeError):
        return float("nan")
    omnirouter.solve(*batch, **SETTINGS)
    return (resident_peak() - before) / (batch.acc.nbytes + batch.cost.nbytes)


def resident_peak() -> int:
    """VmHWM in bytes."""
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))


def length(n: int, seed: int, runs: int) -> dict[str, Any]:
    """Cost per pair at one length, 16 models."""
    batch = routing(n, 16, seed)
    solution, seconds = solved(batch, runs)
    out = {"instance": f"{n:,} × 16", "proven gap": solution.gap, "passes": solution.info.passes, "solve": seconds}
    return out | {"ns per pair": seconds / batch.acc.size * 1e9, "extra memory": extra_memory(n, 16, seed)}


def curve(n: int, m: int, seed: int, runs: int) -> dict[str, Any]:
    """A whole curve against a solve in its middle, at the default gap."""
    batch = routing(n, m, seed)
    single = median_time(lambda: omnirouter.solve(*batch, threads=2), runs)

    def frontier() -> Any:
        return omnirouter.frontier(batch.acc, batch.cost, batch.caps, points=POINTS, threads=2)

    seconds = median_time(frontier, runs)
    return {
        "instance": f"{n:,} × {m}, seed {seed}",
        "points": POINTS,
        "solve": single,
        "frontier": seconds,
        "solves": seconds / single,
    }


WORDS: dict[str, Callable[[Any], str]] = {
    "proven gap": "{:.0e}".format,
    "solve": short,
    "frontier": short,
    "read, one thread": short,
    "read, two threads": short,
    "reads": "{:.1f}".format,
    "solves": "{:.1f}".format,
    "extra memory": "{:.1%}".format,
    "ns per pair": "{:.2f}".format,
}


def show(title: str, rows: Sequence[dict[str, Any]]) -> None:
    cells = [[WORDS.get(name, str)(value) for name, value in row.items()] for row in rows]
    print(f"{title}\n\n{table(list(rows[0]), cells)}\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="no more than 10,000,000 pairs")
    parser.add_argument("--runs", type=int, default=3, help="runs of which the median counts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to a file")
    arguments = parser.parse_args()
    seed, runs, quick = arguments.seed, arguments.runs, arguments.quick
    large = [reads(*size, seed, runs) for size in (QUICK_LARGE if quick else LARGE)]
    show("A solve in reads of the matrices:", large)
    lengths = [length(n, seed, runs) for n in (QUICK_LENGTHS if quick else LENGTHS)]
    show("Cost per pair:", lengths)
    curves = [curve(*(QUICK_CURVE if quick else CURVE), seed + more, runs) for more in range(CURVES)]
    show("A whole curve in single solves:", curves)
    print(f"Simulated, seed {seed}; {described()}")
    settings = {"seed": seed, "runs": runs} | SETTINGS
    write_json(arguments.json, {"settings": settings, "reads": large, "lengths": lengths, "curves": curves})


if __name__ == "__main__":
    main()
