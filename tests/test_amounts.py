"""Expected tokens and money."""

from __future__ import annotations

import numpy as np
import pytest

from omnirouter.predictor.amounts import Amounts, spread_rows


def fit_amounts(values: np.ndarray, lengths: np.ndarray, by_length: bool = True) -> Amounts:
    rows = np.arange(len(values))
    others = np.array([[r for r in rows if r != row] for row in rows], dtype=np.int64).reshape(len(rows), -1)
    weights = np.ones(others.shape)
    return Amounts.fit(values, lengths, rows, others, weights, shrinkage=1.0, by_length=by_length)


def test_calibration_makes_the_mean_prediction_the_observed_mean() -> None:
    rng = np.random.default_rng(0)
    values = rng.lognormal(0, 1.5, (50, 2))
    values[rng.random((50, 2)) < 0.3] = np.nan
    amounts = fit_amounts(values, rng.uniform(10, 100, 50))
    rows = np.arange(50)
    others = np.array([[r for r in rows if r != row] for row in rows])
    predicted = amounts.predict(rng.uniform(10, 100, 50), others, np.ones(others.shape), shrinkage=1.0)
    assert np.isfinite(predicted).all()
    assert amounts.factor[0] > 1.5  # the exponential of the mean logarithm is far below this mean


def test_amounts_follow_the_length_they_depend_on() -> None:
    lengths = np.linspace(10, 1000, 60)
    amounts = fit_amounts(30 + 2 * lengths[:, None], lengths)
    near = np.arange(60)[None, :]
    predicted = amounts.predict(np.array([500.0]), near, np.ones((1, 60)), shrinkage=1.0)
    assert predicted[0, 0] == pytest.approx(1030, rel=0.05)


def test_amounts_never_turn_negative() -> None:
    lengths = np.array([10.0, 20.0, 1000.0])
    amounts = fit_amounts(np.array([[100.0], [90.0], [1.0]]), lengths)
    assert (amounts.base >= 0).all()
    assert (amounts.slope >= 0).all()


def test_amounts_scale_with_their_unit() -> None:
    rng = np.random.default_rng(0)
    values, lengths = rng.lognormal(0, 1, (30, 2)), rng.uniform(10, 100, 30)
    near, weights = np.arange(30)[None, :], np.ones((1, 30))
    once = fit_amounts(values, lengths).predict(lengths[:1], near, weights, shrinkage=1.0)
    tiny = fit_amounts(values * 1e-9, lengths).predict(lengths[:1], near, weights, shrinkage=1.0)
    np.testing.assert_allclose(tiny, once * 1e-9, rtol=1e-5)


def test_a_single_observation_is_predicted_as_it_was() -> None:
    amounts = fit_amounts(np.array([[3.0, np.nan]]), np.array([10.0]))
    predicted = amounts.predict(np.array([50.0]), np.array([[0]]), np.ones((1, 1)), shrinkage=4.0)
    assert predicted[0, 0] == pytest.approx(3.0, rel=1e-6)
    assert np.isnan(predicted[0, 1])
    assert amounts.observed.tolist() == [True, False]


def test_spread_rows_reach_rare_models() -> None:
    observed = np.zeros((10_000, 2), dtype=bool)
    observed[:, 0] = True
    observed[[17, 23], 1] = True
    rows = spread_rows(observed)
    assert {17, 23} <= set(rows.tolist())
    assert 4096 <= len(rows) <= 4096 + 256 + 2
    assert (np.diff(rows) > 0).all()
