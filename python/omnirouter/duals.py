"""Shadow prices of the limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Duals"]


@dataclass(frozen=True, slots=True, eq=False)
class Duals:
    """Shadow prices, all >= 0: what one unit more of a limit gains in the objective.

    Attributes
    ----------
    budget : float
        Per unit of money.
    min_accuracy : float
        Per unit of mean accuracy that the floor is lowered.
    caps : (m,) float64
        Per query more on a model.
    resources : mapping from name to float64 array
        Per unit of each limit of the further resources.
    """

    budget: float
    min_accuracy: float
    caps: NDArray[np.float64]
    resources: Mapping[str, NDArray[np.float64]]

    def of(self, name: str) -> NDArray[np.float64]:
        """Prices of the limits of a resource, by its name; one number for the budget and the floor."""
        own = {"budget": self.budget, "min_accuracy": self.min_accuracy, "caps": self.caps}.get(name)
        return np.atleast_1d(np.asarray(self.resources[name] if own is None else own, dtype=np.float64))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers and lists."""
        return {
            "budget": self.budget,
            "min_accuracy": self.min_accuracy,
            "caps": self.caps.tolist(),
            "resources": {name: prices.tolist() for name, prices in self.resources.items()},
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Duals:
        """The inverse of `to_dict`."""
        resources = {name: np.asarray(prices, dtype=np.float64) for name, prices in data["resources"].items()}
        caps = np.asarray(data["caps"], dtype=np.float64)
        return cls(float(data["budget"]), float(data["min_accuracy"]), caps, resources)
