"""The prices of a solved batch, as they apply to one more query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.duals import Duals
from omnirouter.problem import Objective
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
    """

    duals: Duals
    objective: Objective
    n_queries: int

    @classmethod
    def of(cls, solution: Solution) -> BatchPrices:
        """Prices of a solved batch."""
        return cls(solution.duals, solution.problem.objective, solution.problem.n_queries)

    @property
    def other_resources(self) -> tuple[str, ...]:
        """Resources other than money, accuracy and caps that have a price."""
        return tuple(name for name, prices in self.duals.resources.items() if prices.any())

    def values(self, acc: NDArray[np.floating], cost: NDArray[np.floating]) -> NDArray[np.float64]:
        """What each pair is worth at these prices; a query goes to the model of the highest value.

        ``a * acc - c * cost - duals.caps``; ``a = duals.min_accuracy / n_queries`` and ``c = duals.budget``, plus
        1 in the one that is the objective.

        Parameters
        ----------
        acc : (..., m) float
            Expected accuracy.
        cost : (..., m) float
            Expected money.
        """
        a = self.duals.min_accuracy / self.n_queries + (self.objective == "accuracy")
        c = self.duals.budget + (self.objective == "cost")
        worth: NDArray[np.float64] = a * acc.astype(np.float64) - c * cost.astype(np.float64) - self.duals.caps
        return worth

    def best_model(self, acc: NDArray[np.float32], cost: NDArray[np.float32]) -> int:
        """Column of the model that one query goes to, the first of equals; acc and cost are (m,)."""
        return int(np.argmax(self.values(acc, cost)))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `from_dict`."""
        return {"objective": self.objective, "n_queries": self.n_queries, "duals": self.duals.to_dict()}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> BatchPrices:
        """Undo `to_dict`."""
        if data["objective"] not in ("accuracy", "cost"):
            raise ValueError(f"objective is {data['objective']!r}, expected 'accuracy' or 'cost'")
        return cls(Duals.from_dict(data["duals"]), data["objective"], int(data["n_queries"]))
