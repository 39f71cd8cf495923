"""Outcomes in memory: checks, words, selections."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest

from omnirouter.outcomes import Outcomes

NAN = math.nan


def example(**more: Any) -> Outcomes:
    fields: dict[str, Any] = {
        "prompts": ["p0", "p1", "p2"],
        "models": ["a", "b"],
        "acc": [[1, 0.5], [NAN, 0], [0.25, NAN]],
        "cost": [[0.1, 0.2], [NAN, 0.4], [0.3, NAN]],
        "split": ["train", "test", "train"],
    }
    return Outcomes(**fields | more)


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": []}, "outcomes have 0 queries and 2 models"),
        ({"models": []}, "outcomes have 3 queries and 0 models"),
        ({"prompts": ["p0", " \n", "p2"]}, r"prompts\[1\] is empty"),
        ({"prompts": ["p0", "\ud800", "p2"]}, r"prompts\[1\] is not valid Unicode"),
        ({"models": ["a", ""]}, r"models\[1\] is empty"),
        ({"models": ["a", "a"]}, "models holds 'a' twice"),
        ({"acc": [[1, 1]]}, r"acc has shape \(1, 2\), expected \(n_queries, n_models\) = \(3, 2\)"),
        ({"acc": [[1, 1], [1, 1.5], [1, 1]]}, r"acc is 1.5 for model 'b' in row 1 \(counted from 0\).* in \[0, 1\]"),
        ({"acc": [[1, 1], [1, 1], [-0.1, 1]]}, "acc is -0.1 for model 'a' in row 2"),
        ({"acc": [[1, 1], [1, 1], [1, math.inf]]}, "acc is inf for model 'b' in row 2"),
        ({"acc": [[1, NAN]] * 3}, "no observed outcome for model 'b'; leave the model out"),
        ({"acc": [[1, 1], [NAN, NAN], [NAN, NAN]]}, "no observed outcome for 2 queries, first in row 1"),
        ({"cost": [[1, 1], [-1, 1], [1, 1]]}, "cost is -1 for model 'a' in row 1.*expected a finite number >= 0"),
        ({"cost": [[1, 1, 1]] * 3}, r"cost has shape \(3, 3\)"),
        ({"input_tokens": np.full((3, 2), np.inf)}, "input_tokens is inf for model 'a' in row 0"),
        (
            {"input_tokens": np.full((3, 2), 9.0), "cached_tokens": [[0, 9], [np.nan, 10], [0, 0]]},
            "cached_tokens is 10 for model 'b' in row 1 .*, expected at most its input_tokens, 9",
        ),
        ({"output_tokens": np.full((3, 2), -2)}, "output_tokens is -2 for model 'a' in row 0"),
        ({"latency": np.full((3, 2), -2)}, "latency is -2 for model 'a' in row 0"),
        ({"split": ["train"]}, "split has 1 entries, expected n_queries = 3"),
        ({"query_id": ["1", "", "3"]}, r"query_id\[1\] is empty"),
    ],
)
def test_bad_values_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        example(**change)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": "p0"}, "prompts is str, expected a sequence of texts"),
        ({"prompts": None}, "prompts is NoneType"),
        ({"prompts": ["p0", 1, "p2"]}, r"prompts\[1\] is int, expected text"),
        ({"task": ["x", None, "y"]}, r"task\[1\] is NoneType, expected text"),
        ({"acc": [[0, 10**400]] * 3}, "acc is not a matrix of numbers: int too large"),
        ({"acc": [["x", "y"]] * 3}, "acc is not a matrix of numbers"),
    ],
)
def test_wrong_kinds_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        example(**change)


# --- arrays, equality, words -----------------------------------------------------------------------------------------


def test_matrices_are_private_read_only_float64_in_c_order() -> None:
    mine = np.asfortranarray(np.ones((3, 2), dtype=np.float32))
    past = example(acc=mine)
    mine[0, 0] = 0
    assert past.acc[0, 0] == 1
    assert past.acc.dtype == np.float64
    assert past.acc.flags.c_contiguous
    for part in (past, past.take([0, 2]), past.with_models(["b"])):
        assert part.cost is not None
        assert part.cost.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            part.acc[0, 0] = 0
        with pytest.raises(ValueError, match="read-only"):
            part.cost[0, 0] = 0
    assert mine.flags.writeable


def test_read_only_matrices_are_shared() -> None:
    frozen = np.ones((3, 2))
    frozen.flags.writeable = False
    assert example(acc=frozen).acc is frozen


def test_outcomes_are_frozen_and_compare_by_value() -> None:
    assert example() == example()
    assert example() != example(cost=None)
    assert example() != example(acc=[[1, 0.5], [NAN, 0], [0.25, 1]])
    assert example() != example(split=["train", "test", "test"])
    assert example() != "outcomes"
    with pytest.raises(dataclasses.FrozenInstanceError):
        example().acc = np.ones((3, 2))  # type: ignore[misc]
    with pytest.raises(TypeError, match="unhashable"):
        hash(example())


def test_same_prompt_may_come_twice() -> None:
    assert len(example(prompts=["p", "p", "q"])) == 3


def test_sizes_and_words() -> None:
    past = example(models=["a", "100%"], task=["x", "y", "x"])
    assert (len(past), past.n_queries, past.n_models) == (3, 3, 2)
    assert past.observed.tolist() == [[True, True], [False, True], [True, False]]
    assert repr(past) == "Outcomes(3 queries x 2 models, 66.7 % observed, cost, task, split)"
    assert past.describe().splitlines() == [
        "3 queries x 2 models, 66.7 % of scores observed",
        "known: cost 66.7 %",
        "split: train 2, test 1",
        "task: x 2, y 1",
        "model    queries  mean acc   mean cost",
        "a              2     0.625         0.2",
        "100%           2     0.250         0.3",
    ]


def test_describe_marks_what_is_not_known() -> None:
    past = example(cost=[[NAN, 1]] * 3)
    assert [line.split()[-1] for line in past.describe().splitlines()[-2:]] == ["-", "1"]
    past = example(cost=None, split=None)
    assert "no cost, no tokens" in past.describe()
    assert past.take([1]).describe().splitlines()[-2].split() == ["a", "0", "-", "-"]


# --- parts -----------------------------------------------------------------------------------------------------------


def test_take_follows_the_rows_given() -> None:
    part = example(query_id=["x", "y", "z"]).take([2, 0, -3])
    assert part.prompts == ("p2", "p0", "p0")
    assert part.query_id == ("z", "x", "x")
    np.testing.assert_array_equal(part.acc, [[0.25, NAN], [1, 0.5], [1, 0.5]])
    assert example().take(np.array([True, False, True])) == example().take([0, 2])


def test_take_keeps_models_that_the_rows_did_not_observe() -> None:
    part = example().take([1])
    assert part.models == ("a", "b")
    assert part.observed.tolist() == [[False, True]]


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ([], ValueError, "rows is empty"),
        ([False] * 3, ValueError, "mask without a true entry"),
        ([True], ValueError, "mask of 1 entries, expected n_queries = 3"),
        ([0.5], TypeError, r"rows is float64 of shape \(1,\), expected row numbers or a mask"),
        ([[0]], TypeError, r"shape \(1, 1\)"),
        (0, TypeError, r"shape \(\)"),
        ([0, 3], IndexError, "rows holds 0 to 3, expected row numbers < 3"),
        ([-4], IndexError, "rows holds -4 to -4"),
    ],
)
def test_take_refuses_what_is_not_rows(rows: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        example().take(rows)


def test_select_by_split() -> None:
    assert example().select(split="train") == example().take([0, 2])
    with pytest.raises(ValueError, match="no query has split 'dev'; these outcomes have train 2, test 1"):
        example().select(split="dev")
    with pytest.raises(ValueError, match="these outcomes have no split"):
        example(split=None).select(split="train")


def test_with_models_reorders_and_refuses_silent_loss() -> None:
    full = example(acc=[[1, 0], [0.5, 0.25], [0, 1]])
    swapped = full.with_models(["b", "a"])
    assert swapped.models == ("b", "a")
    assert swapped.acc.tolist() == full.acc[:, ::-1].tolist()
    assert swapped.with_models(["a", "b"]) == full
    with pytest.raises(ValueError, match=r"no observed outcome for 1 query, first in row 1 .*take the other queries"):
        example().with_models(["a"])
    assert example().take([0, 2]).with_models(["a"]).acc.tolist() == [[1], [0.25]]
    with pytest.raises(ValueError, match="no outcomes of model 'c'; these outcomes have a, b"):
        full.with_models(["c"])
    with pytest.raises(ValueError, match=r"names is \['a', 'a'\], expected at least one model and each once"):
        full.with_models(["a", "a"])
    with pytest.raises(TypeError, match="names is str"):
        full.with_models("a")
