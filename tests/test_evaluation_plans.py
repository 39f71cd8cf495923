"""The rules that routing is compared with, by hand and by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from omnirouter.evaluation.capacity import even_caps, fall_back, rate_caps
from omnirouter.evaluation.plans import (
    budget_grid,
    cheapest_above,
    multiplier_grid,
    priced,
    solved,
    tuned_multipliers,
)


def test_the_threshold_rule_takes_the_cheapest_that_is_good_enough() -> None:
    acc = np.array([[0.9, 0.75, 0.6], [0.5, 0.6, 0.65]])
    cost = np.array([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0]])
    plans = cheapest_above(acc, cost, [0.0, 0.7, 1.0])
    assert plans.tolist() == [[2, 1], [1, 2], [0, 2]]


def test_the_priced_rule_is_an_argmax_per_query() -> None:
    acc, cost = np.array([[0.9, 0.5]]), np.array([[4.0, 1.0]])
    assert priced(acc, cost, [0.0, 0.1, 0.2]).tolist() == [[0], [0], [1]]


def test_the_multiplier_is_the_least_that_keeps_to_the_budget_on_what_was_really_paid() -> None:
    acc = np.tile([0.9, 0.5], (4, 1))
    cost = np.tile([1.0, 0.1], (4, 1))
    # What was paid is twice what was predicted; the second query of the dear model was not observed.
    charged = np.array([[2.0, 0.2], [np.nan, 0.2], [2.0, 0.2], [2.0, 0.2]])
    multipliers = np.array([0.0, 0.4, 0.5, 1.0])
    chosen = tuned_multipliers(acc, cost, charged, [3.0, 1.0, 0.05], multipliers)
    # 0.9 - 4/9 * 1.0 = 0.5 - 4/9 * 0.1, from where on the cheap model is taken; nothing keeps to the last budget.
    assert chosen == pytest.approx([0.0, 4 / 9, 1.0], abs=0.1 / 64)
    assert chosen[1] > 4 / 9


def test_tuned_multipliers_hold_the_budget_on_the_sample() -> None:
    rng = np.random.default_rng(0)
    acc, cost = rng.random((200, 4)), rng.random((200, 4)) * [1, 2, 4, 8]
    grid = multiplier_grid(cost)
    for budget, lam in zip([0.4, 1.0, 1.5], tuned_multipliers(acc, cost, cost, [0.4, 1.0, 1.5], grid), strict=True):
        plan = priced(acc, cost, [lam])[0]
        # No nearer grid of multipliers would use more of the budget than one query's cost.
        assert budget - 8 / 200 < cost[np.arange(200), plan].mean() <= budget


def test_the_grid_of_multipliers_reaches_from_no_price_to_money_alone() -> None:
    rng = np.random.default_rng(1)
    acc, cost = rng.random((50, 5)), rng.random((50, 5)) + 0.01
    plans = priced(acc, cost, multiplier_grid(cost)[[0, -1]])
    assert (plans[0] == acc.argmax(axis=1)).all()
    assert (plans[1] == cost.argmin(axis=1)).all()
    assert multiplier_grid(np.zeros((2, 2))).tolist() == [0.0]


def test_budgets_span_what_can_be_spent_and_all_of_them_have_a_plan() -> None:
    rng = np.random.default_rng(2)
    acc, cost = rng.random((40, 3)), rng.random((40, 3)) + 0.1
    grid = budget_grid(acc, cost, 6)
    plans = solved(acc, cost, grid)
    assert len(plans) == 6
    assert (plans[0] == cost.argmin(axis=1)).all()
    assert acc[np.arange(40), plans[-1]].sum() == pytest.approx(acc.max(axis=1).sum(), rel=2e-3)
    assert budget_grid(np.ones((3, 2)), np.ones((3, 2)), 4).tolist() == [3.0]
    assert len(solved(acc, cost, [0.0])) == 0


def one_by_one(utility: np.ndarray, caps: np.ndarray, order: str) -> list[int]:
    """The same, a query or a pair at a time."""
    n, m = utility.shape
    room, plan = caps.copy(), [-1] * n
    if order == "arrival":
        for i in range(n):
            plan[i] = max((j for j in range(m) if room[j] > 0), key=lambda j: (utility[i, j], -j))
            room[plan[i]] -= 1
        return plan
    while -1 in plan:
        pairs = [(utility[i, j], -i, -j) for i in range(n) if plan[i] < 0 for j in range(m) if room[j] > 0]
        _, i, j = max(pairs)
        plan[-i] = -j
        room[-j] -= 1
    return plan


@pytest.mark.parametrize("order", ["arrival", "best first"])
def test_falling_back_is_what_happens_one_query_at_a_time(order: str) -> None:
    rng = np.random.default_rng(3)
    for _ in range(60):
        n, m = int(rng.integers(1, 12)), int(rng.integers(1, 4))
        utility = rng.random((n, m))
        caps = rng.integers(0, n + 1, m).astype(np.float64)
        caps[0] += max(0.0, n - caps.sum())
        assert fall_back(utility, caps, order).tolist() == one_by_one(utility, caps, order)  # type: ignore[arg-type]


def test_caps_that_are_too_tight_are_refused() -> None:
    with pytest.raises(ValueError, match="caps allow 1 queries together, expected at least n_queries = 2"):
        fall_back(np.ones((2, 1)), np.array([1.0]), "arrival")
    with pytest.raises(ValueError, match="caps allow 2 queries together, expected at least n_queries = 3"):
        fall_back(np.ones((3, 2)), np.array([1.5, 1.5]), "arrival")


def test_the_scenarios_have_room_for_all_queries() -> None:
    assert even_caps(10, 4).tolist() == [4.0] * 4
    cost = np.tile([1.0, 100.0], (30, 1))
    caps = rate_caps(cost)
    assert caps.sum() >= 30
    assert caps[0] == 30.0  # no more than there are queries
    assert caps[1] == np.ceil(45 / 11)
    assert rate_caps(np.zeros((6, 2))).tolist() == even_caps(6, 2).tolist()
