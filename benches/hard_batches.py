"""Hard batches, simulated from seeds: limits that bind in unusual ways, ties, costs that make rounding matter.

Each function returns the arguments of `omnirouter.solve`. Limits are taken from a plan that is made first, so that every
batch has a solution; how near the limits are to that plan is what makes it hard.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from batches import routing
from omnirouter import Resource

Arguments = dict[str, Any]


def fill(score: NDArray[Any], room: NDArray[Any], usage: NDArray[Any] | None = None) -> NDArray[np.int64]:
    """A plan: each query in turn takes the model of least score that has room for what it uses (default 1)."""
    n, m = score.shape
    left, plan = room.astype(np.float64).copy(), np.empty(n, dtype=np.int64)
    used = np.ones((n, m)) if usage is None else np.broadcast_to(usage, (n, m))
    # The largest first, where sizes differ.
    for i in np.argsort(-used.min(axis=1), kind="stable"):
        plan[i] = j = int(np.where(left >= used[i], score[i], np.inf).argmin())
        left[j] -= used[i, j]
    if (left < 0).any():
        raise ValueError("the limits leave no room for every query")
    return plan


def between(
    acc: NDArray[Any], cost: NDArray[Any], room: NDArray[Any], usage: NDArray[Any] | None = None, share: float = 0.3
) -> float:
    """A budget between what a cheap and what an accurate plan within the room spend."""
    queries = np.arange(len(cost))
    cheap, dear = (cost[queries, fill(score, room, usage)].sum(dtype=np.float64) for score in (cost, -acc))
    return float(cheap + share * max(dear - cheap, 0.0))


def token_caps(n: int) -> Arguments:
    """Tokens per model, lognormal sizes, one size per query."""
    batch, rng = routing(n, 10), np.random.default_rng([2, n])
    tokens = np.ceil(rng.lognormal(6, 1, (n, 1)))
    room = np.ceil(1.5 * tokens.sum() * rng.dirichlet(np.full(10, 3.0)))
    tokens_left = Resource(tokens, room, per="model", name="tokens")
    budget = between(batch.acc, batch.cost, room, tokens)
    return {"acc": batch.acc, "cost": batch.cost, "budget": budget, "resources": [tokens_left]}


def token_caps_by_pair(n: int) -> Arguments:
    """Tokens per model, where models differ in how long they answer."""
    batch, rng = routing(n, 10), np.random.default_rng([3, n])
    tokens = np.ceil(rng.lognormal(6, 1, (n, 1)) * rng.lognormal(0, 0.5, (n, 10)))
    room = np.ceil(1.3 * tokens.sum(axis=0) * rng.dirichlet(np.full(10, 8.0)))
    budget = between(batch.acc, batch.cost, room, tokens)
    limits = [Resource(tokens, room, per="model", name="tokens")]
    return {"acc": batch.acc, "cost": batch.cost, "budget": budget, "resources": limits}


def full_caps(n: int, spare: int = 0) -> Arguments:
    """Caps that sum to n, or one more."""
    batch, rng = routing(n, 10), np.random.default_rng([4, n])
    caps = np.floor(n * rng.dirichlet(np.full(10, 3.0)))
    caps[0] += n + spare - caps.sum()
    return {"acc": batch.acc, "cost": batch.cost, "caps": caps, "budget": between(batch.acc, batch.cost, caps)}


def many_models(n: int) -> Arguments:
    """500 models."""
    return routing(n, 500)._asdict()


def tenants(n: int, most: int = 200, everything: bool = False) -> Arguments:
    """Tenants of at least 50 queries with a budget and a floor each, a budget and caps over all; optionally tokens, latency
    and a reserved minimum too.

    Limits are about 1 % away from what a plan uses in which tenants value money differently; every other tenant's budget
    is wide. So some budgets bind, and the floors of those whose money would do more elsewhere.
    """
    batch, rng = routing(n, 10), np.random.default_rng([5, n])
    acc, cost, groups = batch.acc, batch.cost, min(most, n // 50)
    queries, tenant = np.arange(n), rng.integers(0, groups, n)
    tenant[:groups] = np.arange(groups)
    price = 0.05 / cost.mean() * rng.lognormal(0, 1.0, groups)
    plan = (acc - price[tenant, None] * cost).argmax(axis=1)
    spend, right = np.bincount(tenant, cost[queries, plan]), np.bincount(tenant, acc[queries, plan])
    load = np.bincount(plan, minlength=10)
    resources = [
        Resource("cost", np.where(np.arange(groups) % 2, 1.01, 1.5) * spend, per=tenant, name="tenant budget"),
        Resource("acc", 0.999 * right, per=tenant, sense=">=", name="tenant floor"),
    ]
    if everything:
        tokens, latency = np.ceil(rng.lognormal(6, 1, (n, 1))), rng.lognormal(0, 0.5, (n, 10))
        used = np.bincount(plan, tokens[:, 0], minlength=10)
        resources += [
            Resource(tokens, np.ceil(1.01 * used), per="model", name="tokens"),
            Resource(latency / n, 1.01 * float(latency[queries, plan].mean()), name="latency"),
            Resource(1.0, np.floor(0.5 * load), per="model", sense=">=", name="reserved"),
        ]
    return {"acc": acc, "cost": cost, "caps": np.ceil(1.01 * load), "budget": float(spend.sum()), "resources": resources}


def ties(n: int, floor: bool = False) -> Arguments:
    """Accuracies k/16 and one price per model, for a budget or for a floor."""
    batch = routing(n, 10)
    cost = np.ascontiguousarray(np.broadcast_to(np.median(batch.cost, axis=0), batch.cost.shape))
    arguments: Arguments = {"acc": batch.acc, "cost": cost, "caps": batch.caps}
    if floor:
        queries = np.arange(n)
        low, high = (float(batch.acc[queries, fill(s, batch.caps)].mean()) for s in (cost, -batch.acc))
        return arguments | {"min_accuracy": low + 0.7 * (high - low)}
    return arguments | {"budget": between(batch.acc, cost, batch.caps)}


def anti_correlated(n: int) -> Arguments:
    """What costs more is as much better: all ratios close."""
    rng = np.random.default_rng([6, n])
    cost = rng.random((n, 10), dtype=np.float32)
    acc = np.float32(0.9) * cost + np.float32(0.01) * rng.random((n, 10), dtype=np.float32)
    caps = np.ceil(1.6 * n * rng.dirichlet(np.full(10, 3.0)))
    return {"acc": acc, "cost": cost, "caps": caps, "budget": between(acc, cost, caps)}


def equal_rows(n: int) -> Arguments:
    """All queries alike."""
    batch = routing(n, 10)
    acc, cost = (np.ascontiguousarray(np.broadcast_to(rows[0], rows.shape)) for rows in (batch.acc, batch.cost))
    return {"acc": acc, "cost": cost, "caps": batch.caps, "budget": between(acc, cost, batch.caps)}


def heavy_tail(n: int) -> Arguments:
    """Lognormal sizes of queries (sigma 2), and one query that takes 1 % of the budget on its median model."""
    batch, rng = routing(n, 10), np.random.default_rng([7, n])
    cost = (batch.cost * rng.lognormal(0, 2, (n, 1))).astype(np.float32)
    budget = between(batch.acc, cost, batch.caps)
    cost[0] *= 0.01 * budget / np.median(cost[0])
    return {"acc": batch.acc, "cost": cost, "caps": batch.caps, "budget": between(batch.acc, cost, batch.caps)}


def sorted_rows(n: int) -> Arguments:
    """The plain batch, easiest query first and then by cost: nothing about the first rows holds for the others."""
    batch = routing(n, 10)
    order = np.lexsort((batch.cost[:, 0], -batch.acc.mean(axis=1)))
    return batch._asdict() | {"acc": batch.acc[order], "cost": batch.cost[order]}


def dominating_model(n: int) -> Arguments:
    """One model is the best and the cheapest for every query, and may answer a tenth of them."""
    batch = routing(n, 10)
    acc, cost, caps = batch.acc.copy(), batch.cost.copy(), batch.caps.copy()
    acc[:, 0] = np.minimum(acc.max(axis=1) + np.float32(1 / 16), 1)
    cost[:, 0] = cost.min(axis=1) / 2
    caps[0] = n // 10
    return {"acc": acc, "cost": cost, "caps": caps, "budget": between(acc, cost, caps)}


def assignment_type(kind: str, n: int, m: int) -> Arguments:
    """Generalised assignment: n jobs, m agents, least cost, whole numbers.

    Types A to D by the rules of Chu and Beasley (1997), E by those of Laguna, Kelly, González-Velarde and Glover (1995),
    with what E yields rounded. The rules, not the published files: the draws are ours.
    """
    rng = np.random.default_rng([8, ord(kind), n, m])
    if kind in "ABC":
        usage, cost = rng.integers(5, 26, (n, m)).astype(float), rng.integers(10, 51, (n, m)).astype(float)
    elif kind == "D":
        usage = rng.integers(1, 101, (n, m)).astype(float)
        cost = 111 - usage + rng.integers(-10, 11, (n, m))
    else:
        usage = np.rint(1 - 10 * np.log(1 - rng.random((n, m))))
        cost = np.maximum(np.rint(1000 / usage - 10 * rng.random((n, m))), 0)
    if kind in "AB":
        chosen = cost.argmin(axis=1)
        largest = np.bincount(chosen, usage[np.arange(n), chosen], minlength=m).max()
        room = np.full(m, (0.6 * 15 * n / m + 0.4 * largest) * (0.7 if kind == "B" else 1.0))
    else:
        room = 0.8 * usage.sum(axis=0) / m
    limits = [Resource(usage, np.floor(room), per="model", name="capacity")]
    return {"acc": np.zeros((n, m)), "cost": cost, "objective": "cost", "resources": limits}


ROUTING: dict[str, Callable[[int], Arguments]] = {
    "token caps": token_caps,
    "token caps by pair": token_caps_by_pair,
    "caps sum to n": full_caps,
    "caps sum to n + 1": lambda n: full_caps(n, spare=1),
    "500 models": many_models,
    "tenants with budgets and floors": tenants,
    "every kind of limit at once": lambda n: tenants(n, most=20, everything=True),
    "ties, budget": ties,
    "ties, floor": lambda n: ties(n, floor=True),
    "anti-correlated costs": anti_correlated,
    "equal rows": equal_rows,
    "heavy-tailed costs": heavy_tail,
    "sorted rows": sorted_rows,
    "one model dominates": dominating_model,
}
LARGE = ("token caps", "caps sum to n", "ties, budget", "heavy-tailed costs", "sorted rows", "one model dominates")
ASSIGNMENT_SIZES = ((100, 5), (100, 10), (100, 20), (200, 5), (200, 10), (200, 20))
