"""Chunks of rows from files: .npy, Parquet, Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.checks import as_path, whole
from omnirouter.extras import require
from omnirouter.npy import read_array

__all__ = ["ArrowChunks", "NpyChunks"]

_CHUNK_BYTES = 1 << 24
# One chunk is worked on, the next waits, and the one after that may be read already.
_BUFFERS = 3


class NpyChunks:
    """Chunks of a pair of .npy files, read into buffers that are used in turn.

    A chunk stays as it is until the third one after it is asked for.
    """

    def __init__(self, acc: str | Path, cost: str | Path, chunk_rows: int | None) -> None:
        self._files = (_NpyFile("acc", as_path("acc", acc)), _NpyFile("cost", as_path("cost", cost)))
        self.shape = self._files[0].shape
        if self._files[1].shape != self.shape:
            raise ValueError(f"cost has shape {self._files[1].shape}, expected {self.shape} as acc has")
        row_bytes = sum(file.dtype.itemsize for file in self._files) * self.shape[1]
        fitting = max(1, _CHUNK_BYTES // max(row_bytes, 1))
        self._rows = fitting if chunk_rows is None else whole("chunk_rows", chunk_rows, 1)

    def __iter__(self) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
        """Read from the first row."""
        n, m = self.shape
        size = min(self._rows, n)
        buffers = [tuple(np.empty((size, m), file.dtype) for file in self._files) for _ in range(_BUFFERS)]
        with self._files[0].path.open("rb", buffering=0) as acc, self._files[1].path.open("rb", buffering=0) as cost:
            acc.seek(self._files[0].offset)
            cost.seek(self._files[1].offset)
            for at, first in enumerate(range(0, n, size)):
                count = min(size, n - first)
                own_acc, own_cost = buffers[at % _BUFFERS]
                _fill(acc, own_acc[:count])
                _fill(cost, own_cost[:count])
                yield own_acc[:count], own_cost[:count]


class _NpyFile:
    """The header of a .npy file."""

    def __init__(self, name: str, path: Path) -> None:
        mapped = read_array(path, name)
        if not isinstance(mapped, np.memmap) or mapped.ndim != 2:
            raise ValueError(f"{name} ({path}) has shape {getattr(mapped, 'shape', None)}, expected (n_queries, n_models)")
        if mapped.dtype not in (np.float32, np.float64) or not mapped.dtype.isnative or not mapped.flags.c_contiguous:
            order = "C" if mapped.flags.c_contiguous else "Fortran"
            raise TypeError(f"{name} ({path}) is {mapped.dtype} in {order} order, expected float32 or float64 in C order")
        self.path, self.shape, self.dtype, self.offset = (
            path,
            (mapped.shape[0], mapped.shape[1]),
            mapped.dtype,
            mapped.offset,
        )


def _fill(file: Any, array: NDArray[Any]) -> None:
    """Read a whole array."""
    left: Any = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]
    while len(left):
        count = file.readinto(left)
        if not count:
            raise ValueError(f"{file.name} ends {len(left)} bytes too early")
        left = left[count:]


class ArrowChunks:
    """Chunks from Parquet files or record batches."""

    def __init__(self, source: Any, acc: Sequence[str], cost: Sequence[str], columns: Sequence[str] = ()) -> None:
        require("pyarrow", extra="predict")
        for name, names in (("acc", acc), ("cost", cost)):
            if isinstance(names, str) or not isinstance(names, Sequence) or not names:
                raise TypeError(f"{name} is {names!r}, expected a sequence of column names")
            if not all(isinstance(column, str) for column in names):
                raise TypeError(f"{name} is {list(names)}, expected names of columns")
        if len(acc) != len(cost):
            raise ValueError(f"cost has {len(cost)} columns, expected {len(acc)} as acc has")
        if isinstance(source, Iterator):
            raise TypeError(
                f"source is {type(source).__name__}, which can be read once; expected what can be iterated again"
            )
        if not (isinstance(source, str | Path | Iterable) or hasattr(source, "to_batches")):
            raise TypeError(
                f"source is {type(source).__name__}, expected a path, a sequence of paths, a pyarrow.Table or an iterable "
                "of pyarrow.RecordBatch"
            )
        self._source, self._acc, self._cost, self._columns = source, list(acc), list(cost), list(columns)

    def with_columns(self, columns: Sequence[str]) -> ArrowChunks:
        """The same rows with further arrays in each chunk."""
        return ArrowChunks(self._source, self._acc, self._cost, columns)

    def n_queries(self) -> int | None:
        """Number of rows, where it can be told without reading them."""
        paths = self._paths()
        if paths is None:
            known: int | None = getattr(self._source, "num_rows", None)
            return known
        n = 0
        for path in paths:
            with _parquet(path) as file:
                n += file.metadata.num_rows
        return n

    def __iter__(self) -> Iterator[dict[str, NDArray[Any]]]:
        """Read from the first row."""
        for at, batch in enumerate(self._batches()):
            if not hasattr(batch, "num_rows"):
                raise TypeError(f"source[{at}] is {type(batch).__name__}, expected a pyarrow.RecordBatch")
            if batch.num_rows:
                self._check_columns(f"source[{at}]", batch.schema.names)
                yield {
                    "acc": _matrix(batch, self._acc),
                    "cost": _matrix(batch, self._cost),
                    **{name: batch.column(name).to_numpy(zero_copy_only=False) for name in self._columns},
                }

    def _paths(self) -> list[Path] | None:
        if isinstance(self._source, str | Path):
            return [Path(self._source)]
        if isinstance(self._source, Sequence) and all(isinstance(item, str | Path) for item in self._source):
            return [Path(item) for item in self._source]
        return None

    def _batches(self) -> Iterable[Any]:
        paths = self._paths()
        if paths is None:
            yield from self._source.to_batches() if hasattr(self._source, "to_batches") else self._source
            return
        wanted = self._wanted()
        for path in paths:
            with _parquet(path) as file:
                self._check_columns(f"{path}", file.schema_arrow.names)
                yield from file.iter_batches(columns=wanted, batch_size=_CHUNK_BYTES // (8 * max(len(wanted), 1)))

    def _wanted(self) -> list[str]:
        return [*self._acc, *self._cost, *self._columns]

    def _check_columns(self, where: str, names: Sequence[str]) -> None:
        missing = [name for name in self._wanted() if name not in names]
        if missing:
            raise ValueError(f"{where} has no column {missing[0]!r}; it has {list(names)}")


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    """An open Parquet file; pyarrow's errors name it."""
    arrow = require("pyarrow", extra="predict")
    parquet = require("pyarrow.parquet", extra="predict")
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (arrow.ArrowException, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, which names the file
            raise
        raise ValueError(f"source ({path}) is not a readable Parquet file: {error}") from error


def _matrix(batch: Any, names: Sequence[str]) -> NDArray[Any]:
    """Columns side by side, or one column of lists, as (rows, m)."""
    columns = [batch.column(name) for name in names]
    for name, column in zip(names, columns, strict=True):
        if column.null_count:
            raise ValueError(f"column {name!r} has {column.null_count} missing entries, expected a number in each")
    if len(columns) == 1 and hasattr(columns[0], "flatten") and hasattr(columns[0].type, "value_type"):
        flat = columns[0].flatten().to_numpy(zero_copy_only=False)
        if len(flat) % batch.num_rows:
            raise ValueError(f"column {names[0]!r} has lists of different lengths, expected one number per model in each")
        rows: NDArray[Any] = flat.reshape(batch.num_rows, -1)
        return rows
    return np.stack([column.to_numpy(zero_copy_only=False) for column in columns], axis=1)
