"""A predictor's track record: what plans like this one realised, beside what was predicted of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.prices import BatchPrices
from omnirouter.problem import Problem
from omnirouter.solution import Solution

__all__ = ["Expectation", "Total", "TrackRecord"]

ROWS = 20_000  # of the history; more would not make the margins smaller by anything that counts
DOUBT = 2.0  # standard errors by which the variance of spend may be larger than it was seen to be
PULL = 30.0  # what was decided of all models counts as this many decisions for each of them


@dataclass(frozen=True, slots=True)
class Total:
    """What a plan's spend or mean accuracy is expected to be, and how far off that may be.

    Attributes
    ----------
    predicted : float
        By the predictions that the plan was made from.
    expected : float
        Corrected by what earlier decisions of the kind realised beside what was predicted of them.
    draw_error : float
        Standard deviation over batches of this size drawn from the queries of the plan, each at its model.
    answer_error : float
        The part of it that comes from the answers, were the queries always these.
    history_error : float
        Standard error of the correction, from the finite history.
    """

    predicted: float
    expected: float
    draw_error: float
    answer_error: float
    history_error: float

    def margin(self, confidence: float) -> float:
        r"""How far from `expected` the realised number may be, one-sided.

        A tolerance bound: with :math:`z` the normal quantile of the confidence :math:`c` and :math:`z'` that of
        :math:`(1 + c) / 2`,

        .. math:: z \cdot draw + z' \sqrt{answer^2 + history^2}.

        The second term is for what is not known of the answers to these queries; the first then keeps a share
        :math:`c` of all batches drawn from the queries, with their answers, within the margin.

        Examples
        --------
        >>> round(Total(1.0, 1.02, 0.05, 0.03, 0.01).margin(0.9), 3)
        0.116
        """
        luck, doubt = (NormalDist().inv_cdf(q) for q in (confidence, (1 + confidence) / 2))
        return luck * self.draw_error + doubt * math.hypot(self.answer_error, self.history_error)


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a plan is expected to realise: `spend` in money, `accuracy` as the mean score."""

    spend: Total
    accuracy: Total

    def most_spend(self, confidence: float) -> float:
        """Spend that is kept with this confidence."""
        return self.spend.expected + self.spend.margin(confidence)

    def least_accuracy(self, confidence: float) -> float:
        """Mean score that is reached with this confidence."""
        return self.accuracy.expected - self.accuracy.margin(confidence)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            name: {field: getattr(total, field) for field in Total.__slots__}
            for name, total in (("spend", self.spend), ("accuracy", self.accuracy))
        }


