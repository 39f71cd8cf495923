"""A problem as a small JSON file beside its .npy matrices, which stay memory-mapped.

    {"acc": "acc.npy", "cost": "cost.npy", "caps": [100, null, 50], "budget": 2.5,
     "resources": [{"name": "tokens", "usage": "tokens.npy", "limit": 90000, "per": "model"}]}

Names of files are relative to the folder of the JSON file; null is no limit.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from omnirouter.json_text import parse_json
from omnirouter.npy import read_array
from omnirouter.problem import Problem
from omnirouter.resources import Resource, as_array

__all__ = ["describe_problem", "problem_arrays", "read_problem"]

KEYS = ("acc", "cost", "caps", "budget", "min_accuracy", "objective", "allowed", "resources")
RESOURCE_KEYS = ("name", "usage", "limit", "per", "sense")


def read_problem(path: Path) -> Problem:
    """Read a problem file.

    Raises
    ------
    ValueError, TypeError
        It is not one, or what it says is no problem; the message names the entry.
    """
    data = _read(path)
    folder = path.parent
    limits = {name: data.get(name) for name in ("budget", "min_accuracy", "objective")}
    allowed, resources = data.get("allowed"), data.get("resources", [])
    if not isinstance(resources, list):
        raise ValueError(f"{path}: resources is {resources!r}, expected a list of objects")
    return Problem(
        _array(folder, "acc", data["acc"]),
        _array(folder, "cost", data["cost"]),
        data.get("caps"),
        resources=[_resource(path, at, entry) for at, entry in enumerate(resources)],
        allowed=None if allowed is None else _array(folder, "allowed", allowed),
        **limits,
    )


def problem_arrays(path: Path) -> dict[str, Path]:
    """The files of arrays that a problem file names, as `read_problem` opens them, by what they are there."""
    data = _read(path)
    resources = data.get("resources")
    entries = resources if isinstance(resources, list) else []
    named = {name: data.get(name) for name in ("acc", "cost", "allowed")}
    for at, entry in enumerate(entries):
        if isinstance(entry, dict):
            named |= {f"resources[{at}] {name}": entry.get(name) for name in ("usage", "per")}
    return {f"{name} of {path}": path.parent / file for name, file in named.items() if isinstance(file, str)}


def describe_problem(path: Path, acc: Path, cost: Path, limits: Mapping[str, Any]) -> str:
    """The text of a problem file at `path`: where the matrices are, and the limits that are not None."""
    files = {name: os.path.relpath(file, path.parent) for name, file in (("acc", acc), ("cost", cost))}
    return json.dumps(files | {name: value for name, value in limits.items() if value is not None}, indent=1) + "\n"


def _read(path: Path) -> dict[str, Any]:
    try:
        data = parse_json(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not a JSON file of a problem: {error}") from None
    _check_keys(f"{path}", data, KEYS, ("acc", "cost"))
    return dict(data)


def _resource(path: Path, at: int, data: Any) -> Resource:
    _check_keys(f"{path}: resources[{at}]", data, RESOURCE_KEYS, ("name", "usage", "limit"))
    usage, per = data["usage"], data.get("per", "all")
    if usage not in ("acc", "cost") and not isinstance(usage, (int, float)):
        usage = _array(path.parent, f"{data['name']}: usage", usage, "'acc', 'cost', a number, ")
    if per not in ("all", "model"):
        per = _array(path.parent, f"{data['name']}: per", per, "'all', 'model', ")
    limit, sense = data["limit"], data.get("sense", "<=")
    if isinstance(limit, list):
        limit = [(-math.inf if sense == ">=" else math.inf) if entry is None else entry for entry in limit]
    return Resource(usage, limit, per=per, sense=sense, name=data["name"])


def _array(folder: Path, name: str, value: Any, expected: str = "") -> NDArray[Any]:
    expected = f"expected {expected}the name of a .npy file or a list"
    if isinstance(value, str) and value:
        try:
            return read_array(folder / value, name)
        except OSError as error:
            raise ValueError(f"{name} is {value!r}, {expected}; {folder / value}: {error.strerror}") from error
    if not isinstance(value, list):
        raise ValueError(f"{name} is {value!r}, {expected}")
    return as_array(name, value)


def _check_keys(where: str, data: Any, known: tuple[str, ...], needed: tuple[str, ...]) -> None:
    if not isinstance(data, dict):
        raise ValueError(f"{where} holds {type(data).__name__}, expected an object")
    unknown = sorted(set(data) - set(known))
    missing = sorted(set(needed) - set(data))
    if unknown or missing:
        got = f"unknown entries {unknown}" if unknown else f"no {' and no '.join(missing)}"
        raise ValueError(f"{where} has {got}, expected {', '.join(known)}")
