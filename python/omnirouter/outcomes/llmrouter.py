"""LLMRouter's routing data: a row per answer, of which failed calls are left out."""

from __future__ import annotations

import numpy as np

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.long import parse_pairs, scored
from omnirouter.outcomes.tables import Table

__all__ = ["COLUMNS", "matches", "parse"]

COLUMNS = "query, model_name, performance, [response, input_tokens, output_tokens, response_time, task_name, embedding_id]"
_NAMES = {
    "prompt": "query",
    "model": "model_name",
    "acc": "performance",
    "input_tokens": "input_tokens",
    "output_tokens": "output_tokens",
    "latency": "response_time",
    "task": "task_name",
    "query_id": "embedding_id",  # one per distinct query, task, answer and metric
}
_FAILED = ("ERROR", "API Error")
_TOKENS = ("output_tokens", "token_num")


def matches(table: Table) -> bool:
    """Tell whether this is LLMRouter's routing data."""
    return {"query", "model_name", "performance"} <= set(table.columns)


def parse(table: Table) -> Outcomes:
    """Make outcomes of the answers that have a score and are not the record of a failed call.

    A failed call is an answer that begins with "ERROR" or "API Error" and has no tokens: it says nothing about
    what the model can do. (``token_num``, input and output together, is used for nothing else.)
    """
    return parse_pairs(_answered(scored(table, "performance")), _NAMES)


def _answered(table: Table) -> Table:
    tokens = next((name for name in _TOKENS if name in table.columns), None)
    if "response" not in table.columns:
        return table
    wrong = np.array([text.startswith(_FAILED) for text in table.text("response", missing="").to_pylist()])
    if tokens is not None:
        wrong &= ~(table.numbers(tokens) > 0)
    if wrong.all():
        raise table.error("response", "holds failed calls only")
    return table.take(np.flatnonzero(~wrong)) if wrong.any() else table
