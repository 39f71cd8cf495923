"""The plain method: multipliers by adaptive subgradient steps, an argmin per query, a greedy repair.

Our own re-implementation in numpy of what the OmniRouter paper (arXiv:2502.20576) describes, Lagrangian dual decomposition
with adaptive multipliers; its authors' code for it is not public. It shows what the method does without the parts this
project adds (sample, screening, dual edges, branch and bound), not how fast the authors' own program is.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from batches import Batch

REPAIR_EVERY = 50
PATIENCE = 10


@dataclass
class Run:
    """Best bound and plan, seconds and passes used, and when each gap asked for was reached: gap -> (seconds, passes)."""

    bound: float = math.inf
    objective: float = -math.inf
    assignment: NDArray[np.int64] | None = None
    seconds: float = 0.0
    passes: int = 0
    reached: dict[float, tuple[float, int]] = field(default_factory=dict)

    @property
    def gap(self) -> float:
        """Proven gap of the best plan."""
        return (self.bound - self.objective) / self.bound


def subgradient(batch: Batch, gaps: tuple[float, ...], time_limit: float, pass_limit: int = 20_000) -> Run:
    """Maximise acc within the budget and the caps until the least of `gaps` or a limit is reached."""
    acc, cost = batch.acc.astype(np.float64), batch.cost.astype(np.float64)
    n, m = acc.shape
    queries = np.arange(n)
    price, rent = 0.0, np.zeros(m)
    # Steps in units in which money and queries weigh the same: what a query costs on average, and one query.
    money = batch.budget / n
    step, stale, run = 1.0, 0, Run()
    start = time.perf_counter()
    while run.passes < pass_limit and run.seconds < time_limit and (run.gap > min(gaps) or run.assignment is None):
        priced = acc - price / money * cost - rent
        choice = priced.argmax(axis=1)
        bound = float(priced[queries, choice].sum()) + price / money * batch.budget + float(rent @ batch.caps)
        run.passes += 1
        stale = 0 if bound < run.bound else stale + 1
        run.bound = min(run.bound, bound)
        # The adaptive part: a step that no longer improves the bound is too long.
        if stale >= PATIENCE:
            step, stale = step / 2, 0
        over = np.concatenate(
            [[(cost[queries, choice].sum() - batch.budget) / money], np.bincount(choice, minlength=m) - batch.caps]
        )
        over /= max(float(np.linalg.norm(over)), 1e-12)
        price = max(price + step * float(over[0]), 0.0)
        rent = np.maximum(rent + step * over[1:], 0.0)
        if run.passes % REPAIR_EVERY == 0:
            plan = repair(batch, acc, cost, priced, choice)
            if plan is not None and (value := float(acc[queries, plan].sum())) > run.objective:
                run.objective, run.assignment = value, plan
        run.seconds = time.perf_counter() - start
        for gap in gaps:
            if run.gap <= gap:
                run.reached.setdefault(gap, (run.seconds, run.passes))
    return run


def repair(
    batch: Batch,
    acc: NDArray[np.float64],
    cost: NDArray[np.float64],
    priced: NDArray[np.float64],
    choice: NDArray[np.int64],
) -> NDArray[np.int64] | None:
    """A plan within all limits near `choice`, or None: empty what is too full, save money, then spend what is left."""
    plan = choice.copy()
    n, m = acc.shape
    room = batch.caps - np.bincount(plan, minlength=m)
    for full in np.flatnonzero(room < 0):
        # Queries that lose least by leaving go first, each to its best model with room.
        inside = np.flatnonzero(plan == full)
        others = np.where(room > 0, priced[inside], -np.inf)
        loss = priced[inside, full] - others.max(axis=1)
        for i in inside[np.argsort(loss, kind="stable")]:
            if room[full] >= 0:
                break
            target = int(np.where(room > 0, priced[i], -np.inf).argmax())
            if room[target] <= 0:
                return None
            plan[i], room[full], room[target] = target, room[full] + 1, room[target] - 1
    left = batch.budget - math.fsum(cost[np.arange(n), plan])
    for saving in (True, False):
        if saving and left >= 0:
            continue
        lost = acc[np.arange(n), plan][:, None] - acc
        saved = cost[np.arange(n), plan][:, None] - cost
        with np.errstate(divide="ignore", invalid="ignore"):
            # Saving: accuracy lost per money saved, least first. Spending: accuracy gained per money, most first.
            worth = (
                np.where(saved > 0, lost / saved, np.inf)
                if saving
                else np.where(lost < 0, lost / np.maximum(-saved, 0), np.inf)
            )
        worth[:, room <= 0] = np.inf
        moved = np.zeros(n, dtype=bool)
        for pair in np.argsort(worth, axis=None, kind="stable"):
            i, j = divmod(int(pair), m)
            if worth[i, j] == np.inf or (saving and left >= 0):
                break
            if moved[i] or room[j] <= 0 or (not saving and -saved[i, j] > left):
                continue
            room[plan[i]], room[j] = room[plan[i]] + 1, room[j] - 1
            plan[i], moved[i], left = j, True, left + saved[i, j]
    spend = math.fsum(cost[np.arange(n), plan])
    return plan if spend <= batch.budget else None
