"""The hybrid: stacking, shrinkage by decisions, and the predictor that is made of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnirouter.demo import simulate
from omnirouter.errors import PredictorError
from omnirouter.outcomes import Outcomes
from omnirouter.predictor import (
    Encoder,
    HybridPredictor,
    KnnPredictor,
    LearnedPredictor,
    NetworkPredictor,
    Prediction,
    Predictor,
    embedded_encoder,
)
from omnirouter.predictor.chances import logit, sigmoid
from omnirouter.predictor.decisions import Shrinkage, price_grid
from omnirouter.predictor.hybrid import held_out_amounts
from omnirouter.predictor.kinds import KINDS, load_predictor, new_predictor
from omnirouter.predictor.means import likely_means, mean_scores
from omnirouter.predictor.stacking import AccStack, AmountStack
from omnirouter.router import Router


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


@pytest.fixture(scope="module")
def fitted(encoder: Encoder) -> HybridPredictor:
    return HybridPredictor(encoder).fit(simulate(400, seed=0))


FRESH = simulate(200, seed=1)


def thinned(outcomes: Outcomes, observed: float, seed: int = 0) -> Outcomes:
    """The same with holes; every query keeps an outcome."""
    rng = np.random.default_rng(seed)
    hole = rng.random(outcomes.acc.shape) > observed
    hole[np.arange(len(hole)), rng.integers(0, outcomes.n_models, len(hole))] = False
    columns = {name: np.where(hole, np.nan, getattr(outcomes, name)) for name in ("acc", "cost", "output_tokens")}
    return Outcomes(outcomes.prompts, outcomes.models, **columns)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


def assert_same(a: Prediction, b: Prediction) -> None:
    np.testing.assert_array_equal(a.acc, b.acc)
    np.testing.assert_array_equal(a.cost, b.cost)
    np.testing.assert_array_equal(a.output_tokens, b.output_tokens)  # type: ignore[arg-type]
    assert a.models == b.models


# Stacking


def folds_of(h: int, repeats: int = 1) -> np.ndarray:
    return np.stack([np.random.default_rng(r).permutation(h) % 5 for r in range(repeats)])


def simulated_parts(h: int, m: int, noise: tuple[float, ...], seed: int = 0) -> tuple[list[np.ndarray], np.ndarray]:
    """Parts that know the chances up to noise, and scores drawn from the chances."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=(h, 1)) + rng.normal(size=(h, m))
    parts = [sigmoid(eta + size * rng.normal(size=(1, h, m))) for size in noise]
    return parts, (rng.random((h, m)) < sigmoid(eta)).astype(float)


@pytest.mark.parametrize("repeats", [1, 3])
def test_the_better_part_gets_the_weight(repeats: int) -> None:
    parts, acc = simulated_parts(2000, 4, noise=(0.3, 3.0))
    stack = AccStack.fit([np.concatenate([part] * repeats) for part in parts], acc, folds_of(2000, repeats))
    assert (stack.weights >= 0).all()
    assert (stack.weights[1] > 5 * stack.weights[3]).all()
    stacked = stack([part[0] for part in parts])
    assert log_loss(stacked, acc) < min(log_loss(part[0], acc) for part in parts) + 1e-3


def test_overconfident_parts_are_toned_down() -> None:
    parts, acc = simulated_parts(3000, 3, noise=(0.0,))
    loud = sigmoid(3 * logit(parts[0]))
    stack = AccStack.fit([loud], acc, folds_of(3000))
    np.testing.assert_allclose(stack.weights, 1 / 3, atol=0.1)


def test_few_rows_leave_equal_shares() -> None:
    parts, acc = simulated_parts(6, 3, noise=(0.3, 3.0))
    np.testing.assert_allclose(AccStack.fit(parts, acc, folds_of(6)).weights, 0.5, atol=0.25)


def test_a_model_gets_weights_of_its_own_only_where_that_pays() -> None:
    parts, acc = simulated_parts(4000, 4, noise=(0.3, 0.3))
    parts[0][:, :, 0] = 0.5  # of this model the first part knows nothing
    weights = AccStack.fit(parts, acc, folds_of(4000)).weights
    assert weights[1, 0] < 0.7 * weights[1, 1:].mean()
    parts, acc = simulated_parts(400, 4, noise=(0.5, 0.5))
    weights = AccStack.fit(parts, acc, folds_of(400)).weights
    assert np.ptp(weights, axis=1).max() < 0.3


