"""The exam: what is learned from, what is routed, and where the truth can be looked up."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from omnirouter.fingerprints import fingerprints
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor.costs import expected_cost
from omnirouter.predictor.history import AMOUNTS

__all__ = ["Exam", "hash_split", "set_exam"]

CountTokens: TypeAlias = "Callable[[Sequence[str]], NDArray[np.float64]]"

TRAIN_SHARE = 0.7
LEAST_TEST = 10
NAMED = 5  # models that a note names before it says "and k more"


@dataclass(frozen=True, eq=False)
class Exam:
    """Train and test outcomes of the same m models, and the test queries whose truth is complete.

    Attributes
    ----------
    train, test : Outcomes
        Columns in the order of `models`; their `cost` is what is charged, and None where the data has no cost.
    rows : (n,) int64
        Rows of `test` on which every model's score (and cost) is known: only there can any plan be looked up.
    notes : tuple of str
        What a reader must know: a split that was made, models or queries that were left out.
    """

    train: Outcomes
    test: Outcomes
    rows: NDArray[np.int64]
    notes: tuple[str, ...]

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the m models."""
        return self.test.models

    @property
    def acc(self) -> NDArray[np.float64]:
        """Realised scores of the n queries of `rows`, (n, m)."""
        return self.test.acc[self.rows]

    @property
    def cost(self) -> NDArray[np.float64] | None:
        """Realised cost of the n queries of `rows`, (n, m) money, or None where the data has no cost."""
        return None if self.test.cost is None else self.test.cost[self.rows]


def hash_split(prompts: Sequence[str], seed: int, share: float = TRAIN_SHARE) -> tuple[str, ...]:
    """Assign each prompt to ``"train"`` or ``"test"`` by a hash of its text and the seed; equal prompts go together.

    Examples
    --------
    >>> hash_split(["a", "b", "a", "c"], seed=0)
    ('train', 'test', 'train', 'test')
    """

    def part(prompt: str) -> str:
        digest = hashlib.sha256(f"{seed}:{prompt}".encode()).digest()
        return "train" if int.from_bytes(digest[:8], "big") < share * 2**64 else "test"

    return tuple(part(prompt) for prompt in prompts)


def set_exam(
    outcomes: Outcomes,
    models: Sequence[str] | None,
    pool: Pool | None,
    seed: int,
    learned_from: NDArray[np.uint64] | None = None,
    count_tokens: CountTokens | None = None,
) -> Exam:
    """Divide outcomes into what is learned from and what is routed.

    Parameters
    ----------
    outcomes : Outcomes
        With the splits ``"train"`` and ``"test"``, or without a split: then 70 % of the prompts, chosen by a hash
        with `seed`, are the train split.
    models : sequence of str or None
        The models to route to; None takes all, but where some models have a cost, only those.
    pool : Pool or None
        Prices; a model whose output tokens are known is charged by them instead of its logged cost.
    seed : int
        Of the hash.
    learned_from : (k,) uint64, optional
        `fingerprints` of further prompts that were learned from. Test queries with a prompt of these, or of the train
        split, are left out.
    count_tokens : callable, optional
        Our own count (k,) of the tokens of k prompts, for prices where nothing tells their input tokens; without it such
        answers have no cost.

    Raises
    ------
    ValueError
        For splits of other names, fewer than two models, a model without a known cost where others have one, a model that
        the train split does not know, or too few test queries that were not learned from and on which every model is
        observed.
    """
    notes: list[str] = []
    outcomes, note = _with_split(outcomes, seed)
    notes += note
    cost, note = _charged(outcomes, pool, count_tokens)
    outcomes = replace(outcomes, cost=cost)
    notes += note
    if models is None:
        models, note = _models_with_cost(outcomes)
        notes += note
    known = outcomes.observed[:, [_column(outcomes, name) for name in models]].any(axis=1)
    if not known.any():
        raise ValueError("outcomes have no observed score of any of the models")
    if not known.all():
        notes.append(f"{(~known).sum():,} queries on which none of the models was observed are left out.")
    outcomes = outcomes.take(known).with_models(models)
    if outcomes.n_models < 2:
        raise ValueError(f"there is one model to route to, {outcomes.models[0]!r}, expected at least two")
    train, test = outcomes.select(split="train"), outcomes.select(split="test")
    for j, name in enumerate(outcomes.models):
        if not train.observed[:, j].any():
            raise ValueError(f"model {name!r} has no observed score in the train split; leave it out")
    test, note = _not_learned_from(train, test, learned_from)
    notes += note
    if outcomes.cost is not None:
        for j, name in enumerate(outcomes.models):
            if np.isnan(outcomes.cost[:, j]).all():
                raise ValueError(
                    f"the cost of model {name!r} is unknown, while others have one; leave it out, or give its prices"
                )
    complete = test.observed.all(axis=1)
    if test.cost is not None:
        complete &= ~np.isnan(test.cost).any(axis=1)
    rows = np.flatnonzero(complete)
    if len(rows) < LEAST_TEST:
        raise ValueError(_too_few(test, len(rows)))
    if len(rows) < len(test):
        what = "score" if test.cost is None else "score and cost"
        notes.append(
            f"Plans are judged on {len(rows):,} of {len(test):,} test queries, those on which the {what} of every model is "
            "known: only observed pairs can be looked up. They may differ from the others."
        )
    return Exam(train, test, rows, tuple(notes))


