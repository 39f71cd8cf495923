"""From plans to figures: realised operating points in every resample, and what summarises them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnirouter.evaluation.bootstrap import NOT_DEFINED, Estimate, Resamples, estimate
from omnirouter.evaluation.curves import accuracy_at, cost_to_reach, mean_height, ratio, reference_hull
from omnirouter.evaluation.results import Difference, Method
from omnirouter.hull import upper_hull

__all__ = ["Curve", "Judge"]

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Curve:
    """Operating points of one method in R resamples, the test split itself first.

    Attributes
    ----------
    name : str
    cost, accuracy : (R, k) float64
        Realised money per query and mean accuracy.
    predicted_cost, predicted_accuracy : (k,) float64 or None
        What the method expected.
    """

    name: str
    cost: Array
    accuracy: Array
    predicted_cost: Array | None = None
    predicted_accuracy: Array | None = None

    def part(self, points: NDArray[np.int64]) -> Curve:
        """The same method at some of its points."""
        return Curve(self.name, self.cost[:, points], self.accuracy[:, points])


class Judge:
    """Knows the truth of the judged queries, in all resamples.

    Parameters
    ----------
    models : tuple of str
    acc, cost : (n, m) float64
        Realised, complete.
    draws : Resamples
    """

    def __init__(self, models: tuple[str, ...], acc: Array, cost: Array, draws: Resamples) -> None:
        self.models, self.acc, self.cost, self.draws = models, acc, cost, draws
        self.singles = Curve("single models", draws.means(cost), draws.means(acc))
        accuracy, price = self.singles.accuracy[0], self.singles.cost[0]
        # Of equally accurate models the cheapest; of equally cheap ones the most accurate.
        self.best = int(np.lexsort((price, -accuracy))[0])
        self.cheapest = int(np.lexsort((-accuracy, price))[0])
        self.dearest = int(price.argmax())

    @property
    def best_cost(self) -> Array:
        """Money per query of the best single model, (R,)."""
        return self.singles.cost[:, self.best]

    @property
    def best_accuracy(self) -> Array:
        """Mean accuracy of the best single model, (R,)."""
        return self.singles.accuracy[:, self.best]

    def curve(self, name: str, plans: NDArray[np.int64], predicted: tuple[Array, Array] | None = None) -> Curve:
        """Look plans up.

        Parameters
        ----------
        name : str
            Of the method.
        plans : (k, n) int64
            Model of each query.
        predicted : (acc, cost), optional
            Predictions (n, m), for what was expected of the plans.
        """
        columns = np.ascontiguousarray(plans.T)
        looked_up = [np.take_along_axis(matrix, columns, axis=1) for matrix in (self.cost, self.acc)]
        cost, accuracy = (self.draws.means(values) for values in looked_up)
        if predicted is None:
            return Curve(name, cost, accuracy)
        expected = [np.take_along_axis(matrix, columns, axis=1).mean(axis=0) for matrix in predicted]
        return Curve(name, cost, accuracy, predicted_accuracy=expected[0], predicted_cost=expected[1])

    def zero_router(self) -> Curve:
        """Random mixes of single models: the upper hull of their points on the test split.

        Chosen with the truth of the test split before the eyes, so harder to beat than a mix that is chosen on the train
        split.
        """
        hull = upper_hull(self.singles.cost[0], self.singles.accuracy[0])
        part = self.singles.part(hull)
        return Curve("zero router", part.cost, part.accuracy)

    def random(self) -> Curve:
        """A model drawn at random for each query: its expected value, not a draw."""
        values = np.column_stack([self.cost.mean(axis=1), self.acc.mean(axis=1)])
        sampled = self.draws.means(values)
        return Curve("random", sampled[:, :1], sampled[:, 1:])

    def at(self, curve: Curve, share: float) -> Array:
        """Accuracy at a share of the best single model's cost, (R,)."""
        return accuracy_at(curve.cost, curve.accuracy, share * self.best_cost)

    def difference(self, curve: Curve, against: Curve, share: float | None) -> Difference:
        """Paired difference at the same spend, or of the hull areas where `share` is None."""
        own, other = (self.hull_area(c) if share is None else self.at(c, share) for c in (curve, against))
        return Difference(curve.name, against.name, share, estimate(own - other))

    def hull_area(self, curve: Curve) -> Array:
        """Mean height of the upper hull between the cheapest and the dearest single model's cost, (R,).

        The cheapest single model is a point of every curve: whatever routes can also send everything there. The vertices
        are those on the test split; resamples move them and do not choose anew, which would flatter curves with many points.
        """
        cost = np.concatenate([curve.cost, self.singles.cost[:, [self.cheapest]]], axis=1)
        accuracy = np.concatenate([curve.accuracy, self.singles.accuracy[:, [self.cheapest]]], axis=1)
        hull = upper_hull(cost[0], accuracy[0])
        ends = self.singles.cost[:, self.cheapest], self.singles.cost[:, self.dearest]
        return mean_height(cost[:, hull], accuracy[:, hull], *ends)

    def methods(
        self, curves: Sequence[Curve], shares: Sequence[float], hindsight: Curve, errors: dict[str, Estimate]
    ) -> tuple[Method, ...]:
        """Summaries of curves that are compared with one another.

        AIQ, in code and paper, extends every curve flat to the largest hull cost among them.
        """
        hulls = {curve.name: curve.part(reference_hull(curve.cost[0], curve.accuracy[0])) for curve in curves}
        largest = np.max([hull.cost.max(axis=1) for hull in hulls.values()], axis=0)
        best_area = self.hull_area(hindsight)
        rows = []
        for curve in curves:
            hull, area = hulls[curve.name], self.hull_area(curve)
            first = hull.cost.min(axis=1)
            height = mean_height(hull.cost, hull.accuracy, first, largest)
            # A single point at the largest cost has no area under it.
            height = np.where(np.isnan(height), hull.accuracy.max(axis=1), height)
            rows.append(
                Method(
                    name=curve.name,
                    spend=tuple(curve.cost[0].tolist()),
                    accuracy=tuple(curve.accuracy[0].tolist()),
                    predicted_spend=_values(curve.predicted_cost),
                    predicted_accuracy=_values(curve.predicted_accuracy),
                    accuracy_at=tuple(estimate(self.at(curve, share)) for share in shares),
                    cost_to_match=estimate(
                        ratio(cost_to_reach(curve.cost, curve.accuracy, self.best_accuracy), self.best_cost)
                    ),
                    aiq_code=estimate(height * ratio(largest - first, largest)),
                    aiq_paper=estimate(height),
                    hull_area=estimate(area),
                    gap_to_hindsight=estimate(best_area - area),
                    target_error=errors.get(curve.name, NOT_DEFINED),
                )
            )
        return tuple(rows)


def _values(points: Array | None) -> tuple[float, ...]:
    return () if points is None else tuple(points.tolist())
