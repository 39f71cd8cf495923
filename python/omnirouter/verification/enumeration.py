"""Every plan that could contradict a claim, tried out: a proof for small problems and for small gaps.

A plan within the limits whose value is below ``dual value + slack`` uses only pairs whose regret (priced objective above the
row's least) is at most the slack, and its regrets sum to no more. So prices near the best leave few plans to try.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from omnirouter.problem import Problem
from omnirouter.verification.bounds import priced_rows, weight_of
from omnirouter.verification.limits import Facts, blocks, members, open_pairs, sign_of, usage_of

__all__ = ["Exhausted", "find_plan"]

MOST_ROWS = 5_000  # with a choice


class Exhausted(Exception):
    """More plans than may be tried."""


def find_plan(
    problem: Problem,
    known: list[Facts],
    prices: list[NDArray[np.float64]],
    slack: float,
    accept: Callable[[NDArray[np.intp]], bool],
    effort: int,
) -> NDArray[np.intp] | None:
    """The first plan that `accept` takes, among those whose regrets sum to at most `slack` (infinity: all plans).

    Returns None when there is none, which is a proof.

    Raises
    ------
    Exhausted
        After `effort` steps.
    """
    plan, rows = _choices(problem, known, prices, slack)
    if plan is None:
        return None
    if len(rows) > MOST_ROWS:
        raise Exhausted
    rows.sort(key=lambda row: len(row[1]))
    limit, usage = _limits_of(problem, known, plan, rows)
    # The least that rows from a depth on can use of each limit.
    rest = np.zeros((len(rows) + 1, len(limit)))
    for depth in range(len(rows) - 1, -1, -1):
        rest[depth] = rest[depth + 1] + usage[depth].min(axis=0)
    room = limit + 1e-9 * (np.abs(limit) + np.abs(rest).max(axis=0, initial=0.0))
    most = slack * (1 + 1e-9)
    steps = 0
    stack: list[tuple[int, float, NDArray[np.float64], tuple[int, ...]]] = [(0, 0.0, np.zeros(len(limit)), ())]
    while stack:
        depth, regret, used, chosen = stack.pop()
        if depth == len(rows):
            for (query, options), at in zip(rows, chosen, strict=True):
                plan[query] = options[at][1]
            if accept(plan):
                return plan
            continue
        for at in range(len(rows[depth][1]) - 1, -1, -1):
            steps += 1
            if steps > effort:
                raise Exhausted
            total = regret + rows[depth][1][at][0]
            if total > most:
                continue
            now = used + usage[depth][at]
            if (now + rest[depth + 1] <= room).all():
                stack.append((depth + 1, total, now, (*chosen, at)))
    return None


_Row = tuple[int, list[tuple[float, int]]]


def _choices(
    problem: Problem, known: list[Facts], prices: list[NDArray[np.float64]], slack: float
) -> tuple[NDArray[np.intp] | None, list[_Row]]:
    """The only choice of most queries, and for the others (regret, model) of each that they have."""
    n, m = problem.acc.shape
    plan, rows = np.zeros(n, np.intp), []
    for block in blocks(n, m):
        priced, size = priced_rows(problem, prices, block, weight=weight_of(problem), exact=False)
        priced[~open_pairs(problem, known, block)] = math.inf
        least = priced.min(axis=1)
        if (least == math.inf).any():
            return None, []
        regret = priced - least[:, None]
        near = (regret <= slack * (1 + 1e-9) + 1e-14 * size.max(axis=1)[:, None]) & (priced < math.inf)
        plan[block] = priced.argmin(axis=1)
        for i in np.flatnonzero(near.sum(axis=1) > 1):
            options = sorted((float(regret[i, j]), int(j)) for j in np.flatnonzero(near[i]))
            rows.append((block.start + int(i), options))
        if len(rows) > MOST_ROWS:
            break
    return plan, rows


def _limits_of(
    problem: Problem, known: list[Facts], plan: NDArray[np.intp], rows: list[_Row]
) -> tuple[NDArray[np.float64], list[NDArray[np.float64]]]:
    """What the fixed queries leave of each finite limit, and what the choices of each other use, (options, limits)."""
    n = problem.n_queries
    free = np.zeros(n, bool)
    free[[query for query, _ in rows]] = True
    first = np.cumsum([0, *(len(resource.limit) for resource in problem.resources)])
    left = np.concatenate([np.zeros(0), *(sign_of(resource) * resource.limit for resource in problem.resources)])
    usage: list[NDArray[np.float64]] = [np.zeros((len(options), len(left))) for _, options in rows]
    for r, resource in enumerate(problem.resources):
        for block in blocks(*problem.acc.shape):
            amount, member = usage_of(problem, resource, block), members(problem, resource, block)
            fixed = np.flatnonzero(~free[block])
            chosen = plan[block][fixed]
            np.subtract.at(left, first[r] + member[fixed, chosen], sign_of(resource) * amount[fixed, chosen])
        for (query, options), out in zip(rows, usage, strict=True):
            one = slice(query, query + 1)
            amount, member = usage_of(problem, resource, one)[0], members(problem, resource, one)[0]
            for at, (_, j) in enumerate(options):
                out[at, first[r] + member[j]] += sign_of(resource) * amount[j]
    finite = np.isfinite(left)
    return left[finite], [out[:, finite] for out in usage]
