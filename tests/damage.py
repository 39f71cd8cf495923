"""Files with some bytes replaced, which readers must refuse by name or read."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def damaged(good: bytes, times: int, at_once: int, first: int) -> Iterator[bytes]:
    """Copies with `at_once` bytes from position `first` on replaced at random, the same in every run."""
    rng = np.random.default_rng(7)
    for _ in range(times):
        bad = bytearray(good)
        for at in rng.integers(first, len(bad), size=at_once):
            bad[at] = rng.integers(256)
        yield bytes(bad)
