"""Long tables: a row per observed pair of query and model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.checks import check_range
from omnirouter.outcomes.tables import Table, short

__all__ = ["COLUMNS", "matches", "parse"]

COLUMNS = "prompt, model, score, [cost, input_tokens, output_tokens, latency_s, task, split, query_id]"
_NUMBERS = {
    "acc": "score",
    "cost": "cost",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "latency": "latency_s",
}


def matches(columns: Sequence[str]) -> bool:
    """Tell whether these columns are a long table."""
    return {"prompt", "model", "score"} <= set(columns)


def parse(table: Table) -> Outcomes:
    """Make outcomes of a long table; queries and models in the order of their first row.

    Rows with the same query and model are trials of one thing: each number is the mean over those that have it.
    """
    key = "query_id" if "query_id" in table.columns else "prompt"
    query, first = _codes(table.text(key))
    models = table.text("model")
    model, first_of_model = _codes(models)
    shape = (len(first), len(first_of_model))
    names = tuple(models.take(first_of_model).to_pylist())

    def place(row: int) -> str:
        return f"model {names[model[row]]!r} in row {row} (counted from 0)"

    cell = query * shape[1] + model
    matrices = {}
    for field, column in _NUMBERS.items():
        if column in table.columns:
            values = table.numbers(column)
            check_range(column, values, place, upper=1.0 if field == "acc" else np.inf)
            matrices[field] = _cell_means(values, cell, shape)
    texts = {
        name: _per_query(table, name, key, query, first)
        for name in ("prompt", "task", "split", "query_id")
        if name in table.columns
    }
    return Outcomes(texts.pop("prompt"), names, **matrices, **texts)  # type: ignore[arg-type]


def _codes(texts: Any) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number distinct texts by their first row: the number of each row, the first row of each number."""
    found, first, codes = np.unique(texts.dictionary_encode().indices.to_numpy(), return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(found), dtype=np.int64)
    rank[order] = np.arange(len(found))
    return rank[codes], first[order]


def _cell_means(values: NDArray[np.float64], cell: NDArray[np.int64], shape: tuple[int, int]) -> NDArray[np.float64]:
    known = ~np.isnan(values)
    size = shape[0] * shape[1]
    count = np.bincount(cell[known], minlength=size)
    total = np.bincount(cell[known], weights=values[known], minlength=size)
    means = np.full(size, np.nan)
    np.divide(total, count, out=means, where=count > 0)
    table = means.reshape(shape)
    table.flags.writeable = False
    return table


def _per_query(table: Table, name: str, key: str, query: NDArray[np.int64], first: NDArray[np.int64]) -> tuple[str, ...]:
    """Text of each query, which all its rows must share."""
    texts = table.text(name, missing=None if name in ("prompt", "query_id") else "")
    if name != key:
        numbers, _ = _codes(texts)
        differs = np.flatnonzero(numbers != numbers[first][query])
        if differs.size:
            row = int(differs[0])
            start = int(first[query[row]])
            here, there = (short(texts[k].as_py()) for k in (row, start))
            rows = f"rows {row} and {start} (counted from 0)"
            raise table.error(name, f"is {here} and {there} in {rows}, which have the same {key}")
    return tuple(texts.take(first).to_pylist())
