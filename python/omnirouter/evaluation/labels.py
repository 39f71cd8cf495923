"""Where names of points stand in a picture: upon no point, and each nearest to its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["place_labels"]

# Lengths are in points of 1/72 inch.
MARK = 4.0  # half the width of a mark and the air around it
LEAD = 1.5  # by which a label is nearer to its own point than to any other
STEPS = (5.0, 7.0, 11.0, 16.0)  # from a point to its label, tried in turn
STEP_PRICE = 2.0  # points of curves that a label rather covers than to stand one step further away

Array = NDArray[np.float64]


def place_labels(points: Array, named: Sequence[int], sizes: Array, lines: Array, frame: Array) -> list[Array | None]:
    """Find a box for the label of each named point, greedily; all lengths in points of 1/72 inch.

    A box lies in the frame, covers no point and no other box, and is nearest to the point that it names. Of such boxes the
    one that covers the least of the curves and is close is taken, first for the labels that have the fewest.

    Parameters
    ----------
    points : (k, 2) float64
        All marks, named or not.
    named : sequence of int
        Rows of `points` that have a label.
    sizes : (len(named), 2) float64
        Width and height of each label.
    lines : (q, 2) float64
        Points along curves that had better stay visible.
    frame : (4,) float64
        Left, bottom, right, top.

    Returns
    -------
    list of (4,) float64 or None
        Left, bottom, right, top of each label; None where there is no room for it.

    Examples
    --------
    >>> import numpy as np
    >>> points, sizes = np.array([[50.0, 50.0], [70.0, 50.0]]), np.array([[40.0, 10.0]])
    >>> place_labels(points, [0], sizes, np.empty((0, 2)), np.array([0.0, 0.0, 100.0, 100.0]))[0].tolist()
    [5.0, 45.0, 45.0, 55.0]
    """
    choices = [
        sorted(
            (_covered(lines, box) + STEP_PRICE * step, order, box)
            for order, (step, box) in enumerate(_boxes(points[i], size))
            if _fits(box, i, points, frame)
        )
        for i, size in zip(named, sizes, strict=True)
    ]
    placed: list[tuple[float, ...] | None] = [None] * len(choices)
    for k in sorted(range(len(choices)), key=lambda k: len(choices[k])):
        taken = [box for box in placed if box is not None]
        free = (box for _, _, box in choices[k] if not any(_overlap(box, other) for other in taken))
        placed[k] = next(free, None)
    return [None if box is None else np.array(box) for box in placed]


def _boxes(point: Array, size: Array) -> Iterator[tuple[int, tuple[float, ...]]]:
    """Boxes around a point, each with the number of its step: beside it, then obliquely, then below and above."""
    x, y = point
    width, height = size
    for step, away in enumerate(STEPS):
        left, right, middle = x - away - width, x + away, x - width / 2
        below, above, level = y - away - height, y + away, y - height / 2
        lower, upper = y - away / 2 - height, y + away / 2
        for a, b in (
            (right, level), (left, level), (right, lower), (left, lower), (right, upper), (left, upper),
            (middle, below), (middle, above),
        ):  # fmt: skip
            yield step, (float(a), float(b), float(a + width), float(b + height))


def _fits(box: tuple[float, ...], own: int, points: Array, frame: Array) -> bool:
    if box[0] < frame[0] or box[1] < frame[1] or box[2] > frame[2] or box[3] > frame[3]:
        return False
    corners = np.array(box)
    outside = np.maximum(corners[:2] - points, points - corners[2:])
    if (outside.max(axis=1) < MARK).any():
        return False
    away = np.hypot(*np.maximum(outside, 0.0).T)
    # Points on the same spot cannot be told apart by any label.
    others = (points != points[own]).any(axis=1)
    return bool((away[own] + LEAD <= away[others]).all())


def _covered(lines: Array, box: tuple[float, ...]) -> int:
    corners = np.array(box)
    return int(((lines >= corners[:2]) & (lines <= corners[2:])).all(axis=1).sum())


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
