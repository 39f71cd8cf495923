"""Nearest neighbours by cosine, and means over them."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import PredictorError
from omnirouter.predictor.index import PROBES, Index

__all__ = ["Neighbours", "shrunk_mean", "unit_rows", "weights_of"]

LARGE = 100_000  # rows of a history from which an index proposes candidates, see docs/decisions.md
QUERY_BLOCK = 256
HISTORY_BLOCK = 16_384  # a block of similarities is then at most 16 MB
CHUNKS = 64  # per block of similarities; see _floor
PAIRS = 512  # summed at once: their vectors and products stay in the cache
SPARE = 16  # candidates beyond k that an index is asked for
ROUNDING = 1e-5  # two float32 products of the same unit vectors differ by far less, whatever the block


class Neighbours:
    """The stored vectors of a history, all of which are searched for every query.

    From `LARGE` rows on, `fit` adds an `Index`, which proposes candidates among the rows it was built of; only rows
    after them are searched in full. An index misses few of the nearest.

    Parameters
    ----------
    vectors : (h, d) float32
        Unit vectors in C order; may be read-only or memory-mapped, is never written.
    index : Index, optional
        Of the first rows of `vectors`.

    Examples
    --------
    >>> import numpy as np
    >>> near = Neighbours(np.eye(3, dtype=np.float32))
    >>> near.search(np.array([[0.0, 0.6, 0.8]], dtype=np.float32), 2)[0]
    array([[2, 1]])
    """

    def __init__(self, vectors: NDArray[np.float32], index: Index | None = None) -> None:
        if vectors.ndim != 2 or vectors.dtype != np.float32 or not vectors.flags.c_contiguous:
            raise ValueError(f"vectors is {vectors.dtype} of shape {vectors.shape}, expected float32 (h, d) in C order")
        self.vectors = vectors
        self.index = index
        self._centres = None if index is None else Neighbours(index.centres)

    @classmethod
    def fit(cls, vectors: NDArray[np.float32], *, earlier: Neighbours | None = None) -> Neighbours:
        """Prepare the search among these vectors.

        Parameters
        ----------
        vectors : (h, d) float32
            As above.
        earlier : Neighbours, optional
            Of the first rows of `vectors`. Its index is kept while the rows after it are fewer than `LARGE`.

        Raises
        ------
        MissingExtraError
            When the history is large and faiss is not installed.
        """
        index = None if earlier is None else earlier.index
        if len(vectors) - (0 if index is None else len(index)) >= LARGE:
            index = Index.build(vectors)
        return cls(vectors, index)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """What `from_arrays` needs, by name; arrays may come back memory-mapped."""
        return {"vectors": self.vectors} | ({} if self.index is None else {"index": self.index.serialised()})

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Neighbours:
        """Undo `arrays`."""
        vectors, index = arrays["vectors"], Index.restore(arrays["index"]) if "index" in arrays else None
        if index is not None and len(index) > len(vectors):
            raise PredictorError(f"the index of the history has {len(index)} rows, its vectors {len(vectors)}")
        return cls(vectors, index)

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
        A row of the answer depends on its query alone, to the last bit: matrix products and indexes only propose
        candidates, whose cosines are then summed again one by one, because the sums of a matrix product depend on
        the shape of the block.
        """
        k = min(k, len(self))
        indices = np.empty((len(queries), k), dtype=np.int64)
        similarity = np.empty((len(queries), k), dtype=np.float32)
        queries = np.ascontiguousarray(queries)
        first = 0 if self.index is None else len(self.index)
        proposed = self._proposed(queries, k + SPARE)

        def fill(rows: slice) -> None:
            best = _Best(queries[rows], self.vectors, k)
            if proposed is not None:
                best.offer(np.repeat(np.arange(len(best.queries)), proposed.shape[1]), proposed[rows].ravel())
            for start in range(first, len(self), HISTORY_BLOCK):
                best.scan(start)
            indices[rows], similarity[rows] = best.indices, best.cosines

        in_blocks(len(queries), fill)
        return indices, similarity

    def _proposed(self, queries: NDArray[np.float32], count: int) -> NDArray[np.int64] | None:
        """Rows of the index among which the nearest are, for each query."""
        if self.index is None or self._centres is None:
            return None
        proposed = self.index.candidates(queries, count, *self._centres.search(queries, PROBES))
        lost = np.flatnonzero((proposed < 0).any(axis=1))
        if lost.size:  # their lists hold too few rows
            indexed = Neighbours(self.vectors[: len(self.index)])
            proposed[lost] = indexed.search(queries[lost], proposed.shape[1])[0]
        return proposed


