"""Checks of single arguments: an error names the argument, what came and what was expected."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

__all__ = ["LARGEST_COUNT", "as_path", "is_number", "maybe_callable", "real", "unmasked", "whole"]

LARGEST_COUNT = 1_000_000  # of points, draws or simulated queries: more is a slip, and would take all memory or days


def is_number(value: Any) -> bool:
    """Whether a value is a real number and not one in Python's eyes only, as True is 1.

    Arrays without dimensions count as what they hold.

    Examples
    --------
    >>> is_number(2), is_number(np.float32(0.5)), is_number(np.array(3)), is_number(True), is_number("2")
    (True, True, True, False, False)
    """
    if isinstance(value, np.ndarray):
        return value.ndim == 0 and value.dtype.kind in "fiu"
    return isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)


def real(name: str, value: Any, expected: str = "a number") -> float:
    """The number as a float; infinity and NaN are for the caller to judge.

    Raises
    ------
    TypeError
        For anything that is no number, truth values and texts included.
    ValueError
        For a whole number beyond float64.
    """
    if not is_number(value):
        raise TypeError(f"{name} is {value!r}, expected {expected}")
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{name} is a whole number beyond float64, expected {expected}") from None


def whole(name: str, value: Any, least: int = 0, most: int | None = None) -> int:
    """The number as an int of at least `least` and at most `most`, by default below 2**63.

    Raises
    ------
    TypeError
        For anything that is no whole number, truth values included.
    ValueError
        For one out of range.
    """
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
        raise TypeError(f"{name} is {value!r}, expected a whole number >= {least}")
    if not least <= value < 2**63:
        raise ValueError(f"{name} is {value}, expected a whole number >= {least} and below 2**63")
    if most is not None and value > most:
        raise ValueError(f"{name} is {value:,}, expected a whole number from {least} to {most:,}")
    return int(value)


def maybe_callable(name: str, value: Any, expected: str = "a callable") -> None:
    """Refuse what is neither None nor can be called.

    Raises
    ------
    TypeError
        For anything else.
    """
    if value is not None and not callable(value):
        raise TypeError(f"{name} is {value!r}, expected {expected}")


def unmasked(name: str, value: Any) -> Any:
    """The value; a masked array only where nothing in it is masked, as the numbers behind a mask would be used unseen.

    Raises
    ------
    ValueError
        For masked entries.
    """
    if isinstance(value, np.ma.MaskedArray) and np.ma.is_masked(value):
        count = np.count_nonzero(np.ma.getmaskarray(value))
        raise ValueError(
            f"{name} is a masked array, {count} of its {value.size} entries masked; expected plain numbers: outcomes that "
            "are not known are NaN, and pairs that must not be used are False in the argument allowed of a solve"
        )
    return value


def as_path(name: str, value: Any) -> Path:
    """The path of a file or folder.

    Raises
    ------
    TypeError
        For anything else than a text or a path.
    """
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} is {value!r}, expected a path")
    return Path(value)
