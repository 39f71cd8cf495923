"""LLMRouterBench (arXiv 2601.07206): a folder with a file per run of a model over a data set, or records as a table.

Runs that were broken off for a demonstration are skipped, and of several runs of the same model, data set and split the
latest counts, by the time in the name of the file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from omnirouter.errors import OutcomesError
from omnirouter.json_text import parse_json
from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.long import parse_pairs, scored
from omnirouter.outcomes.tables import Table, some_rows

__all__ = ["COLUMNS", "matches", "open_folder", "parse"]

COLUMNS = "dataset_id, split, model_name, record_index, origin_query, score, [prompt_tokens, completion_tokens, cost]"
_FILE = ("dataset_name", "split", "model_name")  # of a run, for all its records
_RECORD = ("index", "origin_query", "score", "prompt_tokens", "completion_tokens", "cost")
_COLUMN = {"dataset_name": "dataset_id", "index": "record_index"}  # where a table calls it otherwise
_NAMES = {
    "prompt": "origin_query",
    "model": "model_name",
    "acc": "score",
    "cost": "cost",
    "input_tokens": "prompt_tokens",
    "output_tokens": "completion_tokens",
    "task": "dataset_id",
    "split": "split",
    "query_id": "query_id",
}


def matches(table: Table) -> bool:
    """Tell whether these are records of LLMRouterBench."""
    return {"dataset_id", "split", "model_name", "record_index", "origin_query", "score"} <= set(table.columns)


def parse(table: Table) -> Outcomes:
    """Make outcomes; a query is a record of a data set and split, named ``dataset/split/index``.

    Records without a score are left out. A model whose every cost is 0 although it wrote tokens has no price in the
    source, so its costs are unknown, not zero.
    """
    table = scored(table, "score")
    parts = [table.text(name).to_pylist() for name in ("dataset_id", "split", "record_index")]
    past = parse_pairs(table.with_column("query_id", ["/".join(row) for row in zip(*parts, strict=True)]), _NAMES)
    if past.cost is None or past.output_tokens is None:
        return past
    free = ~(past.cost > 0).any(axis=0) & (past.output_tokens > 0).any(axis=0)
    return replace(past, cost=np.where(free, np.nan, past.cost))


@contextmanager
def open_folder(folder: str | os.PathLike[str]) -> Iterator[Table]:
    """Open all runs below a folder as one table of records.

    Raises
    ------
    OutcomesError
        When a JSON file below the folder is damaged, or none is a run.
    """
    source = os.fspath(folder)
    latest: dict[tuple[str, ...], tuple[str, list[tuple[Any, ...]]]] = {}
    for path in sorted(Path(folder).rglob("*.json"), key=lambda path: (_time(path), path)):
        run = _read(path)
        if run is not None and not run.get("demo"):
            latest[tuple(str(run[name]) for name in _FILE)] = (os.fspath(path.relative_to(folder)), _records(path, run))
    if not latest:
        raise OutcomesError(
            f"{source}: a folder without a run of LLMRouterBench (*.json with {', '.join(_FILE)} and records); "
            "tables are read file by file"
        )
    runs = sorted(latest.values(), key=lambda run: run[0])
    rows = [row for _, records in runs for row in records]
    names = tuple(_COLUMN.get(name, name) for name in (*_FILE, *_RECORD))
    places = [(name, k) for name, records in runs for k in range(len(records))]

    def place(row: int) -> str:
        return f"record {places[row][1]} (counted from 0) of {places[row][0]}"

    yield Table(source, names, some_rows(source, len(rows)), lambda name: [row[names.index(name)] for row in rows], place)


def _records(path: Path, run: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What is used of the records of a run; the answers, most of the file, are not kept."""
    of_run = tuple(run[name] for name in _FILE)
    for k, record in enumerate(run["records"]):
        if not isinstance(record, dict):
            raise OutcomesError(f"{path}: record {k} is {type(record).__name__}, expected a JSON object")
    return [of_run + tuple(record.get(name) for name in _RECORD) for record in run["records"]]


def _read(path: Path) -> dict[str, Any] | None:
    """The run in a file, or None when it holds something else."""
    try:
        run = parse_json(path.read_bytes().decode("utf-8-sig"))
    except ValueError as error:
        raise OutcomesError(f"{path}: not a well-formed JSON file ({error})") from error
    known = isinstance(run, dict) and isinstance(run.get("records"), list) and all(name in run for name in _FILE)
    return run if known else None


def _time(path: Path) -> str:
    found = re.search(r"(\d{8}_\d{6})\.json$", path.name)
    return found.group(1) if found else ""
