"""Router: fit, route batches and single prompts, save, load."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnirouter.errors import PoolError, RouterError, SolveError
from omnirouter.fingerprints import fingerprints
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Model, Pool
from omnirouter.predictor import Encoder, HybridPredictor, KnnPredictor, embedded_encoder
from omnirouter.resources import Resource
from omnirouter.router import Router
from omnirouter.solution import Status

MODELS = ("small", "large")
EASY = "What is the capital of country number {}?"
HARD = "Prove by induction that the sum of the first {} odd numbers is a square."
PROMPTS = [EASY.format(1000 + i) for i in range(30)] + [HARD.format(2000 + i) for i in range(30)]


def make_outcomes(n: int = 200) -> Outcomes:
    """Simulated history: `large` is better at the hard half only and costs fifty times as much."""
    rng = np.random.default_rng(0)
    hard = np.arange(n) % 2 == 1
    prompts = tuple((HARD if hard[i] else EASY).format(i) for i in range(n))
    chance = np.stack([np.where(hard, 0.2, 0.95), np.where(hard, 0.92, 0.85)], axis=1)
    written = rng.lognormal(np.where(hard, 5.5, 3.0)[:, None], 0.4, (n, 2))
    return Outcomes(
        prompts=prompts,
        models=MODELS,
        acc=(rng.random((n, 2)) < chance).astype(float),
        cost=written * [2e-7, 1e-5],
        output_tokens=written,
    )


def make_pool(**caps: int) -> Pool:
    return Pool([Model("small", 1e-7, 2e-7, cap=caps.get("small")), Model("large", 5e-6, 1e-5, cap=caps.get("large"))])


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


@pytest.fixture(scope="module")
def fitted(encoder: Encoder) -> Router:
    return Router.fit(make_outcomes(), make_pool(), encoder=encoder)


@pytest.fixture
def router(fitted: Router) -> Router:
    """One without the prices of another test's batch."""
    return Router(fitted.predictor, fitted.pool)


@pytest.fixture
def saved(router: Router, tmp_path: Path) -> Path:
    router.route(PROMPTS, budget=0.04)
    router.save(tmp_path / "router")
    return tmp_path / "router"


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


# Save and load


