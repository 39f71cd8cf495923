"""Arguments of the wrong kind: the error names the argument, what came and what was expected."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omnirouter
from omnirouter import (
    ChunkedOracle,
    Column,
    Outcomes,
    Pool,
    Problem,
    Resource,
    Router,
    ShardedOracle,
    evaluate,
    export_encoder,
    finetune_encoder,
    frontier,
    solve_oracle,
)
from omnirouter.cli import main
from omnirouter.demo import run, simulate
from omnirouter.errors import RouterError
from omnirouter.predictor import Encoder
from omnirouter.ray import RayOracle

HISTORY: Any = simulate(30, seed=0)
ROUTER: Any = Router.fit(HISTORY, predictor="knn")
ACC = np.array([[0.9, 0.5], [0.8, 0.7]])
COST = np.array([[3.0, 1.0], [3.0, 1.0]])
SOLUTION: Any = omnirouter.solve(ACC, COST, budget=4.0)
LIMIT: Any = True


def with_cost(cost: Any) -> Outcomes:
    return Outcomes(["a", "b", "c"], ["small", "large"], np.ones((3, 2)), cost=cost)


@pytest.fixture(scope="module")
def few_models() -> Router:
    """A router that knows half of the models."""
    return Router.fit(HISTORY.with_models(HISTORY.models[:3]), predictor="knn")


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many texts at a time were embedded since."""
    counts: list[int] = []
    run = Encoder._run

    def noted(self: Encoder, ids: list[list[int]], longest: int) -> Any:
        counts.append(len(ids))
        return run(self, ids, longest)

    monkeypatch.setattr(Encoder, "_run", noted)
    return counts


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: Router.fit(HISTORY, pool=3), "pool is int, expected Pool"),  # type: ignore[arg-type]
        (lambda: evaluate(HISTORY, 3), "router is int, expected Router"),  # type: ignore[arg-type]
        (lambda: evaluate(HISTORY, pool=3), "pool is int, expected Pool"),  # type: ignore[arg-type]
        (lambda: evaluate(HISTORY, predictors="knn"), "predictors is 'knn', expected a sequence of names"),
        (lambda: evaluate(HISTORY, points="a"), "points is 'a', expected a whole number >= 2"),  # type: ignore[arg-type]
        (lambda: evaluate(HISTORY, resamples=1.5), "resamples is 1.5, expected a whole number"),  # type: ignore[arg-type]
        (lambda: frontier(ACC, COST, points=2.5), "points is 2.5, expected a whole number >= 2"),  # type: ignore[arg-type]
        (lambda: Outcomes.read(None), "path is None, expected a path"),  # type: ignore[arg-type]
        (lambda: Pool.read(3), "path is 3, expected a path"),  # type: ignore[arg-type]
        (lambda: Pool(3), "models is 3, expected some of Model"),  # type: ignore[arg-type]
        (lambda: Router.load(None), "folder is None, expected a path"),  # type: ignore[arg-type]
        (lambda: Router(3), "predictor is int, expected a fitted LearnedPredictor"),  # type: ignore[arg-type]
        (lambda: Router(ROUTER.predictor, 3), "pool is int, expected Pool"),  # type: ignore[arg-type]
        (lambda: Router(ROUTER.predictor, None, 3), "reliability is int, expected Reliability"),  # type: ignore[arg-type]
        (lambda: Router(ROUTER.predictor, None, None, 3), "learned_from is int, expected an array of uint64"),  # type: ignore[arg-type]
        (lambda: ROUTER.route(["a"], caps=3), "caps is 3, expected a mapping from models to numbers, or one number per"),
        (lambda: ROUTER.route(["a"], caps="x"), "caps is 'x', expected a mapping from models to numbers"),
        (lambda: HISTORY.write(3), "path is 3, expected a path"),
        (lambda: evaluate(HISTORY, out=3), "out is 3, expected a path"),  # type: ignore[arg-type]
        (lambda: evaluate(HISTORY, name=3), "name is 3, expected a text"),  # type: ignore[arg-type]
        (lambda: frontier(ACC, COST, budgets=[3.0]).plot(3), "path is 3, expected a path"),  # type: ignore[arg-type]
        (lambda: Pool.from_prices(3, "p.json"), "names is 3, expected a list of names"),  # type: ignore[arg-type]
        (lambda: Column(3), "name is 3, expected the name of an array of the chunks"),  # type: ignore[arg-type]
        (lambda: RayOracle(3), "sources is int, expected a sequence, each a callable that returns the chunks"),  # type: ignore[arg-type]
        (lambda: RayOracle("abc"), "sources is str, expected a sequence, each a callable"),  # type: ignore[arg-type]
        (lambda: RayOracle(list), "sources is type, expected a sequence, each a callable"),  # type: ignore[arg-type]
        (lambda: RayOracle([list, [(ACC, COST)]]), r"sources\[1\] is list, expected a callable that returns the chunks"),  # type: ignore[list-item]
        (lambda: with_cost([["1", "2"]] * 3), "cost is not a matrix of numbers: it holds the text '1'"),
        (lambda: with_cost([[1.0, "2"]] * 3), "cost is not a matrix of numbers: it holds the text"),
        (lambda: with_cost(np.array([[1.0, b"2"]] * 3, dtype=object)), "cost is not a matrix of numbers: it holds the text"),
        (lambda: finetune_encoder(3, "b", "o"), "outcomes is int, expected Outcomes"),  # type: ignore[arg-type]
        (lambda: finetune_encoder(HISTORY, 3, "o"), "base is 3, expected a path"),  # type: ignore[arg-type]
        (lambda: finetune_encoder(HISTORY, "b", 3), "out is 3, expected a path"),  # type: ignore[arg-type]
        (lambda: finetune_encoder(HISTORY, "b", "o", learning_rate="x"), "learning_rate is 'x', expected a number between"),  # type: ignore[arg-type]
        (lambda: finetune_encoder(HISTORY, "b", "o", seed="x"), "seed is 'x', expected a whole number >= 0"),  # type: ignore[arg-type]
        (lambda: finetune_encoder(HISTORY, "b", "o", steps=1.5), "steps is 1.5, expected a whole number >= 1"),  # type: ignore[arg-type]
        (lambda: export_encoder(3, "o"), "model is 3, expected a path"),  # type: ignore[arg-type]
        (lambda: export_encoder("m", 3), "out is 3, expected a path"),  # type: ignore[arg-type]
        (lambda: Router.load("x", threads="a"), "threads is 'a', expected 0"),  # type: ignore[arg-type]
        (lambda: Encoder.load(3), "encoder is 3, expected a path"),  # type: ignore[arg-type]
        (lambda: omnirouter.price_ranges(3), "solution is int, expected Solution"),  # type: ignore[arg-type]
        (lambda: omnirouter.price_ranges(SOLUTION, tolerance="x"), "tolerance is 'x', expected a number >= 0"),  # type: ignore[arg-type]
        (lambda: omnirouter.price_ranges(SOLUTION, tolerance=None), "tolerance is None, expected a number"),  # type: ignore[arg-type]
        (lambda: omnirouter.price_ranges(SOLUTION, tolerance=True), "tolerance is True, expected a number"),
        (lambda: omnirouter.verify(SOLUTION.problem, SOLUTION, effort=1.5), "effort is 1.5, expected a whole number >= 0"),  # type: ignore[arg-type]
        (lambda: omnirouter.verify(SOLUTION.problem, SOLUTION, effort=True), "effort is True, expected a whole number >= 0"),
        (lambda: omnirouter.verify(SOLUTION.problem, SOLUTION, effort=None), "effort is None, expected a whole number"),  # type: ignore[arg-type]
        (lambda: SOLUTION.explain("x"), "i is 'x', expected the number of a query, 0 to 1"),
        (lambda: SOLUTION.explain(True), "i is True, expected the number of a query"),
        (lambda: Problem(ACC, COST, budget=LIMIT), "budget is True, expected an amount of money"),
        (lambda: Problem(ACC, COST, budget="4"), "budget is '4', expected an amount of money"),  # type: ignore[arg-type]
        (lambda: Problem(ACC, COST, min_accuracy=LIMIT), "min_accuracy is True, expected a mean"),
        (lambda: Problem(ACC, COST, [True, 5]), r"caps\[0\] is True, expected a whole number"),
        (lambda: Problem(ACC, COST, np.array([True, False])), r"caps\[0\] is True, expected a whole number"),
        (lambda: Resource("cost", LIMIT, name="money"), "money: limit is True, expected numbers"),
        (lambda: Resource("cost", [4.0, True], name="money"), r"money: limit is \[4.0, True\], expected numbers"),
        (
            lambda: Problem(ACC, COST, resources=[Resource(True, 4.0, name="calls")]),
            "calls: usage has dtype bool, expected real numbers",
        ),
    ],
)
def test_what_is_of_the_wrong_kind_is_named(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        call()


def test_holes_may_be_none() -> None:
    np.testing.assert_array_equal(with_cost([[1, None]] * 3).cost, [[1.0, np.nan]] * 3)


MASKED = np.ma.masked_array(ACC, mask=[[False, True], [False, False]])
MASKED_PLAN = np.ma.masked_array([0, 0], mask=[False, True])


def solve_chunks(*resources: Resource, **arrays: Any) -> Any:
    chunk = {"acc": ACC, "cost": COST, **arrays}
    return solve_oracle(ChunkedOracle([chunk], n_queries=2), budget=4.0, resources=resources, allowed="allowed" in arrays)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("acc", lambda: omnirouter.solve(MASKED, COST, budget=4.0)),
        ("cost", lambda: frontier(ACC, MASKED)),
        ("allowed", lambda: Problem(ACC, COST, allowed=MASKED > 0)),
        ("caps", lambda: Problem(ACC, COST, MASKED[0])),
        ("budgets", lambda: frontier(ACC, COST, budgets=MASKED[0])),
        ("money: limit", lambda: Resource("cost", MASKED[0], name="money")),
        ("money: usage", lambda: Problem(ACC, COST, resources=[Resource(MASKED, 4.0, name="money")])),
        ("acc", lambda: Outcomes(["a", "b"], ["small", "large"], MASKED)),
        ("cost", lambda: Outcomes(["a", "b"], ["small", "large"], ACC, cost=MASKED)),
        ("assignment", lambda: SOLUTION.problem.audit(MASKED_PLAN)),
        (
            "the plan's assignment",
            lambda: omnirouter.verify(SOLUTION.problem, {**SOLUTION.to_dict(), "assignment": MASKED_PLAN}),
        ),
        ("chunk 0: acc", lambda: solve_chunks(acc=MASKED)),
        ("chunk 0: cost", lambda: solve_oracle(ShardedOracle([[(ACC, MASKED)]]), budget=4.0)),
        ("chunk 0: allowed", lambda: solve_chunks(allowed=MASKED > 0)),
        ("chunk 0: tokens", lambda: solve_chunks(Resource(Column("tokens"), 9.0, name="t"), tokens=MASKED[0])),
        ("chunk 0: heat", lambda: solve_chunks(Resource(Column("heat", per_model=True), 9.0, name="h"), heat=MASKED)),
        (
            "chunk 0: tenant",
            lambda: solve_chunks(Resource("cost", {0: 9.0}, per=Column("tenant"), name="u"), tenant=MASKED_PLAN),
        ),
    ],
)
def test_masked_entries_are_not_taken_for_numbers(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(
        ValueError, match=f"^{name} is a masked array, 1 of its [24] entries masked; expected plain numbers: .* NaN"
    ):
        call()


def test_a_mask_that_masks_nothing_loses_nothing() -> None:
    assert omnirouter.solve(np.ma.masked_array(ACC), COST, budget=4.0).spend == 4.0


BAD: Any = 3


@pytest.mark.parametrize(
    "call",
    [
        lambda router: Router.fit(HISTORY, progress=BAD),
        lambda router: router.predict(["a", "b"], progress=BAD),
        lambda router: router.route(["a", "b"], budget=1.0, progress=BAD),
        lambda router: router.add_model(HISTORY.with_models(HISTORY.models[3:4]), progress=BAD),
        lambda router: router.predictor.encoder_.encode(["a", "b"], progress=BAD),
        lambda router: frontier(ACC, COST, progress=BAD),
        lambda router: evaluate(HISTORY, progress=BAD),
        lambda router: omnirouter.finetune_encoder(HISTORY, "base", "out", progress=BAD),
        lambda router: omnirouter.export_encoder("base", "out", progress=BAD),
    ],
)
def test_progress_is_called_or_refused(few_models: Router, call: Callable[[Router], Any], embedded: list[int]) -> None:
    with pytest.raises(TypeError, match=r"^progress is 3, expected a callable$"):
        call(few_models)
    assert sum(embedded) <= 1  # an encoder is tried when it is opened


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"rel_gap": 5}, ValueError, r"rel_gap is 5, expected a number in \[0, 1\)"),
        ({"rel_gap": math.nan}, ValueError, r"rel_gap is nan, expected a number in \[0, 1\)"),
        ({"rel_gap": "x"}, TypeError, r"rel_gap is 'x', expected a number in \[0, 1\)"),
        ({"threads": -1}, ValueError, "threads is -1, expected a whole number >= 0"),
        ({"seed": "x"}, TypeError, "seed is 'x', expected a whole number >= 0"),
        ({"time_limit": -1}, ValueError, "time_limit is -1, expected a number of seconds > 0"),
        ({"time_limit": "x"}, TypeError, "time_limit is 'x', expected a number of seconds > 0"),
        ({"callback": 3}, TypeError, "callback is 3, expected a callable that takes a Progress"),
    ],
)
def test_settings_are_refused_before_prompts_are_embedded(
    few_models: Router, embedded: list[int], settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        few_models.route(["a"], budget=1.0, **settings)
    assert embedded == []
    with pytest.raises(error, match=message):
        omnirouter.solve(ACC, COST, budget=4.0, **settings)


@pytest.mark.parametrize(
    ("name", "call"),
    [
        ("points", lambda: frontier(ACC, COST, points=10**12)),
        ("points", lambda: evaluate(HISTORY, points=10**12)),
        ("resamples", lambda: evaluate(HISTORY, resamples=10**12)),
        ("queries", lambda: run(Path("demo"), n_queries=10**12)),
    ],
)
def test_counts_beyond_all_memory_are_refused(name: str, call: Callable[[], Any]) -> None:
    with pytest.raises(ValueError, match=f"^{name} is 1,000,000,000,000, expected a whole number from .* to 1,000,000$"):
        call()


@pytest.mark.parametrize(
    "write",
    [
        lambda out: finetune_encoder(simulate(150, seed=0), "base", out),
        lambda out: export_encoder("base", out),
    ],
)
def test_an_occupied_folder_is_refused_before_a_model_is_loaded(tmp_path: Path, write: Callable[[Path], Any]) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"is not empty and has no export\.json; it is not replaced"):
        write(tmp_path)


