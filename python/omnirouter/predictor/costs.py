"""Where the cost of each model comes from, and the input tokens it is charged for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import PoolError
from omnirouter.pool import Pool

__all__ = ["cost_source", "input_tokens"]


def cost_source(models: tuple[str, ...], pool: Pool | None, values: dict[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """Where each model's cost comes from; refuses a model whose cost nothing tells."""
    sources = []
    for j, name in enumerate(models):
        known = {key for key, matrix in values.items() if not np.isnan(matrix[:, j]).all()}
        if pool is not None and "output_tokens" in known:
            sources.append("prices")
        elif "cost" in known:
            sources.append("logged")
        else:
            lacks = "output tokens to go with its prices" if pool is not None else "prices (no pool was given)"
            raise PoolError(
                f"the cost of model {name!r} is unknown: the outcomes log no cost for it, and there are no {lacks}"
            )
    return tuple(sources)


def input_tokens(expected: NDArray[np.float64] | None, lengths: NDArray[np.float64], n_models: int) -> NDArray[np.float64]:
    """Input tokens (n, m): as observed of the model, else like the other models, else our own count."""
    if expected is None:
        return np.repeat(lengths[:, None], n_models, axis=1)
    known = ~np.isnan(expected[0])
    others = expected[:, known].mean(axis=1) if known.any() else lengths
    return np.where(known, expected, others[:, None])
