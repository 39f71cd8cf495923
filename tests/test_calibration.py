"""Calibration of scores, intervals around them, quantiles of money and tokens: on simulated and on real outcomes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from omnirouter.evaluation.bootstrap import Resamples
from omnirouter.evaluation.scores import score
from omnirouter.outcomes import Outcomes
from omnirouter.predictor import Encoder, KnnPredictor, embedded_encoder
from omnirouter.predictor.base import Prediction
from omnirouter.predictor.calibration import (
    Calibration,
    CalibrationReport,
    cross_calibrated,
    expected_calibration_error,
)
from omnirouter.predictor.folds import out_of_fold
from omnirouter.predictor.intervals import GROUP, AmountQuantiles, ScoreIntervals, weighted_quantile
from omnirouter.reliability import Reliability

Array = NDArray[np.float64]


def simulate(n: int, m: int = 4, *, seed: int = 0) -> tuple[Array, Array]:
    """Simulated: timid predictions, too low for the first model, and 0/1 scores."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.05, 0.95, (n, m))
    odds = np.log(truth / (1 - truth)) / 2
    odds[:, 0] -= 0.8
    return 1 / (1 + np.exp(-odds)), (rng.random((n, m)) < truth).astype(float)


# Calibration


def test_calibration_undoes_what_is_wrong_with_each_model() -> None:
    acc, scores = simulate(4000)
    calibration = Calibration.fit(acc, scores)
    new, outcomes = simulate(4000, seed=1)
    report = CalibrationReport.of(("a", "b", "c", "d"), new, calibration.apply(new), outcomes)
    for before, after in (report.log_loss.T, report.brier.T, report.ece.T):
        assert (after < before).all()
    assert report.ece[0, 0] > 0.1
    assert (report.ece[:, 1] < 0.04).all()


def test_a_model_that_was_never_observed_leaves_the_report_of_the_others() -> None:
    acc, scores = simulate(200, 3)
    scores[:, 1] = np.nan
    report = CalibrationReport.of(("a", "b", "c"), acc, acc, scores)
    assert np.isnan(report.ece[1]).all()
    assert "nan" not in str(report)
    told = json.loads(json.dumps(report.to_dict(), allow_nan=False))
    assert told["b"] == {"observed": 0, "log_loss": [None, None], "brier": [None, None], "ece": [None, None]}
    np.testing.assert_array_equal(CalibrationReport.from_dict(told).ece, report.ece)


def test_calibration_keeps_the_order_of_queries_even_against_the_data() -> None:
    acc, scores = simulate(500, 2)
    scores[:, 0] = acc[:, 0] < 0.5  # the better the prediction, the worse the outcome
    calibrated = Calibration.fit(acc, scores).apply(acc)
    for before, after in zip(acc.T, calibrated.T, strict=True):
        assert (np.diff(after[np.argsort(before)]) >= 0).all()
    assert ((calibrated > 0) & (calibrated < 1)).all()


def test_a_model_seen_rarely_gets_the_map_of_all() -> None:
    acc, scores = simulate(3000)
    everyone = Calibration.fit(acc[:, 1:], scores[:, 1:])
    scores[2:, 0] = np.nan
    scores[:2, 0] = 0.0
    rare = Calibration.fit(acc, scores)
    assert rare.slope[0] > 1.3 < everyone.slope.mean()  # one would ask for 1, two failures for more than any
    assert abs(rare.offset[0]) < 0.6  # and these for an offset of minus infinity


def test_holes_and_predictions_at_the_ends_are_no_trouble() -> None:
    acc = np.array([[0.0, 1.0], [1.0, 0.5], [0.5, 0.5]])
    scores = np.array([[1.0, np.nan], [0.0, np.nan], [1.0, np.nan]])
    assert np.isfinite(Calibration.fit(acc, scores).apply(acc)).all()


def test_each_fold_is_calibrated_by_the_others() -> None:
    acc, scores = simulate(300, 2)
    fold = np.arange(300) % 3
    before = cross_calibrated(acc, scores, fold)
    scores[fold == 0] = 1 - scores[fold == 0]
    after = cross_calibrated(acc, scores, fold)
    np.testing.assert_array_equal(before[fold == 0], after[fold == 0])
    assert (before[fold == 1] != after[fold == 1]).all()


