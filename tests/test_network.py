"""The trained network: what it learns, with any pattern of holes, and that its graph says what was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from omnirouter.demo import simulate
from omnirouter.outcomes import Outcomes
from omnirouter.predictor import Encoder, NetworkPredictor, Prediction, embedded_encoder
from omnirouter.predictor.chances import logit, sigmoid
from omnirouter.predictor.encoded import encode
from omnirouter.predictor.heads import (
    Basis,
    Heads,
    _left_out_errors,
    fit_linear_heads,
    fit_logistic_heads,
)
from omnirouter.predictor.history import History
from omnirouter.predictor.network import train


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


def thinned(outcomes: Outcomes, observed: float, seed: int = 0) -> Outcomes:
    """The same with holes; every model and every query keeps an outcome."""
    rng = np.random.default_rng(seed)
    hole = rng.random(outcomes.acc.shape) > observed
    hole[np.arange(len(hole)), np.arange(len(hole)) % outcomes.n_models] = False
    columns = {name: np.where(hole, np.nan, getattr(outcomes, name)) for name in ("acc", "cost", "output_tokens")}
    return Outcomes(outcomes.prompts, outcomes.models, **columns)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


# Heads


def planted(h: int, m: int, seed: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Features, and logits of which one direction of the models is predicted by one feature."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(h, 12)) / np.sqrt(12)
    return features, 3.0 * features[:, :1] * np.linspace(0.5, 1.5, m) * np.sqrt(12) * 0.5 + noise * rng.normal(size=(h, m))


@pytest.mark.parametrize("observed", [1.0, 0.4])
def test_heads_find_what_is_planted(observed: float) -> None:
    features, eta = planted(3000, 6, seed=0)
    rng = np.random.default_rng(1)
    acc = (rng.random(eta.shape) < sigmoid(eta)).astype(float)
    acc[rng.random(eta.shape) > observed] = np.nan
    fresh, fresh_eta = planted(500, 6, seed=2)
    error = np.abs(sigmoid(fit_logistic_heads(Basis.of(features), acc)(fresh)) - sigmoid(fresh_eta)).mean()
    assert error < 0.05


def test_models_learn_from_each_other() -> None:
    """A model seen on 40 prompts is predicted better for the outcomes of the others."""
    errors = []
    for seed in range(4):
        features, eta = planted(1000, 8, seed=seed)
        acc = (np.random.default_rng(seed).random(eta.shape) < sigmoid(eta)).astype(float)
        acc[40:, 0] = np.nan
        fresh, fresh_eta = planted(500, 8, seed=seed + 50)
        together = fit_logistic_heads(Basis.of(features), acc)(fresh)[:, 0]
        alone = fit_logistic_heads(Basis.of(features[:40]), acc[:40, :1])(fresh)[:, 0]
        errors.append([np.abs(sigmoid(eta) - sigmoid(fresh_eta[:, 0])).mean() for eta in (together, alone)])
    together_error, alone_error = np.mean(errors, axis=0)
    assert together_error < 0.8 * alone_error


def test_noise_is_not_learned() -> None:
    rng = np.random.default_rng(0)
    features, acc = rng.normal(size=(400, 50)) / 7, (rng.random((400, 20)) < 0.7).astype(float)
    predicted = sigmoid(fit_logistic_heads(Basis.of(features), acc)(rng.normal(size=(400, 50)) / 7))
    assert predicted.std(axis=0).mean() < 0.03


def test_what_is_peculiar_to_prompts_that_come_again_is_not_learned() -> None:
    """Left out row by row, a prompt would be predicted by its other rows: memory would look like skill."""
    rng = np.random.default_rng(0)
    prompt = np.repeat(np.arange(100), 4)
    features = rng.normal(size=(100, 60))[prompt] / 8
    peculiar = 2.0 * rng.normal(size=(100, 1))[prompt]
    acc = (rng.random((400, 6)) < sigmoid(peculiar)).astype(float)
    fresh = rng.normal(size=(500, 60)) / 8
    by_row, by_prompt = (
        sigmoid(fit_logistic_heads(basis, acc)(fresh)).std(axis=0).mean()
        for basis in (Basis.of(features), Basis.of(features, prompt))
    )
    assert by_prompt < 0.03 < 0.1 < by_row


def test_ridges_are_judged_by_prompts_that_were_left_out_in_truth() -> None:
    rng = np.random.default_rng(1)
    prompt = np.array([3, 0, 3, 7, 0, 3, 5, 9])
    features, values = rng.normal(size=(10, 3))[prompt], rng.normal(size=(8, 1))
    features = features - features.mean(axis=0)
    values = values - values.mean()
    basis, ridge = Basis.of(features, prompt), 0.7
    kept = (basis.singular**2 / (basis.singular**2 + ridge))[:, None]
    found = _left_out_errors(basis, values, basis.left.T @ values, kept)[:, 0]
    design = np.column_stack([np.ones(8), features])
    for place, number in enumerate(np.unique(prompt)):
        rest = prompt != number
        square = design[rest].T @ design[rest] + np.diag([0.0, *[ridge] * 3])
        error = values[~rest, 0] - design[~rest] @ np.linalg.solve(square, design[rest].T @ values[rest, 0])
        assert found[place] == pytest.approx((error**2).sum())


def test_soft_scores_are_learned() -> None:
    features, eta = planted(1500, 3, seed=0)
    heads = fit_logistic_heads(Basis.of(features), sigmoid(eta))
    assert np.abs(sigmoid(heads(features)) - sigmoid(eta)).mean() < 0.03


def test_linear_heads_solve_least_squares_where_nothing_has_to_be_shrunk() -> None:
    features, eta = planted(800, 4, seed=0)
    values = 5 + 100 * eta
    heads = fit_linear_heads(Basis.of(features), values)
    np.testing.assert_allclose(heads(features), values, atol=0.02 * values.std())


def test_columns_without_observation_get_the_prior_or_nan() -> None:
    features, eta = planted(300, 4, seed=0)
    acc = (np.random.default_rng(0).random(eta.shape) < sigmoid(eta)).astype(float)
    acc[:, 2] = np.nan
    heads = fit_logistic_heads(Basis.of(features), acc)
    assert np.isfinite(heads(features)).all()
    assert sigmoid(heads.intercept)[2] == pytest.approx(np.nanmean(acc), abs=1e-6)
    linear = fit_linear_heads(Basis.of(features), acc)
    assert np.isnan(linear.intercept[2])
    assert np.isfinite(np.delete(linear.intercept, 2)).all()


@settings(max_examples=15, deadline=None)
@given(
    h=st.integers(1, 40), m=st.integers(1, 6), f=st.integers(1, 8), holes=st.floats(0, 0.95), seed=st.integers(0, 2**32 - 1)
)
def test_any_pattern_of_holes_gives_finite_heads(h: int, m: int, f: int, holes: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    features, acc = rng.normal(size=(h, f)), rng.random((h, m))
    acc[rng.random((h, m)) < holes] = np.nan
    acc[0, 0] = 1.0
    features[:, 0] = 0.0  # a feature that says nothing
    heads = fit_logistic_heads(Basis.of(features), acc)
    predicted = sigmoid(heads(features))
    assert np.isfinite(predicted).all()
    assert ((predicted >= 0) & (predicted <= 1)).all()


def test_few_observations_far_from_the_middle_do_not_make_heads_diverge() -> None:
    """Intercept and weights of the rare model would both make up for the same residual."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(500, 20))
    features[:20, 0] = 25.0
    values = features[:, :1] + 0.1 * rng.normal(size=(500, 4))
    values[20:, 3] = np.nan
    for heads in (fit_linear_heads(Basis.of(features), values), fit_logistic_heads(Basis.of(features), sigmoid(values))):
        assert np.abs(heads.weights).max() < 10


