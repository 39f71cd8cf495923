"""A model that joins a fitted predictor with few outcomes of its own.

It is predicted from what the predictor says of the models it knows, as one more of their kind: with ``shared_i`` the
mean over these models of how far their logits on a prompt are from usual, and ``own_ik`` what is left of model k's::

    logit acc_i = level + slope * shared_i + sum_k share_k * own_ik

The prior is that of a model like the others: its level spreads as theirs do, it feels the difficulty of a prompt as
they do (slope 1), and its own deviations are like those of any of them (shares of mean 0 and variance 1 / m, so that
resembling one model or several costs no more than resembling none). Its outcomes move it from there. Amounts follow
the same in logarithms.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnirouter.outcomes.means import column_means
from omnirouter.predictor.amounts import LEAST_AMOUNT, OFFSET, log_amounts
from omnirouter.predictor.chances import logits, sigmoid
from omnirouter.predictor.learned_parts import Expected, State

__all__ = ["Newcomer"]

SLOPE_VARIANCE = 0.25  # of the slope around 1
LEVEL_VARIANCE = 0.25  # of a new level, beyond how the known ones spread
STEPS = 25
FOLDS = 5
FREE = np.log(1e3 * LEAST_AMOUNT)  # mean logarithms below it are of models that cost nothing


@dataclass(frozen=True, eq=False)
class Link:
    """``level + slope * shared + own @ shares`` of numbers (n, m) of the known models.

    Attributes
    ----------
    centre : (m,) float64
        Usual number of each known model.
    weights : (m + 2,) float64
        Level, slope and shares.
    """

    centre: NDArray[np.float64]
    weights: NDArray[np.float64]

    def __call__(self, known: NDArray[np.float64]) -> NDArray[np.float64]:
        """The new model's number on each prompt, (n,)."""
        linked: NDArray[np.float64] = _design(known, self.centre) @ self.weights
        return linked


@dataclass(frozen=True, eq=False)
class Newcomer:
    """A model that was added.

    Attributes
    ----------
    name : str
    count : int
        Scores that were observed of it.
    acc, cost : Link
        From the known models' logits and logarithms.
    output_tokens : Link or None
    """

    name: str
    count: int
    acc: Link
    cost: Link
    output_tokens: Link | None

    @classmethod
    def fit(
        cls,
        name: str,
        known: Expected,
        scores: NDArray[np.floating],
        paid: NDArray[np.float64],
        written: NDArray[np.float64] | None,
    ) -> Newcomer:
        """Learn from outcomes of the new model.

        Parameters
        ----------
        name : str
            Its name.
        known : Expected
            Of the known models on the n prompts.
        scores, paid : (n,) float
            Its scores and costs, NaN where not observed.
        written : (n,) float64 or None
            Its output tokens.
        """
        tokens = None
        if written is not None and known.output_tokens is not None and not np.isnan(written).all():
            tokens = _amount_link(log_amounts(known.output_tokens), written)
        seen = int((~np.isnan(scores)).sum())
        return cls(name, seen, _acc_link(logits(known.acc), scores), _amount_link(log_amounts(known.cost), paid), tokens)

    def expect(self, known: Expected) -> Expected:
        """Predict from the predictions of the known models: columns (n, 1)."""
        tokens = None
        if known.output_tokens is not None:
            n = len(known.acc)
            link = self.output_tokens
            tokens = np.full(n, np.nan) if link is None else np.exp(link(log_amounts(known.output_tokens)))
        return Expected(
            acc=sigmoid(self.acc(logits(known.acc)))[:, None],
            cost=np.exp(self.cost(log_amounts(known.cost)))[:, None],
            output_tokens=None if tokens is None else tokens[:, None],
        )

    @classmethod
    def held_out(
        cls,
        known: Expected,
        scores: NDArray[np.floating],
        paid: NDArray[np.float64],
        written: NDArray[np.float64] | None,
        prompt_numbers: NDArray[np.int64],
    ) -> Expected:
        """Predictions (n, 1) of each outcome by a newcomer that has learned from the other folds' only.

        Rows of equal ``prompt_numbers`` (n,) share a fold. Where all are equal, nothing can be held out, and each is
        predicted with its own outcome known.
        """
        fold = np.unique(prompt_numbers, return_inverse=True)[1] % FOLDS
        parts = []
        for number in np.unique(fold):
            rest = fold != number if fold.any() else fold == number
            held = fold == number
            newcomer = cls.fit("", known.take(rest), scores[rest], paid[rest], None if written is None else written[rest])
            parts.append((np.flatnonzero(held), newcomer.expect(known.take(held))))
        order = np.argsort(np.concatenate([rows for rows, _ in parts]))
        return Expected.joined([part for _, part in parts]).take(order)

    def state(self) -> State:
        """What was learned, but for the name."""
        links = {"acc": self.acc, "cost": self.cost, "output_tokens": self.output_tokens}
        arrays = {
            f"{name}.{field}": getattr(link, field)
            for name, link in links.items()
            if link is not None
            for field in link.__dataclass_fields__
        }
        return State({"count": self.count}, arrays)

    @classmethod
    def from_state(cls, name: str, state: State) -> Newcomer:
        """Undo `state`."""
        tokens = state.of("output_tokens").arrays
        return cls(
            name,
            int(state.settings["count"]),
            Link(**state.of("acc").arrays),
            Link(**state.of("cost").arrays),
            Link(**tokens) if tokens else None,
        )