def test_the_calibration_error_is_what_its_definition_says() -> None:
    acc = np.array([0.1, 0.1, 0.9, 0.9])
    assert expected_calibration_error(acc, np.array([0.0, 0.0, 1.0, 0.0]), 2) == pytest.approx((0.1 + 0.4) / 2)


def test_a_fit_and_an_evaluation_mean_the_same_by_their_measures() -> None:
    acc, scores = simulate(200, 3)
    acc[:5, 0] = 0.0004  # near enough to 0 for a clip to show
    names = ("a", "b", "c")
    report = CalibrationReport.of(names, acc, acc, scores)
    for own, *fitted in zip(
        score("knn", names, acc, scores, Resamples(200, 2, 0)).per_model,
        report.log_loss,
        report.brier,
        report.ece,
        strict=True,
    ):
        np.testing.assert_allclose([figure.value for figure in own[-3:]], np.array(fitted)[:, 0])


def test_a_report_survives_as_plain_data_and_reads_in_lines() -> None:
    acc, scores = simulate(300, 2)
    scores[::2, 1] = np.nan
    report = CalibrationReport.of(("small", "large"), acc, acc, scores)
    again = CalibrationReport.from_dict(report.to_dict())
    assert again.models == report.models
    np.testing.assert_array_equal(again.count, [300, 150])
    np.testing.assert_array_equal(again.ece, report.ece)
    assert "calibration error: 0." in str(report)
    assert "worst small" in str(report)


# Intervals


