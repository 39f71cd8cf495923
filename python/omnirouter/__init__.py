"""Budget-constrained LLM routing with a proof.

Which model answers which query, so that the whole set is optimal: the most accuracy for a budget, or the least cost for a
quality floor, within every model's capacity (OmniRouter, arXiv:2502.20576).

    queries -> predictor -> acc, cost (n x m) -> solver -> assignment -> evaluation / gateway
"""

from __future__ import annotations

import importlib

from omnirouter._core import __version__

TYPE_CHECKING = False  # not from typing: its import takes longer than all else here, and a command line can end in it
if TYPE_CHECKING:
    from typing import Any

    from omnirouter.curve import Frontier, frontier
    from omnirouter.duals import Duals
    from omnirouter.errors import OmniRouterError, SolveError
    from omnirouter.evaluation import Report, evaluate
    from omnirouter.oracles import ChunkedOracle, ShardedOracle, solve_oracle
    from omnirouter.outcomes import Outcomes
    from omnirouter.pool import Model, Pool
    from omnirouter.predictor import Prediction, Predictor
    from omnirouter.predictor.export import export_encoder
    from omnirouter.predictor.finetune import finetune_encoder
    from omnirouter.problem import Audit, Problem
    from omnirouter.ranges import PriceRange, price_ranges
    from omnirouter.resources import Column, Resource
    from omnirouter.router import Router, Routing
    from omnirouter.solution import Certificate, Solution, Status
    from omnirouter.solver import solve
    from omnirouter.verification import Verification, verify

# Loaded at first use, so that `import omnirouter` stays light.
_HOMES = {
    "Audit": "problem",
    "Certificate": "solution",
    "ChunkedOracle": "oracles",
    "Column": "resources",
    "Duals": "duals",
    "Frontier": "curve",
    "Model": "pool",
    "OmniRouterError": "errors",
    "Outcomes": "outcomes",
    "Pool": "pool",
    "Prediction": "predictor",
    "Predictor": "predictor",
    "PriceRange": "ranges",
    "Problem": "problem",
    "Report": "evaluation",
    "Resource": "resources",
    "Router": "router",
    "Routing": "router",
    "ShardedOracle": "oracles",
    "Solution": "solution",
    "SolveError": "errors",
    "Status": "solution",
    "Verification": "verification",
    "evaluate": "evaluation",
    "export_encoder": "predictor.export",
    "finetune_encoder": "predictor.finetune",
    "frontier": "curve",
    "price_ranges": "ranges",
    "solve": "solver",
    "solve_oracle": "oracles",
    "verify": "verification",
}

__all__ = [
    "Audit",
    "Certificate",
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
    "PriceRange",
    "Problem",
    "Report",
    "Resource",
    "Router",
    "Routing",
    "ShardedOracle",
    "Solution",
    "SolveError",
    "Status",
    "Verification",
    "__version__",
    "evaluate",
    "export_encoder",
    "finetune_encoder",
    "frontier",
    "price_ranges",
    "solve",
    "solve_oracle",
    "verify",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'omnirouter' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"omnirouter.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
