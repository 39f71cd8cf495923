"""What an evaluation finds, as plain records."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Literal

import numpy as np

from omnirouter.evaluation.bootstrap import Estimate

__all__ = ["Capacity", "Data", "Difference", "Method", "Rule", "Single", "Target", "Verdict", "estimates", "plain"]

Verdict = Literal["ahead", "level", "behind", "open"]


@dataclass(frozen=True)
class Data:
    """What was learned from and what was routed.

    Attributes
    ----------
    train, test, judged : int
        Queries learned from, of the test split, and of those the ones on which plans are judged.
    models : tuple of str
    has_cost : bool
    resamples, seed : int
        Of the bootstrap; the seed also of a split that was made.
    name : str or None
        What the outcomes are called.
    """

    train: int
    test: int
    judged: int
    models: tuple[str, ...]
    has_cost: bool
    resamples: int
    seed: int
    name: str | None = None


@dataclass(frozen=True)
class Single:
    """One model that answers everything: realised mean accuracy, and money per query (NaN where there is no cost)."""

    model: str
    accuracy: Estimate
    cost: Estimate


@dataclass(frozen=True)
class Method:
    """One way to route, as a realised cost-accuracy curve.

    Attributes
    ----------
    name : str
    spend, accuracy : tuple of float
        Realised operating points: money per query, mean accuracy.
    predicted_spend, predicted_accuracy : tuple of float
        What the method expected at the same points; empty where it expects nothing.
    accuracy_at : tuple of Estimate
        At the shares of the best single model's cost in `Report.shares`, by straight lines between points.
    cost_to_match : Estimate
        Least cost at which it is as accurate as the best single model, as a share of that model's cost.
    aiq_code, aiq_paper : Estimate
        RouterBench's average improvement in quality: as its code computes it, and as its paper defines it.
    hull_area : Estimate
        Mean height of the realised upper hull between the cost of the cheapest and of the dearest single model.
    gap_to_hindsight : Estimate
        `hull_area` of hindsight less that of this method.
    target_error : Estimate
        Mean of the absolute `Target.error` over the budgets that have a plan; NaN for methods that are not asked for
        a budget.
    """

    name: str
    spend: tuple[float, ...]
    accuracy: tuple[float, ...]
    predicted_spend: tuple[float, ...]
    predicted_accuracy: tuple[float, ...]
    accuracy_at: tuple[Estimate, ...]
    cost_to_match: Estimate
    aiq_code: Estimate
    aiq_paper: Estimate
    hull_area: Estimate
    gap_to_hindsight: Estimate
    target_error: Estimate


@dataclass(frozen=True)
class Difference:
    """Accuracy of one method less that of another at the same spend, paired query by query.

    Attributes
    ----------
    method, against : str
    share : float or None
        Of the best single model's cost; None where hull areas are compared, or where there is no cost.
    difference : Estimate
    """

    method: str
    against: str
    share: float | None
    difference: Estimate

    @property
    def verdict(self) -> Verdict:
        """Whether the 95 % interval lies above zero, below it, or holds it; open where there is none."""
        if np.isnan(self.difference.low):
            return "open"
        if self.difference.low > 0:
            return "ahead"
        return "behind" if self.difference.high < 0 else "level"


@dataclass(frozen=True)
class Target:
    """A limit that was asked for, what the plan promised, and what came of it.

    Attributes
    ----------
    method : str
    limit : {"budget", "min_accuracy"}
    share : float
        Of the best single model's cost on the test split, or of its accuracy on the train split.
    confidence : float or None
        With which the limit was to be kept by the realised numbers; None where it is about predicted ones.
    asked : float
        Money per query, or mean accuracy.
    predicted_spend, predicted_accuracy : float
        Of the plan; NaN where there is none.
    expected_spend, expected_accuracy : float
        The same, corrected by what earlier decisions realised (see `TrackRecord`); NaN where that is not known.
    spend, accuracy : Estimate
        Realised.
    error : Estimate
        For a budget ``realised / promised - 1``, where the promise is the budget, or what the most accurate plan is
        predicted to cost if that is less; for a floor the realised less the predicted accuracy.
    kept : float
        Share of the resamples in which the realised spend is at most the budget, or the realised accuracy at least
        the floor.
    """

    method: str
    limit: Literal["budget", "min_accuracy"]
    share: float
    confidence: float | None
    asked: float
    predicted_spend: float
    predicted_accuracy: float
    expected_spend: float
    expected_accuracy: float
    spend: Estimate
    accuracy: Estimate
    error: Estimate
    kept: float


@dataclass(frozen=True)
class Rule:
    """A per-query rule under capacities, at the matched spends.

    Attributes
    ----------
    name : str
    accuracy : tuple of Estimate
        Realised.
    behind_by : tuple of Estimate
        Realised accuracy of the global plan less that of the rule.
    predicted_behind_by : tuple of float
        The same in predicted accuracy at the same predicted spend: what the solver gains before predictions err.
    """

    name: str
    accuracy: tuple[Estimate, ...]
    behind_by: tuple[Estimate, ...]
    predicted_behind_by: tuple[float, ...]


@dataclass(frozen=True)
class Capacity:
    """Global plans against per-query rules when models fill up.

    Attributes
    ----------
    name : str
        Which capacities.
    caps : tuple of float
        Most queries per model.
    spends : tuple of float
        Money per query at which all are compared: a quarter, half and three quarters of the way through the spends that
        all of them reach.
    accuracy : tuple of Estimate
        Of the global plans.
    rules : tuple of Rule
    load : tuple of int
        Queries per model in the global plan at the middle spend.
    prices : tuple of float
        What one more slot of each model would buy there, in expected correct answers.
    budget_price : float
        What one more unit of money would buy there, in expected correct answers.
    """

    name: str
    caps: tuple[float, ...]
    spends: tuple[float, ...]
    accuracy: tuple[Estimate, ...]
    rules: tuple[Rule, ...]
    load: tuple[int, ...]
    prices: tuple[float, ...]
    budget_price: float


def estimates(value: Any) -> Iterator[Estimate]:
    """All figures with resamples in a record and the records in it."""
    if isinstance(value, Estimate):
        yield value
    elif is_dataclass(value):
        for field in fields(value):
            yield from estimates(getattr(value, field.name))
    elif isinstance(value, tuple):
        for item in value:
            yield from estimates(item)


def plain(value: Any) -> Any:
    """Records as what JSON holds; numbers that are not finite (not defined, not reached) are null."""
    if isinstance(value, Difference):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)} | {"verdict": value.verdict}
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return plain(value._asdict())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
