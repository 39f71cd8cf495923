"""Predictions for an exam: for its test split, and for its train split without a query's own outcomes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from omnirouter.evaluation.exam import Exam
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor import Encoder, LearnedPredictor
from omnirouter.predictor.folds import hold_out
from omnirouter.predictor.history import History
from omnirouter.predictor.kinds import KINDS, new_predictor
from omnirouter.record import TrackRecord
from omnirouter.reliability import Reliability

__all__ = ["KINDS", "Fitting", "Forecast", "Sample", "forecast"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Forecast:
    """What a predictor expects of some queries.

    Attributes
    ----------
    name : str
    acc, cost : (n, m) float64
        Expected score and money; `cost` means nothing where the data has no cost.
    record : TrackRecord or None
        What earlier decisions by this predictor realised, where it is known.
    """

    name: str
    acc: Array
    cost: Array
    record: TrackRecord | None = None

    def of(self, rows: NDArray[np.int64]) -> Forecast:
        """The same for some of the queries."""
        return replace(self, acc=self.acc[rows], cost=self.cost[rows])


@dataclass(frozen=True, eq=False)
class Sample:
    """Predictions for queries whose cost is known, to tune a rule on.

    Attributes
    ----------
    acc, cost : (r, m) float64
        Predicted.
    paid : (r, m) float64
        What was paid; NaN where not known.
    """

    acc: Array
    cost: Array
    paid: Array


class Fitting:
    """Fits predictors on the train split, whose prompts are encoded once.

    Parameters
    ----------
    exam : Exam
    pool : Pool or None
    encoder : Encoder
    """

    def __init__(self, exam: Exam, pool: Pool | None, encoder: Encoder) -> None:
        self.exam, self.encoder = exam, encoder
        train = exam.train
        if train.cost is None and pool is None:
            # Predictors want costs. Nothing of these is reported.
            train = replace(train, cost=np.where(train.observed, 1.0, np.nan))
        self.history = History.of(train, pool, encoder)

    def fit(self, kind: str) -> LearnedPredictor:
        """A predictor of this kind."""
        return new_predictor(kind, self.encoder).fit_history(self.history, self.encoder)

    def record(self, predictor: LearnedPredictor) -> TrackRecord | None:
        """Of a predictor that was fitted here; None where the train split has one prompt only."""
        if len(np.unique(self.history.prompt_numbers)) < 2:
            return None
        return Reliability.learn(predictor, self.history).record

    def sample(self, predictor: LearnedPredictor) -> Sample | None:
        """Out-of-fold predictions for the train split; None where costs of a model were not observed outside of a fold."""
        held = predictor.held_out_ or hold_out(predictor, self.history, self.encoder)
        if np.isnan(held.expected.cost).any():
            return None
        acc = np.clip(held.expected.acc, 0.0, 1.0)
        return Sample(acc, held.expected.cost, self.history.take(held.rows).paid)


def forecast(name: str, predictor: LearnedPredictor, outcomes: Outcomes, record: TrackRecord | None = None) -> Forecast:
    """Predict the queries of outcomes."""
    prediction = predictor.predict(outcomes.prompts)
    return Forecast(name, prediction.acc.astype(np.float64), prediction.cost.astype(np.float64), record)
