"""Pickled pandas frames, read without pandas and without running anything that the file names.

A pickle is a program: it names functions and calls them. Here every name stands for a `_Part`, an inert note of what it
was called with, and any name that a frame of texts and numbers does not need is refused. The values are then taken out
of the notes; bytes become arrays of plain numbers only, so that no forged object pointer or buffer is ever followed.
"""

from __future__ import annotations

import math
import os
import pickle
from typing import Any, NoReturn, TypeGuard

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import OutcomesError
from omnirouter.extras import require
from omnirouter.outcomes.tables import Table, some_rows

__all__ = ["PICKLE", "open_pickle"]

PICKLE = tuple(bytes([0x80, protocol]) for protocol in range(2, 6))  # older protocols are text, and of Python 2
_NUMBERS = frozenset(["b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8"])

# pandas 1.3 to 3, numpy 1 and 2; the names that moved between versions are listed at each of their places.
_NAMES = {
    "frame": {"pandas DataFrame", "pandas.core.frame DataFrame"},
    "manager": {"pandas.core.internals.managers BlockManager"},
    "block": {"pandas._libs.internals _unpickle_block"},
    "index": {"pandas.core.indexes.base _new_Index"},
    "index class": {
        "pandas Index",
        "pandas RangeIndex",
        "pandas.core.indexes.base Index",
        "pandas.core.indexes.range RangeIndex",
        "pandas.core.indexes.numeric Int64Index",
    },
    "missing": {"pandas NA", "pandas._libs.missing NA"},
    "strings": {"pandas._libs.arrays __pyx_unpickle_NDArrayBacked"},
    "strings class": {"pandas.arrays StringArray", "pandas.core.arrays.string_ StringArray"},
    "strings dtype": {"pandas StringDtype", "pandas.core.arrays.string_ StringDtype"},
    "arrow strings": {"pandas.arrays ArrowStringArray", "pandas.core.arrays.string_arrow ArrowStringArray"},
    "arrow array": {"pyarrow.lib _restore_array"},
    "arrow chunks": {"pyarrow.lib chunked_array"},
    "arrow buffer": {"pyarrow.lib py_buffer"},
    "arrow type": {"pyarrow.lib type_for_alias"},
    "array": {"numpy.core.multiarray _reconstruct", "numpy._core.multiarray _reconstruct"},
    "array of bytes": {"numpy.core.numeric _frombuffer", "numpy._core.numeric _frombuffer"},
    "array class": {"numpy ndarray"},
    "dtype": {"numpy dtype"},
    "scalar": {"numpy.core.multiarray scalar", "numpy._core.multiarray scalar"},
    "slice": {"builtins slice", "__builtin__ slice"},
    "bytearray": {"builtins bytearray", "__builtin__ bytearray"},
    "bytes": {"_codecs encode"},
}


class _Part:
    """What the file calls an object: what it is, the arguments it is made of, and the state it is given."""

    what = ""
    state: Any = None

    def __init__(self, *args: Any) -> None:
        self.args = args

    def __setstate__(self, state: Any) -> None:
        self.state = state


_PARTS = {name: type(what, (_Part,), {"what": what}) for what, names in _NAMES.items() for name in names}


class _Notes(pickle.Unpickler):
    """An unpickler that knows parts only."""

    def find_class(self, module: str, name: str) -> Any:
        part = _PARTS.get(f"{module} {name}")
        if part is None:
            raise _RefusedError(
                f"the pickle asks for {module}.{name}, which a table of texts and numbers does not need; refused. Only "
                "frames of pandas are read, and nothing in them is run; write other tables as Parquet"
            )
        return part


class _RefusedError(Exception):
    """The pickle holds something else than a frame of texts and numbers."""


def open_pickle(path: str | os.PathLike[str]) -> Table:
    """Open a frame that pandas 1.3 or later pickled with protocol 2 or later; pandas itself is not needed.

    Columns of plain numbers, of Python objects (texts, numbers, true/false, None) and of strings are read.

    Raises
    ------
    OutcomesError
        When the file is not such a pickle, or asks for anything that such a frame does not need.
    """
    source = os.fspath(path)
    try:
        with open(path, "rb") as file:
            frame = _Notes(file).load()
        names, blocks = _layout(frame)
    except _RefusedError as error:
        raise OutcomesError(f"{source}: {error}") from None
    except OSError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        raise OutcomesError(f"{source}: not a readable pickle ({type(error).__name__}: {error})") from error
    place_of = {at: (values, k) for values, places in blocks for k, at in enumerate(places)}
    column_of = {name: place_of.get(k) for k, name in enumerate(names)}

    def load(name: str) -> Any:
        found = column_of[name]
        try:
            if found is None:
                _refuse("a frame without the values of this column")
            return _column(*found)
        except _RefusedError as error:
            raise OutcomesError(f"{source}: column {name!r} of the pickle is damaged ({error})") from None
        except Exception as error:
            raise OutcomesError(f"{source}: column {name!r} of the pickle is damaged ({error!r})") from error

    n_rows = len(load(names[0])) if names else 0
    return Table(source, names, some_rows(source, n_rows), load)


