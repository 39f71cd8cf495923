"""Long tables: a row per observed pair of query and model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.checks import check_range
from omnirouter.outcomes.tables import Table, short

__all__ = ["COLUMNS", "matches", "parse", "parse_pairs", "scored"]

COLUMNS = "prompt, model, score, [cost, input_tokens, output_tokens, cached_tokens, latency_s, task, split, query_id]"
NAMES = {
    "prompt": "prompt",
    "model": "model",
    "acc": "score",
    "cost": "cost",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "latency": "latency_s",
    "cached_tokens": "cached_tokens",
    "task": "task",
    "split": "split",
    "query_id": "query_id",
}
_NUMBERS = ("acc", "cost", "input_tokens", "output_tokens", "latency", "cached_tokens")
_LABELS = ("task", "split", "query_id")


def matches(table: Table) -> bool:
    """Tell whether this is a long table."""
    return {"prompt", "model", "score"} <= set(table.columns)


def parse(table: Table) -> Outcomes:
    """Make outcomes of a long table; queries and models in the order of their first row."""
    return parse_pairs(table, NAMES)


def parse_pairs(table: Table, names: Mapping[str, str], *, key: str | None = None) -> Outcomes:
    """Make outcomes of any table with a row per pair of query and model.

    Rows with the same query and model are trials of one thing: each number is the mean over those that have it.

    Parameters
    ----------
    table : Table
        The rows.
    names : mapping of str to str
        Column of each field of `Outcomes` ("prompt", "model" and "acc" at least); columns that the table lacks
        are left out.
    key : str, optional
        Column that tells queries apart; by default that of "query_id", or else of "prompt".
    """
    present = {field: column for field, column in names.items() if column in table.columns}
    key = key or present.get("query_id", present["prompt"])
    query, first = _codes(table.text(key))
    texts = table.text(present["model"])
    model, first_of_model = _codes(texts)
    shape = (len(first), len(first_of_model))
    models = tuple(texts.take(first_of_model).to_pylist())

    def place(row: int) -> str:
        return f"model {models[model[row]]!r} in {table.place(row)}"

    cell = query * shape[1] + model
    matrices = {}
    for field in _NUMBERS:
        if field in present:
            values = table.numbers(present[field])
            check_range(present[field], values, place, upper=1.0 if field == "acc" else np.inf)
            matrices[field] = _cell_means(values, cell, shape)
    prompts = _per_query(table, present["prompt"], key, query, first, required=True)
    labels = {
        field: _per_query(table, present[field], key, query, first, required=field == "query_id")
        for field in _LABELS
        if field in present
    }
    return Outcomes(prompts, models, **matrices, **labels)  # type: ignore[arg-type]


def scored(table: Table, column: str) -> Table:
    """Return the rows that have a score; a row without one says nothing about a model."""
    known = np.flatnonzero(~np.isnan(table.numbers(column)))
    if not known.size:
        raise table.error(column, "has no score at all")
    return table if len(known) == table.n_rows else table.take(known)


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


def _per_query(
    table: Table, name: str, key: str, query: NDArray[np.int64], first: NDArray[np.int64], *, required: bool
) -> tuple[str, ...]:
    """Text of each query, which all its rows must share."""
    texts = table.text(name, missing=None if required else "")
    if name != key:
        numbers, _ = _codes(texts)
        differs = np.flatnonzero(numbers != numbers[first][query])
        if differs.size:
            row = int(differs[0])
            start = int(first[query[row]])
            here, there = (short(texts[k].as_py()) for k in (row, start))
            places = f"{table.place(row)} and {table.place(start)}"
            raise table.error(name, f"is {here} and {there} in {places}, which have the same {key}")
    return tuple(texts.take(first).to_pylist())
