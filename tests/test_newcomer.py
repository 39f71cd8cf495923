"""Models that are added to a fitted router from few outcomes of their own."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnirouter.demo import simulate
from omnirouter.errors import PoolError
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Model, Pool
from omnirouter.predictor import Encoder, embedded_encoder
from omnirouter.predictor.chances import logit, sigmoid
from omnirouter.predictor.kinds import KINDS
from omnirouter.predictor.learned_parts import Expected
from omnirouter.predictor.newcomer import Newcomer
from omnirouter.router import Router

HELD = "large-70b"
FRESH = simulate(300, seed=1)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


HISTORY = simulate(500, seed=0)
REST = tuple(name for name in HISTORY.models if name != HELD)


@pytest.fixture(scope="module")
def without(encoder: Encoder) -> Router:
    return Router.fit(HISTORY.with_models(REST), encoder=encoder)


def copied(router: Router) -> Router:
    """A router of its own around the same arrays."""
    return Router(copy.copy(router.predictor), router.pool, router.reliability)


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return float(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())


def simulated(n: int, m: int, seed: int = 0) -> tuple[Expected, np.ndarray]:
    """Known models' predictions, and their logits."""
    rng = np.random.default_rng(seed)
    eta = rng.normal(size=(n, 1)) + 0.7 * rng.normal(size=(n, m))
    return Expected(sigmoid(eta), np.exp(rng.normal(size=(n, 1)) + np.zeros(m))), eta


# The link


def test_a_twin_is_found_from_many_outcomes() -> None:
    known, eta = simulated(3000, 5)
    rng = np.random.default_rng(1)
    scores = (rng.random(3000) < sigmoid(eta[:, 2])).astype(float)
    newcomer = Newcomer.fit("twin", known, scores, known.cost[:, 2] * 3, None)
    fresh, fresh_eta = simulated(500, 5, seed=2)
    expected = newcomer.expect(fresh)
    assert np.abs(expected.acc[:, 0] - sigmoid(fresh_eta[:, 2])).mean() < 0.04
    np.testing.assert_allclose(expected.cost[:, 0], fresh.cost[:, 2] * 3, rtol=0.15)
    assert newcomer.count == 3000


def test_few_outcomes_leave_it_a_model_like_the_others() -> None:
    known, eta = simulated(400, 5)
    few = Expected(known.acc[:3], known.cost[:3])
    newcomer = Newcomer.fit("new", few, np.array([1.0, 0.0, 1.0]), few.cost[:, 0], None)
    expected = logit(newcomer.expect(known).acc[:, 0])
    assert np.corrcoef(expected, eta.mean(axis=1))[0, 1] > 0.9


def test_holes_and_free_models_are_understood() -> None:
    known, _ = simulated(50, 3)
    gaps = Expected(np.where(np.arange(3) == 1, np.nan, known.acc), known.cost, known.cost * 100)
    scores = np.where(np.arange(50) % 2 == 0, np.nan, 1.0)
    newcomer = Newcomer.fit("free", gaps, scores, np.zeros(50), np.full(50, np.nan))
    expected = newcomer.expect(gaps)
    assert np.isfinite(expected.acc).all()
    assert (expected.cost < 1e-25).all()
    assert expected.output_tokens is not None
    assert np.isnan(expected.output_tokens).all()
    assert newcomer.count == 25


@pytest.mark.parametrize("n", [1, 2, 7])
def test_held_out_predictions_do_not_use_their_own_outcome(n: int) -> None:
    known, _ = simulated(n, 3)
    scores = np.zeros(n)
    flipped = scores.copy()
    flipped[0] = 1.0
    once = Newcomer.held_out(known, scores, known.cost[:, 0], None, np.arange(n))
    again = Newcomer.held_out(known, flipped, known.cost[:, 0], None, np.arange(n))
    if n > 1:
        assert once.acc[0, 0] == again.acc[0, 0]
        assert once.acc[1, 0] != again.acc[1, 0]
    assert once.acc.shape == (n, 1)


def test_equal_prompts_are_held_out_together() -> None:
    known, _ = simulated(12, 3)
    numbers = np.repeat(np.arange(6), 2)  # each prompt twice
    flipped = np.where(numbers == 2, 1.0, 0.0)
    once = Newcomer.held_out(known, np.zeros(12), known.cost[:, 0], None, numbers)
    again = Newcomer.held_out(known, flipped, known.cost[:, 0], None, numbers)
    np.testing.assert_array_equal(once.acc[numbers == 2], again.acc[numbers == 2])
    assert (once.acc[numbers == 3] != again.acc[numbers == 3]).all()


@pytest.mark.parametrize("free", [False, True])
def test_a_fold_without_an_amount_is_predicted_like_the_others(free: bool) -> None:
    known, _ = simulated(10, 3)
    if free:
        known = Expected(known.acc, known.cost * [0.0, 1.0, 1.0])
    paid = np.full(10, np.nan)
    paid[0] = 2.0  # alone: nothing is left to learn from where it is held out
    held_out = Newcomer.held_out(known, np.zeros(10), paid, None, np.arange(10))
    if free:  # a third of what is usual of a prompt is that of a model for free
        assert known.cost[0, 1] < held_out.cost[0, 0] < known.cost[:, 1].mean()
    else:
        assert held_out.cost[0, 0] == pytest.approx(known.cost[0, 1])  # all known models cost the same


# The router


