"""Predictions for an exam: for its test split, and for its train split without a query's own outcomes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.evaluation.exam import Exam
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor import Encoder, Predictor
from omnirouter.router import Router

__all__ = ["KINDS", "Forecast", "fit_predictor", "forecast", "held_out_forecast"]

KINDS = ("knn",)
FOLDS = 3

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecast:
    """What a predictor expects of some queries.

    Attributes
    ----------
    name : str
    acc, cost : (n, m) float64
        Expected score and money; `cost` means nothing where the data has no cost.
    """

    name: str
    acc: Array
    cost: Array

    def of(self, rows: NDArray[np.int64]) -> Forecast:
        """The same for some of the queries."""
        return Forecast(self.name, self.acc[rows], self.cost[rows])


def fit_predictor(kind: str, train: Outcomes, pool: Pool | None, encoder: Encoder) -> Predictor:
    """Fit one kind of predictor."""
    if kind not in KINDS:
        raise ValueError(f"predictors names {kind!r}, expected some of {', '.join(KINDS)}")
    if train.cost is None and pool is None:
        # Predictors want costs. Nothing of these is reported.
        train = replace(train, cost=np.where(train.observed, 1.0, np.nan))
    return Router.fit(train, pool, encoder=encoder).predictor


def forecast(name: str, predictor: Any, outcomes: Outcomes) -> Forecast:
    """Predict the queries of outcomes."""
    prediction = predictor.predict(outcomes.prompts)
    return Forecast(name, prediction.acc.astype(np.float64), prediction.cost.astype(np.float64))


def held_out_forecast(
    kind: str, exam: Exam, pool: Pool | None, encoder: Encoder, done: Callable[[], None]
) -> Forecast | None:
    """Predict each third of the train split from the other two; None where a model was not observed in some two of them.

    `done` is called after each third.
    """
    train = exam.train
    fold = _folds(train.prompts)
    acc, cost = np.empty(train.acc.shape), np.empty(train.acc.shape)
    known = train.observed if train.cost is None else train.observed & ~np.isnan(train.cost)
    if any(not known[fold != k].any(axis=0).all() for k in range(FOLDS)):
        return None
    for k in range(FOLDS):
        rows = np.flatnonzero(fold == k)
        if len(rows):
            predictor = fit_predictor(kind, train.take(fold != k), pool, encoder)
            part = forecast(kind, predictor, train.take(rows))
            acc[rows], cost[rows] = part.acc, part.cost
        done()
    return Forecast(kind, acc, cost)


def _folds(prompts: Sequence[str]) -> NDArray[np.int64]:
    """Fold of each prompt, by a hash of its text: equal prompts go together."""
    return np.array([hashlib.sha256(f"fold:{prompt}".encode()).digest()[0] % FOLDS for prompt in prompts])
