"""One array of numbers in a .npy file, memory-mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_array"]

_MAGIC = b"\x93NUMPY"
_ZIP = b"PK"


def read_array(path: Path, name: str = "") -> NDArray[Any]:
    """A .npy file, memory-mapped; `name` is that of the argument, where errors should tell it.

    Raises
    ------
    ValueError
        It is not a .npy file of one array of numbers.
    OSError
        It cannot be read.
    """
    where = f"{name} ({path})" if name else f"{path}"
    with path.open("rb") as file:
        start = file.read(len(_MAGIC))
    if not start:
        raise ValueError(f"{where} is empty, expected a .npy file of numbers")
    if start.startswith(_ZIP):
        raise ValueError(f"{where} holds several arrays or is no file of numpy, expected one array (.npy)")
    # numpy would advise to load anything else unsafely, as a pickle.
    if start != _MAGIC:
        raise ValueError(f"{where} is not a .npy file of numbers: it starts with {start!r}, expected {_MAGIC!r}")
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OverflowError) as error:
        # What follows the first line is advice to trust the file.
        raise ValueError(f"{where} is not a .npy file of numbers: {str(error).partition(chr(10))[0]}") from None
    return array
