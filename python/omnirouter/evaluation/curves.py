"""Cost-accuracy curves of realised operating points, and the figures that summarise one.

Every function takes points in R resamples at once, ``cost`` and ``accuracy`` of shape (R, k), and returns (R,).
Between two points a curve is the straight line: what mixing the two plans at random would give.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omnirouter.hull import upper_hull

__all__ = ["accuracy_at", "cost_to_reach", "mean_height", "ratio", "reference_hull"]

Array = NDArray[np.float64]


def reference_hull(cost: Array, accuracy: Array) -> NDArray[np.int64]:
    """The "non-decreasing convex hull" of RouterBench's evaluation code, as points.

    There, points are sorted by cost, each is raised to the highest line between any two of them, and one that is then lower
    than the one just before it is dropped. That leaves `upper_hull`, points on its edges, which change no area, and points
    as accurate as its last but dearer, of which the dearest counts: the code divides by the cost of the last point.

    Returns
    -------
    (h,) int64
        Indices, cheapest first.

    Examples
    --------
    >>> import numpy as np
    >>> reference_hull(np.array([1.0, 2.0, 3.0, 4.0]), np.array([0.6, 0.9, 0.7, 0.8])).tolist()
    [0, 1]
    """
    hull = upper_hull(cost, accuracy)
    level = np.flatnonzero(accuracy == accuracy[hull[-1]])
    last = level[cost[level].argmax()]
    return hull if last == hull[-1] else np.append(hull, last)


def accuracy_at(cost: Array, accuracy: Array, spend: Array) -> Array:
    """Accuracy of the curve at a mean spend per query.

    Parameters
    ----------
    cost, accuracy : (R, k) float64
        Points, in any order.
    spend : (R,) float64
        Money per query.

    Returns
    -------
    (R,) float64
        Beyond the dearest point its accuracy, money being left over; NaN below the cheapest point.
    """
    x, y = _by_cost(cost, accuracy)
    right = (x <= spend[:, None]).sum(axis=1)
    rows, last = np.arange(len(x)), x.shape[1] - 1
    a, b = np.clip(right - 1, 0, last), np.clip(right, 0, last)
    width = x[rows, b] - x[rows, a]
    weight = np.where(width > 0, (spend - x[rows, a]) / np.where(width > 0, width, 1.0), 0.0)
    return np.where(right == 0, np.nan, (1 - weight) * y[rows, a] + weight * y[rows, b])


def cost_to_reach(cost: Array, accuracy: Array, target: Array) -> Array:
    """Least mean spend per query at which the curve reaches an accuracy; infinity where it does not.

    Parameters
    ----------
    cost, accuracy : (R, k) float64
        Points, in any order.
    target : (R,) float64
        Mean accuracy.
    """
    x, y = _by_cost(cost, accuracy)
    reached = y >= target[:, None]
    rows, b = np.arange(len(x)), reached.argmax(axis=1)
    a = np.maximum(b - 1, 0)
    # The first point that reaches it follows one that does not, or is the cheapest.
    rise = np.where(b > 0, y[rows, b] - y[rows, a], 1.0)
    weight = np.where(b > 0, (target - y[rows, a]) / np.where(rise > 0, rise, 1.0), 1.0)
    found = x[rows, a] + np.clip(weight, 0.0, 1.0) * (x[rows, b] - x[rows, a])
    return np.where(reached.any(axis=1), found, np.inf)


def mean_height(cost: Array, accuracy: Array, low: Array, high: Array) -> Array:
    """Area under the curve between two spends, over their distance: the trapezoid rule, exactly.

    Parameters
    ----------
    cost, accuracy : (R, k) float64
        Points; left of the cheapest the curve has that point's accuracy, right of the dearest that one's.
    low, high : (R,) float64
        ``low < high``; NaN is returned where it is not so.

    Examples
    --------
    >>> import numpy as np
    >>> ends = np.array([1.0]), np.array([4.0])
    >>> mean_height(np.array([[1.0, 2.0, 4.0]]), np.array([[0.5, 0.7, 0.8]]), *ends).round(3)
    array([0.7])
    """
    x, y = _by_cost(cost, accuracy)
    # Points outside are moved to the ends, with the height of the curve there.
    ends = [_height(x, y, end) for end in (low, high)]
    inside = (x > low[:, None]) & (x < high[:, None])
    at = np.where(x <= low[:, None], low[:, None], np.where(inside, x, high[:, None]))
    height = np.where(x <= low[:, None], ends[0][:, None], np.where(inside, y, ends[1][:, None]))
    at = np.concatenate([low[:, None], at, high[:, None]], axis=1)
    height = np.concatenate([ends[0][:, None], height, ends[1][:, None]], axis=1)
    area = ((at[:, 1:] - at[:, :-1]) * (height[:, 1:] + height[:, :-1])).sum(axis=1) / 2
    width = high - low
    return np.where(width > 0, area / np.where(width > 0, width, 1.0), np.nan)


def ratio(a: Array, b: Array | float) -> Array:
    """``a / b``, NaN where `b` is 0: a share of nothing is not defined."""
    some = np.asarray(b) != 0
    return np.where(some, a / np.where(some, b, 1.0), np.nan)


def _by_cost(cost: Array, accuracy: Array) -> tuple[Array, Array]:
    """The points of each resample, cheapest first."""
    order = np.argsort(cost, axis=1, kind="stable")
    return np.take_along_axis(cost, order, axis=1), np.take_along_axis(accuracy, order, axis=1)


def _height(x: Array, y: Array, at: Array) -> Array:
    """As `accuracy_at` for sorted points, but flat to the left."""
    return accuracy_at(x, y, np.maximum(at, x[:, 0]))
