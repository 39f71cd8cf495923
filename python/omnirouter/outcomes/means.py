"""Means over tables with holes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["column_means"]


def column_means(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean of the observed entries of each column, NaN where there is none.

    Parameters
    ----------
    values : (h, m) float
        NaN where not observed.

    Returns
    -------
    (m,) float64

    Examples
    --------
    >>> column_means(np.array([[1.0, np.nan], [2.0, np.nan]]))
    array([1.5, nan])
    """
    seen = ~np.isnan(values)
    count, total = seen.sum(axis=0), np.where(seen, values, 0.0).sum(axis=0, dtype=np.float64)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)
