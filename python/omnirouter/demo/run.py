"""Fit, route, compare, draw."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from omnirouter import __version__
from omnirouter.checks import LARGEST_COUNT, whole
from omnirouter.cli.files import write_table
from omnirouter.cli.report import progress
from omnirouter.curve import frontier
from omnirouter.demo.simulate import simulate
from omnirouter.extras import require
from omnirouter.folder import check_replaceable, write_folder
from omnirouter.router import Router
from omnirouter.routing import Routing

__all__ = ["DEMO_FILE", "Result", "run"]

DEMO_FILE = "demo.json"
FILES = ("plan.csv", "curve.png", DEMO_FILE)
HISTORY = 2_000
BUDGET_SHARE = 0.15


@dataclass(frozen=True)
class Result:
    """What the demo did; every figure is simulated."""

    routing: Routing
    budget: float
    realised_accuracy: float
    realised_spend: float
    single: str
    single_accuracy: float
    single_spend: float
    files: tuple[Path, ...]

    def figures(self) -> dict[str, Any]:
        """The comparison in plain values."""
        names = ("budget", "realised_accuracy", "realised_spend", "single", "single_accuracy", "single_spend")
        return {"simulated": True, **{name: getattr(self, name) for name in names}}

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        files = [str(path) for path in self.files]
        return {**self.figures(), "files": files, "solution": self.routing.solution.to_dict()}

    def in_words(self) -> str:
        """The comparison, and the files."""
        return "\n".join(
            (
                f"realised (simulated): the plan scores {self.realised_accuracy:.3f} for {self.realised_spend:.4f}; the "
                f"best single model within the budget of {self.budget:.4f}, {self.single}, chosen in hindsight, scores "
                f"{self.single_accuracy:.3f} for {self.single_spend:.4f}",
                *(f"wrote {path}" for path in self.files),
            )
        )


def run(out: Path, *, n_queries: int = 1000, seed: int = 0, quiet: bool = False) -> Result:
    """Route a simulated batch under a budget and caps; writes plan.csv, curve.png and demo.json into the folder `out`.

    The folder appears whole or not at all; one of an earlier demo is replaced, see `write_folder`.
    The budget is a share of what the dearest model would cost; each of the two dearest models may take a fifth of the batch.
    """
    n_queries, seed = whole("queries", n_queries, 10, LARGEST_COUNT), whole("seed", seed)
    check_replaceable(out, DEMO_FILE)
    require("matplotlib.figure", extra="plot")  # before the work, not after it
    history, batch = simulate(HISTORY, seed), simulate(n_queries, seed + 1)
    assert batch.cost is not None
    with progress("embedding", quiet=quiet) as bar:
        router = Router.fit(history, progress=bar)
    prediction = router.predict(batch.prompts)
    budget = float(BUDGET_SHARE * prediction.cost[:, -1].sum(dtype=np.float64))
    caps = {name: float(n_queries // 5) for name in router.models[-2:]}
    routing = router.route(batch.prompts, budget=budget, caps=caps)
    plan = routing.solution.raise_for_status().assignment
    assert plan is not None
    queries = np.arange(n_queries)
    singles = [(batch.acc[:, j].mean(), batch.cost[:, j].sum(), name) for j, name in enumerate(router.models)]
    best = max(single for single in singles if single[1] <= budget)
    limits = [caps.get(name) for name in router.models]
    with progress("curve", quiet=quiet) as bar:
        curve = frontier(prediction.acc, prediction.cost, limits, progress=bar)
    singles_expected = []
    for j, name in enumerate(router.models):
        spend, accuracy = prediction.cost[:, j].sum(dtype=np.float64), prediction.acc[:, j].mean(dtype=np.float64)
        label = f"{name} (breaks its cap)" if name in caps else name
        singles_expected.append((label, float(spend), float(accuracy)))
    result = Result(
        routing=routing,
        budget=budget,
        realised_accuracy=float(batch.acc[queries, plan].mean()),
        realised_spend=float(batch.cost[queries, plan].sum()),
        single=best[2],
        single_accuracy=float(best[0]),
        single_spend=float(best[1]),
        files=tuple(out / name for name in FILES),
    )

    def write(fresh: Path) -> dict[str, Any]:
        write_table(fresh / "plan.csv", ".csv", routing.to_table())
        curve.plot(
            fresh / "curve.png",
            plan=(routing.solution.spend, routing.solution.accuracy),
            singles=singles_expected,
            title=f"Simulated data: {n_queries} queries, {len(router.models)} models",
        )
        return {"format": 1, "omnirouter": __version__, **result.figures()}

    write_folder(out, DEMO_FILE, write)
    return result