def test_budgets_of_a_curve_are_numbers() -> None:
    with pytest.raises(ValueError, match="budgets is not a vector of numbers: it has bool entries"):
        frontier(ACC, COST, budgets=[True])


def test_a_plan_that_is_none_is_refused_by_the_checker() -> None:
    with pytest.raises(ValueError, match=r"the plan is int, expected a Solution or what Solution.to_dict gives"):
        omnirouter.verify(SOLUTION.problem, 3)  # type: ignore[arg-type]


def test_numbers_of_numpy_are_numbers() -> None:
    limits = {"budget": np.float32(4.0), "min_accuracy": np.array(0.5)}
    assert Problem(ACC, COST, (np.int8(2), None), **limits).n_models == 2  # type: ignore[arg-type]
    assert SOLUTION.explain(np.int64(0)).query == 0


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"budget": True}, "budget is True"),
        ({"min_accuracy": True}, "min_accuracy is True"),
        ({"caps": [True, None]}, "caps[0] is True"),
        ({"resources": [{"name": "r", "usage": "cost", "limit": True}]}, "r: limit is True"),
    ],
)
def test_truth_values_in_a_problem_file_are_no_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], entry: dict[str, Any], message: str
) -> None:
    path = tmp_path / "problem.json"
    path.write_text(json.dumps({"acc": ACC.tolist(), "cost": COST.tolist(), **entry}))
    assert main(["solve", str(path)]) == 2
    assert message in capsys.readouterr().err


def test_a_router_file_that_is_no_text_is_not_printed(tmp_path: Path) -> None:
    (tmp_path / "router.json").write_bytes(b"\x93secret" * 100)
    with pytest.raises(RouterError, match=r"router\.json is damaged: 'utf-8' codec can't decode byte 0x93") as caught:
        Router.load(tmp_path)
    assert "secret" not in str(caught.value)


def test_models_that_are_added_are_models(few_models: Router) -> None:
    router = few_models
    with pytest.raises(TypeError, match="model is int, expected Model"):
        router.add_model(HISTORY.with_models(HISTORY.models[3:4]), 3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="prediction is NoneType, expected Prediction"):
        router.quantiles(None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="caps has True for the model"):
        router.route(["a"], caps={router.models[0]: True})
