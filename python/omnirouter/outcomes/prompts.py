"""Files of prompts to route."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from omnirouter.checks import as_path
from omnirouter.errors import OutcomesError
from omnirouter.outcomes.checks import check_filled, text_tuple
from omnirouter.outcomes.formats import PARQUET, first_bytes, open_json, open_jsonl, open_table
from omnirouter.outcomes.tables import Table

__all__ = ["Prompts", "read_prompts"]


@dataclass(frozen=True)
class Prompts:
    """Prompts to route, with the names their file gives them.

    Parameters
    ----------
    prompts : sequence of str
        At least one; none may be empty.
    query_id : sequence of str, optional
        A name for each prompt.

    Raises
    ------
    TypeError, ValueError
        When there is none, one is empty (the message names the row, counted from 0), or the lengths differ.

    Examples
    --------
    >>> len(Prompts(["What is 2+2?", "Prove it."]))
    2
    """

    prompts: tuple[str, ...]
    query_id: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", text_tuple("prompts", self.prompts))
        if not self.prompts:
            raise ValueError("prompts is empty, expected at least one")
        check_filled("prompts", self.prompts)
        if self.query_id is not None:
            object.__setattr__(self, "query_id", text_tuple("query_id", self.query_id))
            if len(self.query_id) != len(self.prompts):
                raise ValueError(f"query_id has {len(self.query_id)} entries, expected {len(self.prompts)}")
            check_filled("query_id", self.query_id)

    def __len__(self) -> int:
        return len(self.prompts)


def read_prompts(path: str | os.PathLike[str]) -> Prompts:
    """Read a file of prompts.

    Plain text with the suffix ``.txt``, one prompt per line; or, found by the content: JSONL of objects with
    ``prompt`` or of strings, and CSV or Parquet with a column ``prompt`` (a file named ``.csv`` is never JSONL of
    strings). A column ``query_id`` is kept and other columns are ignored, so a wide table of outcomes is a file
    of prompts too. Blank lines are skipped in JSONL and CSV and at the end of plain text; elsewhere in plain
    text they are an error.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    OutcomesError
        When the file is empty, broken or has no column ``prompt``, and for empty prompts; the message names
        the row, counted from 0.
    MissingExtraError
        When pyarrow is needed and not installed; plain text needs nothing.
    """
    path = as_path("path", path)
    source = os.fspath(path)
    start, suffix = first_bytes(path), Path(path).suffix.lower()
    try:
        if suffix == ".txt" and not start.startswith(PARQUET):
            return Prompts(_lines(source))
        if start.startswith(b"{") or (start.startswith(b'"') and suffix != ".csv"):
            return _from_table(open_jsonl(path, bare="prompt"))
        if start.startswith(b"["):
            return _from_table(open_json(path, bare="prompt"))
        with open_table(path) as table:
            return _from_table(table)
    except (TypeError, ValueError) as error:
        raise OutcomesError(f"{source}: {error}") from error


def _lines(source: str) -> tuple[str, ...]:
    try:
        text = Path(source).read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise OutcomesError(f"{source}: not UTF-8 text ({error})") from error
    # Not splitlines(), which also cuts at characters that may stand inside a prompt, such as U+2028.
    lines = tuple(line.removesuffix("\r") for line in text.rstrip().split("\n"))
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            raise OutcomesError(f"{source}: line {number} is empty, expected one prompt per line")
    return lines


def _from_table(table: Table) -> Prompts:
    if "prompt" not in table.columns:
        came = ", ".join(name[:60] for name in table.columns[:12])
        raise OutcomesError(f"{table.source}: no column 'prompt'; it has {came}. Plain text needs the suffix .txt")
    prompts = tuple(table.text("prompt").to_pylist())
    has_id = "query_id" in table.columns
    return Prompts(prompts, tuple(table.text("query_id").to_pylist()) if has_id else None)
