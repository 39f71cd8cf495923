"""Seeded random batches of the kinds that the tests of the solver share."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from omnirouter import Problem, Resource

Kind = Literal["cont", "class", "anti", "equal", "uniform"]
KINDS: tuple[Kind, ...] = ("cont", "class", "anti", "equal", "uniform")


class Batch(NamedTuple):
    """acc, cost (n, m) float64, caps (m,) whole numbers, budget (money)."""

    acc: NDArray[np.float64]
    cost: NDArray[np.float64]
    caps: NDArray[np.float64]
    budget: float


def batch(n: int, m: int, seed: int = 0, kind: Kind = "cont") -> Batch:
    """One batch.

    Parameters
    ----------
    n, m : int
        Queries and models.
    seed : int
        Same seed, same numbers.
    kind : str
        "cont": accuracies k/16, cost a price times lognormal tokens. "class": the same accuracies, cost the price alone,
        so that whole columns tie. "anti": dear models are good on the same queries, all ratios close. "equal": all
        rows equal. "uniform": independent uniform numbers.

    Returns
    -------
    Batch
        Caps sum to about 1.5 n, unevenly; the budget lies between the cheapest plan within the caps and the dearest.
    """
    rng = np.random.default_rng([seed, n, m, KINDS.index(kind)])
    price = 1e-4 * np.exp(np.linspace(0, 4, m))
    skill = np.linspace(-0.5, 1.5, m) + rng.normal(0, 0.3, m)
    acc: NDArray[Any] = rng.binomial(16, 1 / (1 + np.exp(-skill - rng.normal(0, 1, (n, 1))))) / 16
    cost: NDArray[Any] = price * rng.lognormal(0, 0.6, (n, m))
    if kind == "class":
        cost = np.tile(price, (n, 1))
    elif kind == "anti":
        cost = rng.random((n, m))
        acc = np.clip(0.5 * cost + 0.01 * rng.random((n, m)), 0, 1)
    elif kind == "equal":
        acc, cost = np.tile(rng.random(m), (n, 1)), np.tile(rng.random(m), (n, 1))
    elif kind == "uniform":
        acc, cost = rng.random((n, m)), rng.random((n, m))
    caps = np.ceil(1.5 * n * rng.dirichlet(np.full(m, 3.0)))
    cheap = _filled(cost, caps)
    dear = float(cost.max(axis=1).sum())
    return Batch(acc, cost, caps, cheap + (0.1 + 0.4 * rng.random()) * max(dear - cheap, 0.0))


def assignment_problem(n: int, m: int, letter: str, seed: int = 0) -> Problem:
    """A generalised assignment problem: jobs are queries, agents are models; least cost within each agent's capacity.

    Types a to d are those of Chu and Beasley (J. Heuristics 1997), type e that of Laguna, Kelly, González-Velarde and Glover
    (Eur. J. Oper. Res. 1995), in whole numbers.
    """
    rng = np.random.default_rng([seed, n, m, ord(letter)])
    if letter in "abc":
        size, cost = rng.integers(5, 26, (n, m)), rng.integers(10, 51, (n, m))
    elif letter == "d":
        size = rng.integers(1, 101, (n, m))
        cost = 111 - size + rng.integers(-10, 11, (n, m))
    else:
        size = np.ceil(1 - 10 * np.log(1 - rng.random((n, m)))).astype(int)
        cost = np.ceil(1000 / size - 10 * rng.random((n, m))).astype(int)
    room = np.floor(0.8 * size.sum(axis=0) / m)
    if letter in "ab":
        cheapest = cost.argmin(axis=1)
        most = max(size[cheapest == j, j].sum() for j in range(m))
        room = np.full(m, np.floor((1.0 if letter == "a" else 0.7) * (0.6 * 15 * n / m + 0.4 * most)))
    limit = Resource(size.astype(float), room, per="model", name="capacity")
    return Problem(np.zeros((n, m)), np.maximum(cost, 0).astype(float), objective="cost", resources=[limit])


def _filled(cost: NDArray[np.float64], caps: NDArray[np.float64]) -> float:
    """Cost of a plan that gives each query in turn the cheapest model with room."""
    left, total = caps.copy(), 0.0
    for row in cost:
        j = int(np.argmin(np.where(left > 0, row, np.inf)))
        left[j] -= 1
        total += float(row[j])
    return total
