"""The known layouts of tables of outcomes, tried in this order. A new one is one module and one line here."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import NamedTuple

from omnirouter.errors import OutcomesError
from omnirouter.outcomes import long, wide
from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.tables import Table, open_table

__all__ = ["LAYOUTS", "Layout", "read_outcomes"]


class Layout(NamedTuple):
    """A way to lay out outcomes in columns.

    `columns` says in words which there are, optional ones in brackets; ``matches(columns)`` looks at the names
    only; ``parse(table)`` may assume that they match, and raises `ValueError` or `OutcomesError` for bad values.
    """

    name: str
    columns: str
    matches: Callable[[Sequence[str]], bool]
    parse: Callable[[Table], Outcomes]


LAYOUTS = (
    Layout("wide", wide.COLUMNS, wide.matches, wide.parse),
    Layout("long", long.COLUMNS, long.matches, long.parse),
)


def read_outcomes(path: str | os.PathLike[str]) -> Outcomes:
    """Read outcomes in the first layout that matches; see `Outcomes.read`."""
    with open_table(path) as table:
        for layout in LAYOUTS:
            if layout.matches(table.columns):
                try:
                    return layout.parse(table)
                except (TypeError, ValueError) as error:
                    raise OutcomesError(f"{table.source}: {error}") from error
        known = "; ".join(f"{layout.name} ({layout.columns})" for layout in LAYOUTS)
        came = ", ".join(name[:60] for name in table.columns[:12])
        more = f", and {len(table.columns) - 12} more" if len(table.columns) > 12 else ""
        raise OutcomesError(f"{table.source}: unknown layout. It has the columns {came}{more}. Known: {known}")
