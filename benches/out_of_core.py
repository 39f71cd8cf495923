"""Rows from disk that are larger than memory: time, peak memory, and the rate of reading beside that of plain reads.

    python benches/out_of_core.py --queries 100000000 --models 8 --folder /tmp/rows

Writes two .npy files (float32, simulated, from a seed) unless they are there, solves in a process of its own, and prints:

- `peak`: VmHWM of that process from /proc/self/status, that is all its pages at their most, libraries included. The files
  are read into buffers and not mapped, so no page cache is in the figure.
- `plain read`: the same two files read chunk by chunk with nothing done to the chunks, before and after the solve.
- `solve`: bytes of the files, times the complete readings, by the time of the whole solve.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import omnirouter
from omnirouter import ChunkedOracle
from omnirouter.chunks import NpyChunks

ROWS = 1 << 19


def write(folder: Path, n: int, m: int, seed: int) -> tuple[Path, Path]:
    """The two files; accuracy rises with the price, more so on hard queries."""
    paths = folder / f"acc_{n}x{m}_{seed}.npy", folder / f"cost_{n}x{m}_{seed}.npy"
    if all(path.exists() for path in paths):
        return paths
    folder.mkdir(parents=True, exist_ok=True)
    price = (1e-4 * np.exp(np.linspace(0, 3, m))).astype(np.float32)
    skill = np.linspace(-0.5, 1.5, m, dtype=np.float32)
    header = {"descr": "<f4", "fortran_order": False, "shape": (n, m)}
    partial = [path.with_suffix(".partial") for path in paths]
    with partial[0].open("wb") as acc_file, partial[1].open("wb") as cost_file:
        for file in (acc_file, cost_file):
            np.lib.format.write_array_header_1_0(file, header)
        for first in range(0, n, ROWS):
            rng = np.random.default_rng([seed, first])
            size = (min(ROWS, n - first), m)
            hard = rng.standard_normal((size[0], 1), dtype=np.float32)
            acc = 1 / (1 + np.exp(hard - skill + 0.5 * rng.standard_normal(size, dtype=np.float32)))
            cost = price * np.exp(0.5 * rng.standard_normal(size, dtype=np.float32))
            acc_file.write(acc.astype(np.float32).tobytes())
            cost_file.write(cost.astype(np.float32).tobytes())
    for path, written in zip(paths, partial, strict=True):
        written.rename(path)
    return paths


def plain_read(paths: tuple[Path, Path]) -> float:
    """Seconds to read both files chunk by chunk."""
    start = time.perf_counter()
    for acc, cost in NpyChunks(*paths, None):
        assert len(acc) == len(cost)
    return time.perf_counter() - start


def status(name: str) -> float:
    """A line of /proc/self/status, in MiB."""
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def solve(paths: tuple[Path, Path], rel_gap: float, threads: int) -> dict[str, float | int | str]:
    """Solve in this process and say what it took."""
    oracle = ChunkedOracle.from_npy(*paths)
    n, m = oracle.shape()
    first = next(iter(NpyChunks(*paths, 200_000)))[1]
    budget = float(first.astype(np.float64).mean()) * n * 0.7
    caps = [None if j % 2 else int(1.2 * n / m) for j in range(m)]
    before = plain_read(paths)
    start_memory = status("VmHWM")
    start = time.perf_counter()
    solution = omnirouter.solve_oracle(oracle, caps, budget, rel_gap=rel_gap, threads=threads)
    seconds = time.perf_counter() - start
    peak = status("VmHWM")
    after = plain_read(paths)
    size = sum(path.stat().st_size for path in paths)
    return {
        "queries": n,
        "models": m,
        "file_gb": size / 1e9,
        "status": solution.status.value,
        "gap": solution.gap,
        "seconds": seconds,
        "readings": solution.info.readings,
        "passes": solution.info.passes,
        "peak_mib": peak,
        "before_mib": start_memory,
        "rss_anon_mib": status("RssAnon"),
        "plain_read_gb_s": size / 1e9 / min(before, after),
        "solve_gb_s": size * solution.info.readings / 1e9 / seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, default=10**8)
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--folder", type=Path, required=True, help="room for 8 * queries * models bytes")
    parser.add_argument("--rel-gap", type=float, default=1e-6)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", action="store_true", help="leave the files for the next run")
    parser.add_argument("--inner", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    paths = write(given.folder, given.queries, given.models, given.seed)
    if given.inner:
        print(json.dumps(solve(paths, given.rel_gap, given.threads)))
        return
    # A process of its own: writing the files is not in the peak.
    done = subprocess.run([sys.executable, *sys.argv, "--inner"], check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)
    for name, value in found.items():
        print(f"{name:>16}  {value if isinstance(value, (str, int)) else format(value, '.4g')}")
    print(f"{'of plain read':>16}  {found['solve_gb_s'] / found['plain_read_gb_s']:.2f}")
    if not given.keep:
        for path in paths:
            path.unlink()


if __name__ == "__main__":
    main()
