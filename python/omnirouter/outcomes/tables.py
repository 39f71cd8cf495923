"""Named columns, given as text or numbers with errors that say where something else stands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import OutcomesError
from omnirouter.extras import require

__all__ = ["Table", "short", "some_rows"]

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
    place : callable, optional
        ``place(row)`` words where a row stands in the file, where that is not simply its number.
    """

    def __init__(
        self,
        source: str,
        columns: tuple[str, ...],
        n_rows: int,
        load: Callable[[str], Any],
        place: Callable[[int], str] | None = None,
    ) -> None:
        twice = [name for name in columns if columns.count(name) > 1] if len(set(columns)) < len(columns) else []
        if twice:
            raise OutcomesError(f"{source}: column {twice[0]!r} comes twice")
        self.source, self.columns, self.n_rows, self._load = source, columns, n_rows, load
        self.place = place or (lambda row: f"row {row} (counted from 0)")

    def error(self, column: str, what: str) -> OutcomesError:
        """Return an error that names the file and the column."""
        return OutcomesError(f"{self.source}: column {column!r} {what}")

    def first(self, column: str) -> Any:
        """Return what a column holds in its first row, unchecked."""
        value = self._load(column)[0]
        return value.as_py() if hasattr(value, "as_py") else value

    def values(self, column: str) -> list[Any]:
        """Return what a column holds, unchecked."""
        values = self._load(column)
        return values if isinstance(values, list) else list(values.to_pylist())

    def with_column(self, name: str, values: list[Any]) -> Table:
        """Return the table with one more column."""
        return Table(
            self.source,
            (*self.columns, name),
            self.n_rows,
            lambda column: values if column == name else self._load(column),
            self.place,
        )

    def take(self, rows: NDArray[np.int64]) -> Table:
        """Return the table of these rows; messages still say where they stand in the file."""
        places = rows.tolist()

        def load(column: str) -> Any:
            values = self._load(column)
            return [values[row] for row in places] if isinstance(values, list) else values.take(rows)

        return Table(self.source, self.columns, len(rows), load, lambda row: self.place(places[row]))

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
            raise self.error(column, f"is empty in {self.place(int(blank.argmax()))}, expected text")
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
        for truth, number in (("true", "1"), ("false", "0")):
            words = pc.if_else(pc.equal(words, truth), pa.scalar(number, type=pa.large_string()), words)
        try:
            return words.cast(pa.float64())
        except pa.ArrowInvalid:
            pass
        for row, word in enumerate(words.to_pylist()):
            if word is not None and not _is_number(word):
                raise self.error(column, f"holds {short(texts[row].as_py())} in {self.place(row)}, expected numbers")
        raise self.error(column, "holds text, expected numbers")

    def _json_numbers(self, column: str, values: list[Any]) -> NDArray[np.float64]:
        try:
            numbers = np.array(values, dtype=np.float64)
            if numbers.ndim == 1:
                return numbers
        except (TypeError, ValueError, OverflowError):
            pass
        row = next((i for i, v in enumerate(values) if v is not None and not _is_number(v)), 0)
        raise self.error(column, f"holds {short(values[row])} in {self.place(row)}, expected numbers")

    def _json_texts(self, column: str, values: list[Any]) -> list[str | None]:
        texts: list[str | None] = []
        for row, value in enumerate(values):
            if type(value) is int:  # not bool
                value = str(value)
            if value is not None and not isinstance(value, str):
                raise self.error(column, f"holds {short(value)} in {self.place(row)}, expected text")
            try:
                (value or "").encode()
            except UnicodeEncodeError:
                what = f"holds half of a surrogate pair in {self.place(row)}, expected text"
                raise self.error(column, what) from None
            texts.append(value)
        return texts


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
    try:
        words = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        words = "a whole number of thousands of digits"
    return words if len(words) <= 60 else words[:57] + "..."


def _one_array(pa: Any, values: Any) -> Any:
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def some_rows(source: str, n_rows: int) -> int:
    """Return the number of rows, which may not be 0."""
    if not n_rows:
        raise OutcomesError(f"{source}: the table has no rows")
    return n_rows
