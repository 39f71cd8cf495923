"""Queries per second of each stage of a route, and the stage's share of the whole.

    python benches/throughput.py --data ../shared/data/routerbench_arc_mbpp.parquet --encoder path/to/minilm

Stages: `encode` (tokenising and embedding) with the embedded encoder and with each --encoder folder; `tokenise`, the part of
it before the network; `search` (neighbours) and `predict` (everything that the predictor does with encoded prompts, the
search included) for each predictor; and `solve` at half of what the dearest model would cost. The history is the train split
of --data, or else simulated (the demo's); prompts are those of the other splits, or simulated, repeated up to --queries.
--rows repeats the history's vectors with noise, to see the search of a large one.

Time is processor time, so that figures compare on a shared machine: queries per second of one core kept busy. `wall` is
what a clock shows beside it; the more cores are free, the lower it is, by up to their number.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import omnirouter
from measure import described, lines, machine, short, table, write_json
from omnirouter import Outcomes
from omnirouter.demo.simulate import simulate
from omnirouter.predictor.embedded import embedded_encoder
from omnirouter.predictor.encoded import encode
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.history import History
from omnirouter.predictor.knn import KnnPredictor
from omnirouter.predictor.neighbours import unit_rows

PREDICTORS = {
    name: (f"omnirouter.predictor.{name}", f"{name.capitalize()}Predictor") for name in ("knn", "network", "hybrid")
}
COLUMNS = ("encoder", "predictor", "stage", "queries", "queries/s", "wall", "share of the route")


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What a call returns, its processor seconds and its seconds by the clock."""
    start, clock = time.process_time(), time.perf_counter()
    result = work()
    return result, time.process_time() - start, time.perf_counter() - clock


def batch(data: Path | None, n: int) -> tuple[Outcomes, list[str]]:
    """History, and n prompts that are not in it."""
    past = Outcomes.read(data) if data else simulate(4000, seed=0)
    if past.split is not None:
        history = past.select(split="train")
        others = [prompt for prompt, split in zip(past.prompts, past.split, strict=True) if split != "train"]
    else:
        history, others = past, list(simulate(2000, seed=1).prompts)
    if history.cost is None:  # a cost for the solver to weigh; the stages before it do not care
        price = np.geomspace(1e-4, 1e-2, history.n_models)
        history = Outcomes(history.prompts, history.models, history.acc, np.where(history.observed, price, np.nan))
    return history, [others[k % len(others)] for k in range(n)]


def widened(history: History, rows: int) -> History:
    """The history repeated up to `rows`, its vectors with noise (similarity about 0.97)."""
    if rows <= len(history):
        return history
    more = history.take(np.arange(rows) % len(history))
    noise = np.random.default_rng(0).standard_normal(more.encoded.vectors.shape, dtype=np.float32)
    more.encoded.vectors[:] = unit_rows(more.encoded.vectors + 0.25 / noise.shape[1] ** 0.5 * noise)
    return more


def predictors() -> dict[str, Any]:
    """The predictors of this version."""
    found = {}
    for name, (module, kind) in PREDICTORS.items():
        try:
            found[name] = getattr(importlib.import_module(module), kind)
        except ModuleNotFoundError as error:
            if error.name != module:
                raise
    return found


def measure(name: str, encoder: Encoder, past: Outcomes, prompts: list[str], rows: int) -> list[dict[str, Any]]:
    """One row per stage."""
    history = widened(History.of(past, None, encoder), rows)
    out = []

    def note(predictor: str, stage: str, seconds: float, clock: float) -> None:
        out.append(
            {"encoder": name, "predictor": predictor, "stage": stage, "queries": len(prompts)}
            | {"seconds": seconds, "wall": clock}
        )

    _, seconds, clock = timed(lambda: encoder._tokenizer.encode_batch_fast(prompts))
    note("", "tokenise", seconds, clock)
    encoded, *encoding = timed(lambda: encode(encoder, prompts))
    note("", "encode", *encoding)
    for kind, build in predictors().items():
        predictor = build(encoder).fit_history(history, encoder)
        if isinstance(predictor, KnnPredictor):
            near = predictor.neighbours_
            _, seconds, clock = timed(lambda near=near, k=predictor.k: near.search(encoded.vectors, k))
            note(kind, "search", seconds, clock)
        expected, *predicting = timed(lambda predictor=predictor: predictor.expect(encoded))
        note(kind, "predict", *predicting)
        acc, cost = (np.ascontiguousarray(m, dtype=np.float32) for m in (expected.acc, expected.cost))
        budget = 0.5 * float(cost.sum(axis=0, dtype=np.float64).max())
        _, *solving = timed(lambda a=acc, c=cost, b=budget: omnirouter.solve(a, c, budget=b))
        note(kind, "solve", *solving)
        whole = encoding[0] + predicting[0] + solving[0]
        for row in out:
            if row["predictor"] == kind or (row["predictor"] == "" and "share" not in row):
                row["share"] = row["seconds"] / whole
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a table of outcomes; simulated ones without it")
    parser.add_argument("--encoder", nargs="*", default=[], type=Path, help="folders of further encoders")
    parser.add_argument("--queries", type=int, default=20_000)
    parser.add_argument(
        "--few", type=int, default=1_000, help="queries, and past prompts, for the further encoders, which are slow"
    )
    parser.add_argument("--rows", type=int, default=0, help="rows of the history at least")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    past, prompts = batch(options.data, options.queries)
    kind = options.data.name if options.data else "simulated"
    length = sum(map(len, prompts)) / len(prompts)
    print(f"{kind}: {past.n_queries:,} past prompts x {past.n_models} models; prompts of {length:,.0f} characters.\n")
    print(table(COLUMNS, []))
    figures = []
    for folder in [None, *options.encoder]:
        encoder = Encoder.load(folder) if folder else embedded_encoder()
        name = folder.name if folder else "embedded"
        known, asked = (
            (past.take(np.arange(min(options.few, past.n_queries))), prompts[: options.few]) if folder else (past, prompts)
        )
        for row in measure(name, encoder, known, asked, options.rows):
            figures.append(row)
            rate = f"{row['queries'] / row['seconds']:,.0f}"
            cells = [row[key] for key in ("encoder", "predictor", "stage")]
            print(
                lines([[*cells, f"{row['queries']:,}", rate, short(row["wall"]), f"{100 * row['share']:.1f} %"]]), flush=True
            )
    print(f"\n{described()}")
    write_json(options.json, {"figures": figures, "machine": machine()})


if __name__ == "__main__":
    main()
