"""The known layouts of tables of outcomes, tried in this order. A new one is one module and one line here."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from omnirouter.checks import as_path
from omnirouter.errors import OutcomesError
from omnirouter.outcomes import aios, embedllm, llmrouter, llmrouterbench, long, routellm, routerbench, wide
from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.formats import open_table
from omnirouter.outcomes.tables import Table

__all__ = ["LAYOUTS", "Layout", "read_outcomes"]


class Layout(NamedTuple):
    """A way to lay out outcomes in columns.

    `columns` says in words which there are, optional ones in brackets; ``matches(table)`` looks at their names, and
    at the first row where names do not tell; ``parse(table)`` may assume that they match, and raises `ValueError` or
    `OutcomesError` for bad values.
    """

    name: str
    columns: str
    matches: Callable[[Table], bool]
    parse: Callable[[Table], Outcomes]


LAYOUTS = (
    Layout("wide", wide.COLUMNS, wide.matches, wide.parse),
    Layout("long", long.COLUMNS, long.matches, long.parse),
    Layout("RouterBench", routerbench.COLUMNS, routerbench.matches, routerbench.parse),
    Layout("RouterBench raw", routerbench.RAW_COLUMNS, routerbench.matches_raw, routerbench.parse_raw),
    Layout("LLMRouterBench", llmrouterbench.COLUMNS, llmrouterbench.matches, llmrouterbench.parse),
    Layout("LLMRouter", llmrouter.COLUMNS, llmrouter.matches, llmrouter.parse),
    Layout("AIOS", aios.COLUMNS, aios.matches, aios.parse),
    Layout("EmbedLLM", embedllm.COLUMNS, embedllm.matches, embedllm.parse),
    Layout("RouteLLM", routellm.COLUMNS, routellm.matches, routellm.parse),
)


def read_outcomes(path: str | os.PathLike[str]) -> Outcomes:
    """Read outcomes in the first layout that matches; see `Outcomes.read`."""
    path = as_path("path", path)
    with llmrouterbench.open_folder(path) if os.path.isdir(path) else open_table(path) as table:
        for layout in LAYOUTS:
            if layout.matches(table):
                try:
                    return layout.parse(table)
                except (TypeError, ValueError) as error:
                    raise OutcomesError(f"{table.source}: {error}") from error
        known = "; ".join(f"{layout.name} ({layout.columns})" for layout in LAYOUTS)
        came = ", ".join(name[:60] for name in table.columns[:12])
        more = f", and {len(table.columns) - 12} more" if len(table.columns) > 12 else ""
        raise OutcomesError(f"{table.source}: unknown layout. It has the columns {came}{more}. Known: {known}")
