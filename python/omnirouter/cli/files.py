"""Targets checked before any work, and tables in the format of their suffix."""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omnirouter.extras import require
from omnirouter.folder import check_replaceable

__all__ = ["check_inputs_kept", "check_kept", "check_replaced", "check_target", "write_table"]

TARGETS = {"out": "--out", "save_problem": "--save-problem"}
NEEDED = {".parquet": ("pyarrow.parquet", "predict"), ".png": ("matplotlib.figure", "plot")}
MAYBE_FILES = ("caps",)  # texts that may be the name of a file; other files are paths


def check_inputs_kept(arguments: argparse.Namespace) -> None:
    """Refuse a target that is an input of the same command, or another target, whatever it is called there.

    What `arguments.in_place` names, if anything, may be replaced.
    """
    given = {
        name: Path(value)
        for name, value in vars(arguments).items()
        if isinstance(value, Path) or (name in MAYBE_FILES and value is not None)
    }
    kept = getattr(arguments, "in_place", None)
    inputs = {name: path for name, path in given.items() if name not in TARGETS and name != kept}
    for name, argument in TARGETS.items():
        if name in given:
            check_kept(given[name], inputs, argument)
            inputs[argument] = given[name]


def check_kept(target: Path | None, inputs: Mapping[str, Path], argument: str = "--out") -> None:
    """Refuse a target that is one of the inputs, which have names, before any work is done."""
    for name, path in inputs.items():
        if target is not None and _same(target, path):
            raise ValueError(f"{argument} is {target}, the same file as {name}, {path}; expected a file of its own")


def _same(one: Path, other: Path) -> bool:
    try:
        return os.path.realpath(one) == os.path.realpath(other) or one.samefile(other)
    except (OSError, ValueError):  # one is not there, or the text is no name of a file
        return False


def check_target(path: Path | None, suffixes: Sequence[str], argument: str = "--out") -> None:
    """Refuse a target that cannot be written, before any work is done; also for want of the package that writes it."""
    if path is None:
        return
    if path.suffix not in suffixes:
        raise ValueError(f"{argument} is {path}, expected a name ending in {', '.join(suffixes)}")
    if path.is_dir():
        raise ValueError(f"{argument} is {path}, which is a folder, expected a file")
    _check_parent(path, argument)
    if path.suffix in NEEDED:
        require(*NEEDED[path.suffix])


def check_replaced(path: Path, manifest_name: str, argument: str = "--out") -> None:
    """Refuse a folder that `omnirouter.folder.write_folder` would not replace, before any work is done."""
    _check_parent(path, argument)
    if path.exists() and not path.is_dir():
        raise ValueError(f"{argument} is {path}, which is a file, expected a folder")
    if path.is_dir() and any(path.iterdir()) and not (path / manifest_name).is_file():
        raise ValueError(f"{argument} is {path}, a folder with other files in it, expected a new or empty one")
    try:
        check_replaceable(path, manifest_name)
    except FileExistsError as error:
        raise ValueError(f"{argument}: {error}") from None


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