def test_heads_repeat_to_the_last_bit() -> None:
    features, eta = planted(300, 4, seed=0)
    one, same = fit_logistic_heads(Basis.of(features), sigmoid(eta)), fit_logistic_heads(Basis.of(features), sigmoid(eta))
    np.testing.assert_array_equal(one.weights, same.weights)


def test_the_order_of_models_does_not_matter() -> None:
    features, eta = planted(300, 5, seed=0, noise=0.5)
    acc = (np.random.default_rng(0).random(eta.shape) < sigmoid(eta)).astype(float)
    order = [3, 0, 4, 1, 2]
    straight, mixed = fit_logistic_heads(Basis.of(features), acc), fit_logistic_heads(Basis.of(features), acc[:, order])
    np.testing.assert_allclose(mixed.weights, straight.weights[:, order], atol=1e-3)


def test_logit_and_sigmoid_undo_each_other() -> None:
    p = np.array([1e-9, 0.2, 0.5, 1 - 1e-9])
    np.testing.assert_allclose(sigmoid(logit(p)), p, rtol=1e-6)
    assert sigmoid(np.array([-1e4, 1e4])).tolist() == [0.0, 1.0]


# The network


@pytest.mark.parametrize("observed", [1.0, 0.3])
def test_the_exported_network_says_what_was_trained(encoder: Encoder, observed: float) -> None:
    history = History.of(thinned(simulate(300, seed=0), observed), None, encoder)
    fresh = encode(encoder, [*simulate(50, seed=1).prompts, "x", "y" * 30_000, "1234567890" * 9])
    trained = train(history).outputs(fresh)
    served = NetworkPredictor(encoder).fit_history(history, encoder)
    np.testing.assert_allclose(served.expect(fresh).acc, trained["acc"], atol=1e-5)
    np.testing.assert_allclose(served.expect(fresh).cost, np.exp(trained["log_cost"]), rtol=1e-5)
    np.testing.assert_allclose(served.expect(fresh).output_tokens, np.exp(trained["log_output_tokens"]), rtol=1e-5)


