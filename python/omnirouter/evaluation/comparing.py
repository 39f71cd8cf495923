"""All comparisons that need costs: curves, differences at matched spend, targets, capacities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from omnirouter.confidence import solve_confidently
from omnirouter.evaluation import capacity, plans
from omnirouter.evaluation.bootstrap import NOT_DEFINED, Estimate, Resamples, estimate
from omnirouter.evaluation.curves import accuracy_at, ratio
from omnirouter.evaluation.exam import Exam
from omnirouter.evaluation.fitting import Forecast, Sample
from omnirouter.evaluation.measuring import Curve, Judge
from omnirouter.evaluation.results import Capacity, Rule, Target
from omnirouter.record import Expectation
from omnirouter.solution import Solution
from omnirouter.solver import solve

__all__ = ["FLOORS", "SHARES", "compare", "shares_of", "steps_of"]

SHARES = (0.1, 0.25, 0.5, 1.0)
"""Of the best single model's cost: where curves are compared, and budgets asked for."""
FLOORS = (0.9, 0.95, 0.98, 1.0)
"""Of the best single model's accuracy on the train split: floors asked for."""
SCENARIOS = 2
RULE_MULTIPLIERS = 60
RULES: dict[capacity.Order, str] = {
    "arrival": "per query, falling back, in order of arrival",
    "best first": "per query, falling back, best pair first",
}

CONFIDENCE = 0.9

Array = NDArray[np.float64]
Limit = Literal["budget", "min_accuracy"]
Judged: TypeAlias = "tuple[Target, Array]"  # and its error in every resample


def steps_of(n_forecasts: int, points: int) -> int:
    """How often `compare` calls `done`."""
    targets = (n_forecasts + 1) * len(SHARES) + 2 * len(FLOORS)
    sweeps = n_forecasts * points + targets + points
    return sweeps + SCENARIOS * points


def compare(
    exam: Exam,
    forecasts: list[Forecast],
    sample: Sample | None,
    draws: Resamples,
    points: int,
    seed: int,
    done: Callable[[], None],
) -> dict[str, Any]:
    """Route the judged queries in every way and compare what came of it.

    Parameters
    ----------
    exam : Exam
        With costs.
    forecasts : list of Forecast
        For the judged queries, the one in question first.
    sample : Sample or None
        To tune the multiplier on; None leaves that rule out.
    draws : Resamples
        Of the judged queries.
    points : int
        Budgets of each curve.
    seed : int
        Of the order in which queries arrive.
    done : callable
        Called after each solve.

    Returns
    -------
    dict
        The fields of `Report` from ``shares`` on.
    """
    assert exam.cost is not None
    judge = Judge(exam.models, exam.acc, exam.cost, draws)
    subject = forecasts[0]
    budgets = [share * float(judge.best_cost[0]) for share in SHARES]
    curves: list[Curve] = []
    targets: list[Judged] = []
    used: tuple[float, ...] = ()
    for own in forecasts:
        sweep = plans.solved(own.acc, own.cost, plans.budget_grid(own.acc, own.cost, points), done=done)
        curves.append(judge.curve(own.name, sweep, (own.acc, own.cost)))
        used = used or shares_of(sweep, len(exam.models))
        targets += [
            _asked(judge, own, "budget", share, budget, None, done) for share, budget in zip(SHARES, budgets, strict=True)
        ]
    top = float(np.nanmean(exam.train.acc, axis=0).max())
    floors = [share * top for share in FLOORS]
    targets += [_asked(judge, subject, "min_accuracy", *pair, None, done) for pair in zip(FLOORS, floors, strict=True)]
    if subject.record is not None:
        targets += [_asked(judge, subject, "budget", *pair, CONFIDENCE, done) for pair in zip(SHARES, budgets, strict=True)]
        targets += [
            _asked(judge, subject, "min_accuracy", *pair, CONFIDENCE, done) for pair in zip(FLOORS, floors, strict=True)
        ]
    if sample is not None:
        multipliers = plans.multiplier_grid(subject.cost)
        # As many points as the other curves have: each one more is a chance for the upper hull.
        grid = plans.budget_grid(subject.acc, subject.cost, points) / len(subject.acc)
        chosen = plans.tuned_multipliers(subject.acc, subject.cost, subject.cost, grid, multipliers)
        every = plans.priced(subject.acc, subject.cost, chosen)
        curves.append(judge.curve("lambda-tuned", every, (subject.acc, subject.cost)))
        tuned = plans.tuned_multipliers(sample.acc, sample.cost, sample.paid, budgets, multipliers)
        rule = Forecast("lambda-tuned", subject.acc, subject.cost)
        of_budget = plans.priced(subject.acc, subject.cost, tuned)
        for share, budget, plan in zip(SHARES, budgets, of_budget, strict=True):
            targets.append(_target(judge, rule, plan, "budget", share, budget))
    thresholds = np.union1d(np.linspace(0.0, 1.0, points - 1), [plans.SHIPPED_THRESHOLD])
    above = plans.cheapest_above(subject.acc, subject.cost, thresholds)
    curves.append(judge.curve("threshold", above, (subject.acc, subject.cost)))
    best_plans = plans.solved(exam.acc, exam.cost, plans.budget_grid(exam.acc, exam.cost, points), done=done)
    hindsight = judge.curve("hindsight", best_plans)
    curves += [judge.zero_router(), judge.random(), hindsight]

    rivals = [curve for curve in curves[1:] if curve.name not in ("random", "hindsight")]
    differences = [judge.difference(curves[0], rival, share) for rival in rivals for share in (*SHARES, None)]
    single = Curve(f"best single model ({exam.models[judge.best]})", judge.best_cost[:, None], judge.best_accuracy[:, None])
    differences.append(judge.difference(curves[0], single, 1.0))
    scenarios = (
        ("each model at most 1.5 times an even share of the queries", capacity.even_caps(*exam.acc.shape)),
        ("rate limits in inverse proportion to the root of cost", capacity.rate_caps(exam.cost)),
    )
    return {
        "shares": SHARES,
        "best_single": exam.models[judge.best],
        "methods": judge.methods(curves, SHARES, hindsight, _errors(targets)),
        "differences": tuple(differences),
        "targets": tuple(target for target, _ in targets),
        "used": used,
        "capacity": tuple(_capacity(name, caps, judge, subject, points, seed, done) for name, caps in scenarios),
    }


