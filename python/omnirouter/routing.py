"""The plan of one batch: which model answers which prompt, and what is expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.confidence import Assurance
from omnirouter.predictor.base import Prediction
from omnirouter.record import Expectation
from omnirouter.solution import Solution

__all__ = ["Routing"]


@dataclass(frozen=True, eq=False)
class Routing:
    """A routed batch.

    Attributes
    ----------
    prompts : tuple of str
        The n prompts.
    prediction : Prediction
        Expected accuracy and cost of every model on every prompt.
    solution : Solution
        Status, proof, prices and totals; ``solution.assignment`` is the plan.
    expected : Expectation or None
        What the plan is expected to realise: spend and accuracy as predicted, and corrected by what earlier decisions
        realised. None without a plan, and where nothing is known of the predictor's errors.
    assurance : Assurance or None
        Where a confidence was asked for: the limits that were asked, and those that the plan was made to.
    """

    prompts: tuple[str, ...]
    prediction: Prediction
    solution: Solution
    expected: Expectation | None = None
    assurance: Assurance | None = None

    @property
    def n_queries(self) -> int:
        """Number of prompts n."""
        return len(self.prompts)

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the m models, in the order of the columns."""
        return self.prediction.models

    @property
    def assignment(self) -> NDArray[np.int32] | None:
        """Column of the chosen model for each prompt, (n,) int32, or None where there is no plan."""
        return self.solution.assignment

    @property
    def model_names(self) -> tuple[str, ...]:
        """Name of the chosen model for each prompt.

        Raises
        ------
        SolveError
            When there is no plan.
        """
        return tuple(self.models[j] for j in self._plan().tolist())

    @property
    def expected_acc(self) -> NDArray[np.float32]:
        """Predicted accuracy of the chosen models, (n,) float32; `SolveError` without a plan."""
        return self._chosen(self.prediction.acc)

    @property
    def expected_cost(self) -> NDArray[np.float32]:
        """Predicted cost of the chosen models, (n,) float32; `SolveError` without a plan."""
        return self._chosen(self.prediction.cost)

    def to_table(self) -> dict[str, list[Any]]:
        """Columns to write: ``query`` (from 0), ``prompt``, ``model``, ``expected_acc``, ``expected_cost``.

        Raises
        ------
        SolveError
            When there is no plan.
        """
        return {
            "query": list(range(self.n_queries)),
            "prompt": list(self.prompts),
            "model": list(self.model_names),
            "expected_acc": self.expected_acc.tolist(),
            "expected_cost": self.expected_cost.tolist(),
        }

    def _plan(self) -> NDArray[np.int32]:
        assignment = self.solution.raise_for_status().assignment
        assert assignment is not None
        return assignment

    def _chosen(self, matrix: NDArray[np.float32]) -> NDArray[np.float32]:
        chosen: NDArray[np.float32] = np.take_along_axis(matrix, self._plan()[:, None], axis=1)[:, 0]
        return chosen
