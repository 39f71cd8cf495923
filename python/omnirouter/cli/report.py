"""What a person needs to see: the plan per model, the totals, the proof, and what would help most."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from omnirouter.curve import Frontier
from omnirouter.evaluation import Report
from omnirouter.evaluation.document import summary
from omnirouter.evaluation.rendering import Heading, Items, Paragraph, Table
from omnirouter.extras import require
from omnirouter.problem import Problem
from omnirouter.ranges import PriceRange, price_ranges
from omnirouter.routing import Routing
from omnirouter.solution import Progress, Solution
from omnirouter.words import limit_in_words, why_infeasible

__all__ = [
    "check_shown",
    "embedding_then_solving",
    "helps_most",
    "progress",
    "show_curve",
    "show_evaluation",
    "show_outlook",
    "show_solution",
    "solving",
]


CONFIDENCE = 0.9  # of what is printed where none was asked for
NOISE = 1e-12  # worth, beside the objective, that is rounding
RANGED_PAIRS = 10_000_000  # beyond, the ranges of the prices would take seconds and are left out


def _terminal(quiet: bool) -> Any:
    """A console on standard error, or None where nobody watches; only the former needs rich."""
    if quiet or sys.stderr is None or not sys.stderr.isatty():
        return None
    return require("rich.console", extra="predict").Console(stderr=True)


def check_shown(*, quiet: bool) -> None:
    """Refuse before any work what could not be shown after it, as rich is not installed."""
    if not quiet:
        for module in ("rich.console", "rich.table", "rich.text"):
            require(module, extra="predict")


@contextmanager
def progress(words: str, *, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """A progress bar on a terminal's standard error; nothing elsewhere."""
    console = _terminal(quiet)
    if console is None:
        yield None
        return
    with require("rich.progress", extra="predict").Progress(console=console, transient=True) as bar:
        task = bar.add_task(words, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def solving(*, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """The proven gap so far on a terminal's standard error; nothing elsewhere."""
    console = _terminal(quiet)
    if console is None:
        yield None
        return
    with console.status("solving") as status:
        yield lambda state: status.update(_stands(state))


@contextmanager
def embedding_then_solving(
    *, quiet: bool
) -> Iterator[tuple[Callable[[int, int], None] | None, Callable[[Progress], None] | None]]:
    """One bar for the work of `Router.route`; a terminal shows one live display at a time."""
    console = _terminal(quiet)
    if console is None:
        yield None, None
        return
    with require("rich.progress", extra="predict").Progress(console=console, transient=True) as bar:
        task = bar.add_task("embedding", total=None)
        yield (
            lambda done, total: bar.update(task, completed=done, total=total),
            lambda state: bar.update(task, description=_stands(state), total=None),
        )


def _stands(state: Progress) -> str:
    gap = f", gap {state.gap:.1e}" if math.isfinite(state.gap) else ""
    return f"solving: {state.phase}{gap}"


def show_solution(solution: Solution, models: Sequence[str], note: str = "") -> None:
    """Print the plan per model, totals, proof and the largest shadow prices, or why there is no plan."""
    if solution.assignment is None:
        proof = solution.certificate
        print(solution.message if proof is None else why_infeasible(solution.problem, solution.conflicts, proof, models))
        return
    problem, plan = solution.problem, solution.assignment
    assert isinstance(problem, Problem), "the commands solve rows in memory"
    queries = np.arange(len(plan))
    acc = problem.acc[queries, plan].astype(np.float64)
    cost = problem.cost[queries, plan].astype(np.float64)
    caps = next((resource.limit for resource in problem.resources if resource.name == "caps"), None)
    note = f" ({note})" if note else ""
    table = require("rich.table", extra="predict").Table(title=f"plan{note}")
    text = require("rich.text", extra="predict").Text
    for name in ("model", "queries", "spend", "expected accuracy", "cap use", "price of a slot"):
        table.add_column(name, justify="left" if name == "model" else "right", overflow="fold")
    for j, model in enumerate(models):
        mine = plan == j
        cap = math.inf if caps is None else caps[j]
        use = f"{solution.load[j] / cap:.0%} of {cap:.0f}" if 0 < cap < math.inf else ("0" if cap == 0 else "-")
        mean = f"{acc[mine].mean():.3f}" if mine.any() else "-"
        price = f"{solution.duals.caps[j]:.4g}" if solution.duals.caps[j] > 0 else "-"
        # As Text: a model's name may hold what rich takes for markup.
        table.add_row(text(model), f"{solution.load[j]}", f"{cost[mine].sum():.6g}", mean, use, price)
    table.add_section()
    table.add_row("all", f"{len(plan)}", f"{solution.spend:.6g}", f"{solution.accuracy:.3f}", "", "")
    _print_table(table)
    unit = "expected cost" if problem.objective == "cost" else "expected correct answers"
    better = "less" if problem.objective == "cost" else "more"
    print(
        f"proof{note}: {unit} {solution.objective:.6g}; no plan has {better} than {solution.bound:.6g} "
        f"(gap {solution.gap:.1e}, {solution.status.value}, {solution.info.total_time:.3f} s)"
    )
    for line in helps_most(solution, models, price_ranges(solution) if problem.acc.size <= RANGED_PAIRS else ()):
        print(f"what would help, at the margin{note}: {line}")


def show_outlook(routing: Routing) -> None:
    """Print what the plan is expected to realise beside what is predicted, and how limits were tightened."""
    expected, assurance = routing.expected, routing.assurance
    if assurance is not None:
        print(assurance.in_words())
    if expected is None:
        return
    confidence = CONFIDENCE if assurance is None else assurance.confidence
    for words, total, least in (
        ("spend", expected.spend, f"at most {expected.most_spend(confidence):.6g}"),
        ("accuracy", expected.accuracy, f"at least {max(expected.least_accuracy(confidence), 0.0):.3f}"),
    ):
        print(
            f"to expect, {words}: {total.expected:.4g} (predicted {total.predicted:.4g}, corrected by what past decisions "
            f"of this kind realised); {least} with confidence {confidence:g}"
        )


def helps_most(solution: Solution, models: Sequence[str], ranges: Sequence[PriceRange] = (), most: int = 3) -> list[str]:
    """The largest shadow prices in words, with the ranges in which they hold where these are given."""
    duals = solution.duals
    holds = {(found.name if found.name in ("budget", "min_accuracy") else found.limit): found for found in ranges}
    cheapest = solution.problem.objective == "cost"
    gain = "saves {:.4g}" if cheapest else "buys {:.4g} expected correct answers"
    lines = []
    if duals.budget > 0:
        budget = next(float(resource.limit[0]) for resource in solution.problem.resources if resource.name == "budget")
        share = f"1% more budget ({budget / 100:.3g}) {gain.format(duals.budget * budget / 100)}, at a price of "
        lines.append(f"{share}{duals.budget:.4g} per unit of money{_range_in_words(holds.get('budget'))}")
    if duals.min_accuracy > 0:
        words = "one point less of accuracy " + gain.format(duals.min_accuracy / 100)
        lines.append(words + _range_in_words(holds.get("min_accuracy")))
    resources = list(enumerate(solution.problem.resources))
    at = next((r for r, resource in resources if resource.name == "caps"), -1)
    for j in np.argsort(-duals.caps, kind="stable")[:most].tolist():
        if duals.caps[j] > NOISE * abs(solution.objective):
            words = f"one more query on {models[j]} " + gain.format(duals.caps[j])
            lines.append(words + _range_in_words(holds.get((at, j))))
    others = [
        (price * abs(resource.limit[k]) / 100, r, k)
        for r, resource in resources
        if resource.name in duals.resources
        for k, price in enumerate(duals.resources[resource.name])
        if price * abs(resource.limit[k]) > NOISE * abs(solution.objective)
    ]
    for worth, r, k in sorted(others, reverse=True)[:most]:
        resource = solution.problem.resources[r]
        name = limit_in_words(resource, k, models)
        change = f"1% {'more' if resource.sense == '<=' else 'less'} {name} ({abs(resource.limit[k]) / 100:.3g})"
        lines.append(f"{change} {gain.format(worth)}{_range_in_words(holds.get((r, k)))}")
    return lines or ["nothing; no limit binds, more money or capacity would change nothing"]


def _range_in_words(found: PriceRange | None) -> str:
    if found is None or math.isnan(found.low) or math.isnan(found.high):
        return ""
    return f"; that price holds, within 10%, for limits from {found.low:.4g} to {found.high:.4g}"


def show_evaluation(found: Report) -> None:
    """Print the verdicts of a report, and what its figures rest on; all else is in its files."""
    for block in summary(found):
        if isinstance(block, Table):
            table = require("rich.table", extra="predict").Table()
            for k, name in enumerate(block.columns):
                table.add_column(name, justify="right" if k else "left", overflow="fold")
            for row in block.rows:
                table.add_row(*(require("rich.text", extra="predict").Text(cell) for cell in row))
            _print_table(table)
        elif isinstance(block, Items):
            print("\n".join(block.texts))
        elif isinstance(block, (Heading, Paragraph)):
            print(block.text)


def show_curve(curve: Frontier) -> None:
    """Print the curve as a table."""
    table = require("rich.table", extra="predict").Table(title="cost-accuracy curve")
    for name in ("budget", "spend", "accuracy", "bound", "correct answers per unit of money"):
        table.add_column(name, justify="right")
    for row in zip(curve.budgets, curve.spend, curve.accuracy, curve.bound, curve.price, strict=True):
        table.add_row(f"{row[0]:.6g}", f"{row[1]:.6g}", f"{row[2]:.4f}", f"{row[3]:.4f}", f"{row[4]:.4g}")
    _print_table(table)


def _print_table(table: Any) -> None:
    console = require("rich.console", extra="predict").Console()
    if not console.is_terminal:
        console.width = max(console.width, 120)  # a file has no width; 80 would break names
    with console.capture() as shown:  # rich would end the process where the reader of a pipe has left
        console.print(table)
    print(shown.get(), end="")
