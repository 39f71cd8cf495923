"""Router: fit, route batches and single prompts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnirouter.errors import PoolError, RouterError, SolveError
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Model, Pool
from omnirouter.predictor import Encoder, KnnPredictor, embedded_encoder
from omnirouter.resources import Resource
from omnirouter.router import Router
from omnirouter.solution import Status
from routers import MODELS, PROMPTS, make_outcomes, make_pool


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


def middle_budget(router: Router) -> float:
    cost = router.predict(PROMPTS).cost.sum(axis=0)
    return float(cost.mean())


# Routing


def test_a_budget_is_kept_and_goes_to_the_hard_prompts(router: Router) -> None:
    budget = middle_budget(router)
    routing = router.route(PROMPTS, budget)
    assert routing.solution.status is Status.OPTIMAL
    assert routing.solution.spend <= budget
    assert routing.model_names[30:].count("large") > routing.model_names[:30].count("large") + 5


def test_a_floor_is_met_at_least_cost(router: Router) -> None:
    routing = router.route(PROMPTS, min_accuracy=0.75)
    assert routing.solution.accuracy >= 0.75
    everything_large = router.predict(PROMPTS).cost[:, 1].sum()
    assert routing.solution.spend < everything_large


def test_a_routing_shows_what_is_expected(router: Router) -> None:
    routing = router.route(PROMPTS, middle_budget(router))
    assert routing.assignment is not None
    rows = np.arange(len(PROMPTS))
    np.testing.assert_array_equal(routing.expected_acc, routing.prediction.acc[rows, routing.assignment])
    assert routing.expected_cost.sum(dtype=np.float64) == pytest.approx(routing.solution.spend)
    assert routing.n_queries == 60
    assert routing.models == MODELS
    table = routing.to_table()
    assert list(table) == ["query", "prompt", "model", "expected_acc", "expected_cost"]
    assert {len(column) for column in table.values()} == {60}
    assert table["model"] == list(routing.model_names)
    assert json.dumps(table)


def test_an_infeasible_batch_is_a_status_and_keeps_the_old_prices(router: Router) -> None:
    router.route(PROMPTS, middle_budget(router))
    duals = router.duals
    routing = router.route(PROMPTS, budget=0.0)
    assert routing.solution.status is Status.INFEASIBLE
    assert routing.assignment is None
    assert router.duals is duals
    for access in (lambda: routing.model_names, lambda: routing.expected_cost, routing.to_table):
        with pytest.raises(SolveError, match="infeasible: budget"):
            access()


def test_routing_is_the_same_for_any_number_of_threads(router: Router) -> None:
    budget = middle_budget(router)
    one, two = (router.route(PROMPTS, budget, threads=threads) for threads in (1, 2))
    np.testing.assert_array_equal(one.assignment, two.assignment)


def test_the_callback_and_the_progress_are_passed_on(router: Router) -> None:
    calls: list[tuple[int, int]] = []
    router.route(PROMPTS, middle_budget(router), progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (60, 60)

    class Told(Exception):
        pass

    def stop(_: Any) -> bool:
        raise Told

    with pytest.raises(Told):
        router.route(PROMPTS, middle_budget(router), callback=stop)


def test_allowed_pairs_and_resources_are_passed_on(router: Router) -> None:
    allowed = np.ones((60, 2), dtype=bool)
    allowed[0, 0] = False
    assert router.route(PROMPTS, allowed=allowed).model_names[0] == "large"
    reserved = Resource(1.0, [10.0, -np.inf], per="model", sense=">=", name="reserved")
    assert router.route(PROMPTS, resources=[reserved]).solution.load[0] >= 10


# Caps


def test_the_caps_of_the_pool_hold(encoder: Encoder) -> None:
    router = Router.fit(make_outcomes(), make_pool(large=7), encoder=encoder)
    assert router.route(PROMPTS).solution.load[1] <= 7
    assert router.route(PROMPTS, caps={"large": 3}).solution.load[1] <= 3
    assert router.route(PROMPTS, caps={"large": 20}).solution.load[1] <= 7
    assert router.route(PROMPTS, caps=[None, np.inf]).solution.load[1] <= 7


@pytest.mark.parametrize("caps", [{"large": 4}, [np.inf, 4], np.array([60, 4]), [None, 4]])
def test_caps_come_by_name_or_by_column(router: Router, caps: Any) -> None:
    assert router.route(PROMPTS, caps=caps).solution.load[1] <= 4


@pytest.mark.parametrize(
    ("caps", "message"),
    [
        ({"larg": 4}, "caps names the model 'larg'; known are small, large"),
        ([1, 2, 3], "caps has 3 entries, expected n_models = 2"),
        ({"large": -1}, "caps has -1 for the model 'large', expected a whole number of at least 0"),
        ({"large": 1.5}, "caps has 1.5 for the model 'large'"),
        ({"large": "x"}, "caps has 'x' for the model 'large'"),
        ({"large": 10**400}, "caps has 1000.* for the model 'large'"),
        ([np.nan, 1], "caps has nan for the model 'small'"),
    ],
)
def test_wrong_caps_are_refused(router: Router, caps: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        router.route(PROMPTS, caps=caps)


@pytest.mark.parametrize(
    ("prompts", "error", "message"),
    [
        ([], ValueError, "prompts is empty"),
        (["a", 3], TypeError, r"prompts\[1\] is int, expected text"),
        (["a", ""], ValueError, r"prompts\[1\] is empty"),
    ],
)
def test_wrong_prompts_are_refused(router: Router, prompts: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        router.route(prompts, budget=1.0)


# One prompt at a time


@pytest.mark.parametrize("limit", ["budget", "min_accuracy", "caps", "all"])
def test_one_prompt_goes_where_the_prices_of_the_batch_send_it(router: Router, limit: str) -> None:
    keywords: dict[str, Any] = {
        "budget": {"budget": middle_budget(router)},
        "min_accuracy": {"min_accuracy": 0.75},
        "caps": {"caps": {"large": 20}},
        "all": {
            "budget": middle_budget(router),
            "min_accuracy": 0.6,
            "caps": {"large": 15},
            "objective": "cost",
        },
    }[limit]
    routing = router.route(PROMPTS, **keywords)
    for i, prompt in enumerate(PROMPTS):
        priced = routing.solution.explain(i).priced
        best = priced.argmin() if routing.solution.problem.objective == "cost" else priced.argmax()
        assert router.route_one(prompt) == MODELS[best]


def test_one_prompt_needs_a_batch_first(router: Router) -> None:
    with pytest.raises(RouterError, match="no prices to route one prompt by; route a batch first"):
        router.route_one("Hello")


@pytest.mark.parametrize(
    "tight",
    [
        Resource(np.array([[0.0, 1.0]]), 5.0, name="slow requests"),
        Resource(1.0, [np.inf, 5.0], per="model", name="requests"),
        Resource("cost", [np.inf, 0.004], per="model", name="own budget"),
        Resource(np.array([[1.0, 0.0]]), 55.0, sense=">=", name="reserved"),
    ],
)
def test_one_prompt_pays_for_resources_whose_use_it_is_known_to_have(
    router: Router, tmp_path: Path, tight: Resource
) -> None:
    assert [router.route([prompt]).model_names[0] for prompt in PROMPTS[-3:]] == ["large"] * 3
    plan = router.route(PROMPTS, resources=[tight], rel_gap=0)
    assert plan.solution.duals.of(tight.name).any()
    assert plan.model_names.count("large") < 10
    router.save(tmp_path / "router")
    for asked in (router, Router.load(tmp_path / "router")):
        chosen = [asked.route_one(prompt) for prompt in PROMPTS]
        # At the prices, all but the few that are divided between models go where the plan sent them.
        assert sum(a != b for a, b in zip(chosen, plan.model_names, strict=True)) <= 4


@pytest.mark.parametrize(
    "tight",
    [
        Resource(np.tile([[0.0, 1.0]], (60, 1)), 5.0, name="slow requests"),
        Resource(np.array([[0.0, 1.0]]), {"a": 3.0, "b": 2.0}, per=["a", "b"] * 30, name="slow requests"),
    ],
)
def test_one_prompt_cannot_be_priced_by_resources_whose_use_is_unknown(router: Router, tight: Resource) -> None:
    router.route(PROMPTS, resources=[tight])
    with pytest.raises(
        RouterError, match="limited by the resource 'slow requests', whose use by one more prompt is unknown"
    ):
        router.route_one("Hello")


# Without a pool


def test_logged_costs_do_without_a_pool(encoder: Encoder) -> None:
    router = Router.fit(make_outcomes(), encoder=encoder)
    assert router.pool is None
    assert router.models == MODELS
    assert router.route(PROMPTS, middle_budget(router)).solution.status is Status.OPTIMAL


def test_neither_pool_nor_costs_is_an_error_that_names_the_model(encoder: Encoder) -> None:
    full = make_outcomes()
    with pytest.raises(PoolError, match="cost of model 'small' is unknown"):
        Router.fit(Outcomes(prompts=full.prompts, models=MODELS, acc=full.acc), encoder=encoder)


def test_pool_and_predictor_must_agree(encoder: Encoder) -> None:
    predictor = KnnPredictor(encoder).fit(make_outcomes())
    with pytest.raises(ValueError, match="expected those of the predictor"):
        Router(predictor, Pool([Model("small", 1e-7, 1e-7)]))


# Real outcomes


@pytest.mark.data
def test_a_plan_on_real_outcomes_keeps_its_budget_and_beats_the_price_alike(shared_data: Path, encoder: Encoder) -> None:
    outcomes = Outcomes.read(shared_data / "routerbench_arc_mbpp.parquet")
    router = Router.fit(outcomes.select(split="train"), encoder=encoder)
    fresh = outcomes.select(split="test")
    assert fresh.cost is not None
    budget = 0.25 * float(fresh.cost.mean(axis=0).max()) * len(fresh)
    routing = router.route(fresh.prompts, budget)
    rows = np.arange(len(fresh))
    realised, spend = fresh.acc[rows, routing.assignment].mean(), fresh.cost[rows, routing.assignment].sum()
    affordable = fresh.cost.sum(axis=0) <= budget
    alike = [router.route_one(p) == name for p, name in zip(fresh.prompts, routing.model_names, strict=True)]
    assert np.mean(alike) > 0.95
    assert spend <= 1.1 * budget
    assert realised > fresh.acc.mean(axis=0)[affordable].max()


@pytest.mark.parametrize("bad", [{"budget": -1}, {"min_accuracy": 85}, {"objective": "speed"}, {"allowed": np.ones((2, 2))}])
def test_limits_are_refused_before_the_prompts_are_embedded(
    router: Router, monkeypatch: pytest.MonkeyPatch, bad: dict[str, Any]
) -> None:
    monkeypatch.setattr(Router, "predict", lambda *arguments, **keywords: pytest.fail("embedded first"))
    with pytest.raises(ValueError, match=next(iter(bad))):
        router.route(PROMPTS, **bad)


def test_a_path_in_the_place_of_outcomes_is_named() -> None:
    with pytest.raises(TypeError, match="outcomes is str, expected Outcomes"):
        Router.fit("history.parquet")  # type: ignore[arg-type]
