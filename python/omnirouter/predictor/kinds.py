"""The kinds of predictors, by the names that users and saved routers call them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from omnirouter.errors import PredictorError
from omnirouter.pool import Pool
from omnirouter.predictor.hybrid import HybridPredictor
from omnirouter.predictor.knn import KnnPredictor
from omnirouter.predictor.learned import LearnedPredictor
from omnirouter.predictor.network import NetworkPredictor

__all__ = ["DEFAULT_KIND", "KINDS", "load_predictor", "new_predictor"]

KINDS: dict[str, type[LearnedPredictor]] = {cls.kind: cls for cls in (HybridPredictor, KnnPredictor, NetworkPredictor)}
DEFAULT_KIND = HybridPredictor.kind


def new_predictor(kind: str, encoder: Any = None) -> LearnedPredictor:
    """A predictor with the default parameters of its kind, not yet fitted.

    Raises
    ------
    ValueError
        For a name that is none of `KINDS`.

    Examples
    --------
    >>> new_predictor("knn").k
    64
    """
    if kind not in KINDS:
        raise ValueError(f"predictor is {kind!r}, expected one of {', '.join(KINDS)}")
    return KINDS[kind](encoder)


def load_predictor(folder: str | Path, saved: dict[str, Any], pool: Pool | None, *, threads: int = 0) -> LearnedPredictor:
    """Open what the `save` of a predictor of any kind wrote; see `LearnedPredictor.load`."""
    try:
        cls = KINDS[saved["kind"]]
    except (KeyError, TypeError) as error:
        raise PredictorError(f"predictor in {folder} has no known kind; known are {', '.join(KINDS)}") from error
    return cls.load(folder, saved, pool, threads=threads)
