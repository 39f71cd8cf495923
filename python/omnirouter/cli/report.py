"""What a person needs to see: the plan per model, the totals, the proof, and what would help most."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np

from omnirouter.curve import Frontier
from omnirouter.extras import require
from omnirouter.solution import Solution

__all__ = ["helps_most", "progress", "show_curve", "show_solution"]


@contextmanager
def progress(words: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal's standard error; nothing elsewhere."""
    console = require("rich.console", extra="predict").Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    with require("rich.progress", extra="predict").Progress(console=console, transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def show_solution(solution: Solution, models: Sequence[str], note: str = "") -> None:
    """Print the plan per model, totals, proof and the largest shadow prices, or why there is no plan."""
    if solution.assignment is None:
        print(solution.message)
        return
    problem, plan = solution.problem, solution.assignment
    queries = np.arange(len(plan))
    acc = problem.acc[queries, plan].astype(np.float64)
    cost = problem.cost[queries, plan].astype(np.float64)
    caps = next((resource.limit for resource in problem.resources if resource.name == "caps"), None)
    title = "plan" + (f" ({note})" if note else "")
    table = require("rich.table", extra="predict").Table(title=title)
    for name in ("model", "queries", "spend", "expected accuracy", "cap use", "price of a slot"):
        table.add_column(name, justify="left" if name == "model" else "right", overflow="fold")
    for j, model in enumerate(models):
        mine = plan == j
        cap = math.inf if caps is None else caps[j]
        use = f"{solution.load[j] / cap:.0%} of {cap:.0f}" if 0 < cap < math.inf else ("0" if cap == 0 else "-")
        mean = f"{acc[mine].mean():.3f}" if mine.any() else "-"
        price = f"{solution.duals.caps[j]:.4g}" if solution.duals.caps[j] > 0 else "-"
        table.add_row(model, f"{solution.load[j]}", f"{cost[mine].sum():.6g}", mean, use, price)
    table.add_section()
    table.add_row("all", f"{len(plan)}", f"{solution.spend:.6g}", f"{solution.accuracy:.3f}", "", "")
    console = require("rich.console", extra="predict").Console()
    console.print(table)
    unit = "cost" if problem.objective == "cost" else "correct answers"
    better = "less" if problem.objective == "cost" else "more"
    print(
        f"proof: {unit} {solution.objective:.6g}; no plan has {better} than {solution.bound:.6g} (gap {solution.gap:.1e}, "
        f"{solution.status.value}, {solution.info.total_time:.3f} s)"
    )
    for line in helps_most(solution, models):
        print(line)


def helps_most(solution: Solution, models: Sequence[str], most: int = 3) -> list[str]:
    """The largest shadow prices in words."""
    duals = solution.duals
    cheapest = solution.problem.objective == "cost"
    gain = "saves {:.4g}" if cheapest else "buys {:.4g} correct answers (expected)"
    lines = []
    if duals.budget > 0:
        lines.append("what would help: one more unit of money " + gain.format(duals.budget))
    if duals.min_accuracy > 0:
        lines.append("what would help: one point less of accuracy " + gain.format(duals.min_accuracy / 100))
    for j in np.argsort(-duals.caps, kind="stable")[:most]:
        if duals.caps[j] > 0:
            lines.append(f"what would help: one more query on {models[j]} " + gain.format(duals.caps[j]))
    return lines or ["no limit binds: more money or capacity would change nothing"]


def show_curve(curve: Frontier) -> None:
    """Print the curve as a table."""
    table = require("rich.table", extra="predict").Table(title="cost–accuracy curve")
    for name in ("budget", "spend", "accuracy", "bound", "correct answers per unit of money"):
        table.add_column(name, justify="right")
    for row in zip(curve.budgets, curve.spend, curve.accuracy, curve.bound, curve.price, strict=True):
        table.add_row(f"{row[0]:.6g}", f"{row[1]:.6g}", f"{row[2]:.4f}", f"{row[3]:.4f}", f"{row[4]:.4g}")
    require("rich.console", extra="predict").Console().print(table)
