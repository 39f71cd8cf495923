"""An encoder that reads each text once, however many predictors ask for it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from omnirouter.predictor import Encoder
from omnirouter.predictor.base import Progress

__all__ = ["RememberingEncoder"]


class RememberingEncoder(Encoder):
    """As another encoder, whose vectors it keeps.

    Parameters
    ----------
    encoder : Encoder
        Whose graph and tokenizer are used; it is not changed.
    """

    def __init__(self, encoder: Encoder) -> None:
        # The open graph is shared instead of opened anew, so `Encoder.__init__` does not run.
        self.__dict__.update(vars(encoder))
        self._kept: dict[str, tuple[NDArray[np.float32], float]] = {}

    def encode_counted(
        self, texts: Sequence[str], *, batch_size: int = 256, progress: Progress | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Vectors and token counts; see `Encoder.encode_counted`."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._kept]
        vectors, tokens = super().encode_counted(fresh, batch_size=batch_size, progress=progress)
        self._kept.update(zip(fresh, zip(vectors, tokens.tolist(), strict=True), strict=True))
        kept = [self._kept[text] for text in texts]
        if not kept:
            return vectors, tokens
        return np.stack([vector for vector, _ in kept]), np.array([count for _, count in kept])
