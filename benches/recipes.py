"""What each step of the hybrid predictor is worth, on random divisions of every table with costs.

    python benches/recipes.py ../shared/data

Each table is divided at random several times (70 % to learn from), plain predictors (`benches/plain.py`), the parts of
the hybrid and its steps predict the rest, and every query goes to the most of acc - price * cost at each of 122 prices.
Realised, means over the divisions:

- **area**: mean height of the realised upper hull between the cheapest and the dearest single model's cost, less that of
  the zero router. The hull of the single models is that **of the test part**, which nobody can know beforehand: where
  models are many and queries few it is too good by the luck of the best, as the row "means" shows, which is the zero router
  chosen by the means of the train part.
- **log-loss**: of all pairs. **spread**: standard deviation of the area's difference over the divisions.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from measure import described, table
from omnirouter import Outcomes
from omnirouter.evaluation.curves import mean_height, upper_hull
from omnirouter.predictor import HybridPredictor, embedded_encoder
from omnirouter.predictor.history import History
from plain import PLAIN

Array = NDArray[np.float64]
SHARE = 0.7
PRICES = np.concatenate([[1e6], np.logspace(3, -5, 120), [0.0]])


def area(acc: Array, cost: Array, truth: Array, paid: Array) -> float:
    """Area of the realised hull less that of the single models."""
    rows = np.arange(len(truth))
    plans = [(acc - price / np.median(cost.mean(axis=0)) * cost).argmax(axis=1) for price in PRICES]
    singles = paid.mean(axis=0), truth.mean(axis=0)
    ends = np.array([singles[0].min()]), np.array([singles[0].max()])
    cheapest = singles[0].argmin()
    points = np.array(
        [(singles[0][cheapest], singles[1][cheapest])] + [(paid[rows, p].mean(), truth[rows, p].mean()) for p in plans]
    )
    heights = []
    for x, y in ((points[:, 0], points[:, 1]), singles):
        hull = upper_hull(x, y)
        heights.append(float(mean_height(x[hull][None], y[hull][None], *ends)[0]))
    return heights[0] - heights[1]


def log_loss(acc: Array, truth: Array) -> float:
    p = np.clip(acc, 0.005, 0.995)
    return float(-(truth * np.log(p) + (1 - truth) * np.log(1 - p)).mean())


def predictions(history: History, rows: NDArray[np.int64], fresh: NDArray[np.int64]) -> Iterator[tuple[str, Array, Array]]:
    """Name, accuracy and cost by each step."""
    past, encoded = history.take(rows), history.encoded.take(fresh)
    mean, money = past.acc.mean(axis=0, dtype=np.float64), np.nanmean(past.paid, axis=0)
    shape = (len(fresh), len(mean))
    yield "means", np.broadcast_to(mean, shape), np.broadcast_to(money, shape)
    encoder = embedded_encoder()
    for name, kind in PLAIN.items():
        plain = kind().fit_history(past, encoder)
        yield name, *plain.expect(encoded.vectors.astype(np.float64))
    hybrid = HybridPredictor().fit_history(past, encoder)
    knn, network = hybrid.knn_.expect(encoded), hybrid.network_.expect(encoded)
    yield "64 neighbours", knn.acc, knn.cost
    yield "network", network.acc, network.cost
    cost = hybrid.cost_stack_([knn.cost, network.cost])
    stacked = hybrid.acc_stack_([knn.acc, network.acc])
    yield "stacked", stacked, cost
    yield f"hybrid (trust {hybrid.shrinkage_.trust:.2f})", hybrid.shrinkage_(stacked), cost


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of outcome tables")
    parser.add_argument("--divisions", type=int, default=3)
    parser.add_argument("--seed", type=int, default=200)
    arguments = parser.parse_args()
    encoder = embedded_encoder()
    rows: list[tuple[str, ...]] = []
    for path in sorted(arguments.data.glob("*.parquet")):
        outcomes = Outcomes.read(path)
        if outcomes.cost is None:
            continue
        priced = [name for j, name in enumerate(outcomes.models) if not np.isnan(outcomes.cost[:, j]).all()]
        history = History.of(outcomes.with_models(priced), None, encoder)
        paid = np.where(np.isnan(history.paid), np.nanmean(history.paid, axis=0), history.paid)
        found: dict[str, list[tuple[float, float]]] = {}
        for division in range(arguments.divisions):
            order = np.random.default_rng(arguments.seed + division).permutation(len(history))
            cut = int(SHARE * len(history))
            past, fresh = np.sort(order[:cut]), np.sort(order[cut:])
            truth = history.acc[fresh].astype(np.float64)
            for name, acc, cost in predictions(history, past, fresh):
                step = name.split(" (")[0]
                found.setdefault(step, []).append((area(acc, cost, truth, paid[fresh]), log_loss(acc, truth)))
        for step, values in found.items():
            gain, loss = np.array(values).T
            first = f"{path.stem} ({len(history):,} × {len(priced)})" if step == "means" else ""
            rows.append((first, step, f"{gain.mean():+.4f}", f"{gain.std():.4f}", f"{loss.mean():.4f}"))
    print(table(("data set", "predictor", "area less zero router", "spread", "log-loss"), rows))
    print(f"\n{described()}")


if __name__ == "__main__":
    main()
