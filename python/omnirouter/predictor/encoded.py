"""Prompts as numbers: what every predictor learns from and predicts by, made once per text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from omnirouter.predictor.base import Progress
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.neighbours import unit_rows

__all__ = ["SURFACE", "Encoded", "encode", "surface_features"]

SURFACE = ("log_bytes", "digits", "capitals", "symbols", "lines", "other_bytes")
BLOCK = 1024  # texts counted at once
CODE_SYMBOLS = b"{}[]()<>=;_+*/\\^$#|&%"


@dataclass(frozen=True, eq=False)
class Encoded:
    """Prompts after the encoder.

    Attributes
    ----------
    vectors : (n, d) float32
        Unit vectors.
    lengths : (n,) float64
        Tokens of each prompt by the encoder's own tokenizer, at least 1.
    surface : (n, 6) float32
        What the encoder does not see; see `surface_features`.
    """

    vectors: NDArray[np.float32]
    lengths: NDArray[np.float64]
    surface: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, rows: NDArray[np.int64]) -> Encoded:
        """The prompts of some rows."""
        return Encoded(np.ascontiguousarray(self.vectors[rows]), self.lengths[rows], self.surface[rows])


def encode(encoder: Encoder, texts: Sequence[str], *, progress: Progress | None = None) -> Encoded:
    """Encode texts; `progress` is called as ``progress(done, total)`` after each batch."""
    vectors, tokens = encoder.encode_counted(texts, progress=progress)
    return Encoded(unit_rows(vectors), np.maximum(tokens, 1.0), surface_features(texts))


def surface_features(texts: Sequence[str]) -> NDArray[np.float32]:
    """Counts of kinds of bytes in UTF-8, in the order of `SURFACE`.

    The first is ``log(1 + bytes)``, the others are shares of the bytes: digits, capitals, symbols of code and
    mathematics, ends of lines, and bytes beyond ASCII.

    Parameters
    ----------
    texts : sequence of str
        Any texts.

    Returns
    -------
    (n, 6) float32

    Examples
    --------
    >>> surface_features(["1 + 1 = 2"]).round(2).tolist()[0][:4]
    [2.299999952316284, 0.33000001311302185, 0.0, 0.2199999988079071]
    """
    features = np.empty((len(texts), len(SURFACE)), dtype=np.float32)
    for start in range(0, len(texts), BLOCK):
        features[start : start + BLOCK] = _surface(texts[start : start + BLOCK])
    return features


def _surface(texts: Sequence[str]) -> NDArray[np.float64]:
    """`surface_features` of a block of texts; it takes 20 bytes of memory per byte of text."""
    raw = [text.encode("utf-8", errors="replace") for text in texts]
    size = np.array([len(text) for text in raw], dtype=np.int64)
    kinds = np.frombuffer(b"".join(raw), dtype=np.uint8)
    kinds = _KIND_OF_BYTE[kinds]
    owner = np.repeat(np.arange(len(raw)), size)
    counts = np.bincount(owner * len(SURFACE) + kinds, minlength=len(raw) * len(SURFACE)).reshape(len(raw), -1)
    result = counts / np.maximum(size, 1)[:, None]
    result[:, 0] = np.log1p(size)
    return result


def _kinds() -> NDArray[np.uint8]:
    """Column of `SURFACE` that counts each byte; 0 for bytes that are only counted as length."""
    table = np.zeros(256, dtype=np.uint8)
    for column, members in ((1, b"0123456789"), (2, bytes(range(65, 91))), (3, CODE_SYMBOLS), (4, b"\n")):
        table[list(members)] = column
    table[128:] = 5
    return table


_KIND_OF_BYTE = _kinds()