@dataclass(frozen=True, eq=False)
class TrackRecord:
    """Out-of-fold predictions of a history, and what was observed.

    A solver picks what is over-estimated: where predictions err, chosen models look better and cheaper than they
    turn out (the optimiser's curse). So the history is decided at the prices of a new plan, by predictions of
    models that had not seen its outcomes, and what those decisions realised corrects what is predicted of the plan.

    Attributes
    ----------
    acc, cost : (h, m) float32
        Predicted out of fold, NaN where nothing could be predicted.
    scores, paid : (h, m) float32
        Observed, NaN where not.
    """

    acc: NDArray[np.float32]
    cost: NDArray[np.float32]
    scores: NDArray[np.float32]
    paid: NDArray[np.float32]

    @classmethod
    def of(
        cls,
        acc: NDArray[np.floating],
        cost: NDArray[np.floating],
        scores: NDArray[np.floating],
        paid: NDArray[np.floating],
    ) -> TrackRecord:
        """Keep what is needed: at most 20,000 rows, evenly spread."""
        rows = np.unique(np.linspace(0, len(acc) - 1, min(len(acc), ROWS)).astype(np.int64))
        return cls(*(np.ascontiguousarray(part[rows], dtype=np.float32) for part in (acc, cost, scores, paid)))

    def __len__(self) -> int:
        return len(self.acc)

    def expect(self, solution: Solution) -> Expectation:
        """Say what a plan is expected to realise.

        For accuracy, with ``d = score - predicted`` over the decisions of the history for model j, `n_j` of them
        observed::

            correction[j] = (sum d + 30 D) / (n_j + 30),   D = sum of d over all models / (sum of n + 30)

        and each query of the plan counts its predicted accuracy plus the correction of its model. For money the
        same with ratios of sums; where the decisions cost nothing, all known pairs of the history stand for them.
        Variances are those of what is left, drawn to the common one alike. For money a model's is at least that over
        all its pairs, as single dear answers may be missing among few decisions.

        Parameters
        ----------
        solution : Solution
            With a plan, of rows in memory. Prices of resources other than budget, floor and caps are left out when
            the history is decided, since what its queries would use of them is not known.
        """
        problem, plan = solution.problem, solution.assignment
        assert isinstance(problem, Problem), "the router solves rows in memory"
        assert plan is not None, "there is no plan to say anything of"
        worth = BatchPrices.of(solution).values(self.acc, self.cost)
        known = ~np.isnan(worth)
        chosen = np.where(known, worth, -np.inf).argmax(axis=1)[known.any(axis=1)]
        rows = np.flatnonzero(known.any(axis=1))
        queries = np.arange(len(plan))
        taken = problem.cost[queries, plan].astype(np.float64)
        scored = problem.acc[queries, plan].astype(np.float64)
        decided = (rows, chosen)
        return Expectation(
            _spend(solution.spend, plan, taken, self.cost, self.paid, decided),
            _accuracy(solution.accuracy, plan, scored, self.acc, self.scores, decided),
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays, for saving."""
        return {f"record.{name}": getattr(self, name) for name in self.__dataclass_fields__}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> TrackRecord:
        """Undo `arrays`."""
        return cls(**{name: arrays[f"record.{name}"] for name in cls.__dataclass_fields__})


Decided = tuple[NDArray[np.int64], NDArray[np.int64]]


def _observed(
    predicted: NDArray[np.float32], seen: NDArray[np.float32], decided: Decided
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Model, prediction and outcome of the decisions whose outcome is known, or of all known pairs if none is."""
    rows, models = decided
    if np.isnan(seen[rows, models]).all():
        rows, models = _all_known(predicted, seen)
    known = ~np.isnan(seen[rows, models])
    rows, models = rows[known], models[known]
    return models, predicted[rows, models].astype(np.float64), seen[rows, models].astype(np.float64)


def _all_known(predicted: NDArray[np.float32], seen: NDArray[np.float32]) -> Decided:
    rows, models = np.nonzero(~np.isnan(seen) & ~np.isnan(predicted))
    return rows, models


def _accuracy(
    predicted: float,
    plan: NDArray[np.int32],
    scored: NDArray[np.float64],
    acc: NDArray[np.float32],
    scores: NDArray[np.float32],
    decided: Decided,
) -> Total:
    m, n = acc.shape[1], len(plan)
    models, expected, seen = _observed(acc, scores, decided)
    count = np.bincount(models, minlength=m)
    off = seen - expected
    common = off.sum() / (len(off) + PULL)  # that of no model is believed from a few
    correction = (np.bincount(models, weights=off, minlength=m) + PULL * common) / (count + PULL)
    left = (off - correction[models]) ** 2
    spread = (np.bincount(models, weights=left, minlength=m) + PULL * left.mean()) / (count + PULL)
    share = np.bincount(plan, minlength=m) / n
    own = share**2 * spread * count / (count + PULL) ** 2
    shared = (share @ (PULL / (count + PULL))) ** 2 * left.mean() / len(off)
    answers = share @ spread / n
    return Total(
        predicted=predicted,
        expected=min(max(float(predicted + share @ correction), 0.0), 1.0),
        draw_error=math.sqrt(answers + (scored + correction[plan]).var() / n),
        answer_error=math.sqrt(answers),
        history_error=math.sqrt(own.sum() + shared),
    )


def _spend(
    predicted: float,
    plan: NDArray[np.int32],
    taken: NDArray[np.float64],
    cost: NDArray[np.float32],
    paid: NDArray[np.float32],
    decided: Decided,
) -> Total:
    m = cost.shape[1]
    models, expected, seen = _observed(cost, paid, decided)
    if not (expected.any() and seen.any()):  # answers for free say nothing of those that are paid for
        models, expected, seen = _observed(cost, paid, _all_known(cost, paid))

    def sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(models, weights=values, minlength=m).astype(np.float64)

    total, squares = sums(expected), sums(expected**2)
    if total.sum() == 0 or seen.sum() == 0:  # models that cost nothing
        return Total(predicted, predicted, 0.0, 0.0, 0.0)
    count = np.maximum(np.bincount(models, minlength=m), 1)
    # What all models have in common counts as so many decisions of a usual size for the model.
    usual = np.where(total > 0, total / count, expected.mean())
    usual_square = np.where(squares > 0, squares / count, (expected**2).mean())
    common = seen.sum() / expected.sum()
    ratio = (sums(seen) + PULL * usual * common) / (total + PULL * usual)
    left = (seen - ratio[models] * expected) ** 2
    spread_common = left.sum() / (expected**2).sum()
    spread = (sums(left) + PULL * usual_square * spread_common) / (squares + PULL * usual_square)
    # Few decisions with rare dear answers tell their spread badly: its upper bound, by how it varies itself.
    doubt = 1 + DOUBT * math.sqrt((left**2).sum()) / left.sum() if left.sum() > 0 else 1.0
    spread = doubt * np.maximum(spread, _relative_spread(cost, paid))
    by_model = np.bincount(plan, weights=taken, minlength=m)
    own = by_model**2 * spread * squares / (total + PULL * usual) ** 2
    shared = (by_model @ (PULL * usual / (total + PULL * usual))) ** 2 * spread_common * (expected**2).sum()
    answers = np.bincount(plan, weights=taken**2, minlength=m) @ spread
    return Total(
        predicted=predicted,
        expected=float(by_model @ ratio),
        draw_error=math.sqrt(answers + len(plan) * (taken * ratio[plan]).var()),
        answer_error=math.sqrt(answers),
        history_error=math.sqrt(own.sum() + shared / expected.sum() ** 2),
    )


def _relative_spread(cost: NDArray[np.float32], paid: NDArray[np.float32]) -> NDArray[np.float64]:
    """(m,) mean squared error of predicted money over the mean square of what was predicted, over all pairs."""
    known = ~np.isnan(cost) & ~np.isnan(paid)
    predicted = np.where(known, cost, 0.0).astype(np.float64)
    error = ((np.where(known, paid, 0.0) - predicted) ** 2).sum(axis=0)
    square = (predicted**2).sum(axis=0)
    spread: NDArray[np.float64] = np.where(square > 0, error / np.where(square > 0, square, 1.0), 0.0)
    return spread
