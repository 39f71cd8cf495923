"""What travels between a driver and shards, and what one pass costs: the figures of docs/scale.md.

    python benches/messages.py --queries 100000 1000000 10000000

Simulated rows (those of out_of_core.py) are cut into shards in this process; their messages are those of Ray actors.
"""

from __future__ import annotations

import argparse
import time
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import omnirouter
from omnirouter import ShardedOracle
from out_of_core import write

SHARDS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--queries", type=int, nargs="+", default=[10**5, 10**6, 10**7])
    parser.add_argument("--models", type=int, default=8)
    parser.add_argument("--rel-gap", type=float, default=1e-6)
    given = parser.parse_args()
    print(
        f"{'queries':>12} {'rounds':>7} {'passes':>7} {'kB in all':>10} {'B/sqrt(n)':>10} {'seconds':>8} {'read GB/s':>10}"
    )
    for n in given.queries:
        with TemporaryDirectory() as folder:
            acc, cost = (np.load(path, mmap_mode="r") for path in write(Path(folder), n, given.models, 0))
            cuts = [n * at // SHARDS for at in range(SHARDS + 1)]
            shards = [[(acc[a:b], cost[a:b])] for a, b in pairwise(cuts)]
            budget = float(np.mean(cost[:200_000], dtype=np.float64)) * n * 0.7
            caps = [None if j % 2 else int(1.2 * n / given.models) for j in range(given.models)]
            start = time.perf_counter()
            total = sum(float(part.sum(dtype=np.float64)) for pair in shards for chunk in pair for part in chunk)
            read = (acc.nbytes + cost.nbytes) / 1e9 / (time.perf_counter() - start)
            assert total > 0
            start = time.perf_counter()
            solution = omnirouter.solve_oracle(ShardedOracle(shards), caps, budget, rel_gap=given.rel_gap)
            seconds = time.perf_counter() - start
            info = solution.info
            row = (n, info.rounds, info.passes, info.message_bytes / 1e3, info.message_bytes / n**0.5, seconds, read)
            print("{:>12} {:>7} {:>7} {:>10.0f} {:>10.0f} {:>8.2f} {:>10.2f}".format(*row))


if __name__ == "__main__":
    main()
