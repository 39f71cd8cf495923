"""Budget-constrained LLM routing with a proof.

Which model answers which query, so that the whole set is optimal: the most accuracy for a budget, or the least cost for a
quality floor, within every model's capacity (OmniRouter, arXiv:2502.20576).

    queries -> predictor -> acc, cost (n x m) -> solver -> assignment -> evaluation / gateway
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from omnirouter._core import __version__

if TYPE_CHECKING:
    from omnirouter.curve import Frontier, frontier
    from omnirouter.errors import OmniRouterError, SolveError
    from omnirouter.oracles import ChunkedOracle, ShardedOracle, solve_oracle
    from omnirouter.outcomes import Outcomes
    from omnirouter.pool import Model, Pool
    from omnirouter.predictor import Prediction, Predictor
    from omnirouter.problem import Audit, Problem
    from omnirouter.resources import Column, Resource
    from omnirouter.router import Router, Routing
    from omnirouter.solution import Duals, Solution, Status
    from omnirouter.solver import solve

# Loaded at first use, so that `import omnirouter` stays light.
_HOMES = {
    "Audit": "problem",
    "ChunkedOracle": "oracles",
    "Column": "resources",
    "Duals": "solution",
    "Frontier": "curve",
    "Model": "pool",
    "OmniRouterError": "errors",
    "Outcomes": "outcomes",
    "Pool": "pool",
    "Prediction": "predictor",
    "Predictor": "predictor",
    "Problem": "problem",
    "Resource": "resources",
    "Router": "router",
    "Routing": "router",
    "ShardedOracle": "oracles",
    "Solution": "solution",
    "SolveError": "errors",
    "Status": "solution",
    "frontier": "curve",
    "solve": "solver",
    "solve_oracle": "oracles",
}

__all__ = [
    "Audit",
    "ChunkedOracle",
    "Column",
    "Duals",
    "Frontier",
    "Model",
    "OmniRouterError",
    "Outcomes",
    "Pool",
    "Prediction",
    "Predictor",
    "Problem",
    "Resource",
    "Router",
    "Routing",
    "ShardedOracle",
    "Solution",
    "SolveError",
    "Status",
    "__version__",
    "frontier",
    "solve",
    "solve_oracle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'omnirouter' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"omnirouter.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
