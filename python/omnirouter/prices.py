"""The prices of a solved batch, as they apply to one more query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.duals import Duals
from omnirouter.problem import Objective
from omnirouter.resources import Resource
from omnirouter.solution import Solution

__all__ = ["BatchPrices"]


@dataclass(frozen=True, eq=False)
class BatchPrices:
    """Duals of a batch, with what is needed to read them per query.

    Attributes
    ----------
    duals : Duals
        Shadow prices of the limits of the batch.
    objective : {"accuracy", "cost"}
        What the batch optimised.
    n_queries : int
        Queries of the batch; the dual of the floor is on their mean accuracy.
    charges : (3, m) float64
        What resources other than money, accuracy and caps charge for a model: per unit of accuracy, of cost, and per query.
    unknown : tuple of str
        Those of them that have a price, but whose use by one more query is not known.
    """

    duals: Duals
    objective: Objective
    n_queries: int
    charges: NDArray[np.float64]
    unknown: tuple[str, ...] = ()

    @classmethod
    def of(cls, solution: Solution) -> BatchPrices:
        """Prices of a solved batch."""
        duals, problem = solution.duals, solution.problem
        charges, unknown = np.zeros((3, problem.n_models)), []
        for resource in problem.resources:
            prices = duals.resources.get(resource.name)
            if prices is None or not prices.any():
                continue
            row, usage = _use_of_one(resource, problem.n_queries)
            if usage is None:
                unknown.append(resource.name)
            else:
                charges[row] += (1 if resource.sense == "<=" else -1) * prices * usage
        return cls(duals, problem.objective, problem.n_queries, charges, tuple(unknown))

    def values(self, acc: NDArray[np.floating], cost: NDArray[np.floating]) -> NDArray[np.float64]:
        """What each pair is worth at these prices; a query goes to the model of the highest value.

        ``a * acc - c * cost - duals.caps``; ``a = duals.min_accuracy / n_queries`` and ``c = duals.budget``, plus
        1 in the one that is the objective; of all three the `charges` go off.

        Parameters
        ----------
        acc : (..., m) float
            Expected accuracy.
        cost : (..., m) float
            Expected money.
        """
        by_acc, by_cost, by_query = self.charges
        a = self.duals.min_accuracy / self.n_queries + (self.objective == "accuracy") - by_acc
        c = self.duals.budget + (self.objective == "cost") + by_cost
        worth: NDArray[np.float64] = a * acc.astype(np.float64) - c * cost.astype(np.float64) - self.duals.caps - by_query
        return worth

    def best_model(self, acc: NDArray[np.float32], cost: NDArray[np.float32]) -> int:
        """Column of the model that one query goes to, the first of equals; acc and cost are (m,)."""
        return int(np.argmax(self.values(acc, cost)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `from_dict`."""
        return {
            "objective": self.objective,
            "n_queries": self.n_queries,
            "duals": self.duals.to_dict(),
            "charges": self.charges.tolist(),
            "unknown": list(self.unknown),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BatchPrices:
        """Undo `to_dict`."""
        if data["objective"] not in ("accuracy", "cost"):
            raise ValueError(f"objective is {data['objective']!r}, expected 'accuracy' or 'cost'")
        duals = Duals.from_dict(data["duals"])
        if "charges" not in data:  # an earlier version, which knew no use of any of them
            unknown = tuple(name for name, prices in duals.resources.items() if prices.any())
            return cls(duals, data["objective"], int(data["n_queries"]), np.zeros((3, len(duals.caps))), unknown)
        charges = np.asarray(data["charges"], dtype=np.float64)
        if charges.shape != (3, len(duals.caps)):
            raise ValueError(f"charges has shape {charges.shape}, expected (3, {len(duals.caps)})")
        return cls(duals, data["objective"], int(data["n_queries"]), charges, tuple(data["unknown"]))


def _use_of_one(resource: Resource, n_queries: int) -> tuple[int, Any]:
    """The row of `BatchPrices.charges`, and what one more query on each model uses; None where it depends on the query."""
    if not isinstance(resource.per, str):  # which group it is of, is not known
        return 2, None
    if isinstance(resource.usage, str):
        return (0 if resource.usage == "acc" else 1), 1.0
    if isinstance(resource.usage, float):
        return 2, resource.usage
    return 2, resource.usage[0].astype(np.float64) if resource.usage.shape[0] == 1 < n_queries else None
