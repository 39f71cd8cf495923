"""What each command does: read, call, show, write. True where there is a plan."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.cli import report
from omnirouter.cli.files import check_target, write_table
from omnirouter.curve import frontier as solve_frontier
from omnirouter.outcomes import Outcomes, read_prompts
from omnirouter.outcomes.writing import replacing
from omnirouter.pool import Pool
from omnirouter.router import Router
from omnirouter.solver import solve as solve_matrices

__all__ = ["demo", "fit", "frontier", "route", "solve"]


def solve(arguments: argparse.Namespace) -> bool:
    """``omnirouter solve``."""
    check_target(arguments.out, (".npy", ".csv", ".json"))
    acc, cost = _matrix(arguments.acc), _matrix(arguments.cost)
    solution = solve_matrices(acc, cost, _caps(arguments.caps), **_limits(arguments))
    if solution.assignment is not None and arguments.out is not None:
        plan = solution.assignment
        with replacing(arguments.out) as path:
            if arguments.out.suffix == ".npy":
                with path.open("wb") as file:
                    np.save(file, plan)
            elif arguments.out.suffix == ".csv":
                write_table(path, ".csv", {"query": list(range(len(plan))), "model": plan.tolist()})
            else:
                path.write_text(json.dumps(solution.to_dict()) + "\n", encoding="utf-8")
    if arguments.json:
        print(json.dumps(solution.to_dict()))
    else:
        report.show_solution(solution, [f"model {j}" for j in range(acc.shape[1])])
    return solution.assignment is not None


def fit(arguments: argparse.Namespace) -> bool:
    """``omnirouter fit``."""
    outcomes = Outcomes.read(arguments.history)
    if arguments.split is not None:
        outcomes = outcomes.select(split=arguments.split)
    if arguments.pool is not None and arguments.prices is not None:
        raise ValueError("--pool and --prices are both given, expected one of them")
    pool = None
    if arguments.pool is not None:
        pool = Pool.read(arguments.pool)
    elif arguments.prices is not None:
        pool = Pool.from_prices(outcomes.models, arguments.prices)
    with report.progress("embedding", quiet=arguments.json) as progress:
        router = Router.fit(outcomes, pool, encoder=arguments.encoder, progress=progress)
    router.save(arguments.out)
    if arguments.json:
        summary = {"router": str(arguments.out), "queries": len(outcomes), "models": list(router.models)}
        print(json.dumps(summary))
    else:
        print(outcomes.describe())
        print(f"router for {len(router.models)} models written to {arguments.out}")
    return True


def route(arguments: argparse.Namespace) -> bool:
    """``omnirouter route``."""
    check_target(arguments.out, (".parquet", ".csv", ".jsonl"))
    caps = dict(_cap(text) for text in arguments.cap)
    prompts = read_prompts(arguments.prompts)
    router = Router.load(arguments.router, threads=arguments.threads)
    with report.progress("embedding", quiet=arguments.json) as progress:
        routing = router.route(prompts.prompts, caps=caps or None, progress=progress, **_limits(arguments))
    solution = routing.solution
    if solution.assignment is not None and arguments.out is not None:
        table = routing.to_table()
        if prompts.query_id is not None:
            table = {"query_id": list(prompts.query_id), **table}
        with replacing(arguments.out) as path:
            write_table(path, arguments.out.suffix, table)
    if arguments.json:
        print(json.dumps({"models": list(routing.models), **solution.to_dict()}))
    else:
        report.show_solution(solution, list(routing.models))
    return solution.assignment is not None


def frontier(arguments: argparse.Namespace) -> bool:
    """``omnirouter frontier``."""
    check_target(arguments.out, (".json", ".csv", ".png"))
    acc, cost = _matrix(arguments.acc), _matrix(arguments.cost)
    with report.progress("budgets", quiet=arguments.json) as progress:
        curve = solve_frontier(acc, cost, _caps(arguments.caps), points=arguments.points, progress=progress)
    if arguments.out is not None:
        with replacing(arguments.out) as path:
            if arguments.out.suffix == ".png":
                curve.plot(path)
            elif arguments.out.suffix == ".csv":
                write_table(path, ".csv", curve.to_dict())
            else:
                path.write_text(json.dumps(curve.to_dict()) + "\n", encoding="utf-8")
    if arguments.json:
        print(json.dumps(curve.to_dict()))
    else:
        report.show_curve(curve)
    return True


def demo(arguments: argparse.Namespace) -> bool:
    """``omnirouter demo``."""
    from omnirouter.demo import run  # the demo needs every extra

    result = run(arguments.out, n_queries=arguments.queries, seed=arguments.seed, quiet=arguments.json)
    if arguments.json:
        print(json.dumps(result.to_dict()))
    else:
        report.show_solution(result.routing.solution, list(result.routing.models), note="simulated")
        print(result.in_words())
    return result.routing.assignment is not None


def _limits(arguments: argparse.Namespace) -> dict[str, Any]:
    names = ("budget", "min_accuracy", "objective", "rel_gap", "time_limit", "threads")
    return {name: getattr(arguments, name) for name in names}


def _matrix(path: Path) -> NDArray[Any]:
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} is not a .npy file of numbers: {error}") from None
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} holds several arrays, expected one (.npy)")
    return array


def _caps(text: str | None) -> list[float | None] | None:
    if text is None:
        return None
    try:
        return [None if entry.strip().lower() == "none" else float(entry) for entry in text.split(",")]
    except ValueError:
        raise ValueError(f"--caps is {text!r}, expected numbers or 'none', separated by commas") from None


def _cap(text: str) -> tuple[str, float]:
    name, equals, number = text.rpartition("=")
    try:
        if not equals or not name:
            raise ValueError
        return name, float(number)
    except ValueError:
        raise ValueError(f"--cap is {text!r}, expected MODEL=N") from None