def shares_of(chosen: NDArray[np.int64], m: int) -> tuple[float, ...]:
    """Share of the queries that each of m models gets, mean over plans of any shape.

    Examples
    --------
    >>> shares_of(np.array([[0, 0], [0, 2]]), 3)
    (0.75, 0.0, 0.25)
    """
    return tuple((np.bincount(chosen.ravel(), minlength=m) / chosen.size).tolist())


def _asked(
    judge: Judge,
    own: Forecast,
    limit: Limit,
    share: float,
    asked: float,
    confidence: float | None,
    done: Callable[[], None],
) -> Judged:
    """A global plan for one limit, on predicted numbers or, with a confidence, on realised ones."""
    n = len(own.acc)

    def solved(budget: float | None, min_accuracy: float | None) -> Solution:
        return solve(own.acc, own.cost, budget=budget, min_accuracy=min_accuracy, rel_gap=plans.REL_GAP)

    budget = asked * n if limit == "budget" else None
    floor = min(asked, 1.0) if limit == "min_accuracy" else None
    expectation: Expectation | None = None
    if confidence is None or own.record is None:
        plan = (solution := solved(budget, floor)).assignment
        if own.record is not None and plan is not None:
            expectation = own.record.expect(solution)
    else:
        solution, assurance = solve_confidently(solved, own.record.expect, budget, floor, confidence)
        # The nearest plan is none that was asked for.
        plan, expectation = solution.assignment if assurance.kept else None, assurance.expectation
    done()
    return _target(judge, own, plan, limit, share, asked, confidence, expectation)


def _target(
    judge: Judge,
    own: Forecast,
    plan: NDArray[Any] | None,
    limit: Limit,
    share: float,
    asked: float,
    confidence: float | None = None,
    expectation: Expectation | None = None,
) -> Judged:
    """What a plan (n,) promised and what came of it, with its error in every resample; without a plan nothing is defined."""
    nan = float("nan")
    if plan is None:
        nothing = (nan, nan, nan, nan, NOT_DEFINED, NOT_DEFINED, NOT_DEFINED, nan)
        return Target(own.name, limit, share, confidence, asked, *nothing), np.full(len(judge.draws), nan)
    curve = judge.curve(own.name, plan[None].astype(np.int64), (own.acc, own.cost))
    assert curve.predicted_cost is not None
    assert curve.predicted_accuracy is not None
    cost, accuracy = float(curve.predicted_cost[0]), float(curve.predicted_accuracy[0])
    if limit == "budget":
        promise = min(asked, plans.useful_spend(own.acc, own.cost) / len(plan))
        error, holds = ratio(curve.cost[:, 0], promise) - 1, curve.cost[1:, 0] <= asked
    else:
        error, holds = curve.accuracy[:, 0] - accuracy, curve.accuracy[1:, 0] >= asked
    target = Target(
        method=own.name,
        limit=limit,
        share=share,
        confidence=confidence,
        asked=asked,
        predicted_spend=cost,
        predicted_accuracy=accuracy,
        expected_spend=nan if expectation is None else expectation.spend.expected / len(plan),
        expected_accuracy=nan if expectation is None else expectation.accuracy.expected,
        spend=estimate(curve.cost[:, 0]),
        accuracy=estimate(curve.accuracy[:, 0]),
        error=estimate(error),
        kept=float(holds.mean()),
    )
    return target, error


