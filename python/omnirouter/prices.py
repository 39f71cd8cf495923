"""The prices of a solved batch, as they apply to one more query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from omnirouter.solution import Duals

__all__ = ["RowPrices"]


@dataclass(frozen=True)
class RowPrices:
    """What the duals of a batch say about one query: it goes to the model of the highest priced value.

    ``value[j] = acc_weight * acc[j] - cost_weight * cost[j] - model_prices[j]``

    Attributes
    ----------
    acc_weight : float
        1 where accuracy is maximised, plus the dual of the accuracy floor per query.
    cost_weight : float
        1 where cost is minimised, plus the dual of the budget.
    model_prices : (m,) float64
        Duals of the caps.
    resources : tuple of str
        Further resources that had a price in that batch; what a new prompt uses of them is not known.
    """

    acc_weight: float
    cost_weight: float
    model_prices: NDArray[np.float64]
    resources: tuple[str, ...] = ()

    def best(self, acc: NDArray[np.float32], cost: NDArray[np.float32]) -> int:
        """Column of the highest priced value of one row, the first of equals."""
        value = self.acc_weight * acc.astype(np.float64) - self.cost_weight * cost.astype(np.float64)
        return int(np.argmax(value - self.model_prices))

    def to_dict(self) -> dict[str, Any]:
        """Plain data for `from_dict`."""
        return {
            "acc_weight": self.acc_weight,
            "cost_weight": self.cost_weight,
            "model_prices": self.model_prices.tolist(),
            "resources": list(self.resources),
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> RowPrices:
        """Undo `to_dict`."""
        return cls(
            float(data["acc_weight"]),
            float(data["cost_weight"]),
            np.array(data["model_prices"], dtype=np.float64),
            tuple(data["resources"]),
        )

    @classmethod
    def from_duals(cls, duals: Duals, least_cost: bool, n_queries: int) -> RowPrices:
        """Prices that the duals of a batch of `n_queries` mean; `least_cost` where cost was the objective."""
        return cls(
            # The floor is on the mean, so its dual is per query when divided by their number.
            acc_weight=(0.0 if least_cost else 1.0) + float(duals.min_accuracy) / n_queries,
            cost_weight=(1.0 if least_cost else 0.0) + float(duals.budget),
            model_prices=np.array(duals.caps, dtype=np.float64),
            resources=tuple(
                name for name, values in duals.resources.items() if np.any(np.asarray(values) != 0)
            ),
        )
