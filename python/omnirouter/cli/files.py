"""Targets checked before any work, and tables in the format of their suffix."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnirouter.extras import require

__all__ = ["check_target", "write_table"]


def check_target(path: Path | None, suffixes: Sequence[str]) -> None:
    """Refuse a target that cannot be written, before any work is done."""
    if path is None:
        return
    if path.suffix not in suffixes:
        raise ValueError(f"--out is {path}, expected a name ending in {', '.join(suffixes)}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"--out is {path}, but the folder {path.parent} does not exist")


def write_table(path: Path, suffix: str, columns: Mapping[str, list[Any]]) -> None:
    """Columns as Parquet, CSV or JSONL."""
    rows = zip(*columns.values(), strict=True)
    if suffix == ".parquet":
        require("pyarrow.parquet", extra="predict").write_table(
            require("pyarrow", extra="predict").table(dict(columns)), path, compression="zstd"
        )
    elif suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(columns)
            writer.writerows(rows)
    else:
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(dict(zip(columns, row, strict=True)), ensure_ascii=False) + "\n" for row in rows)