def group_coverage(intervals: ScoreIntervals, acc: Array, scores: Array) -> float:
    """Share of groups of like prediction whose mean score lies in the mean interval."""
    ends, hits = intervals.of(acc), []
    for j in range(acc.shape[1]):
        for part in np.array_split(np.argsort(acc[:, j]), max(1, len(acc) // GROUP)):
            low, high = ends[part, j].mean(axis=0)
            hits.append(low <= scores[part, j].mean() <= high)
    return float(np.mean(hits))


@pytest.mark.parametrize("h", [300, 3000])
def test_intervals_hold_the_mean_score_of_groups_as_stated(h: int) -> None:
    covered = []
    for seed in range(5):
        acc, scores = simulate(h, seed=seed)
        fold = np.arange(h) % 5
        calibrated = cross_calibrated(acc, scores, fold)
        new, outcomes = simulate(2000, seed=100 + seed)
        intervals = ScoreIntervals.fit(calibrated, scores)
        covered.append(group_coverage(intervals, Calibration.fit(acc, scores).apply(new), outcomes))
    assert 0.86 <= np.mean(covered) <= 0.97


def test_a_model_seen_rarely_has_wider_intervals() -> None:
    acc, scores = simulate(2000)
    scores[20:, 0] = np.nan
    ends = ScoreIntervals.fit(acc, scores).of(np.full((1, 4), 0.5))
    width = ends[0, :, 1] - ends[0, :, 0]
    assert width[0] > 1.5 * width[1:].max()


def test_intervals_stay_within_0_and_1() -> None:
    acc, scores = simulate(200)
    ends = ScoreIntervals.fit(acc, scores).of(np.array([[0.001, 0.999, 0.5, 0.0]]))
    assert ((ends >= 0) & (ends <= 1)).all()
    assert (ends[..., 0] <= ends[..., 1]).all()


# Quantiles


@pytest.mark.parametrize("spread", [0.1, 1.5])
def test_quantiles_of_money_cover_as_stated(spread: float) -> None:
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[Array, Array]:
        expected = rng.lognormal(-5, 1, (n, 3))
        return expected, expected * rng.lognormal([0.3, -0.2, 0.0], [spread, spread / 2, spread / 4], (n, 3))

    quantiles = AmountQuantiles.fit(*draw(1000))
    expected, observed = draw(4000)
    for level in (0.5, 0.9):
        covered = (observed <= quantiles.of(expected, level)).mean(axis=0)
        np.testing.assert_allclose(covered, level, atol=0.04)


def test_quantiles_of_tokens_are_whole_and_cover_answers_of_a_token_or_two() -> None:
    rng = np.random.default_rng(0)

    def draw(n: int) -> tuple[Array, Array]:
        # One model answers with a letter, one with a letter and now and then a word, one at length.
        observed = np.column_stack([np.ones(n), 1.0 + rng.integers(0, 2, n), np.ceil(rng.lognormal(5, 1, n))])
        return np.array([1.0, 1.5, 245.0]) * rng.lognormal(0, 0.05, (n, 3)), observed

    expected, observed = draw(1000)
    acc = np.full(expected.shape, 0.5)
    amounts = {"cost": (expected, observed), "output_tokens": (expected, observed)}
    reliability = Reliability.of(("letter", "word", "text"), acc, acc, amounts)
    expected, observed = draw(4000)
    amount = expected.astype(np.float32)
    prediction = Prediction(np.full_like(amount, 0.5), amount, ("letter", "word", "text"), amount)
    for level in (0.5, 0.9):
        tokens = reliability.quantiles_of(prediction, level).output_tokens
        assert tokens is not None
        np.testing.assert_array_equal(tokens, np.floor(tokens))
        assert ((observed <= tokens).mean(axis=0) >= level - 0.03).all()


def test_a_model_without_known_amounts_has_the_quantiles_of_all() -> None:
    rng = np.random.default_rng(0)
    expected = rng.lognormal(-9, 1, (500, 2))
    observed = expected * rng.lognormal(0, 0.5, (500, 2))
    observed[:, 0] = np.nan
    quantiles = AmountQuantiles.fit(expected, observed)
    np.testing.assert_allclose(quantiles.log_ratio[0], quantiles.log_ratio[1], atol=0.2)
    ratio = quantiles.of(expected, 0.9) / expected
    np.testing.assert_allclose(ratio[:, 0].mean(), ratio[:, 1].mean(), rtol=0.2)


def test_a_model_that_costs_nothing_still_costs_nothing() -> None:
    zeros = np.zeros((50, 1))
    np.testing.assert_array_equal(AmountQuantiles.fit(zeros, zeros).of(zeros, 0.9), zeros)


def test_other_levels_are_refused() -> None:
    ones = np.ones((5, 1))
    with pytest.raises(ValueError, match=r"level is 0.8, expected one of 0.5, 0.9"):
        AmountQuantiles.fit(ones, ones).of(ones, 0.8)


def test_a_quantile_of_nothing_is_not_known() -> None:
    nothing = np.empty(0)
    assert np.isnan(weighted_quantile(nothing, [nothing], 0.9))


# Real outcomes


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.parametrize("name", ["routerbench_arc_mbpp", "medagents_medqa_mmlu", "llmdrift_prime_happy"])
def test_intervals_and_quantiles_cover_on_the_test_split(shared_data: Path, encoder: Encoder, name: str) -> None:
    outcomes = Outcomes.read(shared_data / f"{name}.parquet")
    train, test = outcomes.select(split="train"), outcomes.select(split="test")
    predictor = KnnPredictor(encoder)
    held = out_of_fold(predictor, train)
    amounts = {"cost": (held.cost, held.paid)}
    if held.output_tokens is not None and train.output_tokens is not None:
        amounts["output_tokens"] = (held.output_tokens, train.output_tokens)
    reliability = Reliability.of(train.models, np.clip(held.acc, 0, 1), train.acc, amounts)
    prediction = predictor.fit(train).predict(test.prompts)
    calibrated = reliability.calibration.apply(prediction.acc)
    assert group_coverage(reliability.intervals, calibrated, test.acc) >= 0.85
    assert test.cost is not None
    for level in (0.5, 0.9):
        # A little slack for the float32 of the quantile: some models cost the same to the last digit.
        at_most = reliability.quantiles_of(prediction, level).cost * (1 + 1e-6)
        assert (test.cost <= at_most).mean() == pytest.approx(level, abs=0.04)
        tokens = reliability.quantiles_of(prediction, level).output_tokens
        if tokens is not None and test.output_tokens is not None:
            # Whole numbers: of answers that are all equally short none passes any quantile.
            assert (test.output_tokens <= tokens).mean() >= level - 0.04
    after = CalibrationReport.of(test.models, prediction.acc, calibrated, test.acc)
    assert after.log_loss[:, 1].mean() <= after.log_loss[:, 0].mean() + 0.001
