"""Asked against realised spend and accuracy on real outcomes, without and with a confidence of 0.9.

python benches/confidence.py ../shared/data [--rerouted 50] [--json out.json]

A router is fitted on each file's train split and routes its test split. Budgets are shares of what the most accurate single
model really costs there; floors lie between the mean scores, in the train split, of the cheapest and of the best model.
Money is per query. `predicted` is what the solver saw, `corrected` what `Routing.expected` makes of it, `real` is looked up.
`kept` is the share of 1,000 bootstrap resamples of the test queries, each at the model that the plan gives it, whose real
spend or accuracy keeps the limit; `rerouted` the share of resamples that are routed anew, each to the limit per query, and
keep it. The last columns are with the confidence.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import omnirouter
from measure import table, write_json
from omnirouter import Outcomes, Router, Solution
from omnirouter.confidence import solve_confidently
from omnirouter.predictor import Encoder, embedded_encoder
from omnirouter.record import TrackRecord

CONFIDENCE = 0.9
DRAWS = 1000
SMALL = 200_000
BUDGETS = (0.10, 0.25, 0.50, 1.00)
FLOORS = (0.25, 0.50, 0.75, 1.00)
COLUMNS = ("target", "asked", "predicted", "corrected", "real", "kept", "asked at 0.9", "real at 0.9", "kept at 0.9")

Array = NDArray[np.float64]
Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Line:
    """One target on one file; NaN where there is no plan."""

    file: str
    target: str
    asked: float
    predicted: float
    corrected: float
    real: float
    kept: float
    solved: float
    real_confident: float
    kept_confident: float
    rerouted: float
    accuracy: float
    accuracy_confident: float

    @property
    def unit(self) -> float:
        """What slack and errors are counted in: the budget, or a whole of accuracy."""
        return self.asked if self.target.startswith("budget") else 1.0

    def cells(self) -> list[str]:
        return [f"{value:.3g}" if isinstance(value, float) else value for value in list(asdict(self).values())[1:-2]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of outcome tables with train and test splits")
    parser.add_argument("--quick", action="store_true", help="files below 200 kB only")
    parser.add_argument("--only", help="part of a file's name")
    parser.add_argument("--rerouted", type=int, default=0, metavar="N", help="resamples to route anew; 0 leaves them out")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    encoder, every = embedded_encoder(threads=1), []
    for path in sorted(arguments.data.glob("*.parquet")):
        wanted = arguments.only is None or arguments.only in path.stem
        if wanted and not (arguments.quick and path.stat().st_size > SMALL):
            found = list(measure(path, encoder, arguments.rerouted))
            if found:
                rerouted = ("rerouted",) if arguments.rerouted else ()
                rows = (line.cells()[: len(COLUMNS) + len(rerouted)] for line in found)
                print(f"\n### {path.stem}\n\n{table((*COLUMNS, *rerouted), rows)}", flush=True)
            every += found
    print(f"\n### All\n\n{summary(every)}")
    write_json(arguments.json, {"lines": [asdict(line) for line in every]})


def measure(path: Path, encoder: Encoder, rerouted: int) -> Iterator[Line]:
    outcomes = Outcomes.read(path)
    if outcomes.cost is None:
        return
    known = ~np.isnan(outcomes.cost).all(axis=0)
    outcomes = outcomes.with_models([name for name, has in zip(outcomes.models, known, strict=True) if has])
    train, test = outcomes.select(split="train"), outcomes.select(split="test")
    router = Router.fit(train, encoder=encoder)
    assert router.reliability is not None
    assert test.cost is not None
    record, prediction = router.reliability.record, router.predict(test.prompts)
    # The few answers without a logged cost are taken to cost what was predicted.
    paid = np.where(np.isnan(test.cost), prediction.cost, test.cost)
    mean = np.nanmean(train.acc, axis=0)
    best, cheapest = int(mean.argmax()), int(prediction.cost.sum(axis=0).argmin())
    batch = (prediction.acc, prediction.cost, test.acc, paid)
    for share in BUDGETS:
        asked = share * float(paid[:, best].mean())
        yield target(path.stem, f"budget {share:.0%}", asked, None, *batch, record, rerouted)
    for share in FLOORS:
        asked = float(mean[cheapest] + share * (mean[best] - mean[cheapest]))
        yield target(path.stem, f"floor {share:.0%}", None, asked, *batch, record, rerouted)


def target(
    file: str,
    name: str,
    budget: float | None,
    floor: float | None,
    acc: Matrix,
    cost: Matrix,
    scores: Array,
    paid: Array,
    record: TrackRecord,
    rerouted: int,
) -> Line:
    """Budgets and spends are per query here."""
    n, nan = len(acc), float("nan")
    gains, least = (scores, floor) if budget is None else (-paid, -budget)
    assert least is not None

    def solver(rows: NDArray[np.int64]) -> Callable[[float | None, float | None], Solution]:
        part_acc, part_cost = np.ascontiguousarray(acc[rows]), np.ascontiguousarray(cost[rows])
        return lambda total, mean: omnirouter.solve(part_acc, part_cost, budget=total, min_accuracy=mean)

    def confident(rows: NDArray[np.int64]) -> tuple[NDArray[np.int32] | None, float]:
        total = None if budget is None else budget * len(rows)
        solution, assurance = solve_confidently(solver(rows), record.expect, total, floor, CONFIDENCE)
        tightened = assurance.solved.budget, assurance.solved.min_accuracy
        solved = next(value / (len(rows) if k == 0 else 1) for k, value in enumerate(tightened) if value is not None)
        return solution.assignment if assurance.kept else None, solved

    def of(plan: NDArray[np.int32] | None, values: Array) -> Array:
        return np.full(n, nan) if plan is None else values[np.arange(n), plan]

    def kept(plan: NDArray[np.int32] | None) -> float:
        if plan is None:
            return nan
        rng, own = np.random.default_rng(0), of(plan, gains)
        means = np.array([own[rng.integers(0, n, n)].mean() for _ in range(DRAWS)])
        return float((means >= least).mean())

    everything = np.arange(n)
    plain = solver(everything)(None if budget is None else budget * n, floor)
    sure, solved = confident(everything)
    total = None
    if plain.assignment is not None:
        expected = record.expect(plain)
        total = (expected.accuracy.predicted, expected.accuracy.expected)
        if budget is not None:
            total = (expected.spend.predicted / n, expected.spend.expected / n)
    hits = []
    rng = np.random.default_rng(1)
    for _ in range(rerouted):
        rows = rng.integers(0, n, n)
        plan = confident(rows)[0]
        if plan is not None:
            hits.append(float(gains[rows, plan].mean()) >= least)
    sign = 1.0 if budget is None else -1.0
    return Line(
        file=file,
        target=name,
        asked=sign * least,
        predicted=nan if total is None else total[0],
        corrected=nan if total is None else total[1],
        real=sign * float(of(plain.assignment, gains).mean()),
        kept=kept(plain.assignment),
        solved=solved,
        real_confident=sign * float(of(sure, gains).mean()),
        kept_confident=kept(sure),
        rerouted=float(np.mean(hits)) if hits else nan,
        accuracy=float(of(plain.assignment, scores).mean()),
        accuracy_confident=float(of(sure, scores).mean()),
    )


def summary(every: list[Line]) -> str:
    rows = []
    for kind in ("budget", "floor"):
        own = [line for line in every if line.target.startswith(kind)]
        sure = [line for line in own if not np.isnan(line.kept_confident)]
        plain = [line for line in own if not np.isnan(line.kept)]
        slack = [abs(line.asked - line.real_confident) / line.unit for line in sure]
        predicted = [abs(line.real - line.predicted) / line.unit for line in plain]
        corrected = [abs(line.real - line.corrected) / line.unit for line in plain]
        rows.append(
            (
                kind,
                f"{sum(line.kept >= CONFIDENCE for line in plain)} of {len(plain)}",
                f"{sum(line.kept_confident >= CONFIDENCE for line in sure)} of {len(sure)}",
                len(own) - len(sure),
                f"{np.mean(slack):.3f}",
                f"{np.mean([line.accuracy - line.accuracy_confident for line in sure]):.4f}",
                f"{np.mean(predicted):.3f}",
                f"{np.mean(corrected):.3f}",
            )
        )
    columns = (
        "limit",
        "kept in 90 % of resamples",
        "with confidence",
        "without a plan",
        "mean slack",
        "accuracy given up",
        "mean error of the predicted total",
        "of the corrected",
    )
    return table(columns, rows)


if __name__ == "__main__":
    main()
