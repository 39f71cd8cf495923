"""Fit on a train split, route the test split at several budgets, look up what the plans really cost and score.

    python benches/route_real.py ../shared/data/routerbench_arc_mbpp.parquet

Accuracy and spend are realised: looked up in the held-out outcomes, never predicted. Beside each plan, at the same realised
spend: the best single model that costs no more, the zero router (upper hull of the single models' points, reached by random
mixing), and hindsight (the best plan for somebody who knows the outcomes). Intervals are 95 % bootstrap over queries.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import omnirouter
from omnirouter import Outcomes, Router

SHARES = (0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
RESAMPLES = 1000


@dataclass
class Row:
    """One budget."""

    share: float
    budget: float
    spend: float
    accuracy: float
    low: float
    high: float
    predicted_accuracy: float
    best_single: float
    zero_router: float
    hindsight: float
    gap: float


def zero_router(cost: NDArray[np.float64], acc: NDArray[np.float64], spend: float) -> float:
    """Accuracy of the best random mix of single models at a mean spend: the upper hull of their points."""
    best = 0.0
    for a in range(len(cost)):
        if cost[a] <= spend:
            best = max(best, acc[a])
        for b in range(len(cost)):
            if cost[a] <= spend < cost[b]:
                weight = (spend - cost[a]) / (cost[b] - cost[a])
                best = max(best, (1 - weight) * acc[a] + weight * acc[b])
    return float(best)


def measure(test: Outcomes, router: Router) -> list[Row]:
    """One row per budget, as shares of what the most accurate single model costs on the test split."""
    assert test.cost is not None
    columns = [test.models.index(name) for name in router.models]
    acc, cost = test.acc[:, columns], test.cost[:, columns]
    n = len(test)
    single_acc, single_cost = acc.mean(axis=0), cost.mean(axis=0)
    dearest = single_cost[int(single_acc.argmax())] * n
    rng = np.random.default_rng(0)
    rows = []
    for share in SHARES:
        routing = router.route(test.prompts, budget=share * dearest)
        plan = routing.solution.raise_for_status().assignment
        realised = acc[np.arange(n), plan]
        spend = float(cost[np.arange(n), plan].sum())
        means = realised[rng.integers(0, n, (RESAMPLES, n))].mean(axis=1)
        within = single_cost * n <= spend
        hindsight = omnirouter.solve(acc, cost, budget=spend)
        rows.append(
            Row(
                share=share,
                budget=share * dearest,
                spend=spend,
                accuracy=float(realised.mean()),
                low=float(np.quantile(means, 0.025)),
                high=float(np.quantile(means, 0.975)),
                predicted_accuracy=routing.solution.accuracy,
                best_single=float(single_acc[within].max()) if within.any() else float("nan"),
                zero_router=zero_router(single_cost, single_acc, spend / n),
                hindsight=hindsight.accuracy,
                gap=routing.solution.gap,
            )
        )
    return rows


def to_markdown(rows: list[Row]) -> str:
    """The table of docs/results.md."""
    columns = "budget, $|realised spend, $|accuracy (95 %)|predicted|best single|zero router|hindsight|proven gap"
    lines = ["| " + columns.replace("|", " | ") + " |", "|---|---|---|---|---|---|---|---|"]
    for r in rows:
        interval = f"{r.accuracy:.3f} ({r.low:.3f}–{r.high:.3f})"
        lines.append(
            f"| {r.budget:.3f} ({r.share:.0%}) | {r.spend:.3f} | {interval} | {r.predicted_accuracy:.3f} "
            f"| {r.best_single:.3f} | {r.zero_router:.3f} | {r.hindsight:.3f} | {r.gap:.0e} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="outcomes with a split column")
    parser.add_argument("--router", type=Path, help="a saved router; default: fit on the train split")
    parser.add_argument("--json", type=Path, help="also write the rows here")
    arguments = parser.parse_args()
    outcomes = Outcomes.read(arguments.table)
    router = Router.load(arguments.router) if arguments.router else Router.fit(outcomes.select(split="train"))
    rows = measure(outcomes.select(split="test"), router)
    print(to_markdown(rows))
    if arguments.json:
        arguments.json.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


if __name__ == "__main__":
    main()
