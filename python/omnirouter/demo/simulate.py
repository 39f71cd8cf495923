"""A simulated history: templated prompts of a few tasks, fictitious models with a ladder of price and quality."""

from __future__ import annotations

import numpy as np

from omnirouter.outcomes import Outcomes

__all__ = ["MODELS", "simulate"]

# Name, skill, money per 1,000 output tokens. Fictitious.
MODELS = (
    ("nano-1b", -0.9, 0.00005),
    ("small-8b", 0.1, 0.0002),
    ("coder-14b", 0.2, 0.0004),
    ("medium-32b", 0.9, 0.0008),
    ("large-70b", 1.4, 0.0025),
    ("frontier-x", 2.2, 0.0150),
)

# Task: templates with how hard they are, mean output tokens, and how much better each model is at it than its skill says.
TASKS = {
    "classify": (
        (
            ("Is this review positive or negative? The {noun} was {adjective}.", -1.5),
            ("Label the topic of this headline: {noun} prices are {adjective} again.", -1.0),
        ),
        8,
        (0.6, 0.6, 0.0, 0.2, 0.1, 0.0),
    ),
    "code": (
        (
            ("Write a Python function that sorts a list of {noun} records by date.", 0.4),
            ("Find the race condition in this lock-free queue of {noun} objects and prove the fix correct.", 2.4),
        ),
        320,
        (-0.8, -0.2, 1.4, 0.1, 0.2, 0.3),
    ),
    "math": (
        (
            ("A shop sells 3 {noun}s for 5 dollars. How much do 12 cost?", -0.2),
            ("Prove that every {adjective} sequence of {noun} numbers has a convergent subsequence.", 2.2),
        ),
        240,
        (-0.8, -0.1, 0.2, 0.2, 0.1, 0.4),
    ),
    "translate": (
        (
            ("Translate into French: the {noun} is {adjective}.", -0.9),
            ("Translate this {adjective} contract clause on {noun} liability into German legal language.", 1.1),
        ),
        60,
        (-0.3, 0.1, -0.7, 0.4, 0.4, 0.2),
    ),
    "explain": (
        (
            ("Explain in one sentence what a {noun} is.", -1.0),
            ("Compare three {adjective} theories of {noun} markets and their empirical support.", 1.5),
        ),
        180,
        (0.0, 0.2, -0.5, 0.3, 0.3, 0.2),
    ),
}
NOUNS = ("camera", "battery", "invoice", "sensor", "novel", "kettle", "bridge", "wallet", "guitar", "turbine")
ADJECTIVES = ("bounded", "terrible", "wonderful", "slow", "complex", "old", "bright", "uneven", "silent", "costly")


def simulate(n: int, seed: int) -> Outcomes:
    """Outcomes of `n` prompts: right or wrong by skill, task and difficulty; costs by lengths and prices.

    Examples
    --------
    >>> history = simulate(100, seed=0)
    >>> history.acc.shape, history == simulate(100, seed=0)
    ((100, 6), True)
    """
    rng = np.random.default_rng(seed)
    names = tuple(name for name, _, _ in MODELS)
    skill = np.array([skill for _, skill, _ in MODELS])
    price = np.array([price for _, _, price in MODELS]) / 1000
    prompts, tasks = [], []
    chance, length = np.empty((n, len(MODELS))), np.empty(n)
    for i in range(n):
        task = str(rng.choice(list(TASKS)))
        templates, tokens, better = TASKS[task]
        template, difficulty = templates[int(rng.integers(len(templates)))]
        prompt = template.format(noun=rng.choice(NOUNS), adjective=rng.choice(ADJECTIVES))
        prompts.append(f"{prompt} (#{i})")
        tasks.append(task)
        chance[i] = 1 / (1 + np.exp(-1.3 * (0.9 + skill + np.array(better) - difficulty)))
        length[i] = tokens
    acc = (rng.random(chance.shape) < chance).astype(np.float64)
    output_tokens = np.ceil(length[:, None] * rng.lognormal(0.0, 0.4, chance.shape))
    return Outcomes(
        prompts=tuple(prompts),
        models=names,
        acc=acc,
        cost=output_tokens * price,
        output_tokens=output_tokens,
        task=tuple(tasks),
    )
