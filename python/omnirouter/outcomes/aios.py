"""The history of AIOS and ECCOS: a JSON list with an entry per query, which holds the outputs of the models."""

from __future__ import annotations

from typing import Any

from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.long import parse_pairs, scored
from omnirouter.outcomes.tables import Table, short

__all__ = ["COLUMNS", "matches", "parse"]

COLUMNS = "query, outputs: [{model_name, correctness, [output_token_length]}], [input_token_length]"
_NAMES = {
    "prompt": "query",
    "model": "model_name",
    "acc": "correctness",
    "input_tokens": "input_token_length",
    "output_tokens": "output_token_length",
}


def matches(table: Table) -> bool:
    """Tell whether this is a history of AIOS."""
    return {"query", "outputs"} <= set(table.columns)


def parse(table: Table) -> Outcomes:
    """Make outcomes of one query per entry; the length of the input holds for all its models."""
    outputs: list[dict[str, Any]] = []
    places: list[tuple[int, int]] = []
    for entry, found in enumerate(table.values("outputs")):
        if not isinstance(found, list) or not found or not all(isinstance(output, dict) for output in found):
            what = f"holds {short(found)} in {table.place(entry)}, expected a list of JSON objects"
            raise table.error("outputs", what)
        outputs += found
        places += [(entry, k) for k in range(len(found))]
    columns: dict[str, list[Any]] = {"entry": [entry for entry, _ in places]}
    for name in _NAMES.values():
        if name in table.columns:
            values = table.values(name)
            columns[name] = [values[entry] for entry, _ in places]
        elif any(name in output for output in outputs):
            columns[name] = [output.get(name) for output in outputs]
    for name in ("model_name", "correctness"):
        if name not in columns:
            raise table.error("outputs", f"names no {name!r} anywhere")

    def place(row: int) -> str:
        entry, k = places[row]
        return f"output {k} of {table.place(entry)}"

    pairs = Table(table.source, tuple(columns), len(outputs), columns.__getitem__, place)
    return parse_pairs(scored(pairs, "correctness"), _NAMES, key="entry")