class _Best:
    """The k most similar rows found so far, for a block of queries."""

    def __init__(self, queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> None:
        self.queries, self.vectors, self.k = queries, vectors, k
        self.indices = np.empty((len(queries), 0), dtype=np.int64)
        self.cosines = np.empty((len(queries), 0), dtype=np.float32)

    def scan(self, start: int) -> None:
        """Offer what can be among the k nearest of one block of the history."""
        block = self.vectors[start : start + HISTORY_BLOCK]
        near = self.queries @ block.T
        full = self.indices.shape[1] == self.k
        # Whoever is below the k-th of this block, or the k-th so far, is not among the k nearest.
        floor = self.cosines[:, -1] if full else np.full(len(near), -np.inf, dtype=np.float32)
        if near.shape[1] > self.k:
            floor = np.maximum(floor, _floor(near, self.k))
        found = np.flatnonzero(near >= (floor - ROUNDING)[:, None])
        rows, columns = np.divmod(found, near.shape[1])
        self.offer(rows, columns + start)

    def offer(self, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> None:
        """Take history rows `columns` for the queries `rows` if they are nearer; at least k in all per query."""
        cosines = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), PAIRS):
            part = slice(start, start + PAIRS)
            products = self.queries.take(rows[part], axis=0)
            products *= self.vectors.take(columns[part], axis=0)
            cosines[part] = products.sum(axis=1)
        n, had = self.indices.shape
        rows = np.concatenate([np.repeat(np.arange(n), had), rows])
        columns = np.concatenate([self.indices.ravel(), columns])
        cosines = np.concatenate([self.cosines.ravel(), cosines])
        order = np.lexsort((columns, -cosines, rows))
        starts = np.searchsorted(rows[order], np.arange(n))
        width = min(self.k, int(np.diff(np.append(starts, len(order))).min(initial=self.k)))
        chosen = order[starts[:, None] + np.arange(width)]
        self.indices, self.cosines = columns[chosen], cosines[chosen]


def _floor(near: NDArray[np.float32], k: int) -> NDArray[np.float32]:
    """For each row a number that at least k of its entries reach, and few more.

    The k-th largest of the maxima of disjoint chunks, which are k entries; a true k-th largest takes many times longer.
    """
    width = near.shape[1] // CHUNKS
    if width < k:
        return np.partition(near, -k, axis=1)[:, -k]
    maxima = near[:, : width * CHUNKS].reshape(len(near), CHUNKS, width).max(axis=1)
    return np.partition(maxima, -k, axis=1)[:, -k]


def in_blocks(n: int, work: Callable[[slice], None]) -> None:
    """Call ``work(rows)`` for blocks of `QUERY_BLOCK` of n rows, on all cores; each block writes its own rows."""
    blocks = [slice(start, min(start + QUERY_BLOCK, n)) for start in range(0, n, QUERY_BLOCK)]
    threads = min(len(blocks), os.cpu_count() or 1)
    if threads < 2:
        for rows in blocks:
            work(rows)
        return
    with ThreadPoolExecutor(threads) as pool:
        for _ in pool.map(work, blocks):
            pass


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

    def fill(rows: slice) -> None:
        near = values[indices[rows]].astype(np.float64)
        seen = ~np.isnan(near)
        weight = np.where(seen, weights[rows, :, None], 0.0)
        total = (weight * np.where(seen, near, 0.0)).sum(axis=1) + shrinkage * prior
        result[rows] = total / (weight.sum(axis=1) + shrinkage)

    in_blocks(len(indices), fill)
    return result
