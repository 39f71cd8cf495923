"""HiGHS on the linear relaxation against `omnirouter.solve` on the integer problem; simulated data, one run.

    python benches/compare_highs.py [--runs 5] [--json FILE]

Instances: accuracies k/16, lognormal costs on a price ladder, a binding budget and caps of which some bind. HiGHS solves
the relaxation (interior point without crossover, and simplex); omnirouter returns an integer plan with a proven gap. Both
may use two threads. Times are medians: of `--runs` for omnirouter, three for interior point, one for simplex. The last row
gives a solve in units of one numpy read (`sum`, one thread) of both matrices, in the same process.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

import omnirouter

Instance = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float64], float]


def instance(n: int, m: int, seed: int = 0) -> Instance:
    """acc, cost, caps and budget of a simulated batch."""
    rng = np.random.default_rng(seed)
    skill = np.sort(rng.normal(0.5, 1.0, m))
    affinity = rng.normal(0, 0.6, (8, m))[rng.integers(0, 8, n)]
    right = 1 / (1 + np.exp(-(skill + affinity - rng.normal(0, 1.2, (n, 1)))))
    acc = (rng.binomial(16, right) / 16).astype(np.float32)
    cost = (1e-4 * np.exp(np.linspace(0, 4, m)) * rng.lognormal(0, 0.6, (n, m))).astype(np.float32)
    caps = np.ceil(1.25 * n * rng.dirichlet(np.full(m, 3.0)))
    cheapest = cost.min(axis=1).sum(dtype=np.float64)
    dearest = cost[np.arange(n), acc.argmax(axis=1)].sum(dtype=np.float64)
    return acc, cost, caps, float(cheapest + 0.3 * (dearest - cheapest))


def highs_relaxation(data: Instance, solver: str) -> tuple[float, float]:
    """Seconds inside HiGHS' run, and the relaxation's value."""
    acc, cost, caps, budget = data
    n, m = acc.shape
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n * m, n + m + 1
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = acc.astype(np.float64).ravel()
    lp.col_lower_, lp.col_upper_ = np.zeros(n * m), np.ones(n * m)
    infinity = highspy.kHighsInf
    lp.row_lower_ = np.concatenate([np.ones(n), np.full(m + 1, -infinity)])
    lp.row_upper_ = np.concatenate([np.ones(n), caps, [budget]])
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_ = np.arange(0, 3 * n * m + 1, 3)
    query, model = np.divmod(np.arange(n * m), m)
    lp.a_matrix_.index_ = np.stack([query, n + model, np.full(n * m, n + m)], axis=1).ravel()
    values = np.ones((n * m, 3))
    values[:, 2] = cost.ravel()
    lp.a_matrix_.value_ = values.ravel()
    highs = highspy.Highs()
    highs.silent()
    highs.setOptionValue("threads", 2)
    highs.setOptionValue("solver", solver)
    highs.setOptionValue("run_crossover", "off")
    highs.passModel(lp)
    start = time.perf_counter()
    highs.run()
    return time.perf_counter() - start, highs.getInfo().objective_function_value


def median_time(work: Callable[[], object], runs: int) -> float:
    """Median seconds of a call, after one that is not counted."""
    work()
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def small(runs: int) -> dict[str, Any]:
    """10,000 × 10: omnirouter, and HiGHS on the relaxation."""
    data = instance(10_000, 10)
    solution = omnirouter.solve(*data, threads=2)
    ours = median_time(lambda: omnirouter.solve(*data, threads=2), runs)
    out: dict[str, Any] = {"binding_caps": int((solution.duals.caps > 0).sum()), "seconds": ours}
    out |= {"gap": solution.gap, "objective": solution.objective, "bound": solution.bound, "highs": {}}
    for solver, repeats in (("ipm", 3), ("simplex", 1)):
        tries = [highs_relaxation(data, solver) for _ in range(repeats)]
        seconds = statistics.median(seconds for seconds, _ in tries)
        out["highs"][solver] = {"seconds": seconds, "value": tries[0][1], "ratio": seconds / ours}
    return out


def large(runs: int) -> dict[str, Any]:
    """1,000,000 × 10, and one read of its matrices."""
    data = instance(1_000_000, 10)
    solution = omnirouter.solve(*data, threads=2)
    ours = median_time(lambda: omnirouter.solve(*data, threads=2), runs)
    read = median_time(lambda: (data[0].sum(), data[1].sum()), runs)
    return {
        "seconds": ours,
        "gap": solution.gap,
        "objective": solution.objective,
        "passes": solution.info.passes,
        "read_seconds": read,
        "reads": ours / read,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5, help="runs of omnirouter, of which the median counts")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers to a file")
    arguments = parser.parse_args()
    one, two = small(arguments.runs), large(arguments.runs)
    print("| instance | solver | answer | value | time, s | omnirouter is faster by |")
    print("|---|---|---|---|---|---|")
    answer = f"integer plan, gap {one['gap']:.0e} proven"
    name = f"10,000 × 10, {one['binding_caps']} caps bind"
    print(f"| {name} | omnirouter | {answer} | {one['objective']:.4f} | {one['seconds']:.4f} | |")
    for solver, words in (("ipm", "interior point, no crossover"), ("simplex", "dual simplex")):
        highs = one["highs"][solver]
        print(f"| | HiGHS {words} | relaxation | {highs['value']:.4f} | {highs['seconds']:.3f} | {highs['ratio']:.0f} × |")
    answer = f"integer plan, gap {two['gap']:.0e} proven, {two['passes']} passes"
    print(f"| 1,000,000 × 10 | omnirouter | {answer} | {two['objective']:.2f} | {two['seconds']:.3f} | |")
    print(f"| | one numpy read of both matrices | | | {two['read_seconds']:.4f} | a solve is {two['reads']:.1f} reads |")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump({"10000x10": one, "1000000x10": two}, file, indent=2)


if __name__ == "__main__":
    main()
