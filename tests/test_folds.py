"""Folds by prompt, and predictions of outcomes that were not learned from."""

from __future__ import annotations

import numpy as np
import pytest

from omnirouter.demo import simulate
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Model, Pool
from omnirouter.predictor import Encoder, KnnPredictor, embedded_encoder, fold_numbers, out_of_fold
from omnirouter.predictor.encoded import SURFACE, surface_features
from omnirouter.router import Router


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return embedded_encoder(threads=1)


def thinned(n: int = 120, seed: int = 0, observed: float = 0.3) -> Outcomes:
    """Simulated outcomes, most of them missing."""
    full, rng = simulate(n, seed), np.random.default_rng(seed)
    hole = rng.random(full.acc.shape) > observed
    hole[np.arange(n), rng.integers(0, full.n_models, n)] = False
    assert full.cost is not None
    return Outcomes(full.prompts, full.models, np.where(hole, np.nan, full.acc), np.where(hole, np.nan, full.cost))


def test_equal_prompts_share_a_fold_and_folds_are_even() -> None:
    prompts = [f"prompt {i % 40}" for i in range(100)]
    fold = fold_numbers(prompts, 4, seed=3)
    by_prompt = {prompt: {int(f) for p, f in zip(prompts, fold, strict=True) if p == prompt} for prompt in prompts}
    assert all(len(folds) == 1 for folds in by_prompt.values())
    assert sorted(np.bincount([folds.pop() for folds in by_prompt.values()])) == [10, 10, 10, 10]


def test_folds_repeat_by_their_seed() -> None:
    prompts = [str(i) for i in range(50)]
    assert (fold_numbers(prompts, seed=1) == fold_numbers(prompts, seed=1)).all()
    assert (fold_numbers(prompts, seed=1) != fold_numbers(prompts, seed=2)).any()
    with pytest.raises(ValueError, match="n_folds is 1, expected a whole number of at least 2"):
        fold_numbers(prompts, 1)


def test_a_row_is_predicted_without_its_own_fold(encoder: Encoder) -> None:
    outcomes = simulate(60, seed=0)
    predicted = out_of_fold(KnnPredictor(encoder), outcomes, n_folds=3)
    held = predicted.fold == 1
    fitted = KnnPredictor(encoder).fit(outcomes.take(~held))
    expected = fitted.predict([outcomes.prompts[i] for i in np.flatnonzero(held)])
    np.testing.assert_allclose(predicted.acc[held], expected.acc, atol=1e-6)
    np.testing.assert_allclose(predicted.cost[held], expected.cost, rtol=1e-5)
    assert predicted.output_tokens is not None
    np.testing.assert_array_equal(predicted.paid, outcomes.cost)


def test_prompts_are_encoded_once(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    counted, encode = [], encoder.encode_counted

    def counting(texts: list[str], **keywords: object) -> object:
        counted.append(len(texts))
        return encode(texts, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(encoder, "encode_counted", counting)
    out_of_fold(KnnPredictor(encoder), simulate(30, seed=0))
    assert counted == [30]


def test_holes_of_any_pattern_are_predicted(encoder: Encoder) -> None:
    outcomes = thinned()
    acc = outcomes.acc.copy()
    acc[1:, 2] = np.nan  # seen once: nothing is known of this model where that row is held out
    acc[0, 2], acc[1:, 0] = 1.0, 1.0
    once = Outcomes(outcomes.prompts, outcomes.models, acc, outcomes.cost)
    predicted = out_of_fold(KnnPredictor(encoder), once)
    assert np.isfinite(predicted.acc).all()
    assert ((predicted.acc >= 0) & (predicted.acc <= 1 + 1e-9)).all()
    assert np.isfinite(predicted.cost[~np.isnan(predicted.paid)]).mean() > 0.99


def test_the_pool_decides_rows_models_and_money(encoder: Encoder) -> None:
    outcomes = simulate(60, seed=0)
    pool = Pool([Model("large-70b", 0.0, 2.0), Model("small-8b", 0.0, 1.0)])
    predicted = out_of_fold(KnnPredictor(encoder), outcomes, pool, n_folds=2)
    assert predicted.outcomes.models == pool.names
    assert outcomes.output_tokens is not None
    written = outcomes.output_tokens[:, [4, 1]]
    np.testing.assert_allclose(predicted.paid, written * [2.0, 1.0])


def test_one_prompt_cannot_be_divided(encoder: Encoder) -> None:
    outcomes = simulate(4, seed=0)
    same = Outcomes(("one",) * 4, outcomes.models, outcomes.acc, outcomes.cost)
    with pytest.raises(ValueError, match="one prompt only"):
        out_of_fold(KnnPredictor(encoder), same)


def test_surface_features_count_kinds_of_bytes() -> None:
    row = dict(zip(SURFACE, surface_features(["A1\n{é"])[0].tolist(), strict=True))
    assert row["log_bytes"] == pytest.approx(np.log(7))
    shares = {name: row[name] * 6 for name in SURFACE[1:]}
    assert shares == pytest.approx({"digits": 1, "capitals": 1, "symbols": 1, "lines": 1, "other_bytes": 2})
    assert surface_features([""]).tolist() == [[0.0] * len(SURFACE)]


@pytest.mark.parametrize("kind", ["knn", "network", "hybrid"])
def test_a_rare_model_of_a_long_history_is_held_out_too(
    encoder: Encoder, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("omnirouter.predictor.folds.HELD_ROWS", 10)
    monkeypatch.setattr("omnirouter.predictor.hybrid.STACKING_ROWS", 10)
    outcomes = simulate(60, seed=0)
    assert outcomes.cost is not None
    acc, cost = outcomes.acc.copy(), outcomes.cost.copy()
    unseen = [i for i in range(60) if i not in (7, 8, 9)]  # none of these three is among the ten
    acc[unseen, 2] = cost[unseen, 2] = np.nan
    router = Router.fit(Outcomes(outcomes.prompts, outcomes.models, acc, cost), predictor=kind, encoder=encoder)
    assert np.isfinite(router.predict(outcomes.prompts[:3]).cost).all()
    assert router.reliability is not None
    assert router.reliability.report.count[2] == 3
    assert np.isfinite(router.reliability.report.ece).all()