def test_holes_count_for_nothing_in_a_stack() -> None:
    parts, acc = simulated_parts(3000, 4, noise=(0.3, 3.0))
    acc[np.random.default_rng(5).random(acc.shape) < 0.8] = np.nan
    acc[:, 3] = np.nan
    stack = AccStack.fit(parts, acc, folds_of(3000))
    assert np.isfinite(stack([part[0] for part in parts])).all()
    assert (stack.weights[1] > 3 * stack.weights[3]).all()


def test_amounts_are_stacked_in_logarithms() -> None:
    rng = np.random.default_rng(0)
    truth = rng.lognormal(0, 1, (1000, 3)) * [1.0, 10.0, 1000.0]
    good = truth * rng.lognormal(0, 0.1, (1, 1000, 3)) * 2.0  # a level that is wrong by 2 is put right
    poor = truth.mean(axis=0) * rng.lognormal(0, 1, (1, 1000, 3))
    stack = AmountStack.fit([good, poor], truth)
    stacked = stack([good[0], poor[0]])
    assert stack.weights[0] > 0.8
    assert stack.weights[1] < 0.1
    np.testing.assert_allclose(stacked.mean(axis=0), truth.mean(axis=0), rtol=1e-6)
    assert np.abs(np.log(stacked / truth)).mean() < 0.2


def test_held_out_amounts_do_not_know_the_level_of_their_own_fold() -> None:
    fold = np.arange(20) // 4
    guess = np.ones((20, 1))
    paid = np.where(fold == 2, 100.0, 2.0)[:, None]
    stack = AmountStack.fit([guess[None], guess[None]], paid)
    held_out = held_out_amounts(stack, [guess, guess], paid, fold)
    np.testing.assert_allclose(held_out[fold == 2], 2.0)
    np.testing.assert_allclose(held_out[fold != 2], (100 + 3 * 2) / 4)
    np.testing.assert_allclose(stack([guess, guess]), (100 + 4 * 2) / 5)


def test_free_and_unknown_amounts_stay_so() -> None:
    truth = np.random.default_rng(0).lognormal(0, 1, (100, 3))
    truth[:, 0] = 0.0
    truth[:, 1] = np.nan
    stacked = AmountStack.fit([truth[None], truth[None]], truth)([truth, truth])
    assert (stacked[:, 0] == 0).all()
    assert np.isnan(stacked[:, 1]).all()
    np.testing.assert_allclose(stacked[:, 2], truth[:, 2], rtol=0.05)


# Decisions


def decided(strength: float, n_models: int = 20, h: int = 1000, seed: int = 0) -> float:
    """Trust in predictions that are the truth times `strength`, plus noise."""
    rng = np.random.default_rng(seed)
    own = rng.normal(size=(h, n_models)) * 0.1
    chance = np.clip(np.linspace(0.5, 0.7, n_models) + own, 0, 1)
    acc = (rng.random(chance.shape) < chance).astype(float)
    predicted = np.linspace(0.5, 0.7, n_models) + strength * own + (1 - strength) * 0.1 * rng.normal(size=own.shape)
    cost = np.broadcast_to(np.geomspace(1.0, 50.0, n_models), acc.shape).copy()
    return Shrinkage.fit(predicted[None], cost[None], acc, cost, folds_of(h)).trust


def test_noise_is_trusted_less_than_truth() -> None:
    assert decided(0.0) < 0.55
    assert decided(1.0) > 0.75


def test_few_rows_leave_the_trust_in_the_middle() -> None:
    assert 0.25 < decided(0.0, h=20) < 0.75
    assert 0.25 < decided(1.0, h=20) < 0.8


def test_trust_is_kept_where_the_log_loss_needs_it() -> None:
    """One of two models costs too much ever to be chosen, so that only the log-loss speaks."""
    parts, acc = simulated_parts(1000, 2, noise=(0.0,))
    cost = np.ones((1, 1000, 2)) * [1.0, 1e9]
    free = Shrinkage.fit(parts[0], cost, acc, cost[0], folds_of(1000))
    held = Shrinkage.fit(parts[0], cost, acc, cost[0], folds_of(1000), parts=parts)
    assert held.trust > 0.75 > free.trust


