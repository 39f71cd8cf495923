"""A model that joins late, and logs that know few outcomes: what they cost in accuracy.

    python benches/new_models.py ../shared/data

Realised on the test split; budgets are shares of what the most accurate single model costs there; brackets hold 95 %
bootstrap intervals. **New model**: the most accurate model of the train split is held out, the router fitted on the
others, and the model then added from a number of its outcomes, drawn at random (`Router.add_model`); "all at once" is a
router fitted on everything. Log-loss is that of the new model alone. **Few observations**: in the train split only this
share of the pairs of query and model is kept, at random; queries that keep none are left out. Single draws differ by
points, so figures are means over three of them (intervals are over test queries); the last column is paired. Log-loss is
that of all models.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from measure import described, table
from omnirouter import Outcomes, Router, solve
from omnirouter.evaluation.bootstrap import Resamples, estimate
from omnirouter.evaluation.document import interval
from omnirouter.evaluation.encoding import RememberingEncoder
from omnirouter.evaluation.scores import score
from omnirouter.predictor import HybridPredictor, LearnedPredictor, embedded_encoder
from omnirouter.predictor.chances import log_losses
from quality import points

FILES = ("routerbench_arc_mbpp", "cascades_mmlu_truthfulqa_gsm8k", "medagents_medqa_mmlu")
SHARES = (0.25, 0.5, 1.0)
ADDED = (20, 100, 500)
OBSERVED = (0.05, 0.2, 1.0)
DRAWS = 3
HALF = 1 + SHARES.index(0.5)


class Bench:
    """One table: train and test split, and an encoder that reads each prompt once."""

    def __init__(self, path: Path, resamples: int) -> None:
        outcomes = Outcomes.read(path)
        self.name = path.stem
        self.train, self.test = outcomes.select(split="train"), outcomes.select(split="test")
        self.encoder = RememberingEncoder(embedded_encoder())
        self.draws = Resamples(len(self.test), resamples, seed=0)
        best = int(self.test.acc.mean(axis=0).argmax())
        assert self.test.cost is not None
        self.most = float(self.test.cost[:, best].sum())

    def accuracies(self, router: Router) -> list[str]:
        """Realised accuracy at each budget."""
        columns = [self.test.models.index(name) for name in router.models]
        rows = np.arange(len(self.test))
        cells = []
        for share in SHARES:
            plan = router.route(self.test.prompts, budget=share * self.most, rel_gap=1e-3).assignment
            if plan is None:
                cells.append("no plan")
                continue
            acc = self.test.acc[:, columns][rows, plan]
            cells.append(interval(estimate(self.draws.means(acc[:, None])[:, 0])))
        return cells

    def log_loss(self, router: Router, models: tuple[str, ...]) -> str:
        """Of the predicted accuracies of some models."""
        predicted = router.predict(self.test.prompts).acc[:, [router.models.index(name) for name in models]]
        truth = self.test.acc[:, [self.test.models.index(name) for name in models]]
        return interval(score("router", models, predicted.astype(np.float64), truth, self.draws).log_loss)

    def realised(self, predictor: LearnedPredictor) -> NDArray[np.float64]:
        """Of each test query the mean log-loss of the models and the score realised at each budget, (n, 1 + shares)."""
        prediction = predictor.predict(self.test.prompts)
        columns = [log_losses(prediction.acc, self.test.acc).mean(axis=1)]
        for share in SHARES:
            solution = solve(prediction.acc, prediction.cost, budget=share * self.most, rel_gap=1e-3).raise_for_status()
            columns.append(self.test.acc[np.arange(len(self.test)), solution.assignment])
        return np.stack(columns, axis=1)

    def fit(self, outcomes: Outcomes) -> Router:
        return Router.fit(outcomes, encoder=self.encoder)


def new_model(bench: Bench) -> list[tuple[str, ...]]:
    """Rows of one table: without the model, added from few outcomes, and all at once."""
    train = bench.train
    held = train.models[int(np.nanmean(train.acc, axis=0).argmax())]
    rest = tuple(name for name in train.models if name != held)
    rng = np.random.default_rng(0)
    order = rng.permutation(len(train))
    without = bench.fit(train.with_models(rest))
    rows = [(f"{bench.name}: {held}", "without it", "", *bench.accuracies(without))]
    for count in ADDED:
        if count > len(train):
            continue
        router = bench.fit(train.with_models(rest))
        router.add_model(train.take(order[:count]).with_models([held]))
        rows.append(("", f"added from {count}", bench.log_loss(router, (held,)), *bench.accuracies(router)))
    whole = bench.fit(train)
    rows.append(("", f"all at once, {len(train):,}", bench.log_loss(whole, (held,)), *bench.accuracies(whole)))
    return rows


def thinned(outcomes: Outcomes, share: float, seed: int) -> Outcomes:
    """Outcomes of which a share of the pairs is kept, and the queries that keep any."""
    keep: NDArray[np.bool_] = np.random.default_rng(seed).random(outcomes.acc.shape) < share
    rows = np.flatnonzero(keep.any(axis=1))
    outcomes, keep = outcomes.take(rows), keep[rows]
    names = ("acc", "cost", "input_tokens", "output_tokens", "latency")
    matrices = {name: matrix for name in names if (matrix := getattr(outcomes, name)) is not None}
    return replace(outcomes, **{name: np.where(keep, matrix, np.nan) for name, matrix in matrices.items()})


def few_observations(bench: Bench) -> list[tuple[str, ...]]:
    """Rows of one table: hybrid and its parts at each share of observed pairs."""
    rows: list[tuple[str, ...]] = []
    for share in OBSERVED:
        trains = [thinned(bench.train, share, seed) for seed in range(1 if share == 1 else DRAWS)]
        found: dict[str, list[NDArray[np.float64]]] = {}
        for train in trains:
            hybrid = HybridPredictor(bench.encoder).fit(train)
            for part in (hybrid, hybrid.knn_, hybrid.network_):
                found.setdefault(part.kind, []).append(bench.realised(part))
        means = {kind: bench.draws.means(np.mean(values, axis=0)) for kind, values in found.items()}
        pairs, queries = np.mean([(train.observed.sum(), len(train)) for train in trains], axis=0)
        label = f"{share:.0%}: {pairs:,.0f} pairs, {queries:,.0f} queries"
        for kind, values in means.items():
            cells = [interval(estimate(column)) for column in values.T]
            own = kind == "hybrid"
            less = "" if own else points(estimate(means["hybrid"][:, HALF] - values[:, HALF]))
            rows.append((bench.name if not rows else "", label if own else "", kind, *cells, less))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of outcome tables")
    parser.add_argument("--quick", action="store_true", help="one table, few resamples")
    arguments = parser.parse_args()
    files = FILES[:1] if arguments.quick else FILES
    benches = [Bench(arguments.data / f"{name}.parquet", 100 if arguments.quick else 1000) for name in files]
    budgets = [f"at {share:.0%}" for share in SHARES]
    print("### New model\n")
    rows = [row for bench in benches for row in new_model(bench)]
    print(table(("data set: new model", "router", "log-loss of the new model", *budgets), rows))
    print("\n### Few observations\n")
    rows = [row for bench in benches for row in few_observations(bench)]
    print(table(("data set", "observed pairs", "predictor", "log-loss", *budgets, "hybrid less it, at 50%"), rows))
    print(f"\n{described()}")


if __name__ == "__main__":
    main()