def _with_split(outcomes: Outcomes, seed: int) -> tuple[Outcomes, list[str]]:
    if outcomes.split is None:
        split = hash_split(outcomes.prompts, seed)
        if len(set(split)) < 2:
            raise ValueError(f"outcomes have {len(outcomes)} queries, too few to divide them into train and test")
        note = (
            f"The outcomes have no split: {TRAIN_SHARE:.0%} of the prompts, by a hash with seed {seed}, are the train split."
        )
        return replace(outcomes, split=split), [note]
    if not {"train", "test"} <= set(outcomes.split):
        found = ", ".join(repr(name) for name in sorted(set(outcomes.split)))
        raise ValueError(f"outcomes have the split {found}, expected 'train' and 'test', or no split at all")
    return outcomes, []


def _not_learned_from(
    train: Outcomes, test: Outcomes, learned_from: NDArray[np.uint64] | None
) -> tuple[Outcomes, list[str]]:
    """Test queries whose prompt was not learned from, and a word on how many were."""
    own = fingerprints(test.prompts)
    again = np.isin(own, fingerprints(train.prompts))
    given = np.zeros_like(again) if learned_from is None else np.isin(own, learned_from)
    if given.all():
        raise ValueError(
            f"the router has learned from all {len(test):,} test queries, so nothing is left to judge it by; fit it on the "
            "train split alone (fit --split train)"
        )
    if (again | given).all():
        who = "in the train split too" if again.all() else "in the train split too, or ones that the router has learned from"
        raise ValueError(
            f"the prompts of all {len(test):,} test queries are {who}, so nothing is left to judge by; equal prompts belong "
            "into one split"
        )
    notes = []
    for seen, source in ((again, "also in the train split"), (given & ~again, "one that the router has learned from")):
        if seen.any():
            notes.append(f"{seen.sum():,} of {len(test):,} test queries are left out: their prompt is {source}.")
    return test.take(~(again | given)), notes


def _charged(
    outcomes: Outcomes, pool: Pool | None, count_tokens: CountTokens | None
) -> tuple[NDArray[np.float64] | None, list[str]]:
    """What each answer costs, and a word on that.

    By the rule of the predictors, `expected_cost`: by the pool's prices where output tokens of the model are known, else as
    logged; input tokens that are not known are those of the other models on that prompt, else our own count.
    """
    cost = None if outcomes.cost is None else outcomes.cost.copy()
    if pool is None:
        return cost, []
    if outcomes.output_tokens is None:
        return cost, [] if cost is None else _unpriced(pool.names)
    columns = [_column(outcomes, name) for name in pool.names]
    known = {name: matrix[:, columns] for name in AMOUNTS if (matrix := getattr(outcomes, name)) is not None}
    priced = ~np.isnan(known["output_tokens"]).all(axis=0)
    read = known.get("input_tokens", np.full(known["output_tokens"].shape, np.nan))
    lacking = np.isnan(read) & ~np.isnan(known["output_tokens"])
    notes = _unpriced([name for name, has in zip(pool.names, priced, strict=True) if not has])
    lengths = np.full(len(outcomes), np.nan)
    alone = lacking.any(axis=1) & np.isnan(read).all(axis=1)
    if alone.any() and count_tokens is not None:
        lengths[alone] = count_tokens([prompt for prompt, own in zip(outcomes.prompts, alone, strict=True) if own])
    if lacking.any():
        models = [name for name, lacks in zip(pool.names, lacking.any(axis=0), strict=True) if lacks]
        notes.append(
            f"Input tokens are not known for all answers of {_some(models)}: those of other models on the same prompt are "
            "charged, else our own count."
        )
    if cost is None:
        cost = np.full(outcomes.acc.shape, np.nan)
    sources = tuple("prices" if has else "logged" for has in priced)
    if priced.any():
        found = expected_cost(known, lengths, pool, sources)
        cost[:, columns] = np.where(priced, found, cost[:, columns])
    return cost, notes


def _unpriced(names: Sequence[str]) -> list[str]:
    if not names:
        return []
    return [f"The pool's prices are not used for {_some(names)}: output tokens are unknown, what was logged is charged."]


def _column(outcomes: Outcomes, name: str) -> int:
    if name not in outcomes.models:
        raise ValueError(f"outcomes have no model {name!r}; they have {_some(outcomes.models)}")
    return outcomes.models.index(name)


def _models_with_cost(outcomes: Outcomes) -> tuple[tuple[str, ...], list[str]]:
    if outcomes.cost is None:
        return outcomes.models, []
    unknown: list[bool] = np.asarray(np.isnan(outcomes.cost).all(axis=0)).tolist()
    kept = tuple(name for name, lacks in zip(outcomes.models, unknown, strict=True) if not lacks)
    gone = [name for name, lacks in zip(outcomes.models, unknown, strict=True) if lacks]
    if not gone:
        return kept, []
    return kept, [f"{len(gone)} of {outcomes.n_models} models have no cost and are left out: {_some(gone)}."]


def _too_few(test: Outcomes, rows: int) -> str:
    found = f"only {rows} of {len(test)} test queries have the outcome of every model, expected at least {LEAST_TEST}"
    if rows == len(test):
        return f"only {rows} test queries can be judged on, expected at least {LEAST_TEST}"
    holes = np.isnan(test.acc) if test.cost is None else np.isnan(test.acc) | np.isnan(test.cost)
    worst = int(holes.mean(axis=0).argmax())
    return (
        f"{found}: a plan can be looked up only where its pairs were observed. Leave out models with holes (most: "
        f"{test.models[worst]!r}, {holes[:, worst].mean():.0%} missing), or answer a sample of queries with every model"
    )


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
