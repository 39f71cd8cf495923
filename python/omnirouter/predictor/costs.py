"""Where the cost of each model comes from, and the input tokens it is charged for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import PoolError
from omnirouter.pool import Pool

__all__ = ["cost_source", "expected_cost", "input_tokens"]


def cost_source(models: tuple[str, ...], pool: Pool | None, values: dict[str, NDArray[np.float64]]) -> tuple[str, ...]:
    """Where each model's cost comes from; refuses a model whose cost or price of cached tokens nothing tells."""
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
    if pool is not None and (cached := values.get("cached_tokens")) is not None:
        pool.check_cached(np.nan_to_num(cached).any(axis=0) & (np.array(sources) == "prices"))
    return tuple(sources)


def expected_cost(
    amounts: Mapping[str, NDArray[np.float64]],
    lengths: NDArray[np.float64],
    pool: Pool | None,
    sources: tuple[str, ...],
) -> NDArray[np.float64]:
    """Money (n, m): tokens times prices, or the logged cost, by the source of each model; NaN where unknown.

    Parameters
    ----------
    amounts : mapping of str to (n, m) float64
        ``"input_tokens"``, ``"output_tokens"``, ``"cached_tokens"`` and ``"cost"``, as far as they are known. Where it is
        not known whether tokens were cached, they are charged in full.
    lengths : (n,) float64
        Tokens of each prompt by our own count.
    pool : Pool or None
        The prices, where there are any.
    sources : tuple of str
        What `cost_source` returned.
    """
    by_price = np.array([source == "prices" for source in sources])
    logged = amounts.get("cost")
    if pool is None or not by_price.any():
        assert logged is not None  # cost_source has refused models without any cost
        return logged
    read = input_tokens(amounts.get("input_tokens"), lengths, len(sources))
    cached = amounts.get("cached_tokens")
    if cached is not None:
        cached = np.where(by_price, np.minimum(np.nan_to_num(cached), read), 0.0)
    priced = pool.cost(read, amounts["output_tokens"], cached)
    return priced if logged is None else np.where(by_price, priced, logged)


def input_tokens(known: NDArray[np.float64] | None, lengths: NDArray[np.float64], n_models: int) -> NDArray[np.float64]:
    """Input tokens (n, m): as known of the model, else like the other models on that prompt, else our own count."""
    if known is None:
        return np.repeat(lengths[:, None], n_models, axis=1)
    seen = ~np.isnan(known)
    count = seen.sum(axis=1)
    others = np.where(count > 0, np.where(seen, known, 0.0).sum(axis=1) / np.maximum(count, 1), lengths)
    return np.where(seen, known, others[:, None])
