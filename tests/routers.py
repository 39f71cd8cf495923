"""A small simulated history, and what the tests of routers ask of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from omnirouter.demo import simulate
from omnirouter.evaluation.exam import hash_split
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Model, Pool

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


def labelled(n: int = 240, seed: int = 0) -> Outcomes:
    """The demo's simulated outcomes with a train and a test split."""
    outcomes = simulate(n, seed)
    return replace(outcomes, split=hash_split(outcomes.prompts, seed=1))