def _design(known: NDArray[np.float64], centre: NDArray[np.float64]) -> NDArray[np.float64]:
    """Columns of a link, (n, m + 2); a model of which nothing is known deviates by nothing."""
    deviation = known - centre
    missing = np.isnan(deviation)
    deviation = np.where(missing, 0.0, deviation)
    shared = deviation.sum(axis=1, keepdims=True) / np.maximum((~missing).sum(axis=1, keepdims=True), 1)
    return np.concatenate([np.ones_like(shared), shared, np.where(missing, 0.0, deviation - shared)], axis=1)


def _acc_link(known: NDArray[np.float64], scores: NDArray[np.floating]) -> Link:
    """Most probable link of the logits (Newton steps)."""
    centre = column_means(known)
    design = _design(known, centre)
    levels = centre[~np.isnan(centre)]
    prior = np.zeros(design.shape[1])
    prior[:2] = levels.mean(), 1.0
    precision = np.full(len(prior), float(len(centre)))
    precision[:2] = 1 / (levels.var() + LEVEL_VARIANCE), 1 / SLOPE_VARIANCE
    seen = ~np.isnan(scores)
    design, score = design[seen], scores[seen].astype(np.float64)
    weights = prior.copy()
    for _ in range(STEPS):
        p = sigmoid(design @ weights)
        # The curvature of a step is kept from vanishing, so that a far start cannot overshoot.
        curvature = (design.T * np.maximum(p * (1 - p), 0.05)) @ design + np.diag(precision)
        weights = weights + np.linalg.solve(curvature, design.T @ (score - p) - precision * (weights - prior))
    return Link(centre, weights)


def _amount_link(known: NDArray[np.float64], amounts: NDArray[np.float64]) -> Link:
    """Most probable link of the logarithms, with the level that makes the mean amount the observed one.

    Where no amount was observed, that of a model like the others; one that never cost anything is predicted to be free.
    """
    centre = column_means(known)
    design = _design(known, centre)
    seen = ~np.isnan(amounts)
    design, amounts = design[seen], amounts[seen]
    prior = np.zeros(design.shape[1])
    prior[1] = 1.0
    if not len(amounts):
        some = centre[centre > FREE]  # of models for free the logarithm says nothing
        prior[0] = some.mean() if len(some) else np.log(LEAST_AMOUNT)
        return Link(centre, prior)
    if not amounts.sum() > 0:
        return Link(centre, np.where(np.arange(len(prior)) == 0, np.log(LEAST_AMOUNT), 0.0))
    target = np.log(amounts + OFFSET * amounts.mean()) - design[:, 1]
    noise = max(float(target.var()), 1e-4)
    target = target - target.mean()
    precision = np.full(len(prior), float(len(centre)))
    precision[:2] = 0.0, 1 / SLOPE_VARIANCE
    square = design.T @ design / noise + np.diag(precision) + 1e-9 * np.eye(len(prior))
    weights = prior + np.linalg.solve(square, design.T @ target / noise)
    weights[0] = 0.0
    weights[0] = np.log(amounts.sum() / np.exp(design @ weights).sum())
    return Link(centre, weights)
