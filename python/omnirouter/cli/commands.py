"""What each command does: read, call, show, write. True where there is a plan."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from omnirouter.cli import report
from omnirouter.cli.files import check_kept, check_replaced, check_target, write_table
from omnirouter.curve import frontier as solve_frontier
from omnirouter.evaluation import evaluate as evaluate_routing
from omnirouter.evaluation.report import REPORT
from omnirouter.json_text import parse_json
from omnirouter.npy import read_array
from omnirouter.outcomes import Outcomes, read_prompts
from omnirouter.outcomes.writing import replacing
from omnirouter.pool import Pool
from omnirouter.predictor.export import EXPORT_FILE
from omnirouter.predictor.export import export_encoder as export
from omnirouter.predictor.finetune import finetune_encoder as finetune
from omnirouter.problem import Problem
from omnirouter.problem_files import describe_problem, problem_arrays, read_problem
from omnirouter.router import MANIFEST, Router, Routing
from omnirouter.solution import Solution
from omnirouter.solver import solve_problem
from omnirouter.verification import verify as verify_plan

__all__ = [
    "add_model",
    "demo",
    "evaluate",
    "export_encoder",
    "finetune_encoder",
    "fit",
    "frontier",
    "route",
    "solve",
    "verify",
]

LIMITS = ("budget", "min_accuracy", "objective")


def solve(arguments: argparse.Namespace) -> bool:
    """``omnirouter solve``."""
    check_target(arguments.out, (".npy", ".csv", ".json"))
    check_target(arguments.save_problem, (".json",), "--save-problem")
    report.check_shown(quiet=arguments.json)
    problem = _problem(arguments)
    settings = {name: getattr(arguments, name) for name in ("rel_gap", "time_limit", "threads")}
    with report.solving(quiet=arguments.json) as callback:
        solution = solve_problem(problem, callback=callback, **settings)
    if arguments.save_problem is not None:
        limits = {name: getattr(arguments, name) for name in LIMITS} | {"caps": _caps(arguments.caps)}
        with replacing(arguments.save_problem) as path:
            text = describe_problem(arguments.save_problem, arguments.acc, arguments.cost, limits)
            path.write_text(text, encoding="utf-8")
    if arguments.out is not None:
        _write_solution(arguments.out, solution)
    if arguments.json:
        print(json.dumps(solution.to_dict()))
    else:
        report.show_solution(solution, [f"model {j}" for j in range(problem.n_models)])
    return solution.assignment is not None


def _problem(arguments: argparse.Namespace) -> Problem:
    """From two matrices and flags, or from a problem file."""
    given = [name for name in (*LIMITS, "caps", "save_problem") if getattr(arguments, name) is not None]
    if arguments.cost is None and arguments.acc.suffix == ".npy":
        raise ValueError(f"cost is missing, expected a second .npy file after {arguments.acc}, or a problem file (.json)")
    if arguments.cost is None:
        if given:
            raise ValueError(f"--{given[0].replace('_', '-')} is given, but the limits are those of {arguments.acc}")
        check_kept(arguments.out, problem_arrays(arguments.acc))
        return read_problem(arguments.acc)
    limits = {name: getattr(arguments, name) for name in LIMITS}
    return Problem(read_array(arguments.acc), read_array(arguments.cost), _caps(arguments.caps), **limits)


def _write_solution(out: Path, solution: Solution) -> None:
    """A plan as a vector or table; as JSON also why there is none."""
    plan = solution.assignment
    if plan is None and out.suffix != ".json":
        return
    with replacing(out) as path:
        if out.suffix == ".json":
            path.write_text(json.dumps(solution.to_dict()) + "\n", encoding="utf-8")
        elif plan is not None and out.suffix == ".npy":
            with path.open("wb") as file:
                np.save(file, plan)
        elif plan is not None:
            write_table(path, ".csv", {"query": list(range(len(plan))), "model": plan.tolist()})


def verify(arguments: argparse.Namespace) -> bool:
    """``omnirouter verify``."""
    problem = read_problem(arguments.problem)
    try:
        plan = parse_json(arguments.plan.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{arguments.plan} is not a JSON plan: {error}") from None
    if not isinstance(plan, dict):
        raise ValueError(
            f"{arguments.plan} holds {type(plan).__name__}, expected what `omnirouter solve -o plan.json` writes"
        )
    found = verify_plan(problem, plan, effort=arguments.effort)
    print(json.dumps(found.to_dict()) if arguments.json else found)
    return found.ok


def fit(arguments: argparse.Namespace) -> bool:
    """``omnirouter fit``."""
    check_replaced(arguments.out, MANIFEST)
    _check_prices(arguments)
    outcomes = Outcomes.read(arguments.history)
    if arguments.split is not None:
        outcomes = outcomes.select(split=arguments.split)
    pool = _pool(arguments, outcomes.models)
    with report.progress("embedding", quiet=arguments.json) as progress:
        router = Router.fit(outcomes, pool, predictor=arguments.predictor, encoder=arguments.encoder, progress=progress)
    router.save(arguments.out)
    sources = zip(router.models, router.predictor.cost_source_, strict=True)
    unpriced = [] if pool is None else [name for name, source in sources if source == "logged"]
    if arguments.json:
        summary = {"router": str(arguments.out), "queries": len(outcomes), "models": list(router.models)}
        if router.reliability is not None:
            summary["calibration"] = router.reliability.report.to_dict()
        if unpriced:
            summary["unpriced"] = unpriced
        print(json.dumps(summary))
    else:
        print(outcomes.describe())
        if router.reliability is not None:
            print(router.reliability.report)
        if unpriced:
            names = ", ".join(unpriced)
            print(f"the pool's prices are not used for {names}: their output tokens are unknown, the logged cost counts")
        print(f"router for {len(router.models)} models written to {arguments.out}")
    return True


def add_model(arguments: argparse.Namespace) -> bool:
    """``omnirouter add-model``."""
    check_replaced(arguments.out, MANIFEST)
    _check_prices(arguments)
    router = Router.load(arguments.router)
    outcomes = Outcomes.read(arguments.outcomes)
    if arguments.split is not None:
        outcomes = outcomes.select(split=arguments.split)
    name = arguments.model if arguments.model is not None else _new_model(outcomes.models, router.models)
    if name not in outcomes.models:
        raise ValueError(f"--model is {name!r}, expected one of {arguments.outcomes}: {', '.join(outcomes.models)}")
    own = outcomes.take(outcomes.observed[:, outcomes.models.index(name)]).with_models([name])
    pool = _pool(arguments, (name,))
    with report.progress("embedding", quiet=arguments.json) as progress:
        router.add_model(own, None if pool is None else pool[name], progress=progress)
    router.save(arguments.out)
    if arguments.json:
        print(json.dumps({"router": str(arguments.out), "added": name, "queries": len(own), "models": list(router.models)}))
    else:
        print(own.describe())
        print(f"router for {len(router.models)} models, {name} the last, written to {arguments.out}")
    return True


def _new_model(models: Sequence[str], known: Sequence[str]) -> str:
    """The one model of a table that a router does not know."""
    new = [name for name in models if name not in known]
    if not new:
        raise ValueError(f"the router knows every model of the outcomes: {', '.join(models)}; fit it again to learn more")
    if len(new) > 1:
        raise ValueError(f"the outcomes have several models that the router does not know, {', '.join(new)}; give --model")
    return new[0]


def _check_prices(arguments: argparse.Namespace) -> None:
    if arguments.pool is not None and arguments.prices is not None:
        raise ValueError("--pool and --prices are both given, expected one of them")


def _pool(arguments: argparse.Namespace, names: Sequence[str]) -> Pool | None:
    """The pool of --pool, or of these models by --prices."""
    if arguments.pool is not None:
        return Pool.read(arguments.pool)
    return None if arguments.prices is None else Pool.from_prices(names, arguments.prices)


def route(arguments: argparse.Namespace) -> bool:
    """``omnirouter route``."""
    check_target(arguments.out, (".parquet", ".csv", ".jsonl"))
    report.check_shown(quiet=arguments.json)
    caps = _caps_by_name(arguments.cap)
    prompts = read_prompts(arguments.prompts)
    router = Router.load(arguments.router, threads=arguments.threads)
    with report.embedding_then_solving(quiet=arguments.json) as (progress, callback):
        limits = _limits(arguments)
        limits["confidence"] = arguments.confidence
        routing = router.route(prompts.prompts, caps=caps or None, progress=progress, callback=callback, **limits)
    solution = routing.solution
    if solution.assignment is not None and arguments.out is not None:
        table = routing.to_table()
        if prompts.query_id is not None:
            table = {"query_id": list(prompts.query_id), **table}
        with replacing(arguments.out) as path:
            write_table(path, arguments.out.suffix, table)
    if arguments.json:
        print(json.dumps({"models": list(routing.models), **solution.to_dict(), **_outlook(routing)}))
    else:
        report.show_solution(solution, list(routing.models))
        report.show_outlook(routing)
    sure = routing.assurance is None or routing.assurance.kept
    return solution.assignment is not None and sure


def evaluate(arguments: argparse.Namespace) -> bool:
    """``omnirouter evaluate``."""
    check_replaced(arguments.out, REPORT)
    report.check_shown(quiet=arguments.json)
    outcomes = Outcomes.read(arguments.outcomes)
    router = None if arguments.router is None else Router.load(arguments.router)
    pool = None if arguments.pool is None else Pool.read(arguments.pool)
    with report.progress("evaluating", quiet=arguments.json) as progress:
        found = evaluate_routing(
            outcomes,
            router,
            pool,
            predictors=arguments.predictor,
            encoder=arguments.encoder,
            points=arguments.points,
            resamples=arguments.resamples,
            seed=arguments.seed,
            name=arguments.outcomes.name,
            progress=progress,
        )
    files = found.write(arguments.out)
    if arguments.json:
        print(json.dumps(found.to_dict()))
    else:
        report.show_evaluation(found)
        print(f"wrote {', '.join(path.name for path in files)} to {arguments.out}")
    return True


def export_encoder(arguments: argparse.Namespace) -> bool:
    """``omnirouter export-encoder``."""
    check_replaced(arguments.out, EXPORT_FILE, "out")
    with report.progress("exporting", quiet=arguments.json) as progress:
        made = export(arguments.model, arguments.out, int8=arguments.int8, progress=progress)
    print(json.dumps(made.to_dict()) if arguments.json else made.in_words())
    return True


def finetune_encoder(arguments: argparse.Namespace) -> bool:
    """``omnirouter finetune-encoder``."""
    check_replaced(arguments.out, EXPORT_FILE, "out")
    outcomes = Outcomes.read(arguments.history)
    if arguments.split is not None:
        outcomes = outcomes.select(split=arguments.split)
    with report.progress("training", quiet=arguments.json) as progress:
        found = finetune(
            outcomes, arguments.base, arguments.out, steps=arguments.steps, seed=arguments.seed, progress=progress
        )
    print(json.dumps(found.to_dict()) if arguments.json else found.in_words())
    return found.kept


def frontier(arguments: argparse.Namespace) -> bool:
    """``omnirouter frontier``."""
    check_target(arguments.out, (".json", ".csv", ".png"))
    report.check_shown(quiet=arguments.json)
    acc, cost = read_array(arguments.acc), read_array(arguments.cost)
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
    from omnirouter.demo import DEMO_FILE, run  # the demo needs every extra

    check_replaced(arguments.out, DEMO_FILE)
    report.check_shown(quiet=arguments.json)
    result = run(arguments.out, n_queries=arguments.queries, seed=arguments.seed, quiet=arguments.json)
    if arguments.json:
        print(json.dumps(result.to_dict()))
    else:
        report.show_solution(result.routing.solution, list(result.routing.models), note="simulated")
        print(result.in_words())
    return result.routing.assignment is not None


def _outlook(routing: Routing) -> dict[str, Any]:
    """What is expected of a plan, and how its limits were tightened."""
    expected, assurance = routing.expected, routing.assurance
    return {
        "expected": None if expected is None else expected.to_dict(),
        "assurance": None if assurance is None else assurance.to_dict(),
    }


def _limits(arguments: argparse.Namespace) -> dict[str, Any]:
    names = (*LIMITS, "rel_gap", "time_limit", "threads")
    return {name: getattr(arguments, name) for name in names}


def _caps(text: str | None) -> list[float | None] | None:
    if text is None:
        return None
    path = Path(text)
    if path.suffix == ".npy":
        return read_array(path).tolist()  # type: ignore[no-any-return]
    if path.suffix == ".json":
        try:
            return parse_json(path.read_text(encoding="utf-8"))  # type: ignore[no-any-return]
        except ValueError as error:
            raise ValueError(f"{path} is not a JSON list of numbers and nulls: {error}") from None
    try:
        return [None if entry.strip().lower() == "none" else float(entry) for entry in text.split(",")]
    except ValueError:
        raise ValueError(f"--caps is {text!r}, expected numbers or 'none', separated by commas, or a file") from None


def _caps_by_name(texts: Sequence[str]) -> dict[str, float]:
    caps: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition("=")
        if name in caps:
            raise ValueError(f"--cap names the model {name!r} twice")
        try:
            caps[name] = float(number)
        except ValueError:
            name = ""
        if not name:
            raise ValueError(f"--cap is {text!r}, expected MODEL=N") from None
    return caps
