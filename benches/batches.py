"""Simulated batches of routing, from seeds: the plain kind that every table starts from.

Accuracies k/16, lognormal costs on a ladder of prices, a binding budget, and caps of which about half bind.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 17


class Batch(NamedTuple):
    """acc, cost (n, m) float32, caps (m,) whole numbers, budget (money): the first four arguments of `omnirouter.solve`."""

    acc: NDArray[np.float32]
    cost: NDArray[np.float32]
    caps: NDArray[np.float64]
    budget: float


def routing(n: int, m: int, seed: int = 1) -> Batch:
    """A batch of n queries and m models.

    Accuracies follow a model's skill, its affinity to one of eight topics and the query's difficulty; they are rounded
    normal numbers with the spread that 16 trials have, for speed. Caps sum to about
    1.6 n, unevenly. The budget lies at 0.3 of the way from the cheapest plan to the most accurate one, both without caps.
    The rows are made in chunks, so that ten million of them need little more memory than the batch itself.
    """
    rng = np.random.default_rng(seed)
    skill = np.sort(rng.normal(0.5, 1.0, m)).astype(np.float32)
    affinity = rng.normal(0, 0.6, (8, m)).astype(np.float32)
    price = (1e-4 * np.exp(np.linspace(0, 4, m))).astype(np.float32)
    caps = np.ceil(1.6 * n * rng.dirichlet(np.full(m, 3.0)))
    acc, cost = np.empty((n, m), np.float32), np.empty((n, m), np.float32)
    cheapest = dearest = 0.0
    for start in range(0, n, CHUNK):
        a, c = acc[start : start + CHUNK], cost[start : start + CHUNK]
        topic = rng.integers(0, 8, len(a))
        difficulty = 1.2 * rng.standard_normal((len(a), 1), dtype=np.float32)
        right = 1 / (1 + np.exp(difficulty - skill - affinity[topic]))
        spread = np.sqrt(16 * right * (1 - right)) * rng.standard_normal(a.shape, dtype=np.float32)
        a[:] = np.clip(np.rint(16 * right + spread), 0, 16) / 16
        c[:] = price * np.exp(np.float32(0.6) * rng.standard_normal(c.shape, dtype=np.float32))
        cheapest += float(c.min(axis=1).sum(dtype=np.float64))
        dearest += float(c[np.arange(len(c)), a.argmax(axis=1)].sum(dtype=np.float64))
    return Batch(acc, cost, caps, cheapest + 0.3 * (dearest - cheapest))
