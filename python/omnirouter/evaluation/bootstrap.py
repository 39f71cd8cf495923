"""Bootstrap over queries, for all figures at once: the same resamples everywhere, so that differences are paired."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["MOST_UNDEFINED", "NOT_DEFINED", "Estimate", "Resamples", "estimate"]

BLOCK = 1 << 23  # weights that are floats at one time
LEVEL = 0.95
MOST_UNDEFINED = 0.01  # of the resamples; each end of an interval has 2.5 % of them beyond it


@dataclass(frozen=True, slots=True)
class Estimate:
    """A figure and its 95 % interval; NaN where it is not defined, infinity where it is not reached.

    ``undefined`` is the share of the resamples in which the figure has no value. The interval leaves them out up to
    1 %; above it there is none, as the rest would be a choice of resamples.
    """

    value: float
    low: float
    high: float
    undefined: float = 0.0


NOT_DEFINED = Estimate(float("nan"), float("nan"), float("nan"))


class Resamples:
    """Row 0 is the test split itself, rows 1 to `resamples` are draws of n queries with replacement.

    Parameters
    ----------
    n : int
        Queries.
    resamples : int
        Draws, at least 1.
    seed : int
        Same seed, same draws.

    Examples
    --------
    >>> import numpy as np
    >>> draws = Resamples(4, 1000, seed=0)
    >>> draws.means(np.array([[1.0], [2.0], [3.0], [4.0]]))[0]
    array([2.5])
    """

    def __init__(self, n: int, resamples: int, seed: int) -> None:
        if resamples < 1:
            raise ValueError(f"resamples is {resamples}, expected at least 1")
        rng = np.random.default_rng(seed)
        # How often each query is drawn: 255 times is out of reach.
        self.counts = np.ones((resamples + 1, n), dtype=np.uint8)
        for row in self.counts[1:]:
            row[:] = np.bincount(rng.integers(0, n, n), minlength=n)

    def __len__(self) -> int:
        return len(self.counts)

    def means(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Means over the queries of each resample.

        Parameters
        ----------
        values : (n, k) float64
            k quantities of each query.

        Returns
        -------
        (resamples + 1, k) float64
        """
        n = self.counts.shape[1]
        out = np.empty((len(self), values.shape[1]))
        step = max(1, BLOCK // n)
        for start in range(0, len(self), step):
            rows = slice(start, start + step)
            out[rows] = self.counts[rows].astype(np.float64) @ values / n
        return out


def estimate(sampled: NDArray[np.float64], *, distance: bool = False) -> Estimate:
    """Value and percentile interval of a figure that was computed in every resample.

    Parameters
    ----------
    sampled : (resamples + 1,) float64
        As from `Resamples`: the test split first. Infinities are kept in order; for NaN see `Estimate`.
    distance : bool
        Whether the figure is made of absolute values of means, such as a calibration error. Noise makes these larger, and a
        resample has the noise of the split and its own: all its percentiles can lie above the value. So they are moved
        down by as much as the mean of the resamples exceeds the value, and cut off at 0.

    Examples
    --------
    >>> import numpy as np
    >>> sampled = np.array([0.01, 0.01, 0.02, 0.03, 0.04])
    >>> estimate(sampled).low, estimate(sampled, distance=True).low
    (0.01, 0.0)
    """
    value, lacks = float(sampled[0]), np.isnan(sampled[1:])
    draws, undefined = sampled[1:][~lacks], float(lacks.mean())
    if np.isnan(value) or undefined > MOST_UNDEFINED:
        return Estimate(value, float("nan"), float("nan"), undefined)
    tail = (1 - LEVEL) / 2
    low = float(np.quantile(draws, tail, method="lower"))
    high = float(np.quantile(draws, 1 - tail, method="higher"))
    if distance:
        excess = float(draws.mean()) - value
        low, high = max(low - excess, 0.0), max(high - excess, 0.0)
    return Estimate(value, low, high, undefined)
