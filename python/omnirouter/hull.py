"""The upper hull of points of cost and accuracy: what random mixes of them reach at most."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["upper_hull"]


def upper_hull(cost: NDArray[np.float64], accuracy: NDArray[np.float64]) -> NDArray[np.int64]:
    """Points that random mixes of points cannot beat: the vertices of the least concave, non-decreasing curve above all.

    Parameters
    ----------
    cost, accuracy : (k,) float64
        The points.

    Returns
    -------
    (h,) int64
        Indices, cheapest first.

    Examples
    --------
    >>> import numpy as np
    >>> upper_hull(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.5, 0.55, 0.7, 0.6])).tolist()
    [0, 2]
    """
    hull: list[int] = []
    for i in np.lexsort((-accuracy, cost)).tolist():
        if hull and accuracy[i] <= accuracy[hull[-1]]:
            continue  # dearer and no better
        while len(hull) > 1 and _slope(cost, accuracy, hull[-2], hull[-1]) <= _slope(cost, accuracy, hull[-1], i):
            hull.pop()
        hull.append(i)
    return np.array(hull, dtype=np.int64)


def _slope(cost: NDArray[np.float64], accuracy: NDArray[np.float64], a: int, b: int) -> float:
    # Along a hull costs rise strictly: of equal costs only the most accurate comes in.
    return float((accuracy[b] - accuracy[a]) / (cost[b] - cost[a]))
