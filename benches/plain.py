"""Plain predictors, as anybody would write them first: what the package's own have to beat.

All know a prompt by the embedded static vector alone. `Neighbours`: mean over the 64 nearest past prompts, weighted alike,
and 4 times the model's mean. `Logistic`: for each model a logistic regression of the score (fractions allowed) and a ridge
regression of the logarithm of cost. `Mean`: the mean of both.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

from omnirouter import Prediction
from omnirouter.predictor import Encoder
from omnirouter.predictor.encoded import encode
from omnirouter.predictor.history import History

Array = NDArray[np.float64]

NEIGHBOURS, SHRINKAGE = 64, 4.0
RIDGE = 1 / 0.3  # of the logistic regressions: C = 0.3 in scikit-learn's terms, see docs/decisions.md
COST_RIDGE = 1.0
LEAST_COST = 1e-6  # what a free answer counts for in the logarithm


class Plain(ABC):
    """What the predictors of this file share: they are fitted on a history and predict by unit vectors."""

    def fit_history(self, history: History, encoder: Encoder) -> Plain:
        """Learn accuracy and money."""
        self.encoder, self.models = encoder, history.models
        self.learn(history.encoded.vectors.astype(np.float64), history.acc.astype(np.float64), history.paid)
        return self

    def predict(self, prompts: Sequence[str]) -> Prediction:
        """Predict accuracy and cost of every model on every prompt."""
        acc, cost = self.expect(encode(self.encoder, prompts).vectors.astype(np.float64))
        return Prediction(acc=acc.astype(np.float32), cost=cost.astype(np.float32), models=self.models)

    @abstractmethod
    def learn(self, vectors: Array, acc: Array, cost: Array) -> None:
        """Learn from unit vectors (h, d) with scores and money (h, m), NaN where not observed."""

    @abstractmethod
    def expect(self, vectors: Array) -> tuple[Array, Array]:
        """Scores and money (n, m) of unit vectors (n, d)."""


class Neighbours(Plain):
    """Mean of the nearest, shrunk toward the model's mean."""

    def learn(self, vectors: Array, acc: Array, cost: Array) -> None:
        self.vectors, self.acc, self.cost = vectors, acc, cost

    def expect(self, vectors: Array) -> tuple[Array, Array]:
        nearest = np.argsort(-(vectors @ self.vectors.T), axis=1, kind="stable")[:, :NEIGHBOURS]
        acc, cost = (
            (np.nansum(values[nearest], axis=1) + SHRINKAGE * np.nanmean(values, axis=0))
            / ((~np.isnan(values[nearest])).sum(axis=1) + SHRINKAGE)
            for values in (self.acc, self.cost)
        )
        return acc, cost


class Logistic(Plain):
    """A head for each model, learned alone."""

    def learn(self, vectors: Array, acc: Array, cost: Array) -> None:
        self.heads = [logistic(vectors, scores) for scores in acc.T]
        self.log_cost = [ridge(vectors, np.log(np.maximum(money, LEAST_COST))) for money in cost.T]

    def expect(self, vectors: Array) -> tuple[Array, Array]:
        design = with_ones(vectors)
        return 1 / (1 + np.exp(-(design @ np.array(self.heads).T))), np.exp(design @ np.array(self.log_cost).T)


class Mean(Plain):
    """The mean of both."""

    def learn(self, vectors: Array, acc: Array, cost: Array) -> None:
        self.parts = Neighbours(), Logistic()
        for part in self.parts:
            part.learn(vectors, acc, cost)

    def expect(self, vectors: Array) -> tuple[Array, Array]:
        (acc, cost), (other_acc, other_cost) = (part.expect(vectors) for part in self.parts)
        return (acc + other_acc) / 2, (cost + other_cost) / 2


PLAIN: dict[str, type[Plain]] = {"plain 64 neighbours": Neighbours, "plain logistic": Logistic, "mean of both": Mean}


def with_ones(vectors: Array) -> Array:
    """The vectors with a column for the intercept."""
    return np.column_stack([vectors, np.ones(len(vectors))])


def logistic(vectors: Array, scores: Array) -> Array:
    """Weights and intercept, which no ridge holds, of the most likely scores in [0, 1]; NaN is left out."""
    known = ~np.isnan(scores)
    design, target = with_ones(vectors[known]), scores[known]
    held = np.append(np.full(vectors.shape[1], RIDGE), 0.0)

    def loss(weights: Array) -> tuple[float, Array]:
        eta = design @ weights
        value = np.logaddexp(0.0, eta).sum() - target @ eta + held @ weights**2 / 2
        return float(value), design.T @ (1 / (1 + np.exp(-eta)) - target) + held * weights

    return minimize(loss, np.zeros(design.shape[1]), jac=True, method="L-BFGS-B").x


def ridge(vectors: Array, values: Array) -> Array:
    """Weights and intercept, which no ridge holds, of least squares; NaN is left out."""
    known = ~np.isnan(values)
    mean, level = vectors[known].mean(axis=0), values[known].mean()
    centred = vectors[known] - mean
    square = centred.T @ centred + COST_RIDGE * np.eye(len(mean))
    weights = np.linalg.solve(square, centred.T @ (values[known] - level))
    return np.append(weights, level - mean @ weights)