def _errors(targets: list[Judged]) -> dict[str, Estimate]:
    """Mean absolute budget error of each method, over the budgets that have a plan."""
    errors = {}
    for name in dict.fromkeys(target.method for target, _ in targets):
        own = [
            np.abs(error)
            for target, error in targets
            if (target.method, target.limit, target.confidence) == (name, "budget", None) and not np.isnan(error[0])
        ]
        errors[name] = estimate(np.mean(own, axis=0), distance=True) if own else NOT_DEFINED
    return errors


def _capacity(
    name: str, caps: Array, judge: Judge, own: Forecast, points: int, seed: int, done: Callable[[], None]
) -> Capacity:
    """One scenario. The rules' multiplier is swept on the test split itself, so each is compared at its best."""
    acc, cost, n = own.acc, own.cost, len(own.acc)
    cheap = solve(acc, cost, caps, objective="cost", rel_gap=plans.REL_GAP).raise_for_status().spend
    dear = solve(acc, cost, caps, rel_gap=plans.REL_GAP).raise_for_status().spend
    budgets = np.geomspace(cheap, dear, points) if 0 < cheap < dear else np.linspace(cheap, dear, points)
    # The least spend itself may be missed by rounding.
    budgets[0] *= 1 + 1e-9
    curves = [judge.curve("global", plans.solved(acc, cost, budgets, caps, done=done), (acc, cost))]
    # Tables are often sorted by task, which no traffic is.
    arrival = np.random.default_rng(seed).permutation(n)
    orders: tuple[capacity.Order, ...] = ("arrival", "best first")
    for order in orders:
        found = []
        for lam in plans.multiplier_grid(cost, RULE_MULTIPLIERS):
            plan = np.empty(n, dtype=np.int64)
            plan[arrival] = capacity.fall_back((acc - lam * cost)[arrival], caps, order)
            found.append(plan)
        curves.append(judge.curve(RULES[order], np.array(found), (acc, cost)))
    low = max(float(curve.cost[0].min()) for curve in curves)
    high = max(low, min(float(curve.cost[0].max()) for curve in curves))
    spends = [low + part * (high - low) for part in (0.25, 0.5, 0.75)]
    at = [[accuracy_at(curve.cost, curve.accuracy, np.full(len(curve.cost), spend)) for spend in spends] for curve in curves]
    expected = [[_expected_at(curve, spend) for spend in spends] for curve in curves]
    middle = solve(acc, cost, caps, max(spends[1] * n, float(budgets[0])), rel_gap=plans.REL_GAP).raise_for_status()
    return Capacity(
        name=name,
        caps=tuple(caps.tolist()),
        spends=tuple(spends),
        accuracy=tuple(estimate(values) for values in at[0]),
        rules=tuple(
            Rule(
                curve.name,
                tuple(estimate(values) for values in own_at),
                tuple(estimate(best - values) for best, values in zip(at[0], own_at, strict=True)),
                tuple(best - value for best, value in zip(expected[0], own_expected, strict=True)),
            )
            for curve, own_at, own_expected in zip(curves[1:], at[1:], expected[1:], strict=True)
        ),
        load=tuple(middle.load.tolist()),
        prices=tuple(middle.duals.caps.tolist()),
        budget_price=middle.duals.budget,
    )


def _expected_at(curve: Curve, spend: float) -> float:
    """Predicted accuracy at a predicted spend."""
    assert curve.predicted_cost is not None
    assert curve.predicted_accuracy is not None
    return float(accuracy_at(curve.predicted_cost[None], curve.predicted_accuracy[None], np.array([spend]))[0])
