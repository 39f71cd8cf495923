"""One table of real outcomes with costs: predictors learn its train split, their plans are looked up in its test split."""

from __future__ import annotations

from typing import Any

from omnirouter import Outcomes
from omnirouter.evaluation import plans
from omnirouter.evaluation.bootstrap import Resamples
from omnirouter.evaluation.encoding import RememberingEncoder
from omnirouter.evaluation.exam import set_exam
from omnirouter.evaluation.fitting import Fitting, forecast
from omnirouter.evaluation.measuring import Curve, Judge

POINTS = 24


class PricedExam:
    """Splits, budgets and resamples are those of `omnirouter.evaluate`.

    Parameters
    ----------
    outcomes : Outcomes
        With costs.
    encoder : RememberingEncoder
    resamples, points : int
        Bootstrap draws, and budgets of each curve.
    """

    def __init__(self, outcomes: Outcomes, encoder: RememberingEncoder, resamples: int = 1000, points: int = POINTS) -> None:
        self.exam, self.encoder, self.points = set_exam(outcomes, None, None, 0), encoder, points
        self.history = Fitting(self.exam, None, encoder).history
        assert self.exam.cost is not None
        draws = Resamples(len(self.exam.rows), resamples, 0)
        self.judge = Judge(self.exam.models, self.exam.acc, self.exam.cost, draws)

    def curve(self, name: str, predictor: Any) -> Curve:
        """Operating points of global plans by an unfitted predictor."""
        own = forecast(name, predictor.fit_history(self.history, self.encoder), self.exam.test).of(self.exam.rows)
        budgets = plans.budget_grid(own.acc, own.cost, self.points)
        return self.judge.curve(name, plans.solved(own.acc, own.cost, budgets))
