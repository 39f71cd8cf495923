"""Plans whose realised spend or accuracy keeps a limit with a stated confidence: the limit is tightened first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from omnirouter.record import Expectation
from omnirouter.solution import Solution, Status

__all__ = ["Assurance", "Attempt", "check_confidence", "solve_confidently"]

MOST_SOLVES = 12
UNFINISHED = (Status.TIME_LIMIT, Status.STOPPED, Status.ITERATION_LIMIT)
NEAR_BUDGET = 0.005  # of the budget may be left between what is kept with confidence and what was asked
NEAR_FLOOR = 0.002  # likewise of accuracy


@dataclass(frozen=True, slots=True)
class Limits:
    """A budget, a floor, or both."""

    budget: float | None
    min_accuracy: float | None

    def between(self, other: Limits) -> Limits:
        """Half way to other limits of the same kind."""
        return Limits(_middle(self.budget, other.budget), _middle(self.min_accuracy, other.min_accuracy))

    def in_words(self, kind: Literal["realised", "predicted"]) -> list[str]:
        """Each that is there, in words."""
        budget = [] if self.budget is None else [f"a {kind} spend within {self.budget:.6g}"]
        return budget if self.min_accuracy is None else [*budget, f"a {kind} accuracy of {self.min_accuracy:.4g}"]

    def near(self, other: Limits) -> bool:
        """Whether less than what may be given away lies between these and looser limits of the same kind."""
        money = self.budget is None or other.budget is None or other.budget - self.budget <= NEAR_BUDGET * other.budget
        scores = self.min_accuracy is None or other.min_accuracy is None
        return money and (scores or self.min_accuracy - other.min_accuracy <= NEAR_FLOOR)  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A plan that does not keep what was asked.

    Attributes
    ----------
    solved : Limits
        What its predicted spend and accuracy were held to.
    expectation : Expectation
    """

    solved: Limits
    expectation: Expectation

    def in_words(self, confidence: float) -> str:
        """What it was made for, and what is sure of it."""
        parts = []
        if self.solved.budget is not None:
            parts.append(f"may spend {self.expectation.most_spend(confidence):.6g}")
        if self.solved.min_accuracy is not None:
            parts.append(f"is sure to reach {max(self.expectation.least_accuracy(confidence), 0.0):.4f} only")
        return f"the nearest, made for {' and '.join(self.solved.in_words('predicted'))}, {' and '.join(parts)}"

    def lacks(self, asked: Limits, confidence: float) -> float:
        """By how much what was asked is missed: the larger of the shares of spend and of accuracy."""
        most, least = self.expectation.most_spend(confidence), self.expectation.least_accuracy(confidence)
        money = 0.0 if asked.budget is None or most <= asked.budget else 1 - asked.budget / most
        return money if asked.min_accuracy is None else max(money, asked.min_accuracy - least)


@dataclass(frozen=True, slots=True)
class Assurance:
    """How limits on realised numbers were turned into limits on predicted ones.

    Attributes
    ----------
    confidence : float
    asked : Limits
        What the realised spend and accuracy shall keep.
    solved : Limits
        What the predicted spend and accuracy of the solution were held to.
    expectation : Expectation or None
        Of the plan; None without one.
    n_solves : int
        Problems solved on the way.
    kept : bool
        Whether the plan keeps what was asked with this confidence. Where it does not, none that does was found: the
        search moves limits, so it proves nothing of plans that other limits would give.
    ended : bool
        Whether time ran out, a callback stopped the search, or a solve gave up.
    nearest : Attempt or None
        Where nothing is kept: the plan that lacked least; None where no plan was found at all.
    """

    confidence: float
    asked: Limits
    solved: Limits
    expectation: Expectation | None
    n_solves: int
    kept: bool
    ended: bool = False
    nearest: Attempt | None = None

    def in_words(self) -> str:
        """One sentence."""
        start = f"with confidence {self.confidence:g}, "
        if self.kept:
            pairs = zip(self.asked.in_words("realised"), self.solved.in_words("predicted"), strict=True)
            return start + " and ".join(f"{real} asks for {predicted}" for real, predicted in pairs)
        tried = f"in {self.n_solves} solve{'' if self.n_solves == 1 else 's'}{', then the search was ended' * self.ended}"
        parts = [f"{start}no plan was found that keeps {' and '.join(self.asked.in_words('realised'))}, {tried}"]
        if self.nearest is not None:
            parts.append(self.nearest.in_words(self.confidence))
        if self.expectation is None and not self.ended:
            parts.append(f"there is none for {' and '.join(self.solved.in_words('predicted'))}")
        return "; ".join(parts)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "confidence": self.confidence,
            "kept": self.kept,
            "ended": self.ended,
            "asked": {"budget": self.asked.budget, "min_accuracy": self.asked.min_accuracy},
            "solved": {"budget": self.solved.budget, "min_accuracy": self.solved.min_accuracy},
            "n_solves": self.n_solves,
            "nearest": None if self.nearest is None else self._nearest(self.nearest),
        }

    def _nearest(self, attempt: Attempt) -> dict[str, Any]:
        return {
            "solved": {"budget": attempt.solved.budget, "min_accuracy": attempt.solved.min_accuracy},
            "most_spend": attempt.expectation.most_spend(self.confidence),
            "least_accuracy": attempt.expectation.least_accuracy(self.confidence),
        }


