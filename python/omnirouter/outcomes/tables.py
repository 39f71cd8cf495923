"""Files of rows: find the format by the content, and give columns as text or numbers.

Parquet columns are read when they are asked for, so that long answer texts beside them cost nothing.
"""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import OutcomesError
from omnirouter.extras import require

__all__ = ["PARQUET", "Table", "first_bytes", "open_jsonl", "open_table", "short"]

PARQUET = b"PAR1"
_BOM = b"\xef\xbb\xbf"
_MISSING = ("", "nan", "na", "n/a", "null", "none")  # how text tables, in lower case, spell a hole


class Table:
    """Named columns of equal length.

    Parameters
    ----------
    source : str
        What messages call the table: its path.
    columns : tuple of str
        Names of the columns, in order.
    n_rows : int
        Number of rows.
    load : callable
        ``load(name)`` gives a column, a list of JSON values or a pyarrow ``ChunkedArray``.
    """

    def __init__(self, source: str, columns: tuple[str, ...], n_rows: int, load: Callable[[str], Any]) -> None:
        twice = [name for name in columns if columns.count(name) > 1] if len(set(columns)) < len(columns) else []
        if twice:
            raise OutcomesError(f"{source}: column {twice[0]!r} comes twice")
        self.source, self.columns, self.n_rows, self._load = source, columns, n_rows, load

    def error(self, column: str, what: str) -> OutcomesError:
        """Return an error that names the file and the column."""
        return OutcomesError(f"{self.source}: column {column!r} {what}")

    def text(self, column: str, *, missing: str | None = None) -> Any:
        """Return a column of text as a pyarrow large_string array; integers become their digits.

        `missing` stands for a hole; without it, a hole or a blank text is an error.

        Raises
        ------
        OutcomesError
            When the column holds something else, or a hole that may not be.
        """
        pa = require("pyarrow", extra="predict")
        values = self._load(column)
        if isinstance(values, list):
            try:
                texts = pa.array(values, type=pa.large_string())
            except (pa.ArrowException, UnicodeEncodeError):
                texts = pa.array(self._json_texts(column, values), type=pa.large_string())
        else:
            if pa.types.is_dictionary(values.type):
                values = values.cast(values.type.value_type)
            if not (_is_text(values.type) or pa.types.is_integer(values.type) or pa.types.is_null(values.type)):
                raise self.error(column, f"is of type {values.type}, expected text")
            texts = _one_array(pa, values.cast(pa.large_string()))
            try:
                texts.validate(full=True)
            except pa.ArrowInvalid as error:
                raise self.error(column, f"is not UTF-8 text ({error})") from error
        if missing is not None:
            return texts.fill_null(missing)
        pc = require("pyarrow.compute", extra="predict")
        blank = pc.equal(pc.utf8_trim_whitespace(texts), "").fill_null(True).to_numpy(zero_copy_only=False)
        if blank.any():
            raise self.error(column, f"is empty in row {int(blank.argmax())} (counted from 0), expected text")
        return texts

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Return a column of numbers, ``(n_rows,)`` float64, NaN for a hole; true and false are 1 and 0.

        Raises
        ------
        OutcomesError
            When the column holds something else; the message quotes the first such value.
        """
        pa = require("pyarrow", extra="predict")
        values = self._load(column)
        if isinstance(values, list):
            return self._json_numbers(column, values)
        if pa.types.is_dictionary(values.type):
            values = values.cast(values.type.value_type)
        if _is_text(values.type):
            values = self._parsed(pa, column, _one_array(pa, values.cast(pa.large_string())))
        try:
            values = values.cast(pa.float64(), safe=False)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise self.error(column, f"is of type {values.type}, expected numbers") from error
        return np.asarray(values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values.to_numpy())

    def _parsed(self, pa: Any, column: str, texts: Any) -> Any:
        """Numbers that are spelled as text."""
        pc = require("pyarrow.compute", extra="predict")
        words = pc.utf8_lower(pc.utf8_trim_whitespace(texts))
        hole = pc.is_in(words, value_set=pa.array(_MISSING, type=pa.large_string()))
        words = pc.if_else(hole, pa.scalar(None, type=pa.large_string()), words)
        for kind in (pa.float64(), pa.bool_()):
            try:
                return words.cast(kind)
            except pa.ArrowInvalid:
                continue
        for row, word in enumerate(words.to_pylist()):
            if word is not None and not _is_number(word):
                raise self.error(
                    column, f"holds {short(texts[row].as_py())} in row {row} (counted from 0), expected numbers"
                )
        raise self.error(column, "holds text, expected numbers")

    def _json_numbers(self, column: str, values: list[Any]) -> NDArray[np.float64]:
        try:
            numbers = np.array(values, dtype=np.float64)
            if numbers.ndim == 1:
                return numbers
        except (TypeError, ValueError, OverflowError):
            pass
        row = next((i for i, v in enumerate(values) if v is not None and not _is_number(v)), 0)
        raise self.error(column, f"holds {short(values[row])} in row {row} (counted from 0), expected numbers")

    def _json_texts(self, column: str, values: list[Any]) -> list[str | None]:
        texts: list[str | None] = []
        for row, value in enumerate(values):
            if type(value) is int:  # not bool
                value = str(value)
            if value is not None and not isinstance(value, str):
                raise self.error(column, f"holds {short(value)} in row {row} (counted from 0), expected text")
            try:
                (value or "").encode()
            except UnicodeEncodeError:
                what = f"holds half of a surrogate pair in row {row} (counted from 0), expected text"
                raise self.error(column, what) from None
            texts.append(value)
        return texts


@contextmanager
def open_table(path: str | os.PathLike[str]) -> Iterator[Table]:
    """Open a Parquet (by its magic bytes), JSONL (first character ``{``) or else CSV file.

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
        raise OutcomesError(f"{os.fspath(path)}: one JSON array; write JSONL instead, one object per line")
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
        yield Table(source, names, _some_rows(source, n_rows), load)


def open_jsonl(path: str | os.PathLike[str], *, bare: str | None = None) -> Table:
    """Read a file of one JSON object per line; blank lines are skipped.

    Python's own parser, because columns that nobody asks for may mix types from row to row, which pyarrow
    refuses. A line that is one JSON string is a row with that string in column `bare`, if that is given.
    """
    source = os.fspath(path)
    rows: list[dict[str, Any]] = []
    names: dict[str, None] = {}
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.isspace():
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise OutcomesError(f"{source}: line {number} is not JSON ({error})") from error
                if isinstance(row, str) and bare is not None:
                    row = {bare: row}
                if not isinstance(row, dict):
                    raise OutcomesError(f"{source}: line {number} is {type(row).__name__}, expected a JSON object")
                if row.keys() != names.keys():
                    names.update(dict.fromkeys(row))
                rows.append(row)
    except UnicodeDecodeError as error:
        raise OutcomesError(f"{source}: not UTF-8 text ({error})") from error
    return Table(source, tuple(names), len(rows), lambda name: [row.get(name) for row in rows])


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
    except (pa.ArrowException, csv.Error) as error:
        raise OutcomesError(f"{source}: not a well-formed CSV file ({error})") from error
    names = tuple(table.column_names)
    return Table(source, names, _some_rows(source, table.num_rows), table.column)


def _some_rows(source: str, n_rows: int) -> int:
    if not n_rows:
        raise OutcomesError(f"{source}: the table has no rows")
    return n_rows


def _is_text(kind: Any) -> bool:
    return str(kind) in ("string", "large_string", "string_view")


def _is_number(value: Any) -> bool:
    try:
        float(value)
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def short(value: Any) -> str:
    """Return the `repr` of a value, cut to 60 characters, for a message."""
    words = repr(value)
    return words if len(words) <= 60 else words[:57] + "..."


def _one_array(pa: Any, values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
