"""Neighbours, amounts and the predictor that is made of them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from omnirouter.errors import PoolError, PredictorError
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Model, Pool
from omnirouter.predictor import Encoder, KnnPredictor, Prediction, Predictor, embedded_encoder

MODELS = ("mathematician", "poet", "generalist")
MATHS = "Compute the integral of x to the power {} over the unit interval."
VERSE = "Write a short poem about autumn leaves and {} birds by the sea, please."


def make_outcomes(n: int = 240, seed: int = 0, holes: float = 0.0, **left_out: None) -> Outcomes:
    """Simulated history: each specialist is good at its own half of the prompts."""
    rng = np.random.default_rng(seed)
    maths = np.arange(n) % 2 == 0
    prompts = tuple((MATHS if maths[i] else VERSE).format(i) for i in range(n))
    chance = np.stack([np.where(maths, 0.95, 0.1), np.where(maths, 0.1, 0.95), np.full(n, 0.6)], axis=1)
    acc = (rng.random((n, 3)) < chance).astype(float)
    read = np.array([len(p.split()) for p in prompts])[:, None] * [1.3, 1.5, 2.0] + 20
    written = rng.lognormal(np.where(maths, 5.0, 3.0)[:, None], 0.5, (n, 3))
    hole = rng.random((n, 3)) < holes
    hole[hole.all(axis=1), 0] = False
    columns: dict[str, Any] = {
        "cost": read * 1e-6 + written * 2e-6,
        "input_tokens": read,
        "output_tokens": written,
    }
    columns = {name: np.where(hole, np.nan, value) for name, value in columns.items()} | left_out
    return Outcomes(prompts=prompts, models=MODELS, acc=np.where(hole, np.nan, acc), **columns)


def make_pool(*names: str) -> Pool:
    return Pool([Model(name, input_price=1e-6, output_price=2e-6) for name in names or MODELS])


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


PROMPTS = [MATHS.format("seven"), VERSE.format("many"), "Hello", VERSE.format(11), MATHS.format(4)] * 2


# The checks that every predictor has to pass


def memory_mapped(predictor: KnnPredictor, folder: Path, pool: Pool | None) -> KnnPredictor:
    return KnnPredictor.load(folder, predictor.save(folder), pool)


def fitted(kind: str, encoder: Encoder, folder: Path) -> KnnPredictor:
    pool = make_pool()
    if kind == "logged costs":
        return KnnPredictor(encoder).fit(make_outcomes(input_tokens=None, output_tokens=None))
    if kind == "holes":
        return KnnPredictor(encoder).fit(make_outcomes(holes=0.6), pool)
    if kind == "one row":
        return KnnPredictor(encoder).fit(make_outcomes().take([0]), pool)
    predictor = KnnPredictor(encoder).fit(make_outcomes(), pool)
    return memory_mapped(predictor, folder, pool) if kind == "memory-mapped" else predictor


@pytest.fixture(params=["prices", "logged costs", "holes", "one row", "memory-mapped"])
def predictor(request: pytest.FixtureRequest, encoder: Encoder, tmp_path: Path) -> KnnPredictor:
    return fitted(request.param, encoder, tmp_path)


def assert_same(a: Prediction, b: Prediction) -> None:
    np.testing.assert_array_equal(a.acc, b.acc)
    np.testing.assert_array_equal(a.cost, b.cost)
    assert a.models == b.models


def test_a_predictor_keeps_the_protocol(predictor: Predictor) -> None:
    assert isinstance(predictor, Predictor)
    prediction = predictor.predict(PROMPTS)
    assert prediction.models == predictor.models == MODELS
    assert prediction.acc.shape == prediction.cost.shape == (len(PROMPTS), 3)
    assert np.isfinite(prediction.acc).all()
    assert (prediction.cost > 0).all()


def test_the_same_prompts_get_the_same_answer_twice(predictor: Predictor) -> None:
    assert_same(predictor.predict(PROMPTS), predictor.predict(PROMPTS))


def test_the_order_of_the_prompts_does_not_matter(predictor: Predictor) -> None:
    order = np.random.default_rng(1).permutation(len(PROMPTS))
    straight = predictor.predict(PROMPTS)
    mixed = predictor.predict([PROMPTS[i] for i in order])
    np.testing.assert_allclose(mixed.acc, straight.acc[order], atol=1e-6)
    np.testing.assert_allclose(mixed.cost, straight.cost[order], rtol=1e-5)


def test_one_prompt_is_predicted_as_in_a_batch(predictor: Predictor) -> None:
    batch = predictor.predict(PROMPTS)
    for i, prompt in enumerate(PROMPTS):
        alone = predictor.predict([prompt])
        np.testing.assert_allclose(alone.acc[0], batch.acc[i], atol=1e-6)
        np.testing.assert_allclose(alone.cost[0], batch.cost[i], rtol=1e-5)


def test_predicting_learns_nothing(predictor: KnnPredictor) -> None:
    before = {name: value.copy() for name, value in vars(predictor).items() if isinstance(value, np.ndarray)}
    prompts = list(PROMPTS)
    predictor.predict(prompts)
    assert prompts == PROMPTS
    for name, value in before.items():
        np.testing.assert_array_equal(getattr(predictor, name), value)


def test_read_only_arrays_are_enough(predictor: KnnPredictor) -> None:
    expected = predictor.predict(PROMPTS)
    for value in vars(predictor).values():
        if isinstance(value, np.ndarray):
            value.flags.writeable = False
    assert_same(predictor.predict(PROMPTS), expected)


@pytest.mark.parametrize(
    ("prompts", "error", "message"),
    [
        ([], ValueError, "prompts is empty, expected at least one prompt"),
        (["a", " \n"], ValueError, r"prompts\[1\] is empty"),
        (["a", None], TypeError, r"prompts\[1\] is NoneType, expected text"),
        ("one prompt", TypeError, "prompts is str, expected a sequence of texts"),
    ],
)
def test_prompts_that_cannot_be_routed_are_refused(
    predictor: Predictor, prompts: Any, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        predictor.predict(prompts)


# Accuracy


def test_specialists_are_recognised(encoder: Encoder) -> None:
    prediction = KnnPredictor(encoder).fit(make_outcomes()).predict([MATHS.format("nine"), VERSE.format("two")])
    assert prediction.acc.argmax(axis=1).tolist() == [0, 1]


def test_a_model_seen_once_stays_near_the_mean_of_all(encoder: Encoder) -> None:
    history = make_outcomes()
    acc = history.acc.copy()
    acc[:, 2] = np.nan
    acc[0, 2] = 1.0
    history = Outcomes(prompts=history.prompts, models=MODELS, acc=acc, cost=history.cost)
    predictor = KnnPredictor(encoder).fit(history)
    mean = np.nanmean(acc)
    assert predictor.acc_mean_[2] == pytest.approx((1 + 4 * mean) / 5)
    assert (np.abs(predictor.predict(PROMPTS).acc[:, 2] - mean) < 0.3).all()


def test_accuracy_is_the_shrunk_mean_over_a_short_history(encoder: Encoder) -> None:
    history = make_outcomes(n=6)
    predictor = KnnPredictor(encoder, sharpness=0.0, shrinkage=2.0).fit(history)
    total = history.acc.sum(axis=0)
    mean = (total + 2 * history.acc.mean()) / 8
    np.testing.assert_allclose(predictor.predict(["anything"]).acc[0], (total + 2 * mean) / 8, rtol=1e-6)


def test_holes_are_never_counted_as_failures(encoder: Encoder) -> None:
    history = make_outcomes(holes=0.7)
    perfect = np.where(np.isnan(history.acc), np.nan, 1.0)
    history = Outcomes(prompts=history.prompts, models=MODELS, acc=perfect, cost=history.cost)
    np.testing.assert_array_equal(KnnPredictor(encoder).fit(history).predict(PROMPTS).acc, 1.0)


# Cost


def test_cost_is_tokens_times_prices(encoder: Encoder) -> None:
    history = make_outcomes(cost=None)
    pool = Pool([Model("poet", 3e-6, 5e-6), Model("mathematician", 0.0, 1e-6)])
    predictor = KnnPredictor(encoder).fit(history, pool)
    assert predictor.models == ("poet", "mathematician")
    assert predictor.cost_source_ == ("prices", "prices")
    prediction = predictor.predict(PROMPTS)
    assert prediction.output_tokens is not None
    np.testing.assert_allclose(prediction.cost[:, 1], prediction.output_tokens[:, 1] * 1e-6, rtol=1e-5)
    assert (prediction.cost[:, 0] > prediction.output_tokens[:, 0] * 5e-6).all()


def test_prices_scale_costs(encoder: Encoder) -> None:
    history = make_outcomes()
    double = Pool([Model(name, 2e-6, 4e-6) for name in MODELS])
    once = KnnPredictor(encoder).fit(history, make_pool()).predict(PROMPTS)
    twice = KnnPredictor(encoder).fit(history, double).predict(PROMPTS)
    np.testing.assert_allclose(twice.cost, 2 * once.cost, rtol=1e-6)


def test_input_tokens_follow_each_models_own_count(encoder: Encoder) -> None:
    predictor = KnnPredictor(encoder).fit(make_outcomes(), make_pool())
    lengths = np.array([20.0, 200.0])
    indices = np.zeros((2, 1), dtype=np.int64)
    read = predictor.amounts_["input_tokens"].predict(lengths, indices, np.ones((2, 1)), shrinkage=4.0)
    assert (np.diff(read[0]) > 0).all()
    assert (read[1] > read[0]).all()


def test_mean_predicted_cost_is_the_logged_mean(encoder: Encoder) -> None:
    history = make_outcomes(n=1000)
    train, fresh = history.take(np.arange(500)), history.take(np.arange(500, 1000))
    assert fresh.cost is not None
    prediction = KnnPredictor(encoder).fit(train).predict(fresh.prompts)
    np.testing.assert_allclose(prediction.cost.mean(axis=0), fresh.cost.mean(axis=0), rtol=0.1)


def test_logged_costs_serve_a_model_without_token_counts(encoder: Encoder) -> None:
    history = make_outcomes()
    assert history.output_tokens is not None
    written = history.output_tokens.copy()
    written[:, 1] = np.nan
    history = Outcomes(prompts=history.prompts, models=MODELS, acc=history.acc, cost=history.cost, output_tokens=written)
    predictor = KnnPredictor(encoder).fit(history, make_pool())
    assert predictor.cost_source_ == ("prices", "logged", "prices")
    prediction = predictor.predict(PROMPTS)
    assert prediction.output_tokens is not None
    assert np.isnan(prediction.output_tokens[:, 1]).all()
    assert np.isfinite(prediction.cost).all()


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (None, "cost of model 'poet' is unknown: .*no prices .no pool was given"),
        (make_pool(), "cost of model 'poet' is unknown: .*no output tokens to go with its prices"),
    ],
)
def test_unknown_cost_names_the_model(encoder: Encoder, pool: Pool | None, message: str) -> None:
    history = make_outcomes(output_tokens=None)
    assert history.cost is not None
    cost = history.cost.copy()
    cost[:, 1] = np.nan
    history = Outcomes(prompts=history.prompts, models=MODELS, acc=history.acc, cost=cost)
    with pytest.raises(PoolError, match=message):
        KnnPredictor(encoder).fit(history, pool)


def cached_outcomes() -> Outcomes:
    """Half of every prompt comes from the cache of `poet`."""
    history = make_outcomes(cost=None)
    assert history.input_tokens is not None
    cached = np.zeros(history.acc.shape)
    cached[:, MODELS.index("poet")] = history.input_tokens[:, MODELS.index("poet")] / 2
    return dataclasses.replace(history, cached_tokens=cached)


def test_cached_tokens_are_charged_their_own_price(encoder: Encoder) -> None:
    def predicted(history: Outcomes, cached_price: float) -> NDArray[np.float32]:
        pool = Pool([Model("poet", 4e-6, 0.0, cached_input_price=cached_price), Model("mathematician", 4e-6, 0.0)])
        return KnnPredictor(encoder).fit(history, pool).predict(PROMPTS).cost

    full = predicted(make_outcomes(cost=None), 4e-6)
    np.testing.assert_allclose(predicted(cached_outcomes(), 4e-6), full, rtol=1e-5)
    half = predicted(cached_outcomes(), 0.0)
    np.testing.assert_allclose(half[:, 0], full[:, 0] / 2, rtol=0.1)
    np.testing.assert_allclose(half[:, 1], full[:, 1], rtol=1e-5)


def test_cached_tokens_without_a_price_are_an_error_that_names_the_model(encoder: Encoder) -> None:
    with pytest.raises(PoolError, match="model 'poet' has cached tokens and no cached_input_price"):
        KnnPredictor(encoder).fit(cached_outcomes(), Pool([Model(name, 1e-6, 2e-6) for name in MODELS]))


def test_a_model_that_logs_only_zero_costs_is_free(encoder: Encoder) -> None:
    history = make_outcomes()
    assert history.cost is not None
    cost = history.cost.copy()
    cost[:, 0] = 0.0
    cost[::3, 1] = 0.0
    history = Outcomes(prompts=history.prompts, models=MODELS, acc=history.acc, cost=cost)
    prediction = KnnPredictor(encoder).fit(history).predict(PROMPTS)
    assert (prediction.cost[:, 0] == 0).all()
    assert (prediction.cost[:, 1:] > 0).all()


# Pool and parameters


def test_a_pool_model_without_outcomes_is_named(encoder: Encoder) -> None:
    with pytest.raises(PoolError, match="no model 'stranger', which the pool names; they have mathematician"):
        KnnPredictor(encoder).fit(make_outcomes(), make_pool("poet", "stranger"))


def test_only_models_of_the_pool_are_predicted_in_its_order(encoder: Encoder) -> None:
    history = make_outcomes(holes=0.5)
    predictor = KnnPredictor(encoder).fit(history, make_pool("generalist", "poet"))
    assert predictor.predict(PROMPTS).models == ("generalist", "poet")
    assert len(predictor.vectors_) == history.observed[:, 1:].any(axis=1).sum()


def test_a_model_without_scores_is_named(encoder: Encoder) -> None:
    history = make_outcomes()
    acc = history.acc.copy()
    acc[1:, 1] = np.nan
    history = Outcomes(prompts=history.prompts, models=MODELS, acc=acc, cost=history.cost).take([1, 2])
    with pytest.raises(PredictorError, match="model 'poet' has no observed score"):
        KnnPredictor(encoder).fit(history)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        ({"k": 0}, "k is 0, expected a whole number of at least 1"),
        ({"k": 2.5}, "k is 2.5"),
        ({"shrinkage": 0.0}, "shrinkage is 0.0, expected a positive number"),
        ({"shrinkage": np.nan}, "shrinkage is nan"),
        ({"sharpness": -1.0}, "sharpness is -1.0, expected a number of at least 0"),
    ],
)
def test_parameters_out_of_range_are_refused(encoder: Encoder, parameter: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        KnnPredictor(encoder, **parameter).fit(make_outcomes())


def test_an_unfitted_predictor_says_so(encoder: Encoder) -> None:
    with pytest.raises(PredictorError, match="not fitted; call fit"):
        KnnPredictor(encoder).predict(PROMPTS)


@pytest.mark.parametrize(
    "change", [{"kind": "oracle"}, {"settings": {"k": "many"}}, {"arrays": []}, {"settings": {"amounts": ["gold"]}}]
)
def test_a_damaged_description_is_refused(encoder: Encoder, tmp_path: Path, change: dict[str, Any]) -> None:
    saved = KnnPredictor(encoder).fit(make_outcomes()).save(tmp_path)
    settings = saved["settings"] | change.get("settings", {})
    with pytest.raises(PredictorError):
        KnnPredictor.load(tmp_path, saved | change | {"settings": settings}, None)


def test_prediction_refuses_what_the_solver_could_not_use() -> None:
    good = np.full((2, 1), 0.5, dtype=np.float32)
    with pytest.raises(ValueError, match=r"cost is float64 of shape \(2, 1\), expected float32"):
        Prediction(acc=good, cost=good.astype(np.float64), models=("a",))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="acc has values outside"):
        Prediction(acc=good + 1, cost=good, models=("a",))
    with pytest.raises(ValueError, match="cost has negative or infinite values"):
        Prediction(acc=good, cost=good - 1, models=("a",))
    with pytest.raises(ValueError, match=r"acc is float32 of shape \(2, 1\), expected float32 of shape \(2, 2\)"):
        Prediction(acc=good, cost=good, models=("a", "b"))


# Real outcomes


@pytest.mark.data
def test_neighbours_beat_the_mean_on_real_outcomes(shared_data: Path, encoder: Encoder) -> None:
    outcomes = Outcomes.read(shared_data / "routerbench_arc_mbpp.parquet")
    train, fresh = outcomes.select(split="train"), outcomes.select(split="test")
    prediction = KnnPredictor(encoder).fit(train).predict(fresh.prompts)

    def log_loss(p: np.ndarray) -> float:
        p = np.clip(p, 1e-6, 1 - 1e-6)
        return float(-(fresh.acc * np.log(p) + (1 - fresh.acc) * np.log(1 - p)).mean())

    mean = np.broadcast_to(train.acc.mean(axis=0), fresh.acc.shape)
    assert log_loss(prediction.acc) < log_loss(mean) - 0.03
    assert fresh.cost is not None
    np.testing.assert_allclose(prediction.cost.mean(axis=0), fresh.cost.mean(axis=0), rtol=0.05)


def test_slices_of_prompts_change_nothing_and_progress_goes_on_over_them(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    prompts = [f"question {k} about {'sums' if k % 2 else 'poems'}" for k in range(40)]
    past = Outcomes(prompts, ["a", "b"], rng.random((40, 2)), cost=rng.random((40, 2)), output_tokens=rng.random((40, 2)))
    predictor = KnnPredictor(encoder).fit(past)
    whole = predictor.predict(prompts)
    monkeypatch.setattr("omnirouter.predictor.learned.SLICE", 7)
    monkeypatch.setattr("omnirouter.predictor.encoded.BLOCK", 3)
    calls: list[tuple[int, int]] = []
    sliced = predictor.predict(prompts, progress=lambda done, total: calls.append((done, total)))
    np.testing.assert_allclose(sliced.acc, whole.acc, atol=1e-6)
    np.testing.assert_allclose(sliced.cost, whole.cost, rtol=1e-5)
    np.testing.assert_allclose(sliced.output_tokens, whole.output_tokens, rtol=1e-5)  # type: ignore[arg-type]
    assert calls == sorted(calls)
    assert calls[-1] == (40, 40)
    assert len(calls) >= 6
