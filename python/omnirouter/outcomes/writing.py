"""Write outcomes as a wide table; the file appears whole or not at all."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from omnirouter.checks import as_path
from omnirouter.extras import require
from omnirouter.folder import naming
from omnirouter.outcomes.base import Outcomes
from omnirouter.outcomes.wide import LABELS, PREFIXES

__all__ = ["replacing", "write_outcomes"]


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path in the same folder, which becomes `path` if the block ends without an exception.

    The temporary file keeps the suffix of `path`. After an exception it is removed and `path` is as it was.
    """
    target = as_path("path", path)
    # Not tempfile: its files are readable by their owner only, and would stay so after the rename.
    part = target.with_name(f".{uuid.uuid4().hex}.part{target.suffix}")
    try:
        with naming(target, part):
            yield part
            os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)


def write_outcomes(outcomes: Outcomes, path: str | os.PathLike[str]) -> None:
    """Write a wide table in the format of the suffix; see `Outcomes.write`."""
    suffix = as_path("path", path).suffix.lower()
    writers = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
    if suffix not in writers:
        raise ValueError(f"path ends in {suffix or 'no suffix'!r}, expected one of {', '.join(writers)}")
    pa = require("pyarrow", extra="predict")
    columns: dict[str, Any] = {}
    for name in ("query_id", "prompt", *LABELS[:2]):
        texts = outcomes.prompts if name == "prompt" else getattr(outcomes, name)
        if texts is not None:
            columns[name] = pa.array(texts, type=pa.large_string())
    for field, prefix in PREFIXES.items():
        matrix = getattr(outcomes, field)
        if matrix is not None:
            for j, model in enumerate(outcomes.models):
                values = matrix[:, j]
                columns[prefix + model] = pa.array(values, type=pa.float64(), mask=np.isnan(values))
    with replacing(path) as part:
        writers[suffix](pa.table(columns), part)


def _write_parquet(table: Any, path: Path) -> None:
    require("pyarrow.parquet", extra="predict").write_table(table, path, compression="zstd")


def _write_csv(table: Any, path: Path) -> None:
    require("pyarrow.csv", extra="predict").write_csv(table, path)


def _write_jsonl(table: Any, path: Path) -> None:
    names = table.column_names
    with open(path, "w", encoding="utf-8", newline="\n") as file:
        for row in zip(*(column.to_pylist() for column in table.columns), strict=True):
            file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False) + "\n")
