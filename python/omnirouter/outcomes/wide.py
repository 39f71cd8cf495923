"""Wide tables: a row per query, columns ``acc:MODEL``, ``cost:MODEL`` and so on for each model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.tables import Table

__all__ = ["COLUMNS", "LABELS", "PREFIXES", "matches", "parse"]

COLUMNS = (
    "prompt, acc:MODEL, [cost:MODEL, in_tokens:MODEL, out_tokens:MODEL, cached_tokens:MODEL, latency:MODEL, "
    "task, split, query_id]"
)
PREFIXES = {
    "acc": "acc:",
    "cost": "cost:",
    "input_tokens": "in_tokens:",
    "output_tokens": "out_tokens:",
    "latency": "latency:",
    "cached_tokens": "cached_tokens:",
}
LABELS = ("task", "split", "query_id")


def matches(table: Table) -> bool:
    """Tell whether this is a wide table."""
    return "prompt" in table.columns and any(name.startswith(PREFIXES["acc"]) for name in table.columns)


def parse(table: Table) -> Outcomes:
    """Make outcomes of a wide table; models in the order of the ``acc:`` columns."""
    models = [name.removeprefix(PREFIXES["acc"]) for name in table.columns if name.startswith(PREFIXES["acc"])]
    matrices = {field: _matrix(table, prefix, models) for field, prefix in PREFIXES.items()}
    labels = {
        name: tuple(table.text(name, missing=None if name == "query_id" else "").to_pylist())
        for name in LABELS
        if name in table.columns
    }
    return Outcomes(tuple(table.text("prompt").to_pylist()), tuple(models), **matrices, **labels)  # type: ignore[arg-type]


def _matrix(table: Table, prefix: str, models: Sequence[str]) -> NDArray[np.float64] | None:
    column_of = {model: j for j, model in enumerate(models)}
    present = [name for name in table.columns if name.startswith(prefix)]
    if not present:
        return None
    matrix = np.full((table.n_rows, len(models)), np.nan)
    for name in present:
        model = name.removeprefix(prefix)
        if model not in column_of:
            raise table.error(name, f"names model {model!r}, which has no column 'acc:{model}'")
        matrix[:, column_of[model]] = table.numbers(name)
    matrix.flags.writeable = False
    return matrix
