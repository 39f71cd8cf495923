"""EmbedLLM's table of labels (arXiv 2410.02223): a row per pair of model and prompt."""

from __future__ import annotations

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.long import parse_pairs
from omnirouter.outcomes.tables import Table

__all__ = ["COLUMNS", "matches", "parse"]

COLUMNS = "prompt_id, prompt, label, model_id or model_name, [category or category_id]"


def matches(table: Table) -> bool:
    """Tell whether this is EmbedLLM's table."""
    columns = set(table.columns)
    return {"prompt_id", "prompt", "label"} <= columns and bool({"model_id", "model_name"} & columns)


def parse(table: Table) -> Outcomes:
    """Make outcomes; models are called by name where the table has names. Repeated labels are averaged."""
    names = {"prompt": "prompt", "acc": "label", "query_id": "prompt_id"}
    names["model"] = "model_name" if "model_name" in table.columns else "model_id"
    names["task"] = "category" if "category" in table.columns else "category_id"
    return parse_pairs(table, names)
