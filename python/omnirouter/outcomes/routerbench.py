"""RouterBench (arXiv 2403.12031): its wide table, also in its simplified form, and the raw table of one row per answer.

Prompts stand there as Python writes lists of texts, ``['What is 2 + 2?']``; the texts are taken out.
"""

from __future__ import annotations

import ast
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.long import parse_pairs, scored
from omnirouter.outcomes.tables import Table

__all__ = ["COLUMNS", "RAW_COLUMNS", "matches", "matches_raw", "parse", "parse_raw"]

COLUMNS = "prompt, MODEL, MODEL|total_cost, [MODEL|model_response, sample_id, eval_name]"
RAW_COLUMNS = "sample_id, prompt, model_name, performance, [cost, eval_name]"
_COST = "|total_cost"
_RAW_NAMES = {
    "prompt": "prompt",
    "model": "model_name",
    "acc": "performance",
    "cost": "cost",
    "task": "eval_name",
    "query_id": "sample_id",
}


def matches(table: Table) -> bool:
    """Tell whether this is RouterBench's wide table."""
    return "prompt" in table.columns and bool(_models(table))


def parse(table: Table) -> Outcomes:
    """Make outcomes of the wide table; models in the order of their columns of scores."""
    models = _models(table)
    for name in table.columns:
        if name.endswith(_COST) and name.removesuffix(_COST) not in models:
            raise table.error(name, f"is a cost of model {name.removesuffix(_COST)!r}, which has no column of scores")
    labels = {
        field: tuple(table.text(column, missing=None if field == "query_id" else "").to_pylist())
        for field, column in (("task", "eval_name"), ("query_id", "sample_id"))
        if column in table.columns
    }
    prompts = tuple(plain_prompt(text) for text in table.text("prompt").to_pylist())
    acc, cost = _matrix(table, models, models), _matrix(table, models, [name + _COST for name in models])
    return Outcomes(prompts, models, acc, cost, **labels)  # type: ignore[arg-type]


def matches_raw(table: Table) -> bool:
    """Tell whether this is RouterBench's raw table."""
    return {"sample_id", "prompt", "model_name", "performance"} <= set(table.columns)


def parse_raw(table: Table) -> Outcomes:
    """Make outcomes of the raw table; answers without a score are left out."""
    past = parse_pairs(scored(table, "performance"), _RAW_NAMES)
    return replace(past, prompts=tuple(plain_prompt(text) for text in past.prompts))


def plain_prompt(text: str) -> str:
    """Return the texts of a written list, joined by blank lines; anything else as it is.

    Examples
    --------
    >>> plain_prompt("['What is 2 + 2?']")
    'What is 2 + 2?'
    >>> plain_prompt("[1, 2] is a list")
    '[1, 2] is a list'
    """
    if text.startswith(("['", '["')) and text.endswith("]"):
        try:
            texts = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
        if isinstance(texts, list) and all(isinstance(part, str) and part.strip() for part in texts):
            return "\n\n".join(texts)
    return text


def _models(table: Table) -> tuple[str, ...]:
    costs = {name.removesuffix(_COST) for name in table.columns if name.endswith(_COST)}
    return tuple(name for name in table.columns if name in costs)


def _matrix(table: Table, models: tuple[str, ...], columns: tuple[str, ...] | list[str]) -> NDArray[np.float64]:
    matrix = np.full((table.n_rows, len(models)), np.nan)
    for j, column in enumerate(columns):
        matrix[:, j] = table.numbers(column)
    matrix.flags.writeable = False
    return matrix