def _layout(frame: Any) -> tuple[tuple[str, ...], list[tuple[Any, Any]]]:
    """Names of the columns, and for each block its values and the columns they are of."""
    state = frame.state if _is(frame, "frame") else None
    manager = state.get("_mgr") if isinstance(state, dict) else None
    if not _is(manager, "manager") or len(manager.args) != 2:
        _refuse("the pickle holds something else than a frame of pandas 1.3 or later, or an older one")
    blocks, axes = manager.args
    column_index = axes[0]
    if not _is(column_index, "index") or "data" not in column_index.args[1]:
        _refuse("the pickle holds a frame whose columns have no names")
    names = tuple(str(name) for name in _column(column_index.args[1]["data"], 0))
    found = []
    for block in blocks:
        if not _is(block, "block"):
            _refuse("the pickle holds a frame in an unknown form")
        values, places = block.args[:2]
        if _is(places, "slice"):
            places = range(len(names))[slice(*places.args)]
        else:
            places = _array(places).tolist()
        found.append((values, places))
    return names, found


def _column(values: Any, k: int) -> Any:
    """The k-th column of a block: a list of Python values, or a pyarrow array."""
    if _is(values, "arrow strings"):
        return _arrow(values.state["_pa_array"])
    if _is(values, "strings"):
        values = next(part for part in values.state if _is(part, "array"))
    array = _array(values)
    column = array[k] if array.ndim == 2 else array
    return [_plain(value) for value in column.tolist()]


def _plain(value: Any) -> Any:
    if _is(value, "scalar"):
        value = _plain(_numbers(value.args[0], (), value.args[1], "C").item())
    elif _is(value, "missing") or (isinstance(value, type) and issubclass(value, _Part) and value.what == "missing"):
        return None
    return None if isinstance(value, float) and math.isnan(value) else value


def _array(part: Any) -> NDArray[Any]:
    if _is(part, "array of bytes"):
        content, dtype, shape, order = part.args
        return _numbers(dtype, shape, content, order)
    if not _is(part, "array"):
        _refuse(f"values of an unknown kind ({getattr(part, 'what', type(part).__name__)})")
    _, shape, dtype, by_column, content = part.state
    if dtype.args[0] in ("O", "O8"):  # a list of Python objects, in C order whatever the array was
        objects = np.empty(len(content), dtype=object)
        objects[:] = content
        shaped: NDArray[Any] = objects.reshape(shape)
        return shaped
    return _numbers(dtype, shape, content, "F" if by_column else "C")


def _numbers(dtype: Any, shape: Any, content: Any, order: str) -> NDArray[Any]:
    if not _is(dtype, "dtype") or dtype.args[0] not in _NUMBERS:
        _refuse(f"values of the type {dtype.args[0] if _is(dtype, 'dtype') else dtype!r}, expected numbers or texts")
    code = dtype.args[0]
    big = dtype.state is not None and dtype.state[1] == ">"
    plain: NDArray[Any] = np.frombuffer(_bytes(content), dtype=(">" if big else "<") + code)
    shaped: NDArray[Any] = plain.reshape(shape, order="F" if order == "F" else "C")
    return shaped


def _bytes(value: Any) -> bytes:
    if _is(value, "bytes"):
        text, encoding = value.args
        if not isinstance(text, str) or encoding != "latin1":
            _refuse("bytes in an unknown form")
        return text.encode("latin1")
    if _is(value, "bytearray") or _is(value, "arrow buffer"):
        return _bytes(value.args[0]) if value.args else b""
    if not isinstance(value, (bytes, bytearray)):
        _refuse("bytes in an unknown form")
    return bytes(value)


def _arrow(part: Any) -> Any:
    pa = require("pyarrow", extra="predict")
    if _is(part, "arrow chunks"):
        return pa.chunked_array([_arrow(chunk) for chunk in part.args[0]], type=pa.large_string())
    if not _is(part, "arrow array"):
        _refuse("strings in an unknown form")
    kind, length, nulls, offset, buffers = part.args[0][:5]
    types = {"string": pa.string(), "large_string": pa.large_string()}
    if not _is(kind, "arrow type") or kind.args[0] not in types:
        _refuse("strings in an unknown form")
    memory = [None if buffer is None else pa.py_buffer(_bytes(buffer)) for buffer in buffers]
    array = pa.Array.from_buffers(types[kind.args[0]], length, memory, nulls, offset)
    array.validate(full=True)
    return array.cast(pa.large_string())


def _is(value: Any, what: str) -> TypeGuard[_Part]:
    return isinstance(value, _Part) and value.what == what


def _refuse(what: str) -> NoReturn:
    raise _RefusedError(what)
