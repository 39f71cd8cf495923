"""The checks that outcomes and prompts share. Rows are counted from 0."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter.checks import unmasked

__all__ = ["check_filled", "check_range", "frozen_matrix", "text_tuple"]


def text_tuple(name: str, values: Iterable[Any]) -> tuple[str, ...]:
    """Return `values` as a tuple of text that UTF-8 can hold.

    Raises
    ------
    TypeError
        When `values` is one text, not iterable, or holds something else than text.
    ValueError
        When a text holds half of a surrogate pair.
    """
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise TypeError(f"{name} is {type(values).__name__}, expected a sequence of texts")
    texts = tuple(values)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"{name}[{i}] is {type(text).__name__}, expected text")
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError:
                raise ValueError(f"{name}[{i}] is not valid Unicode: it holds half of a surrogate pair") from None
    return texts


def check_filled(name: str, texts: Sequence[str]) -> None:
    """Raise `ValueError` for the first text that is empty or only white space."""
    for i, text in enumerate(texts):
        if not text or text.isspace():
            raise ValueError(f"{name}[{i}] is empty, expected text")


def check_range(name: str, values: NDArray[np.float64], where: Any, upper: float = np.inf) -> None:
    """Raise `ValueError` unless all values are NaN, or finite and in ``[0, upper]``.

    ``where(*index)`` words the place of the first bad value.
    """
    bad = (values < 0) | (values > upper) | np.isinf(values)
    if bad.any():
        index = tuple(int(k) for k in np.argwhere(bad)[0])
        wanted = "a finite number >= 0" if np.isinf(upper) else f"a number in [0, {upper:g}]"
        raise ValueError(f"{name} is {values[index]:g} for {where(*index)}, expected {wanted} or NaN")


def frozen_matrix(name: str, values: ArrayLike, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Return `values` as a read-only float64 matrix in C order, copied unless it is one already."""
    unmasked(name, values)
    # What is read-only already is shared; anything else may belong to a caller who changes it later.
    share = isinstance(values, np.ndarray) and not values.flags.writeable
    try:
        _refuse_texts(np.asarray(values))
        convert = np.asarray if share else np.array
        matrix = convert(values, dtype=np.float64, order="C")
    except (TypeError, ValueError, OverflowError) as error:
        raise TypeError(f"{name} is not a matrix of numbers: {error}") from error
    if matrix.shape != shape:
        raise ValueError(f"{name} has shape {matrix.shape}, expected (n_queries, n_models) = {shape}")
    matrix.flags.writeable = False
    return matrix


def _refuse_texts(array: NDArray[Any]) -> None:
    """Raise `TypeError` for texts, which numpy would read as numbers."""
    kind = array.dtype.kind
    text = next((item for item in array.flat if isinstance(item, (str, bytes))), None) if kind in "OUS" else None
    if text is not None:
        raise TypeError(f"it holds the text {str(text)!r}")
