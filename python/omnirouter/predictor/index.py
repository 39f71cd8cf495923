"""An index of the vectors of a large history, which proposes the nearest rows without looking at all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import PredictorError
from omnirouter.extras import require

__all__ = ["Index"]

SAMPLE = 64  # rows per list that its centre is learned from
PROBES = 32  # lists that are looked at for a query
BATCH = 8192  # queries searched at once, on all cores


class Index:
    """Inverted lists of faiss: rows by their nearest of ``2 sqrt(h)`` centres, their numbers as one byte each.

    Which lists a query looks at, and what it finds there, depends on that query alone. Rows are not added to an index:
    `Neighbours` searches later ones in full.

    Attributes
    ----------
    centres : (c, d) float32
        Centres of the lists.
    """

    def __init__(self, lists: Any, content: NDArray[np.uint8] | None = None) -> None:
        self._lists = lists
        self._lists.nprobe = min(PROBES, lists.nlist)
        self._content = content  # faiss reads it and does not keep it alive
        self.centres: NDArray[np.float32] = lists.quantizer.reconstruct_n(0, lists.nlist)

    @classmethod
    def build(cls, vectors: NDArray[np.float32]) -> Index:
        """Build the index of all rows of (h, d) unit vectors; the same bits for any number of threads.

        Raises
        ------
        MissingExtraError
            When faiss is not installed.
        """
        faiss = require("faiss", extra="predict")
        h, d = vectors.shape
        centres = faiss.IndexFlatIP(d)
        lists = faiss.IndexIVFScalarQuantizer(
            centres, d, int(2 * h**0.5), faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        lists.cp.min_points_per_centroid, lists.cp.max_points_per_centroid = 1, SAMPLE
        lists.train(vectors)
        lists.add(vectors)
        return cls(lists)

    def __len__(self) -> int:
        return int(self._lists.ntotal)

    def candidates(
        self, queries: NDArray[np.float32], count: int, near: NDArray[np.int64], similarity: NDArray[np.float32]
    ) -> NDArray[np.int64]:
        """Rows that are among the nearest of each query, (n, min(count, h)), in no order that matters.

        Parameters
        ----------
        queries : (n, d) float32
            Unit vectors.
        count : int
            How many rows.
        near, similarity : (n, min(PROBES, c))
            The lists to look at and how similar their centres are to the query.

        Returns
        -------
        (n, min(count, h)) int64
            Where the lists hold fewer rows, the last entries are -1.
        """
        count = min(count, len(self))
        rows = np.empty((len(queries), count), dtype=np.int64)
        for start in range(0, len(queries), BATCH):
            part = slice(start, start + BATCH)
            rows[part] = self._lists.search_preassigned(queries[part], count, near[part], similarity[part])[1]
        return rows

    def serialised(self) -> NDArray[np.uint8]:
        """The index as bytes, for `restore`."""
        content: NDArray[np.uint8] = require("faiss", extra="predict").serialize_index(self._lists)
        return content

    @classmethod
    def restore(cls, content: NDArray[np.uint8]) -> Index:
        """Open what `serialised` gave; a memory-mapped array is read where it is searched, not loaded.

        Raises
        ------
        PredictorError
            When faiss cannot read it.
        """
        faiss = require("faiss", extra="predict")
        try:
            reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(content), len(content))
            lists = faiss.read_index(reader, faiss.IO_FLAG_MMAP_IFC)
            if not isinstance(lists, faiss.IndexIVFScalarQuantizer):
                raise PredictorError(f"the index of the history is damaged: it is a {type(lists).__name__} of faiss")
        except RuntimeError as error:
            raise PredictorError(f"the index of the history is damaged: {error}") from error
        return cls(lists, content)