@pytest.mark.parametrize("count", [20, 200])
def test_an_added_model_is_predicted_better_than_by_its_mean(without: Router, count: int) -> None:
    router = copied(without)
    few = HISTORY.take(np.arange(count)).with_models([HELD])
    router.add_model(few)
    assert router.models == (*REST, HELD)
    prediction = router.predict(FRESH.prompts)
    truth = FRESH.acc[:, FRESH.models.index(HELD)]
    mean = np.full(len(truth), np.clip(few.acc.mean(), 0.02, 0.98))
    assert log_loss(prediction.acc[:, -1], truth) < log_loss(mean, truth)
    cost = np.array(FRESH.cost)[:, FRESH.models.index(HELD)]
    assert prediction.cost[:, -1].mean() == pytest.approx(cost.mean(), rel=0.4)
    assert router.predictor.observations[-1] == count


def test_the_others_are_predicted_as_before(without: Router) -> None:
    router = copied(without)
    router.add_model(HISTORY.take(np.arange(20)).with_models([HELD]))
    before, after = without.predictor.predict(FRESH.prompts), router.predictor.predict(FRESH.prompts)
    np.testing.assert_array_equal(after.acc[:, :-1], before.acc)
    np.testing.assert_array_equal(after.cost[:, :-1], before.cost)


def test_few_outcomes_mean_wide_intervals(without: Router) -> None:
    """By sqrt((1 / 50 + 1 / 20) / (1 / 50 + 1 / 300)) = 1.73, were the widths per error the same; those of 300 outcomes are
    quantiles of six groups, so single draws lie between 1.1 and 1.7."""
    ratios = []
    for seed in range(3):
        order, widths = np.random.default_rng(seed).permutation(len(HISTORY)), []
        for count in (20, 300):
            router = copied(without)
            router.add_model(HISTORY.take(np.sort(order[:count])).with_models([HELD]))
            assert router.reliability is not None
            ends = router.reliability.intervals.of(np.full((1, 6), 0.5))[0, -1]
            widths.append(float(ends[1] - ends[0]))
        ratios.append(widths[0] / widths[1])
    assert min(ratios) > 1
    assert np.mean(ratios) > 1.3


def test_a_router_with_a_newcomer_routes_and_is_saved(without: Router, tmp_path: Path) -> None:
    router = copied(without)
    router.add_model(HISTORY.take(np.arange(100)).with_models([HELD]))
    routing = router.route(FRESH.prompts, budget=float(router.predict(FRESH.prompts).cost[:, -1].sum()), confidence=0.8)
    assert (routing.solution.load[-1], routing.models[-1]) == (np.sum(routing.assignment == 5), HELD)
    router.save(tmp_path / "router")
    again = Router.load(tmp_path / "router")
    expected, found = router.predict(FRESH.prompts[:9]), again.predict(FRESH.prompts[:9])
    for name in ("acc", "cost", "output_tokens", "intervals"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    np.testing.assert_array_equal(again.predictor.observations, router.predictor.observations)
    np.testing.assert_array_equal(again.quantiles(found, 0.9).output_tokens, router.quantiles(expected, 0.9).output_tokens)


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_kind_takes_newcomers_and_several_of_them(encoder: Encoder, kind: str) -> None:
    history = simulate(60, seed=0)
    names = history.models
    router = Router.fit(history.with_models(names[:4]), predictor=kind, encoder=encoder)
    for name in names[4:]:
        router.add_model(history.take(np.arange(30)).with_models([name]))
    assert router.models == names
    assert router.predict(FRESH.prompts[:5]).acc.shape == (5, 6)


def test_a_pool_needs_the_prices_of_the_new_model(encoder: Encoder) -> None:
    history = simulate(80, seed=0)
    pool = Pool([Model(name, 1e-6, 2e-6) for name in REST])
    router = Router.fit(history.with_models(REST), pool, encoder=encoder)
    new = history.take(np.arange(30)).with_models([HELD])
    with pytest.raises(ValueError, match="expected the prices of 'large-70b', as the router has a pool"):
        router.add_model(new)
    router.route(FRESH.prompts[:20], budget=1.0)
    router.add_model(new, Model(HELD, 2e-6, 4e-6, cap=3))
    assert router.prices is None
    assert router.pool is not None
    assert router.pool.names == router.models
    prediction = router.predict(FRESH.prompts)
    assert prediction.output_tokens is not None
    priced = prediction.output_tokens[:, -1] * 4e-6
    assert (prediction.cost[:, -1] > 0.8 * priced).all()
    assert router.route(FRESH.prompts[:20], min_accuracy=0.01).solution.load[-1] <= 3
    with pytest.raises(PoolError, match="cost of model 'stranger' is unknown"):
        router.add_model(Outcomes(["a"], ["stranger"], [[1.0]]), Model("stranger", 1e-6, 1e-6))
    assert len(router.models) == 6


@pytest.mark.parametrize(
    ("outcomes", "keywords", "error", "message"),
    [
        (HISTORY, {}, ValueError, "outcomes has 6 models, expected the new one alone"),
        (HISTORY.with_models(REST[:1]), {}, ValueError, "outcomes is of the model 'nano-1b', which the router knows"),
        ("history.parquet", {}, TypeError, "outcomes is str, expected Outcomes"),
        (
            HISTORY.with_models([HELD]),
            {"model": Model(HELD, 1.0, 1.0)},
            ValueError,
            "expected none, as the router has no pool",
        ),
        (replace(HISTORY.with_models([HELD]), cost=None), {}, PoolError, "cost of model 'large-70b' is unknown"),
    ],
)
def test_what_cannot_be_added_is_refused(
    without: Router, outcomes: Any, keywords: Any, error: type[Exception], message: str
) -> None:
    router = copied(without)
    with pytest.raises(error, match=message):
        router.add_model(outcomes, **keywords)
    assert router.models == REST