def check_confidence(confidence: float, budget: float | None, min_accuracy: float | None) -> None:
    """Refuse a confidence outside [0.5, 1), and one without a limit that it could be about."""
    if isinstance(confidence, bool) or not isinstance(confidence, (int, float)) or not 0.5 <= confidence < 1:
        raise ValueError(f"confidence is {confidence!r}, expected a number of at least 0.5 and below 1, such as 0.9")
    if budget is None and min_accuracy is None:
        raise ValueError(f"confidence is {confidence!r} without a limit to keep; give a budget or min_accuracy as well")


def solve_confidently(
    solve: Callable[[float | None, float | None], Solution],
    expect: Callable[[Solution], Expectation],
    budget: float | None,
    min_accuracy: float | None,
    confidence: float,
) -> tuple[Solution, Assurance]:
    """Tighten limits until what a plan realises keeps the asked ones with confidence.

    The limits are moved by what the last plan lacks; once one plan keeps what was asked and another does not, the
    limits between them are halved until little is given away. They are never looser than asked.

    Parameters
    ----------
    solve : callable
        ``solve(budget, min_accuracy)`` on predicted numbers.
    expect : callable
        What a solution's plan is expected to realise.
    budget, min_accuracy : float or None
        At least one; what realised numbers shall keep.
    confidence : float
        In [0.5, 1); for each limit by itself.

    Returns
    -------
    solution : Solution
        Where no plan that is good enough was found, INFEASIBLE with its certificate for the tightened limits; where no
        limits without a plan were met either, or the search was ended, the plan that lacks least.
    assurance : Assurance
    """
    asked = Limits(budget, min_accuracy)
    limits = asked
    kept: tuple[Solution, Assurance] | None = None
    failed: tuple[Solution, Attempt] | None = None  # at the tightest limits with a plan that is not good enough
    nearest: tuple[Solution, Attempt] | None = None
    closed: tuple[Solution, Limits] | None = None  # the loosest without a plan
    ended = False
    for n_solves in range(1, MOST_SOLVES + 1):
        solution = solve(limits.budget, limits.min_accuracy)
        ended = solution.status in UNFINISHED
        expectation = None if solution.assignment is None else expect(solution)
        if expectation is None:
            closed = solution, limits
            if failed is None or ended or limits.near(failed[1].solved):
                break
            limits = limits.between(failed[1].solved)
            continue
        over = 0.0 if budget is None else expectation.most_spend(confidence) - budget
        under = 0.0 if min_accuracy is None else min_accuracy - expectation.least_accuracy(confidence)
        if over <= 0 and under <= 0:
            kept = solution, Assurance(confidence, asked, limits, expectation, n_solves, kept=True)
            close = (budget is None or -over <= NEAR_BUDGET * budget) and (min_accuracy is None or -under <= NEAR_FLOOR)
            if close or failed is None:
                break
        else:
            failed = solution, Attempt(limits, expectation)
            if nearest is None or failed[1].lacks(asked, confidence) < nearest[1].lacks(asked, confidence):
                nearest = failed
        if ended:
            break
        if kept is not None and failed is not None:
            if kept[1].solved.near(failed[1].solved):
                break
            limits = kept[1].solved.between(failed[1].solved)
        elif closed is not None:
            if closed[1].near(limits):
                break
            limits = closed[1].between(limits)
        else:
            tightened = _tightened(limits, asked, over, under, hurry=max(1.0, n_solves / 2))
            if tightened == limits:  # nothing is tighter than a floor of 1
                break
            limits = tightened
    if kept is not None:
        return kept[0], replace(kept[1], n_solves=n_solves)
    attempt = None if nearest is None else nearest[1]
    if not ended and closed is not None:
        (solution, limits), expectation = closed, None
    elif not ended and nearest is not None:
        solution, limits, expectation = nearest[0], nearest[1].solved, nearest[1].expectation
    return solution, Assurance(confidence, asked, limits, expectation, n_solves, kept=False, ended=ended, nearest=attempt)


def _tightened(limits: Limits, asked: Limits, over: float, under: float, *, hurry: float) -> Limits:
    """Limits moved by a little more than a plan made to them lacks, or by some times that."""
    budget, floor = limits.budget, limits.min_accuracy
    if budget is not None and asked.budget is not None and over > 0:
        budget *= (asked.budget / (asked.budget + over)) ** hurry * (1 - NEAR_BUDGET / 4)
    if floor is not None and under > 0:
        floor = min(1.0, floor + hurry * under + NEAR_FLOOR / 4)
    return Limits(budget, floor)


def _middle(a: float | None, b: float | None) -> float | None:
    return None if a is None or b is None else (a + b) / 2
