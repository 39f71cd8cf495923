"""What plans are expected to realise, and limits that realised numbers keep: on simulated outcomes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import omnirouter
from omnirouter import Solution
from omnirouter.cli import main
from omnirouter.confidence import solve_confidently
from omnirouter.errors import RouterError
from omnirouter.evaluation import comparing
from omnirouter.evaluation.bootstrap import Resamples
from omnirouter.evaluation.fitting import Forecast
from omnirouter.evaluation.measuring import Judge
from omnirouter.outcomes import Outcomes
from omnirouter.predictor import Encoder, embedded_encoder
from omnirouter.record import Expectation, Total, TrackRecord
from omnirouter.router import Router
from omnirouter.solution import Status

Array = NDArray[np.float64]
PRICE = np.array([0.1, 0.4, 1.0])
MEAN = np.array([0.55, 0.65, 0.75])


def simulate(rng: np.random.Generator, n: int, noise: float = 0.1) -> tuple[Array, Array, Array, Array]:
    """Simulated: predicted acc and cost with errors that a solver falls for, and what came of them."""
    truth = np.clip(MEAN + rng.normal(0, 0.1, (n, 3)), 0.02, 0.98)
    dear = PRICE * rng.lognormal(0, 0.5, (n, 1))
    acc = np.clip(truth + rng.normal(0, noise, (n, 3)), 0, 1)
    cost = dear * rng.lognormal(0, 0.3, (n, 3))
    scores = (rng.random((n, 3)) < truth).astype(float)
    return acc, cost, scores, dear * rng.lognormal(0, 0.4, (n, 3))


def record_of(rng: np.random.Generator, h: int, seen: float = 1.0) -> TrackRecord:
    acc, cost, scores, paid = simulate(rng, h)
    hidden = rng.random(scores.shape) >= seen
    return TrackRecord.of(acc, cost, np.where(hidden, np.nan, scores), np.where(hidden, np.nan, paid))


def realised(plan: NDArray[np.int32], values: Array) -> Array:
    return values[np.arange(len(plan)), plan]


def share_kept(values: Array, least: float, rng: np.random.Generator) -> float:
    """Share of bootstrap resamples with a mean of at least `least`."""
    draws = values[rng.integers(0, len(values), (400, len(values)))].mean(axis=1)
    return float((draws >= least).mean())


# Expectation


@pytest.mark.parametrize("seen", [1.0, 0.4])
def test_the_optimisers_curse_is_seen_and_corrected(seen: float) -> None:
    rng = np.random.default_rng(0)
    record = record_of(rng, 4000, seen)
    acc, cost, scores, paid = simulate(rng, 4000)
    for budget in (600.0, 1200.0):
        solution = omnirouter.solve(acc, cost, budget=budget)
        assert solution.assignment is not None
        score, spend = realised(solution.assignment, scores).mean(), realised(solution.assignment, paid).sum()
        expected = record.expect(solution)
        assert expected.accuracy.predicted == solution.accuracy > score + 0.015
        assert expected.accuracy.expected == pytest.approx(score, abs=0.02)
        assert expected.spend.predicted == solution.spend < spend / 1.05
        assert expected.spend.expected == pytest.approx(spend, rel=0.04)


def test_errors_shrink_with_the_batch_and_with_the_history() -> None:
    rng = np.random.default_rng(0)
    acc, cost, _, _ = simulate(rng, 2000)

    def expect(h: int, n: int) -> Expectation:
        return record_of(np.random.default_rng(1), h).expect(omnirouter.solve(acc[:n], cost[:n], budget=0.4 * n))

    small, long, large = expect(300, 500), expect(3000, 500), expect(300, 2000)
    assert long.accuracy.history_error < 0.5 * small.accuracy.history_error
    assert long.spend.history_error < 0.5 * small.spend.history_error
    assert large.accuracy.draw_error == pytest.approx(small.accuracy.draw_error / 2, rel=0.1)
    assert large.accuracy.answer_error < large.accuracy.draw_error


def test_a_history_without_outcomes_of_the_chosen_falls_back_to_all() -> None:
    rng = np.random.default_rng(0)
    record = record_of(rng, 500)
    hidden = TrackRecord(record.acc, record.cost, record.scores.copy(), record.paid.copy())
    hidden.scores[:, 1:] = np.nan
    hidden.paid[:, 1:] = np.nan
    acc, cost, _, _ = simulate(rng, 100)
    expected = hidden.expect(omnirouter.solve(acc, cost))
    assert np.isfinite([expected.accuracy.expected, expected.accuracy.margin(0.9), expected.spend.margin(0.9)]).all()


def test_models_that_cost_nothing_are_expected_to_cost_nothing() -> None:
    zeros = np.zeros((50, 2))
    record = TrackRecord.of(zeros + 0.5, zeros, zeros, zeros)
    expected = record.expect(omnirouter.solve(zeros + 0.5, zeros, budget=1.0))
    assert expected.most_spend(0.9) == 0


def test_a_history_decided_for_free_does_not_make_dear_answers_certain() -> None:
    rng = np.random.default_rng(0)
    acc = np.tile([0.9, 0.5], (200, 1))  # the model that is free is the best on all of the history
    cost, paid = np.tile([0.0, 1.0], (200, 1)), np.column_stack([np.zeros(200), 2 * rng.lognormal(0, 0.5, 200)])
    record = TrackRecord.of(acc, cost, acc, paid)
    solution = omnirouter.solve(np.tile([0.1, 0.8], (50, 1)), cost[:50])  # and on none of the batch
    expected = record.expect(solution)
    assert solution.spend == 50
    assert expected.spend.expected > 80
    assert expected.most_spend(0.9) > expected.spend.expected + 1


def test_a_long_history_is_thinned() -> None:
    column = np.linspace(0, 1, 50_000)[:, None]
    record = TrackRecord.of(column, column, column, column)
    assert len(record) == 20_000
    assert record.acc[0, 0] == 0
    assert record.acc[-1, 0] == 1


# Confidence


@pytest.mark.parametrize("form", ["budget", "min_accuracy"])
@pytest.mark.parametrize("n_batches", [4, pytest.param(40, marks=pytest.mark.slow)])
def test_realised_numbers_keep_the_limit_in_nine_of_ten_resamples(form: str, n_batches: int) -> None:
    kept, plain, given = [], [], []
    limits = (160.0, None) if form == "budget" else (None, 0.63)
    least = -0.4 if form == "budget" else 0.63
    for seed in range(10, 10 + n_batches):
        rng = np.random.default_rng(seed)
        record = record_of(rng, 800)
        acc, cost, scores, paid = simulate(rng, 400)
        gains = -paid if form == "budget" else scores

        def solve(budget: float | None, min_accuracy: float | None, acc: Array = acc, cost: Array = cost) -> Solution:
            return omnirouter.solve(acc, cost, budget=budget, min_accuracy=min_accuracy)

        solution, assurance = solve_confidently(solve, record.expect, *limits, 0.9)
        assert assurance.kept
        for made, shares in ((solve(*limits), plain), (solution, kept)):
            assert made.assignment is not None
            values = realised(made.assignment, gains)
            shares.append(share_kept(values, least, rng))
        given.append(values.mean() - least)
    # The margin is one for 95 % of batches, see Total.margin; of four all may be expected to keep the limit.
    assert np.mean(np.array(kept) >= 0.9) >= (1.0 if n_batches == 4 else 0.9)
    assert np.mean(np.array(plain) >= 0.9) < 0.3
    assert np.mean(given) < 0.1


def test_limits_that_are_kept_anyway_are_left_alone() -> None:
    rng = np.random.default_rng(0)
    record = record_of(rng, 1000)
    acc, cost, _, _ = simulate(rng, 200)
    solution, assurance = solve_confidently(
        lambda b, f: omnirouter.solve(acc, cost, budget=b, min_accuracy=f), record.expect, 1e6, None, 0.9
    )
    assert assurance.n_solves == 1
    assert assurance.solved == assurance.asked
    assert solution.status is Status.OPTIMAL


def test_both_limits_are_tightened() -> None:
    rng = np.random.default_rng(0)
    record = record_of(rng, 4000)
    acc, cost, scores, paid = simulate(rng, 4000)
    solution, assurance = solve_confidently(
        lambda b, f: omnirouter.solve(acc, cost, budget=b, min_accuracy=f), record.expect, 2000.0, 0.66, 0.9
    )
    plan = solution.assignment
    assert assurance.kept
    assert plan is not None
    assert realised(plan, paid).sum() <= 2000
    assert realised(plan, scores).mean() >= 0.66
    assert solution.accuracy > 0.68


@pytest.mark.parametrize(("budget", "floor"), [(1.01, None), (None, 0.77), (2.0, 0.62)])
def test_out_of_reach_with_confidence_is_infeasible_with_a_certificate(budget: float | None, floor: float | None) -> None:
    rng = np.random.default_rng(0)
    record = record_of(rng, 1000)
    acc, cost, _, _ = simulate(rng, 400)
    budget = None if budget is None else budget * float(cost.min(axis=1).sum())  # in sums of the cheapest models

    def solve(b: float | None, f: float | None) -> Solution:
        return omnirouter.solve(acc, cost, budget=b, min_accuracy=f)

    assert solve(budget, floor).assignment is not None
    solution, assurance = solve_confidently(solve, record.expect, budget, floor, 0.9)
    assert solution.status is Status.INFEASIBLE
    assert solution.certificate is not None
    assert omnirouter.verify(solution.problem, solution).ok
    assert not assurance.kept
    assert assurance.n_solves < 12
    assert f"in {assurance.n_solves} solves; the nearest, made for a predicted" in assurance.in_words()
    assert "; there is none for a predicted" in assurance.in_words()


def test_a_search_that_is_ended_says_that_its_plan_does_not_keep_the_limit() -> None:
    rng = np.random.default_rng(0)
    record = record_of(rng, 500)
    acc, cost, _, _ = simulate(rng, 200)

    def stopped(b: float | None, f: float | None) -> Solution:
        return dataclasses.replace(omnirouter.solve(acc, cost, budget=b), status=Status.STOPPED)

    solution, assurance = solve_confidently(stopped, record.expect, 80.0, None, 0.9)
    assert solution.assignment is not None
    assert assurance.n_solves == 1
    assert not assurance.kept
    assert (
        "in 1 solve, then the search was ended; the nearest, made for a predicted spend within 80," in assurance.in_words()
    )


def test_a_search_that_is_ended_without_a_plan_does_not_say_that_there_is_none() -> None:
    rng = np.random.default_rng(0)
    record = record_of(rng, 500)
    acc, cost, _, _ = simulate(rng, 200)

    def late(b: float | None, f: float | None) -> Solution:
        return dataclasses.replace(omnirouter.solve(acc, cost, budget=b), status=Status.TIME_LIMIT, assignment=None)

    solution, assurance = solve_confidently(late, record.expect, 80.0, None, 0.9)
    assert solution.assignment is None
    assert assurance.ended
    assert not assurance.kept
    assert assurance.in_words().endswith("within 80, in 1 solve, then the search was ended")


def test_predictions_without_room_end_with_the_nearest_plan_and_claim_no_proof() -> None:
    ones, zeros = np.ones((100, 2)), np.zeros((100, 2))
    record = TrackRecord.of(ones, zeros, zeros, zeros)
    solution, assurance = solve_confidently(
        lambda b, f: omnirouter.solve(ones, zeros, min_accuracy=f), record.expect, None, 0.9, 0.9
    )
    assert solution.assignment is not None
    assert not assurance.kept
    assert not assurance.ended
    assert assurance.nearest is not None
    assert assurance.nearest.solved == assurance.solved
    lacks = 0.9 - assurance.nearest.expectation.least_accuracy(0.9)
    assert assurance.nearest.lacks(assurance.asked, 0.9) == pytest.approx(lacks)
    words = (
        "that keeps a realised accuracy of 0.9, in 2 solves; the nearest, made for a predicted accuracy of 0.9, is sure to"
    )
    assert words in assurance.in_words()
    assert "there is none" not in assurance.in_words()
    assert assurance.to_dict()["nearest"]["solved"] == {"budget": None, "min_accuracy": 0.9}


def test_a_search_that_gets_nowhere_says_how_many_solves_and_the_nearest() -> None:
    """Whatever the budget, the plan is the same, so nothing is ever proven."""
    rng = np.random.default_rng(0)
    record = record_of(rng, 500)
    acc, cost, _, _ = simulate(rng, 200)
    stubborn = omnirouter.solve(acc, cost)
    solution, assurance = solve_confidently(lambda b, f: stubborn, record.expect, 80.0, None, 0.9)
    assert solution is stubborn
    assert (assurance.kept, assurance.ended, assurance.n_solves) == (False, False, 12)
    assert "no plan was found that keeps a realised spend within 80, in 12 solves; the nearest" in assurance.in_words()
    assert f"may spend {record.expect(stubborn).most_spend(0.9):.6g}" in assurance.in_words()


def test_an_evaluation_counts_a_plan_that_is_not_sure_as_none() -> None:
    ones, costs = np.ones((50, 2)), np.tile([1.0, 2.0], (50, 1))
    judge = Judge(("a", "b"), ones / 2, costs, Resamples(50, 20, 0))
    own = Forecast("own", ones, costs, TrackRecord.of(ones, costs, ones / 2, costs))
    target, error = comparing._asked(judge, own, "min_accuracy", 1.0, 0.9, 0.9, lambda: None)
    assert np.isnan([target.kept, *error]).all()
    assert np.isnan(target.predicted_accuracy)


def test_more_confidence_has_a_larger_margin() -> None:
    total = Total(1.0, 1.1, 0.1, 0.08, 0.02)
    margins = [total.margin(confidence) for confidence in (0.5, 0.8, 0.9, 0.99)]
    assert margins == sorted(margins)
    assert margins[0] > 0


# Router and command line

TEXTS = (
    "What is the capital of country number {}?",
    "Prove by induction that the sum of the first {} odd numbers is a square.",
)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


@pytest.fixture(scope="module")
def router(encoder: Encoder) -> Router:
    """Simulated history: `large` is better at proofs only and costs twenty times as much."""
    rng = np.random.default_rng(0)
    hard = np.arange(400) % 2
    chance = np.stack([np.where(hard, 0.3, 0.9), np.where(hard, 0.85, 0.9)], axis=1)
    outcomes = Outcomes(
        prompts=tuple(TEXTS[kind].format(i) for i, kind in enumerate(hard)),
        models=("small", "large"),
        acc=(rng.random((400, 2)) < chance).astype(float),
        cost=rng.lognormal(0, 0.5, (400, 2)) * [0.05, 1.0],
    )
    return Router.fit(outcomes, encoder=encoder)


PROMPTS = [TEXTS[i % 2].format(1000 + i) for i in range(80)]


def test_a_route_says_what_to_expect(router: Router) -> None:
    routing = router.route(PROMPTS, budget=24.0)
    assert routing.assurance is None
    assert routing.expected is not None
    assert routing.expected.spend.predicted == routing.solution.spend
    assert routing.expected.accuracy.expected == pytest.approx(routing.solution.accuracy, abs=0.1)


def test_a_route_with_confidence_spends_less(router: Router) -> None:
    plain = router.route(PROMPTS, budget=24.0)
    routing = router.route(PROMPTS, budget=24.0, confidence=0.9)
    assert routing.assurance is not None
    assert routing.assurance.kept
    assert routing.expected is not None
    assert routing.expected.most_spend(0.9) <= 24.0
    assert 12.0 < routing.solution.spend < plain.solution.spend


def test_the_time_limit_is_one_for_all_solves(router: Router) -> None:
    routing = router.route(PROMPTS, budget=24.0, confidence=0.9, time_limit=1e-9)
    assert routing.assurance is not None
    assert not routing.assurance.kept
    assert routing.assurance.n_solves == 1


def test_a_route_that_cannot_be_sure_has_no_plan_and_no_expectation(router: Router) -> None:
    least = float(router.predict(PROMPTS).cost.min(axis=1).sum(dtype=np.float64))
    routing = router.route(PROMPTS, budget=1.001 * least, confidence=0.9)
    assert routing.solution.status is Status.INFEASIBLE
    assert routing.assignment is None
    assert routing.expected is None
    assert routing.assurance is not None
    assert not routing.assurance.kept


@pytest.mark.parametrize("confidence", [0.4, 1.0, float("nan"), "0.9", True])
def test_a_confidence_out_of_range_is_refused(router: Router, confidence: float) -> None:
    with pytest.raises(ValueError, match=r"confidence is .*, expected a number of at least 0.5 and below 1"):
        router.route(PROMPTS, budget=24.0, confidence=confidence)


def test_a_confidence_without_a_limit_is_refused(router: Router) -> None:
    with pytest.raises(ValueError, match="without a limit to keep; give a budget or min_accuracy"):
        router.route(PROMPTS, confidence=0.9)


def test_a_router_that_could_hold_nothing_out_refuses_confidence(encoder: Encoder) -> None:
    lone = Router.fit(Outcomes(["one"], ["a", "b"], [[1.0, 0.0]], cost=[[1.0, 2.0]]), encoder=encoder)
    assert lone.reliability is None
    assert lone.route(["two"]).expected is None
    assert lone.predict(["two"]).intervals is None
    with pytest.raises(RouterError, match="confidence needs out-of-fold predictions"):
        lone.route(["two"], budget=5.0, confidence=0.9)


def test_predictions_come_with_intervals_and_quantiles(router: Router) -> None:
    prediction = router.predict(PROMPTS)
    assert prediction.intervals is not None
    inside = (prediction.intervals[..., 0] <= prediction.acc) & (prediction.acc <= prediction.intervals[..., 1])
    assert inside.mean() > 0.95
    half, most = (router.quantiles(prediction, level) for level in (0.5, 0.9))
    assert (half.cost < most.cost).all()
    assert half.output_tokens is None


def test_a_saved_router_expects_the_same(router: Router, tmp_path: Path) -> None:
    router.save(tmp_path / "router")
    again = Router.load(tmp_path / "router")
    one, two = (r.route(PROMPTS, budget=24.0, confidence=0.9) for r in (router, again))
    np.testing.assert_array_equal(one.assignment, two.assignment)
    assert one.expected == two.expected
    np.testing.assert_array_equal(router.predict(PROMPTS).intervals, again.predict(PROMPTS).intervals)
    assert again.reliability is not None
    assert str(again.reliability.report) == str(router.reliability.report)  # type: ignore[union-attr]


def test_the_command_line_tells_what_to_expect(router: Router, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    router.save(tmp_path / "router")
    (tmp_path / "prompts.txt").write_text("\n".join(PROMPTS))
    arguments = ["route", str(tmp_path / "prompts.txt"), "--router", str(tmp_path / "router"), "--budget", "24"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "to expect, spend:" in shown
    assert "with confidence 0.9" in shown
    assert main([*arguments, "--confidence", "0.95"]) == 0
    shown = capsys.readouterr().out
    assert "with confidence 0.95, a realised spend within 24 asks for a predicted spend within" in shown
    assert main([*arguments, "--confidence", "0.95", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["assurance"]["asked"] == {"budget": 24.0, "min_accuracy": None}
    assert told["expected"]["spend"]["predicted"] == told["spend"]
    assert main([*arguments[:-1], "1.5", "--confidence", "0.95"]) == 1
    late = [*arguments, "--confidence", "0.95", "--time-limit", "1e-9"]
    assert main(late) == 1
    assert "no plan was found that keeps a realised spend within 24" in capsys.readouterr().out
    assert main([*arguments, "--confidence", "1.5"]) == 2


# Real outcomes


@pytest.mark.slow
@pytest.mark.data
def test_real_spend_keeps_budgets_with_confidence(shared_data: Path, encoder: Encoder) -> None:
    outcomes = Outcomes.read(shared_data / "routerbench_arc_mbpp.parquet")
    train, test = outcomes.select(split="train"), outcomes.select(split="test")
    router = Router.fit(train, predictor="knn", encoder=encoder)
    assert test.cost is not None
    dear = float(test.cost[:, np.nanmean(train.acc, axis=0).argmax()].sum())
    rng = np.random.default_rng(0)
    for share in (0.1, 0.25, 0.5):
        for confidence in (None, 0.9):
            plan = router.route(test.prompts, share * dear, confidence=confidence).assignment
            assert plan is not None
            kept = share_kept(-realised(plan, test.cost), -share * dear / len(test), rng)
            assert kept < 0.8 if confidence is None else kept >= 0.9
