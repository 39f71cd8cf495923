"""Files of rows: find the format by the content, and open it as a table.

Parquet columns are read when they are asked for, so that long answer texts beside them cost nothing.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from omnirouter.errors import OutcomesError
from omnirouter.extras import require
from omnirouter.json_text import parse_json
from omnirouter.outcomes.frames import PICKLE, open_pickle
from omnirouter.outcomes.tables import Table, some_rows

__all__ = ["PARQUET", "first_bytes", "open_json", "open_jsonl", "open_table"]

PARQUET = b"PAR1"
_BOM = b"\xef\xbb\xbf"


@contextmanager
def open_table(path: str | os.PathLike[str]) -> Iterator[Table]:
    """Open a Parquet or pickled (by their first bytes), JSONL (``{``), JSON (``[``) or else CSV file.

    Raises
    ------
    FileNotFoundError
        When there is no such file; other operating-system errors likewise.
    OutcomesError
        When the file is empty, has no rows, or is not well-formed.
    """
    start = first_bytes(path)
    if start.startswith(PARQUET):
        with _open_parquet(path) as table:
            yield table
    elif start.startswith(b"{"):
        yield open_jsonl(path)
    elif start.startswith(b"["):
        yield open_json(path)
    elif start.startswith(PICKLE):
        yield open_pickle(path)
    elif Path(path).suffix.lower() in (".jsonl", ".ndjson", ".json") and _starts_with_json(start):
        yield open_jsonl(path)
    else:
        yield _open_csv(path)


def first_bytes(path: str | os.PathLike[str]) -> bytes:
    """Return the start of a file after byte-order mark and white space; an empty file is an `OutcomesError`."""
    with open(path, "rb") as file:
        start = file.read(65536).removeprefix(_BOM).lstrip()
    if not start:
        raise OutcomesError(f"{os.fspath(path)}: the file is empty")
    return start


@contextmanager
def _open_parquet(path: str | os.PathLike[str]) -> Iterator[Table]:
    pa = require("pyarrow", extra="predict")
    pq = require("pyarrow.parquet", extra="predict")
    source = os.fspath(path)
    broken = (pa.ArrowException, OSError, UnicodeDecodeError)
    try:
        file = pq.ParquetFile(source)
        names, n_rows = tuple(file.schema_arrow.names), file.metadata.num_rows
    except broken as error:
        raise OutcomesError(f"{source}: not a readable Parquet file ({error})") from error

    def load(name: str) -> Any:
        try:
            return file.read(columns=[name]).column(name)
        except broken as error:
            raise OutcomesError(f"{source}: column {name!r} of the Parquet file is damaged ({error})") from error

    with file:
        yield Table(source, names, some_rows(source, n_rows), load)


def open_jsonl(path: str | os.PathLike[str], *, bare: str | None = None) -> Table:
    """Read a file of one JSON object per line; blank lines are skipped.

    Python's own parser, because columns that nobody asks for may mix types from row to row, which pyarrow
    refuses. A line that is one JSON string is a row with that string in column `bare`, if that is given.
    """
    source = os.fspath(path)
    rows: list[dict[str, Any]] = []
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                try:
                    value = parse_json(line)
                except ValueError as error:
                    raise OutcomesError(f"{source}: line {number} is not JSON ({error})") from error
                rows.append(_object(value, f"{source}: line {number}", bare))
    except UnicodeDecodeError as error:
        raise OutcomesError(f"{source}: not UTF-8 text ({error})") from error
    return _table_of(source, rows)


def open_json(path: str | os.PathLike[str], *, bare: str | None = None) -> Table:
    """Read a file that is one JSON array of objects; `bare` as in `open_jsonl`."""
    source = os.fspath(path)
    try:
        values = parse_json(Path(path).read_bytes().decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise OutcomesError(f"{source}: not UTF-8 text ({error})") from error
    except ValueError as error:
        raise OutcomesError(f"{source}: not a well-formed JSON array ({error})") from error
    return _table_of(source, [_object(value, f"{source}: entry {k}", bare) for k, value in enumerate(values)])


def _starts_with_json(start: bytes) -> bool:
    """Whether the first line is a JSON value, whatever it is."""
    try:
        parse_json(start.partition(b"\n")[0])
    except ValueError:
        return False
    return True


def _object(value: Any, where: str, bare: str | None) -> dict[str, Any]:
    if isinstance(value, str) and bare is not None:
        return {bare: value}
    if not isinstance(value, dict):
        came = "null" if value is None else type(value).__name__
        raise OutcomesError(f"{where} is {came}, expected a JSON object")
    return value


def _table_of(source: str, rows: list[dict[str, Any]]) -> Table:
    names: dict[str, None] = {}
    for row in rows:
        if row.keys() != names.keys():
            names.update(dict.fromkeys(row))
    return Table(source, tuple(names), some_rows(source, len(rows)), lambda name: [row.get(name) for row in rows])


def _open_csv(path: str | os.PathLike[str]) -> Table:
    pa = require("pyarrow", extra="predict")
    arrow_csv = require("pyarrow.csv", extra="predict")
    source = os.fspath(path)
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            header = next(row for row in csv.reader(file) if row)
        # Every column is read as text: a prompt 007 is not the number 7. One thread: then errors name the row.
        table = arrow_csv.read_csv(
            source,
            read_options=arrow_csv.ReadOptions(use_threads=False, block_size=1 << 26),
            parse_options=arrow_csv.ParseOptions(newlines_in_values=True),
            convert_options=arrow_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.large_string()), strings_can_be_null=False
            ),
        )
    except UnicodeDecodeError as error:
        raise OutcomesError(f"{source}: neither Parquet nor UTF-8 text ({error})") from error
    except (pa.ArrowException, csv.Error, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, which names the file
            raise
        kind = "neither Parquet nor well-formed CSV" if source.endswith(".parquet") else "not a well-formed CSV file"
        raise OutcomesError(f"{source}: {kind} ({error})") from error
    names = tuple(table.column_names)
    return Table(source, names, some_rows(source, table.num_rows), table.column)
