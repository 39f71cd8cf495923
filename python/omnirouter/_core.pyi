from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["__version__", "defaults", "price_ranges", "solve"]

__version__: str

def defaults() -> dict[str, Any]: ...
def price_ranges(
    shape: tuple[int, int],
    inputs: Sequence[tuple[str, NDArray[Any], bool, float]],
    objective: int,
    maximise: bool,
    resources: Sequence[tuple[str, Any, Any, bool, list[float]]],
    allowed: NDArray[np.bool_] | None,
    settings: tuple[float, float, int, int, int],
    prices: list[float],
    tolerance: float,
) -> list[tuple[float, float]]: ...
def solve(
    shape: tuple[int, int],
    inputs: Sequence[tuple[str, NDArray[Any], bool, float]],
    objective: int,
    maximise: bool,
    resources: Sequence[tuple[str, Any, Any, bool, list[float]]],
    allowed: NDArray[np.bool_] | None,
    settings: tuple[float, float, int, int, int],
    start: list[float] | None,
    callback: Callable[[str, int, float, float], bool] | None,
) -> dict[str, Any]: ...