def test_free_models_stay_free_and_unseen_amounts_unknown(encoder: Encoder) -> None:
    outcomes = simulate(100, seed=0)
    assert outcomes.cost is not None
    cost = outcomes.cost.copy()
    cost[:, 0] = 0.0
    history = History.of(Outcomes(outcomes.prompts, outcomes.models, outcomes.acc, cost), None, encoder)
    cost = history.amounts["cost"].copy()
    cost[:, 1] = np.nan
    expected = (
        NetworkPredictor(encoder).fit_history(replace(history, amounts={"cost": cost}), encoder).expect(history.encoded)
    )
    assert (expected.cost[:, 0] == 0).all()
    assert np.isnan(expected.cost[:, 1]).all()
    assert (expected.cost[:, 2:] > 0).all()


@pytest.mark.parametrize("observed", [1.0, 0.2])
def test_the_network_beats_the_mean(encoder: Encoder, observed: float) -> None:
    train_part, fresh = thinned(simulate(1500, seed=0), observed), simulate(500, seed=1)
    prediction = NetworkPredictor(encoder).fit(train_part).predict(fresh.prompts)
    mean = np.broadcast_to(np.nanmean(train_part.acc, axis=0), fresh.acc.shape)
    assert log_loss(prediction.acc, fresh.acc) < log_loss(mean, fresh.acc) - 0.05
    assert fresh.cost is not None
    assert train_part.cost is not None
    error = np.abs(np.log(prediction.cost / fresh.cost)).mean()
    assert error < 0.6 * np.abs(np.log(np.nanmean(train_part.cost, axis=0) / fresh.cost)).mean()


def test_long_histories_are_thinned_but_rare_models_kept(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    history = History.of(thinned(simulate(200, seed=0), 1.0), None, encoder)
    acc = history.acc.copy()
    acc[3:, 0] = np.nan
    counted: list[np.ndarray] = []

    def counting(basis: Basis, acc: np.ndarray) -> Heads:
        counted.append(acc)
        return fit_logistic_heads(basis, acc)

    monkeypatch.setattr("omnirouter.predictor.network.TRAINING_ROWS", 50)
    monkeypatch.setattr("omnirouter.predictor.network.RARE_COUNT", 2)
    monkeypatch.setattr("omnirouter.predictor.network.fit_logistic_heads", counting)
    train(replace(history, acc=acc))
    assert 50 <= len(counted[0]) <= 53
    assert (~np.isnan(counted[0][:, 0])).sum() == 3


def test_a_loaded_network_predicts_the_same(encoder: Encoder, tmp_path: Path) -> None:
    predictor = NetworkPredictor(encoder).fit(simulate(100, seed=0))
    prompts = simulate(20, seed=1).prompts
    loaded = NetworkPredictor.load(tmp_path, predictor.save(tmp_path), None)
    assert_same(loaded.predict(prompts), predictor.predict(prompts))


def assert_same(a: Prediction, b: Prediction) -> None:
    np.testing.assert_array_equal(a.acc, b.acc)
    np.testing.assert_array_equal(a.cost, b.cost)
    assert a.output_tokens is not None
    assert b.output_tokens is not None
    np.testing.assert_array_equal(a.output_tokens, b.output_tokens)
