"""Plans whose realised spend or accuracy keeps a limit with a stated confidence: the limit is tightened first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from omnirouter.errors import RouterError
from omnirouter.record import Expectation
from omnirouter.solution import Solution, Status

__all__ = ["Assurance", "check_confidence", "solve_confidently"]

MOST_SOLVES = 12
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

    def near(self, other: Limits) -> bool:
        """Whether less than what may be given away lies between these and looser limits of the same kind."""
        money = self.budget is None or other.budget is None or other.budget - self.budget <= NEAR_BUDGET * other.budget
        scores = self.min_accuracy is None or other.min_accuracy is None
        return money and (scores or self.min_accuracy - other.min_accuracy <= NEAR_FLOOR)  # type: ignore[operator]


@dataclass(frozen=True, slots=True)
class Assurance:
    """How limits on realised numbers were turned into limits on predicted ones.

    Attributes
    ----------
    confidence : float
    asked : Limits
        What the realised spend and accuracy shall keep.
    solved : Limits
        What the predicted spend and accuracy were held to.
    expectation : Expectation or None
        Of the plan; None without one.
    n_solves : int
        Problems solved on the way.
    kept : bool
        Whether there is a plan that keeps what was asked with this confidence.
    ended : bool
        Whether time ran out, or a callback stopped the search, before it was known if such a plan exists. There may be
        one that does not keep what was asked.
    """

    confidence: float
    asked: Limits
    solved: Limits
    expectation: Expectation | None
    n_solves: int
    kept: bool
    ended: bool = False

    def in_words(self) -> str:
        """One sentence."""
        parts = []
        if self.asked.budget is not None and self.solved.budget is not None:
            parts.append(
                f"a realised spend within {self.asked.budget:.6g} asks for a predicted one of {self.solved.budget:.6g}"
            )
        if self.asked.min_accuracy is not None and self.solved.min_accuracy is not None:
            parts.append(
                f"a realised accuracy of {self.asked.min_accuracy:.4g} asks for a predicted one "
                f"of {self.solved.min_accuracy:.4f}"
            )
        tail = ""
        if self.ended:
            found = "no plan was found" if self.expectation is None else "the plan does not keep that"
            tail = f"; {found}, the search was ended"
        elif not self.kept:
            tail = ", which no plan meets"
        return f"with confidence {self.confidence:g}, {' and '.join(parts)}{tail}"

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "confidence": self.confidence,
            "kept": self.kept,
            "ended": self.ended,
            "asked": {"budget": self.asked.budget, "min_accuracy": self.asked.min_accuracy},
            "solved": {"budget": self.solved.budget, "min_accuracy": self.solved.min_accuracy},
            "n_solves": self.n_solves,
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
        INFEASIBLE, with its certificate for the tightened limits, where no plan is good enough.
    assurance : Assurance
    """
    asked = Limits(budget, min_accuracy)
    limits = asked
    kept: tuple[Solution, Assurance] | None = None
    failed: Limits | None = None  # the tightest limits with a plan that is not good enough
    closed: tuple[Solution, Limits] | None = None  # the loosest without a plan
    for n_solves in range(1, MOST_SOLVES + 1):
        solution = solve(limits.budget, limits.min_accuracy)
        if solution.assignment is None:
            closed = solution, limits
            if failed is None or solution.status is not Status.INFEASIBLE:
                break
            limits = limits.between(failed)
            continue
        expectation = expect(solution)
        over = 0.0 if budget is None else expectation.most_spend(confidence) - budget
        under = 0.0 if min_accuracy is None else min_accuracy - expectation.least_accuracy(confidence)
        if over <= 0 and under <= 0:
            kept = solution, Assurance(confidence, asked, limits, expectation, n_solves, kept=True)
            close = (budget is None or -over <= NEAR_BUDGET * budget) and (min_accuracy is None or -under <= NEAR_FLOOR)
            if close or failed is None:
                break
        else:
            failed = limits
        if solution.status in (Status.TIME_LIMIT, Status.STOPPED):
            if kept is None:
                return solution, Assurance(confidence, asked, limits, expectation, n_solves, kept=False, ended=True)
            break
        if kept is not None:
            if kept[1].solved.near(failed):
                break
            limits = kept[1].solved.between(failed)
        elif closed is not None:
            limits = closed[1].between(failed)
        else:
            limits = _tightened(limits, asked, over, under, hurry=max(1.0, n_solves / 2))
    if kept is not None:
        return kept[0], replace(kept[1], n_solves=n_solves)
    if closed is None:
        raise RouterError(
            f"no limit on predicted numbers was found that keeps the realised ones with confidence {confidence:g}; "
            "the predictions leave no room for it"
        )
    ended = closed[0].status is not Status.INFEASIBLE
    return closed[0], Assurance(confidence, asked, closed[1], None, n_solves, kept=False, ended=ended)


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
