"""Capacities: a global plan against per-query rules that fall back to the next model when one is full."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["even_caps", "fall_back", "rate_caps"]

Array = NDArray[np.float64]
Order = Literal["arrival", "best first"]

SLACK = 1.5  # room for one and a half times the batch


def even_caps(n: int, m: int) -> Array:
    """Each model takes at most 1.5 n / m queries, rounded up, (m,)."""
    return np.full(m, float(np.ceil(SLACK * n / m)))


def rate_caps(cost: Array) -> Array:
    """Rate limits of a pool in which cheap models are plentiful and dear ones scarce, (m,).

    Room for 1.5 n queries in all, shared out in inverse proportion to the square root of a model's mean cost: a model that
    is 100 times as dear takes a tenth of the queries. A stylised pool, not a provider's table: limits that providers publish
    go by powers of the price between 0.2 and 1 (docs/decisions.md, Evaluation).

    Parameters
    ----------
    cost : (n, m) float64
        Money per query; of a model that costs nothing, half the least positive mean stands in.
    """
    n, m = cost.shape
    mean = cost.mean(axis=0)
    if not (mean > 0).any():
        return even_caps(n, m)
    weight: Array = np.maximum(mean, mean[mean > 0].min() / 2) ** -0.5
    caps: Array = np.minimum(np.ceil(SLACK * n * weight / weight.sum()), float(n))
    return caps


def fall_back(utility: Array, caps: Array, order: Order) -> NDArray[np.int64]:
    """Give each query its best model that still has room.

    Parameters
    ----------
    utility : (n, m) float64
        What each model is worth on each query, as ``acc - multiplier * cost``.
    caps : (m,) float64
        Most queries per model, whole ones; together at least n.
    order : {"arrival", "best first"}
        Queries in the order of the rows; or the pair with the most utility first, among all queries that wait and models
        with room.

    Returns
    -------
    (n,) int64

    Examples
    --------
    >>> import numpy as np
    >>> utility = np.array([[0.6, 0.5], [0.9, 0.1]])
    >>> fall_back(utility, np.array([1.0, 1.0]), "arrival").tolist()
    [0, 1]
    >>> fall_back(utility, np.array([1.0, 1.0]), "best first").tolist()
    [1, 0]
    """
    n, m = utility.shape
    room = np.minimum(caps, n).astype(np.int64)
    if room.sum() < n:
        raise ValueError(f"caps allow {room.sum()} queries together, expected at least n_queries = {n}")
    plan = np.full(n, -1, dtype=np.int64)
    waiting = np.arange(n)
    # Until the next model fills up, all get their first choice: one step per model that fills.
    while len(waiting):
        values = np.where(room > 0, utility[waiting], -np.inf)
        choice = values.argmax(axis=1)
        if order == "best first":
            rank = np.argsort(-values.max(axis=1), kind="stable")
            waiting, choice = waiting[rank], choice[rank]
        taken = np.cumsum(choice[:, None] == np.arange(m), axis=0)
        over = (taken > room).any(axis=1)
        served = int(over.argmax()) if over.any() else len(waiting)
        plan[waiting[:served]] = choice[:served]
        room -= np.bincount(choice[:served], minlength=m)
        waiting = waiting[served:]
    return plan
