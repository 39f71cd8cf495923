"""Out-of-fold predictions: what a predictor says of outcomes that it has not learned from."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor.amounts import spread_rows
from omnirouter.predictor.base import Progress
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.history import History, pool_outcomes
from omnirouter.predictor.learned import LearnedPredictor
from omnirouter.predictor.learned_parts import Expected, HeldOut

__all__ = ["OutOfFold", "expect_out_of_fold", "fold_numbers", "hold_out", "out_of_fold"]

HELD_ROWS = 20_000
HELD_PER_MODEL = 256  # a model that was seen rarely is judged by all it has


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of each row by a predictor that was fitted on the other folds.

    Attributes
    ----------
    outcomes : Outcomes
        The h rows and m models that were predicted: those of the pool, where there is one.
    acc, cost : (h, m) float64
        ``acc`` may leave [0, 1] by rounding only. ``cost`` is NaN where a model's cost was observed in no
        other fold.
    output_tokens : (h, m) float64 or None
    paid : (h, m) float64
        Money by what was observed: tokens times prices, or the logged cost; NaN where unknown.
    fold : (h,) int64
        Fold of each row, from 0.
    """

    outcomes: Outcomes
    acc: NDArray[np.float64]
    cost: NDArray[np.float64]
    output_tokens: NDArray[np.float64] | None
    paid: NDArray[np.float64]
    fold: NDArray[np.int64]


def fold_numbers(prompts: Sequence[Hashable], n_folds: int = 5, *, seed: int = 0) -> NDArray[np.int64]:
    """Fold of each prompt: equal prompts share a fold, and folds have as many different prompts as each other.

    Parameters
    ----------
    prompts : sequence
        At least one; texts, or numbers that stand for them.
    n_folds : int, default 5
        At least 2; no more than there are different prompts are used.
    seed : int, default 0
        Which of the many partitions.

    Returns
    -------
    (n,) int64
        Numbers from 0; the same for the same prompts, folds and seed.

    Examples
    --------
    >>> fold = fold_numbers(["a", "b", "a", "c"], 3)
    >>> bool(fold[0] == fold[2]), sorted(set(fold.tolist()))
    (True, [0, 1, 2])
    """
    if type(n_folds) is not int or n_folds < 2:
        raise ValueError(f"n_folds is {n_folds!r}, expected a whole number of at least 2")
    distinct = {prompt: position for position, prompt in enumerate(dict.fromkeys(prompts))}
    order = np.random.default_rng(seed).permutation(len(distinct))
    of_distinct = np.empty(len(distinct), dtype=np.int64)
    of_distinct[order] = np.arange(len(distinct)) % n_folds
    return of_distinct[[distinct[prompt] for prompt in prompts]]


def out_of_fold(
    predictor: LearnedPredictor,
    outcomes: Outcomes,
    pool: Pool | None = None,
    *,
    n_folds: int = 5,
    seed: int = 0,
    encoder: Encoder | None = None,
    progress: Progress | None = None,
) -> OutOfFold:
    """Predict every row of the outcomes by a predictor fitted on the rows of the other folds.

    Prompts are encoded once.

    Parameters
    ----------
    predictor : LearnedPredictor
        Whose parameters are used; neither fitted nor changed.
    outcomes : Outcomes
        Any pattern of holes. At least two different prompts.
    pool : Pool, optional
        As in `fit`.
    n_folds, seed
        As in `fold_numbers`.
    encoder : Encoder, optional
        In place of the predictor's own, where that is open already.
    progress : callable, optional
        Called as ``progress(done, total)`` while the prompts are encoded.

    Raises
    ------
    PoolError, PredictorError, ValueError
        As in `fit`; also when there is one prompt only.
    """
    predictor.check_parameters()
    outcomes = pool_outcomes(outcomes, pool)
    encoder = encoder or predictor.open_encoder()
    history = History.of(outcomes, pool, encoder, progress=progress)
    fold = fold_numbers(outcomes.prompts, n_folds, seed=seed)
    expected = expect_out_of_fold(predictor, history, encoder, fold)
    return OutOfFold(outcomes, expected.acc, expected.cost, expected.output_tokens, history.paid, fold)


def expect_out_of_fold(predictor: LearnedPredictor, history: History, encoder: Encoder, fold: NDArray[np.int64]) -> Expected:
    """The predictions of `out_of_fold`, given a history and the fold of each row."""
    return _expect_held(predictor, history, encoder, fold, np.ones(len(fold), dtype=np.bool_))


def hold_out(predictor: LearnedPredictor, history: History, encoder: Encoder) -> HeldOut:
    """Out-of-fold predictions of some 20,000 rows of a history (see `spread_rows`); others are learned from only."""
    fold = fold_numbers(history.prompt_numbers.tolist())
    rows = spread_rows(history.observed, HELD_ROWS, HELD_PER_MODEL)
    wanted = np.zeros(len(history), dtype=np.bool_)
    wanted[rows] = True
    return HeldOut(rows, _expect_held(predictor, history, encoder, fold, wanted))


def _expect_held(
    predictor: LearnedPredictor,
    history: History,
    encoder: Encoder,
    fold: NDArray[np.int64],
    wanted: NDArray[np.bool_],
) -> Expected:
    """Out-of-fold predictions of the wanted rows."""
    numbers = np.unique(fold)
    if len(numbers) < 2:
        raise ValueError("the outcomes have one prompt only, expected at least two different ones")
    parts, places = [], []
    for number in numbers:
        held = np.flatnonzero((fold == number) & wanted)
        rest = history.take(np.flatnonzero(fold != number))
        parts.append(predictor.unfitted().fit_history(rest, encoder).expect(history.encoded.take(held)))
        places.append(held)
    return Expected.joined(parts).take(np.argsort(np.concatenate(places)))
