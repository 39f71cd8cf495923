"""Exact nearest neighbours by cosine, and means over them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Neighbours", "shrunk_mean", "unit_rows", "weights_of"]

QUERY_BLOCK = 256
HISTORY_BLOCK = 65_536  # a block of similarities is then at most 64 MB
SPARE = 16  # candidates beyond k that are looked at again, see Neighbours.search
ROUNDING = 1e-5  # two float32 products of the same unit vectors differ by far less, whatever the block


class Neighbours:
    """The stored vectors of a history, searched in full for every query.

    Parameters
    ----------
    vectors : (h, d) float32
        Unit vectors in C order; may be read-only or memory-mapped, is never written.

    Examples
    --------
    >>> import numpy as np
    >>> near = Neighbours(np.eye(3, dtype=np.float32))
    >>> near.search(np.array([[0.0, 0.6, 0.8]], dtype=np.float32), 2)[0]
    array([[2, 1]])
    """

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        if vectors.ndim != 2 or vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
            raise ValueError(f"vectors is {vectors.dtype} of shape {vectors.shape}, expected float32 (h, d) in C order")
        self.vectors = vectors

    def __len__(self) -> int:
        return len(self.vectors)

    def search(self, queries: NDArray[np.float32], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Find the k most similar history rows of each query.

        Parameters
        ----------
        queries : (n, d) float32
            Unit vectors.
        k : int
            At least 1; all rows are returned where the history is shorter.

        Returns
        -------
        indices : (n, min(k, h)) int64
            Most similar first; equally similar rows in the order of the history.
        similarity : (n, min(k, h)) float32
            Cosines.

        Notes
        -----
        A row of the answer depends on its query alone, to the last bit: the fast product over a block only
        proposes candidates, whose cosines are then summed again one by one, because the sums of a matrix
        product depend on the shape of the block.
        """
        k = min(k, len(self))
        indices = np.empty((len(queries), k), dtype=np.int64)
        similarity = np.empty((len(queries), k), dtype=np.float32)
        for start in range(0, len(queries), QUERY_BLOCK):
            rows = slice(start, start + QUERY_BLOCK)
            block = np.ascontiguousarray(queries[rows])
            best_index = np.empty((len(block), 0), dtype=np.int64)
            best = np.empty((len(block), 0), dtype=np.float32)
            for first in range(0, len(self), HISTORY_BLOCK):
                candidates = self._candidates(block, first, k)
                best_index = np.concatenate([best_index, candidates], axis=1)
                best = np.concatenate([best, self._cosines(block, candidates)], axis=1)
                order = np.lexsort((best_index, -best), axis=1)[:, :k]
                best_index = np.take_along_axis(best_index, order, axis=1)
                best = np.take_along_axis(best, order, axis=1)
            indices[rows], similarity[rows] = best_index, best
        return indices, similarity

    def _candidates(self, block: NDArray[np.float32], first: int, k: int) -> NDArray[np.int64]:
        """Rows of one history block among which the k nearest of that block are, for each query."""
        history = self.vectors[first : first + HISTORY_BLOCK]
        near = block @ history.T
        width = min(k + SPARE, near.shape[1])
        if width == near.shape[1]:
            return np.broadcast_to(np.arange(first, first + width), near.shape)
        chosen = np.argpartition(near, -width, axis=1)[:, -width:]
        kth = np.partition(np.take_along_axis(near, chosen, axis=1), width - k, axis=1)[:, width - k]
        # More rows may tie with the k-th than there is room for; those queries are settled one by one.
        floor = kth - ROUNDING
        for row in np.flatnonzero((near >= floor[:, None]).sum(axis=1) > width):
            tied = np.flatnonzero(near[row] >= floor[row])
            exact = self._cosines(block[row : row + 1], first + tied[None])[0]
            chosen[row] = tied[np.lexsort((tied, -exact))[:width]]
        result: NDArray[np.int64] = chosen + first
        return result

    def _cosines(self, block: NDArray[np.float32], candidates: NDArray[np.int64]) -> NDArray[np.float32]:
        sums: NDArray[np.float32] = (block[:, None, :] * self.vectors[candidates]).sum(axis=2)
        return sums


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the rows scaled to length 1; a row of zeros stays as it is."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: NDArray[np.float32] = np.ascontiguousarray(vectors / np.where(length > 0, length, 1), dtype=np.float32)
    return unit


def weights_of(similarity: NDArray[np.float32], sharpness: float) -> NDArray[np.float64]:
    """Weight of each neighbour, ``exp(sharpness * (similarity - similarity of the nearest))``.

    The nearest has weight 1; sharpness 0 weighs all alike.
    """
    gap = similarity.astype(np.float64) - similarity[:, :1]
    weights: NDArray[np.float64] = np.exp(sharpness * gap)
    return weights


def shrunk_mean(
    values: NDArray[np.floating],
    indices: NDArray[np.int64],
    weights: NDArray[np.float64],
    prior: NDArray[np.float64],
    shrinkage: float,
) -> NDArray[np.float64]:
    """Mean of the neighbours' observed values, shrunk toward a prior.

    For query i and model j, over the neighbours r whose value is observed (not NaN)::

        (sum_r w[i, r] * values[indices[i, r], j] + shrinkage * prior[j]) / (sum_r w[i, r] + shrinkage)

    Parameters
    ----------
    values : (h, m) float
        NaN where not observed.
    indices : (n, k) int64
        Neighbours of each query, rows of `values`.
    weights : (n, k) float64
        Their weights ``w``.
    prior : (m,) float64
        What a model without observed neighbours gets.
    shrinkage : float
        Weight of the prior, as many neighbours like the nearest one.

    Returns
    -------
    (n, m) float64

    Examples
    --------
    >>> import numpy as np
    >>> values = np.array([[1.0], [np.nan], [0.0]])
    >>> shrunk_mean(values, np.array([[0, 1, 2]]), np.ones((1, 3)), np.array([0.5]), 2.0)
    array([[0.5]])
    """
    result = np.empty((len(indices), values.shape[1]))
    for start in range(0, len(indices), QUERY_BLOCK):
        rows = slice(start, start + QUERY_BLOCK)
        near = values[indices[rows]].astype(np.float64)
        seen = ~np.isnan(near)
        weight = np.where(seen, weights[rows, :, None], 0.0)
        total = (weight * np.where(seen, near, 0.0)).sum(axis=1) + shrinkage * prior
        result[rows] = total / (weight.sum(axis=1) + shrinkage)
    return result
