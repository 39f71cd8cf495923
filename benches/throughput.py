"""Queries per second of each stage of a route, and the stage's share of the whole.

    python benches/throughput.py --data ../shared/data/routerbench_arc_mbpp.parquet --minilm

Stages: `encode` (tokenising and embedding), of it `tokenise`; `predict` (all that the predictor does with encoded prompts),
of it `search` (neighbours); and `solve`, at half of what the dearest model would cost. The whole route is encode, predict
and solve; the percentage is the stage's share of it. Batches are as served: sorted by length, at most 8,192 tokens each.
Other encoders are slow, so they get fewer prompts (--few), and the embedded one is measured on as many too.

The history is the train split of --data, or else simulated (the demo's), and is the same for every encoder; prompts are
those of the other splits, or simulated, shuffled and repeated up to --queries. --minilm adds all-MiniLM-L6-v2 and its int8
form, exported first, which needs the extra `train`; --encoder any other folder. --rows repeats the history's vectors with
noise, to see the search of a large one.

Time is processor time, so that figures compare on a shared machine: queries per second of one core kept busy, the best of
three runs (of fewer where they take long). `by the clock` are queries per second of the whole route by a clock; the more
cores are free, the higher it is, by up to their number.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import omnirouter
from encoders import minilm
from measure import described, lines, machine, table, write_json
from omnirouter import Outcomes
from omnirouter.demo.simulate import simulate
from omnirouter.predictor.embedded import embedded_encoder
from omnirouter.predictor.encoded import encode
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.history import History
from omnirouter.predictor.hybrid import HybridPredictor
from omnirouter.predictor.knn import KnnPredictor
from omnirouter.predictor.neighbours import unit_rows
from omnirouter.predictor.network import NetworkPredictor

PREDICTORS = {"knn": KnnPredictor, "network": NetworkPredictor, "hybrid": HybridPredictor}
STAGES = ("tokenise", "encode", "search", "predict", "solve")
WHOLE = ("encode", "predict", "solve")  # the others are parts of these
COLUMNS = ("encoder", "queries", "predictor", *STAGES, "whole route", "by the clock")
RUNS, LONG = 3, 6.0  # runs of a stage, and seconds after which none is added
QUICK = {"queries": 500, "few": 40}

Times = dict[str, tuple[float, float]]
"""Processor seconds of each stage, and seconds by the clock."""


def timed(times: Times, stage: str, work: Callable[[], Any]) -> Any:
    """What a call returns; the times of its best run are noted."""
    runs: list[tuple[float, float]] = []
    while len(runs) < RUNS and sum(clock for _, clock in runs) < LONG:
        start, clock = time.process_time(), time.perf_counter()
        result = work()
        runs.append((time.process_time() - start, time.perf_counter() - clock))
    times[stage] = min(runs)
    return result


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
    order = np.random.default_rng(0).permutation(len(others))  # files are sorted by task
    return history, [others[order[k % len(others)]] for k in range(n)]


def widened(history: History, rows: int) -> History:
    """The history repeated up to `rows`, its vectors with noise (similarity about 0.97)."""
    if rows <= len(history):
        return history
    more = history.take(np.arange(rows) % len(history))
    noise = np.random.default_rng(0).standard_normal(more.encoded.vectors.shape, dtype=np.float32)
    more.encoded.vectors[:] = unit_rows(more.encoded.vectors + 0.25 / noise.shape[1] ** 0.5 * noise)
    return more


def measure(encoder: Encoder, predictors: dict[str, Any], prompts: list[str]) -> dict[str, Times]:
    """Times of the stages with each fitted predictor."""
    found: dict[str, Times] = {}
    encoding: Times = {}
    timed(encoding, "tokenise", lambda: encoder._tokenizer.encode_batch_fast(prompts))
    encoded = timed(encoding, "encode", lambda: encode(encoder, prompts))
    for kind, predictor in predictors.items():
        times = dict(encoding)
        if isinstance(predictor, KnnPredictor):
            near, k = predictor.neighbours_, predictor.k
            timed(times, "search", lambda near=near, k=k: near.search(encoded.vectors, k))
        expected = timed(times, "predict", lambda predictor=predictor: predictor.expect(encoded))
        acc, cost = (np.ascontiguousarray(m, dtype=np.float32) for m in (expected.acc, expected.cost))
        budget = 0.5 * float(cost.sum(axis=0, dtype=np.float64).max())
        timed(times, "solve", lambda a=acc, c=cost, b=budget: omnirouter.solve(a, c, budget=b))
        found[kind] = times
    return found


def cells(times: Times, n: int) -> list[str]:
    """Rates and shares of the stages, and the rates of the whole."""
    whole, clock = (sum(times[stage][side] for stage in WHOLE) for side in (0, 1))
    stages = [
        f"{n / times[stage][0]:,.0f} ({100 * times[stage][0] / whole:.1f} %)" if stage in times else "-" for stage in STAGES
    ]
    return [*stages, f"{n / whole:,.0f}", f"{n / clock:,.0f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="a table of outcomes; simulated ones without it")
    parser.add_argument("--minilm", action="store_true", help="also all-MiniLM-L6-v2 and its int8 form (extra train)")
    parser.add_argument("--encoder", nargs="*", default=[], type=Path, help="folders of further encoders")
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=500, help="queries where encoders are compared")
    parser.add_argument("--rows", type=int, default=0, help="rows of the history at least")
    parser.add_argument("--quick", action="store_true", help="few queries, to see that it runs")
    parser.add_argument("--json", help="write the figures here")
    options = parser.parse_args()
    if options.quick:
        vars(options).update(QUICK)
    past, prompts = batch(options.data, options.queries)
    few = prompts[: options.few]
    kind = options.data.name if options.data else "simulated"
    mean = sum(map(len, prompts)) / len(prompts)
    print(f"{kind}: {past.n_queries:,} past prompts x {past.n_models} models; prompts of {mean:,.0f} characters.\n")
    print(table(COLUMNS, []))
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        further = {path.name: Encoder.load(path) for path in options.encoder}
        if options.minilm:
            further["MiniLM"] = minilm(Path(folder) / "minilm", int8=False)
            further["MiniLM int8"] = minilm(Path(folder) / "minilm-int8", int8=True)
        for name, encoder in ({"embedded": embedded_encoder()} | further).items():
            history = widened(History.of(past, None, encoder), options.rows)
            fitted = {kind: build(encoder).fit_history(history, encoder) for kind, build in PREDICTORS.items()}
            for asked in [few] if name in further else [prompts, few] if further else [prompts]:
                for predictor, times in measure(encoder, fitted, asked).items():
                    figures.append({"encoder": name, "queries": len(asked), "predictor": predictor} | times)
                    print(lines([[name, f"{len(asked):,}", predictor, *cells(times, len(asked))]]), flush=True)
    print(f"\n{described()}")
    write_json(options.json, {"figures": figures, "machine": machine()})


if __name__ == "__main__":
    main()
