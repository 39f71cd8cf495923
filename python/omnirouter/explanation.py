"""Why a query went where it went: what each model would bring, and what the limits charge for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnirouter.duals import Duals
from omnirouter.problem import Objective, Problem
from omnirouter.words import listed

__all__ = ["Explanation", "explanation_of"]

NONE = 1e-9  # regret, beside the priced values, that is rounding


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """Why a query went where it went.

    Attributes
    ----------
    query, chosen, runner_up : int
        Positions; the runner-up is the best other model at the prices, -1 where there is one model.
    objective : {"accuracy", "cost"}
        What the batch optimises.
    acc, cost, priced : (m,) float64
        `priced` is the objective less the prices of what the pair uses (for cost: plus), -inf or inf where forbidden.
    regret : (m,) float64
        How far `priced` is behind the best of the models, >= 0; infinity where forbidden.
    charges : mapping from resource name to (m,) float64
        What the limits of a resource charge each model for this query, in the unit of the objective: prices times usage. A
        minimum pays instead, a negative charge. Only resources that charge anything.
    """

    query: int
    chosen: int
    runner_up: int
    objective: Objective
    acc: NDArray[np.float64]
    cost: NDArray[np.float64]
    priced: NDArray[np.float64]
    regret: NDArray[np.float64]
    charges: Mapping[str, NDArray[np.float64]]

    def in_words(self, models: Sequence[str] | None = None) -> str:
        """The choice in a few sentences.

        Parameters
        ----------
        models : (m,) sequence of str, optional
            Names of the models; default: "model 0", "model 1", ...
        """
        names = [f"model {j}" for j in range(len(self.acc))] if models is None else models
        mine, own = self.chosen, self.acc if self.objective == "accuracy" else -self.cost
        sentences = [f"query {self.query} goes to {names[mine]}: accuracy {self.acc[mine]:.4g}, cost {self.cost[mine]:.4g}"]
        open_models = np.flatnonzero(np.isfinite(self.priced))
        alone = int(open_models[np.argmax(own[open_models])])
        if own[alone] > own[mine]:
            sentences.append(self._why_not(names, alone))
        elif len(open_models) > 1:
            sentences.append("no other model that it may use would be better on its own")
        else:
            sentences.append("it may use no other")
        if self.runner_up >= 0 and math.isfinite(self.priced[self.runner_up]):
            sentences.append(self._lead(names))
        return "; ".join(sentences)

    def _why_not(self, names: Sequence[str], other: int) -> str:
        """The model that is best on its own, and which limits make up for that."""
        mine = self.chosen
        if self.objective == "accuracy":
            better = f"{names[other]} is {self.acc[other] - self.acc[mine]:.4g} more accurate"
        else:
            better = f"{names[other]} is {self.cost[mine] - self.cost[other]:.4g} cheaper"
        reasons = []
        for name, charge in self.charges.items():
            more = float(charge[other] - charge[mine])
            # What charges nobody is a minimum, which pays.
            pays = charge.max() <= 0
            if more > 0:
                reasons.append(f"{name} pays {more:.4g} more for this" if pays else f"{name} charges {more:.4g} more for it")
        return f"{better}, but {listed(reasons)}" if reasons else f"{better}, but the plan had no room for it"

    def _lead(self, names: Sequence[str]) -> str:
        mine, other = self.chosen, self.runner_up
        lead = float(self.regret[other] - self.regret[mine])
        size = float(np.abs(self.priced[[mine, other]]).max())
        if self.regret[mine] > NONE * size:
            words = f"at the prices {names[other]} would be better by {-lead:.4g}"
            return f"{words}: this query is one that the plan moved to land on its limits"
        if lead <= NONE * size:
            return f"{names[other]} would do as well at the prices"
        return f"at the prices it is ahead of {names[other]} by {lead:.4g}"

    def __str__(self) -> str:
        widths = [max(12, len(name)) for name in self.charges]
        head = "".join(f" {name:>{width}}" for name, width in zip(self.charges, widths, strict=True))
        lines = [self.in_words(), f"{'model':>6} {'acc':>9} {'cost':>12}{head} {'priced':>12} {'regret':>12}"]
        for j in range(len(self.acc)):
            charged = zip(self.charges.values(), widths, strict=True)
            cells = "".join(f" {charge[j]:>{width}.6g}" for charge, width in charged)
            mark = "  <- chosen" if j == self.chosen else ""
            row = f"{j:>6} {self.acc[j]:>9.4f} {self.cost[j]:>12.6g}{cells} {self.priced[j]:>12.6g} {self.regret[j]:>12.6g}"
            lines.append(row + mark)
        return "\n".join(lines)


def explanation_of(problem: Problem, duals: Duals, i: int, chosen: int) -> Explanation:
    """Explain the choice of one query at the prices of the limits."""
    sign = 1.0 if problem.objective == "cost" else -1.0
    acc, cost = problem.acc[i].astype(np.float64), problem.cost[i].astype(np.float64)
    charges = _charges(problem, duals, i)
    priced = sum((sign * charge for charge in charges.values()), (cost if sign > 0 else acc).copy())
    if problem.allowed is not None:
        priced[~problem.allowed[i]] = sign * math.inf
    regret = sign * priced - (sign * priced).min()
    others = [int(j) for j in np.argsort(sign * priced, kind="stable") if j != chosen]
    return Explanation(i, chosen, others[0] if others else -1, problem.objective, acc, cost, priced, regret, charges)


def _charges(problem: Problem, duals: Duals, i: int) -> dict[str, NDArray[np.float64]]:
    """What each resource charges for query `i`, per model; those that charge nothing are left out."""
    n, m = problem.acc.shape
    out = {}
    for resource in problem.resources:
        own = duals.of(resource.name) / (n if resource.name == "min_accuracy" else 1)
        if isinstance(resource.per, str):
            prices = own if resource.per == "model" else np.full(m, own[0])
        else:
            prices = np.full(m, own[resource.per[i]])
        usage = resource.usage
        if isinstance(usage, str):
            usage = problem.acc if usage == "acc" else problem.cost
        used = np.broadcast_to(np.asarray(usage), (n, m))[i].astype(np.float64)
        if prices.any():
            out[resource.name] = (1.0 if resource.sense == "<=" else -1.0) * prices * used
    return out
