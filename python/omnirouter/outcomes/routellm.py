"""RouteLLM's tables of answers (arXiv 2406.18665): a row per prompt, a column of true and false per model."""

from __future__ import annotations

import numpy as np

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.tables import Table

__all__ = ["COLUMNS", "matches", "parse"]

COLUMNS = "prompt, and two or more MODEL that hold true or false, [MODEL_response]"
_RESPONSE = "_response"


def matches(table: Table) -> bool:
    """Tell whether beside the prompts there are models only, as their first row says."""
    models = _models(table)
    if "prompt" not in table.columns or len(models) < 2:
        return False
    words = {str(value).strip().lower() for name in models if (value := table.first(name)) not in (None, "")}
    return bool(words) and words <= {"true", "false"}


def parse(table: Table) -> Outcomes:
    """Make outcomes; models in the order of their columns."""
    models = _models(table)
    acc = np.stack([table.numbers(name) for name in models], axis=1)
    return Outcomes(tuple(table.text("prompt").to_pylist()), models, acc)


def _models(table: Table) -> tuple[str, ...]:
    names = [name for name in table.columns if name != "prompt"]
    return tuple(name for name in names if not (name.endswith(_RESPONSE) and name.removesuffix(_RESPONSE) in names))