@pytest.mark.parametrize("trust", [0.0, 0.4, 1.0])
def test_shrinking_leaves_the_mean_of_each_model(trust: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnirouter.predictor.decisions.TRUSTS", np.array([trust]))
    parts, acc = simulated_parts(500, 4, noise=(0.5,))
    cost = np.ones((1, 500, 4))
    shrinkage = Shrinkage.fit(parts[0], cost, acc, cost[0], folds_of(500))
    assert shrinkage.trust == trust
    shrunk = shrinkage(parts[0][0])
    np.testing.assert_allclose(shrunk.mean(axis=0), parts[0][0].mean(axis=0), atol=1e-4)
    own = logit(shrunk) - logit(shrunk).mean(axis=1, keepdims=True)
    assert (own.std(axis=0) < 0.01).all() == (trust == 0.0)


def test_prices_span_the_hull_of_single_models() -> None:
    prices = price_grid(np.array([0.5, 0.7, 0.6, 0.8]), np.array([1.0, 2.0, 3.0, 4.0]))
    assert prices[0] == pytest.approx(0.3)
    assert prices[-2] == pytest.approx(0.05 / 1.5)
    assert (np.diff(prices) < 0).all()
    assert np.isfinite(price_grid(np.array([0.5, 0.4]), np.array([0.0, 0.0]))).all()


def test_mean_scores_are_shrunk_where_observations_are_few() -> None:
    acc = np.full((100, 2), np.nan)
    acc[:, 0] = np.arange(100) % 2
    acc[0, 1] = 1.0
    np.testing.assert_allclose(mean_scores(acc), [0.5, (1 + 4 * 51 / 101) / 5], atol=0.01)


def test_means_are_drawn_to_models_of_their_cost_as_far_as_they_are_uncertain() -> None:
    rng = np.random.default_rng(0)
    cost, truth = np.geomspace(1, 100, 12), np.linspace(0.5, 0.8, 12)
    errors = []
    for h in (40, 4000):
        scores = (rng.random((h, 12)) < truth).astype(float)
        mean = np.broadcast_to(scores.mean(axis=0), scores.shape).copy()
        likely = likely_means(mean, scores, cost)
        errors.append((np.abs(likely - truth).mean(), np.abs(mean[0] - truth).mean(), np.abs(likely - mean[0]).max()))
    assert errors[0][0] < 0.8 * errors[0][1]
    assert errors[1][2] < 0.02
    scores[:, 3] = np.nan  # never seen: what models of its cost score
    assert abs(likely_means(mean, scores, cost)[3] - truth[3]) < 0.03
    np.testing.assert_array_equal(likely_means(mean[:, :3], scores[:, :3], cost[:3]), mean[:, :3].mean(axis=0))


# The predictor


def test_every_kind_keeps_the_protocol(encoder: Encoder) -> None:
    for kind in KINDS:
        predictor = new_predictor(kind, encoder).fit(simulate(60, seed=0))
        assert isinstance(predictor, Predictor)
        prediction = predictor.predict(FRESH.prompts[:5])
        assert prediction.models == predictor.models == FRESH.models
        assert (prediction.cost > 0).all()


@pytest.mark.parametrize("observed", [1.0, 0.25])
def test_the_hybrid_is_no_worse_than_its_better_part(encoder: Encoder, observed: float) -> None:
    history = thinned(simulate(500, seed=0), observed)
    losses = {
        kind: log_loss(new_predictor(kind, encoder).fit(history).predict(FRESH.prompts).acc, FRESH.acc) for kind in KINDS
    }
    assert losses["hybrid"] < min(losses["knn"], losses["network"]) + 0.005


def test_fitting_repeats_to_the_last_bit(encoder: Encoder, fitted: HybridPredictor) -> None:
    again = HybridPredictor(encoder).fit(simulate(400, seed=0))
    assert_same(again.predict(FRESH.prompts), fitted.predict(FRESH.prompts))


def test_one_prompt_is_predicted_as_in_a_batch(fitted: HybridPredictor) -> None:
    batch = fitted.predict(FRESH.prompts[:20])
    for i, prompt in enumerate(FRESH.prompts[:20]):
        alone = fitted.predict([prompt])
        np.testing.assert_allclose(alone.acc[0], batch.acc[i], atol=1e-5)
        np.testing.assert_allclose(alone.cost[0], batch.cost[i], rtol=1e-4)


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_loaded_predictor_predicts_the_same_bits(encoder: Encoder, tmp_path: Path, kind: str) -> None:
    predictor = new_predictor(kind, encoder).fit(simulate(60, seed=0))
    loaded = load_predictor(tmp_path, predictor.save(tmp_path), None)
    assert type(loaded) is type(predictor)
    assert_same(loaded.predict(FRESH.prompts), predictor.predict(FRESH.prompts))


def test_a_damaged_description_is_refused(encoder: Encoder, fitted: HybridPredictor, tmp_path: Path) -> None:
    saved = fitted.save(tmp_path)
    changes: list[dict[str, Any]] = [{"kind": "oracle"}, {"kind": []}, {"settings": {}}, {"arrays": []}, {"other_files": []}]
    for change in changes:
        with pytest.raises(PredictorError):
            load_predictor(tmp_path, saved | change, None)


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_tiny_histories_are_enough(encoder: Encoder, rows: int) -> None:
    prediction = HybridPredictor(encoder).fit(simulate(60, seed=0).take(np.arange(rows))).predict(FRESH.prompts)
    assert np.isfinite(prediction.acc).all()
    assert (prediction.cost > 0).all()


def test_one_prompt_repeated_cannot_be_divided_and_is_learned_all_the_same(encoder: Encoder) -> None:
    outcomes = simulate(20, seed=0)
    same = Outcomes(("one",) * 20, outcomes.models, outcomes.acc, outcomes.cost)
    prediction = HybridPredictor(encoder).fit(same).predict(["one", "two"])
    np.testing.assert_allclose(prediction.acc, np.broadcast_to(mean_scores(same.acc), (2, 6)), atol=0.1)


def test_a_model_seen_on_twenty_queries_keeps_near_what_all_say(encoder: Encoder) -> None:
    history = simulate(500, seed=0)
    acc, cost = history.acc.copy(), np.array(history.cost)
    acc[20:, 4], cost[20:, 4] = np.nan, np.nan
    prediction = HybridPredictor(encoder).fit(Outcomes(history.prompts, history.models, acc, cost)).predict(FRESH.prompts)
    known = log_loss(np.broadcast_to(history.acc[:20, 4].mean(), len(FRESH)), FRESH.acc[:, 4])
    assert log_loss(prediction.acc[:, 4], FRESH.acc[:, 4]) < known
    assert FRESH.cost is not None
    assert prediction.cost[:, 4].mean() == pytest.approx(FRESH.cost[:, 4].mean(), rel=0.5)


@pytest.mark.parametrize(
    ("parameter", "message"),
    [({"n_folds": 1}, "n_folds is 1, expected a whole number of at least 2"), ({"seed": -1}, "seed is -1")],
)
def test_parameters_out_of_range_are_refused(encoder: Encoder, parameter: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        HybridPredictor(encoder, **parameter).fit(FRESH)


# The router


def test_a_router_learns_by_the_kind_asked_for(encoder: Encoder) -> None:
    kinds: dict[str, type[LearnedPredictor]] = {"knn": KnnPredictor, "network": NetworkPredictor}
    for kind, cls in kinds.items():
        assert type(Router.fit(simulate(60, seed=0), predictor=kind, encoder=encoder).predictor) is cls
    few = Router.fit(simulate(60, seed=0), predictor=KnnPredictor(encoder, k=3)).predictor
    assert isinstance(few, KnnPredictor)
    assert few.k == 3


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"predictor": "oracle"}, ValueError, "predictor is 'oracle', expected one of hybrid, knn, network"),
        ({"predictor": 3}, TypeError, "predictor is int, expected a name or a LearnedPredictor"),
        ({"predictor": KnnPredictor(), "encoder": "somewhere"}, ValueError, "encoder and a predictor .* both given"),
    ],
)
def test_other_predictors_are_refused(keywords: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Router.fit(simulate(60, seed=0), **keywords)


# Real outcomes


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize("name", ["routerbench_arc_mbpp", "llmdrift_prime_happy"])
def test_the_hybrid_is_no_worse_than_its_better_part_on_real_outcomes(
    shared_data: Path, encoder: Encoder, name: str
) -> None:
    outcomes = Outcomes.read(shared_data / f"{name}.parquet")
    history, fresh = outcomes.select(split="train"), outcomes.select(split="test")
    losses = {
        kind: log_loss(new_predictor(kind, encoder).fit(history).predict(fresh.prompts).acc, fresh.acc) for kind in KINDS
    }
    assert losses["hybrid"] < min(losses["knn"], losses["network"]) + 0.003