def test_a_saved_router_predicts_the_same_bits(router: Router, saved: Path) -> None:
    again = Router.load(saved)
    expected, found = router.predict(PROMPTS), again.predict(PROMPTS)
    for name in ("acc", "cost", "output_tokens"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert again.models == router.models
    assert again.pool == router.pool
    assert isinstance(again.predictor, HybridPredictor)
    assert isinstance(again.predictor.knn_.vectors_, np.memmap)
    assert [again.route_one(p) for p in PROMPTS] == [router.route_one(p) for p in PROMPTS]


def test_a_router_without_pool_and_prices_is_saved_too(encoder: Encoder, tmp_path: Path) -> None:
    router = Router.fit(make_outcomes(), encoder=encoder)
    router.save(tmp_path / "router")
    again = Router.load(tmp_path / "router")
    assert again.pool is None
    assert again.duals is None
    np.testing.assert_array_equal(again.predict(PROMPTS).cost, router.predict(PROMPTS).cost)


def test_a_saved_router_loads_with_few_packages(saved: Path) -> None:
    script = f"""
import sys
for name in ("wordllama", "onnx", "pyarrow", "safetensors", "huggingface_hub", "yaml", "rich"):
    sys.modules[name] = None
from omnirouter.router import Router
router = Router.load({str(saved)!r})
assert router.route(["What is the capital of France?"], budget=1.0).model_names
assert router.route_one("Prove it.") in router.models
"""
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_saved_router_holds_no_pickles_and_no_prompts(saved: Path) -> None:
    for path in saved.rglob("*.npy"):
        np.load(path, allow_pickle=False)
    assert not any(HARD.format(7).encode() in path.read_bytes() for path in saved.rglob("*") if path.is_file())
    assert {path.suffix for path in saved.rglob("*") if path.is_file()} == {".json", ".npy", ".onnx"}


def test_a_router_replaces_a_router(router: Router, saved: Path) -> None:
    router.prices = None
    router.save(saved)
    again = Router.load(saved)
    assert again.duals is None
    again.save(saved)  # its encoder and arrays are read from the folder that is replaced
    np.testing.assert_array_equal(again.predict(PROMPTS).acc, router.predict(PROMPTS).acc)
    np.testing.assert_array_equal(Router.load(saved).predict(PROMPTS).acc, router.predict(PROMPTS).acc)
    assert [path.name for path in saved.parent.iterdir()] == ["router"]


def test_an_empty_folder_may_be_used(router: Router, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    router.save(tmp_path / "empty")
    assert Router.load(tmp_path / "empty").models == MODELS


def test_other_files_are_never_replaced(router: Router, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"cat")
    with pytest.raises(FileExistsError, match=r"photos is not empty and has no router\.json; it is not replaced"):
        router.save(tmp_path / "photos")
    with pytest.raises(FileExistsError, match=r"cat\.jpg is a file"):
        router.save(tmp_path / "photos" / "cat.jpg")
    assert [path.name for path in tmp_path.rglob("*")] == ["photos", "cat.jpg"]


def test_a_folder_with_a_damaged_manifest_is_not_replaced(router: Router, saved: Path) -> None:
    (saved / "router.json").write_text("{")
    with pytest.raises(FileExistsError, match=r"damaged router\.json, so which of its files may be replaced is unknown"):
        router.save(saved)
    assert (saved / "encoder").is_dir()


def test_a_disk_that_is_full_is_an_error_about_the_folder(
    router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(router.predictor), "save", full)
    with pytest.raises(OSError, match="No space left on device") as caught:
        router.save(tmp_path / "router")
    assert caught.value.filename == str(tmp_path / "router")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("threads", [10**6, 10**20])
def test_a_router_starts_no_more_threads_than_there_are_cores(saved: Path, threads: int) -> None:
    encoder = Router.load(saved, threads=threads).predictor.encoder_
    assert encoder._session.get_session_options().intra_op_num_threads <= (os.cpu_count() or 1)


def test_a_negative_number_of_threads_is_no_damage(saved: Path) -> None:
    with pytest.raises(ValueError, match="threads is -1, expected 0"):
        Router.load(saved, threads=-1)


def test_a_saved_router_knows_the_prompts_it_learned_from(encoder: Encoder, tmp_path: Path) -> None:
    outcomes = make_outcomes(20)
    Router.fit(outcomes, predictor="knn", encoder=encoder).save(tmp_path / "router")
    found = Router.load(tmp_path / "router").learned_from
    assert found is not None
    assert np.isin(fingerprints(outcomes.prompts), found).all()
    assert not np.isin(fingerprints(PROMPTS), found).any()


def test_a_failed_save_leaves_the_old_router(router: Router, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError("disk is full")

    before = sorted(path.name for path in saved.parent.rglob("*"))
    monkeypatch.setattr(np, "save", full_disk)
    with pytest.raises(OSError, match="disk is full"):
        router.save(saved)
    assert sorted(path.name for path in saved.parent.rglob("*")) == before
    assert Router.load(saved).models == MODELS


def test_a_saved_router_can_be_moved(saved: Path, tmp_path: Path) -> None:
    os.rename(saved, tmp_path / "elsewhere")
    assert Router.load(tmp_path / "elsewhere").route(PROMPTS, budget=1.0).assignment is not None


# Damage


def edit(saved: Path, **changes: Any) -> None:
    path = saved / "router.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_that_is_no_router_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RouterError, match=r"is not a router folder: it has no router\.json"):
        Router.load(tmp_path)
    with pytest.raises(RouterError, match="nowhere is not a router folder"):
        Router.load(tmp_path / "nowhere")


def test_an_older_format_says_to_fit_again(router: Router, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("omnirouter.router.FORMAT", 1)
        router.save(tmp_path / "old")
    with pytest.raises(RouterError, match=r"router format 1, written by .* reads format 2: fit the router again"):
        Router.load(tmp_path / "old")


def test_a_newer_format_says_who_wrote_it(saved: Path) -> None:
    edit(saved, format=3, omnirouter="9.1.0")
    message = r"router format 3, written by omnirouter 9\.1\.0; .* formats up to 2: upgrade omnirouter"
    with pytest.raises(RouterError, match=message):
        Router.load(saved)


@pytest.mark.parametrize(
    "changes",
    [
        {"format": "one"},
        {"format": 0},
        {"files": []},
        {"files": {"acc.npy": {"size": 3}}},
        {"pool": {"models": [{"name": "small"}]}},
        {"pool": 3},
        {"predictor": None},
        {"predictor": {"kind": "oracle"}},
        {"prices": {"objective": "luck", "n_queries": 3, "duals": {}}},
    ],
)
def test_a_damaged_manifest_is_refused(saved: Path, changes: dict[str, Any]) -> None:
    edit(saved, **changes)
    with pytest.raises(RouterError, match="damaged"):
        Router.load(saved)


def test_broken_json_is_refused(saved: Path) -> None:
    (saved / "router.json").write_text("{")
    with pytest.raises(RouterError, match=r"router\.json is damaged"):
        Router.load(saved)


@pytest.mark.parametrize("name", ["knn.vectors.npy", "level.npy", "network.network.onnx", "encoder/tokenizer.json"])
def test_every_file_is_checked(saved: Path, name: str) -> None:
    path = saved / name
    content = path.read_bytes()
    path.write_bytes(content[:-10])
    with pytest.raises(RouterError, match=rf"{name} has [\d,]+ bytes, expected [\d,]+"):
        Router.load(saved)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(RouterError, match=f"{name} has other content than was saved"):
        Router.load(saved)
    path.unlink()
    with pytest.raises(RouterError, match=f"{name} is missing"):
        Router.load(saved)


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


def test_an_edited_manifest_is_refused(router: Router, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    manifest = tmp_path / "router" / "router.json"
    names = router.models
    swapped = manifest.read_text().replace(names[0], "\0").replace(names[1], names[0]).replace("\0", names[1])
    manifest.write_text(swapped)
    with pytest.raises(RouterError, match="it has other content than was saved"):
        Router.load(tmp_path / "router")


def test_a_path_in_the_place_of_outcomes_is_named() -> None:
    with pytest.raises(TypeError, match="outcomes is str, expected Outcomes"):
        Router.fit("history.parquet")  # type: ignore[arg-type]
