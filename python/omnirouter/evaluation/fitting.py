"""Predictions for an exam: for its test split, and for its train split without a query's own outcomes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from omnirouter.evaluation.exam import Exam
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor import Encoder, Predictor, out_of_fold
from omnirouter.predictor.kinds import KINDS, new_predictor
from omnirouter.router import Router

__all__ = ["KINDS", "Forecast", "fit_predictor", "forecast", "held_out_forecast"]

FOLDS = 2

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
    if train.cost is None and pool is None:
        # Predictors want costs. Nothing of these is reported.
        train = replace(train, cost=np.where(train.observed, 1.0, np.nan))
    return Router.fit(train, pool, predictor=kind, encoder=encoder).predictor


def forecast(name: str, predictor: Predictor, outcomes: Outcomes) -> Forecast:
    """Predict the queries of outcomes."""
    prediction = predictor.predict(outcomes.prompts)
    return Forecast(name, prediction.acc.astype(np.float64), prediction.cost.astype(np.float64))


def held_out_forecast(kind: str, exam: Exam, pool: Pool | None, encoder: Encoder) -> Forecast | None:
    """Predict each half of the train split from the other; None where a cost was observed in one half only."""
    held = out_of_fold(new_predictor(kind, encoder), exam.train, pool, n_folds=FOLDS, encoder=encoder)
    if np.isnan(held.cost).any():
        return None
    return Forecast(kind, np.clip(held.acc, 0.0, 1.0), held.cost)
