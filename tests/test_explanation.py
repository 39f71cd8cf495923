"""`Solution.explain` and the shadow prices, in words."""

from __future__ import annotations

import numpy as np
import pytest

from instances import batch
from omnirouter import Resource, price_ranges, solve
from omnirouter.cli.report import helps_most

ACC = [[0.9, 0.6], [0.8, 0.7], [0.9, 0.2]]
COST = [[3.0, 1.0]] * 3


def test_the_limit_that_makes_the_difference_is_named() -> None:
    solution = solve(ACC, COST, budget=5.0)
    assert solution.duals.budget == pytest.approx(0.15)
    assert solution.explain(1).in_words(["large", "small"]) == (
        "query 1 goes to small: accuracy 0.7, cost 1; large is 0.1 more accurate, but budget charges 0.3 more for it; "
        "at the prices it is ahead of large by 0.2"
    )
    assert "no other model that it may use would be better on its own" in solution.explain(2).in_words()


def test_a_query_that_was_moved_to_land_on_the_limits_says_so() -> None:
    acc, cost, caps, budget = batch(60, 4, 1, "uniform")
    solution = solve(acc, cost, caps, budget, rel_gap=0)
    moved = [i for i in range(60) if solution.explain(i).regret[solution.assignment[i]] > 1e-6]
    assert moved
    assert "moved to land on its limits" in solution.explain(moved[0]).in_words()


def test_a_query_without_a_choice_says_so() -> None:
    allowed = np.array([[True, True], [False, True], [True, True]])
    text = solve(ACC, COST, budget=5.0, allowed=allowed).explain(1).in_words()
    assert "it may use no other" in text
    assert "ahead" not in text


def test_cost_and_minima_have_words_of_their_own() -> None:
    reserved = Resource(1.0, [2.0, 0.0], per="model", sense=">=", name="reserved")
    solution = solve(ACC, COST, min_accuracy=0.3, resources=[reserved])
    i = int(np.flatnonzero(solution.assignment == 0)[0])
    text = solution.explain(i).in_words()
    assert "model 1 is 2 cheaper, but reserved pays 2 more for this" in text


def test_a_table_shows_what_each_limit_charges() -> None:
    acc, cost, caps, budget = batch(50, 4, 0)
    lines = str(solve(acc, cost, caps, budget).explain(3)).splitlines()
    assert lines[1].split()[:4] == ["model", "acc", "cost", "budget"]
    assert lines[1].split()[-2:] == ["priced", "regret"]
    assert len(lines) == 6
    assert sum("<- chosen" in line for line in lines) == 1


def test_prices_in_words_say_where_they_hold() -> None:
    acc, cost, caps, budget = batch(300, 4, 3)
    tokens = np.random.default_rng(0).lognormal(0, 0.5, 300)
    limit = Resource(tokens[:, None], np.full(4, tokens.sum() * 0.26), per="model", name="tokens")
    solution = solve(acc, cost, caps, budget, resources=[limit])
    lines = helps_most(solution, list("ABCD"), price_ranges(solution))
    assert all("; that price holds, within 10%, for limits from " in line for line in lines)
    assert any(line.startswith("1% more tokens on ") for line in lines)
    assert any(line.startswith("one more query on B") for line in lines)
    assert not any("tokens on B" in line for line in lines)
    money = solve(acc, cost, None, budget)
    assert helps_most(money, list("ABCD"), price_ranges(money))[0].startswith("1% more budget")
