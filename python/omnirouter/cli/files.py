"""Targets checked before any work, and tables in the format of their suffix."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnirouter.extras import require
from omnirouter.folder import check_replaceable

__all__ = ["check_folder", "check_replaced", "check_target", "write_table"]


def check_target(path: Path | None, suffixes: Sequence[str], argument: str = "--out") -> None:
    """Refuse a target that cannot be written, before any work is done."""
    if path is None:
        return
    if path.suffix not in suffixes:
        raise ValueError(f"{argument} is {path}, expected a name ending in {', '.join(suffixes)}")
    if path.is_dir():
        raise ValueError(f"{argument} is {path}, which is a folder, expected a file")
    _check_parent(path, argument)


def check_replaced(path: Path, manifest_name: str, argument: str = "--out") -> None:
    """Refuse a folder that `omnirouter.folder.write_folder` would not replace, before any work is done."""
    check_folder(path, (manifest_name,), argument)
    try:
        check_replaceable(path, manifest_name)
    except FileExistsError as error:
        raise ValueError(f"{argument}: {error}") from None


def check_folder(path: Path, contents: Sequence[str], argument: str = "--out") -> None:
    """Refuse a folder to write into that is in use for something else, before any work is done.

    It may be new, empty, or hold one of the files named in `contents`.
    """
    _check_parent(path, argument)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{argument} is {path}, which is a file, expected a folder")
    if path.is_dir() and any(path.iterdir()) and not any((path / name).is_file() for name in contents):
        raise ValueError(f"{argument} is {path}, a folder with other files in it, expected a new or empty one")


def _check_parent(path: Path, argument: str) -> None:
    if not path.parent.is_dir():
        raise ValueError(f"{argument} is {path}, but the folder {path.parent} does not exist")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ValueError(f"{argument} is {path}, but the folder {path.parent} cannot be written to")


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
