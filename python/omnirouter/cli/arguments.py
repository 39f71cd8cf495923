"""Arguments, exit codes, errors in one line."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NoReturn

from omnirouter import __version__
from omnirouter.cli import commands
from omnirouter.cli.files import check_inputs_kept
from omnirouter.errors import OmniRouterError, SolveError
from omnirouter.predictor.kinds import DEFAULT_KIND, KINDS

__all__ = ["run"]

SOLVED, NO_SOLUTION, BAD_USAGE = 0, 1, 2
READER_LEFT = 141  # standard output was closed early, as by `| head`
CAPS = "most queries per model: numbers or 'none' separated by commas, or a .npy or JSON file of them"
EPILOG = "exit codes: 0 solved (or verified), 1 no solution (or a wrong one), 2 bad usage, 130 interrupted"


def run(argv: Sequence[str] | None, interrupted: Callable[[BaseException], bool]) -> int:
    """Run a command line; returns the exit code. What `interrupted` takes for Ctrl-C is raised as it is."""
    try:
        arguments = _parser().parse_args(argv)
    except SystemExit as end:  # argparse has printed why
        return int(end.code or 0)
    try:
        check_inputs_kept(arguments)
        solved = _solved(arguments)
        if sys.stdout is not None:  # as where it was closed from the start
            sys.stdout.flush()
        return SOLVED if solved else NO_SOLUTION
    except Exception as error:
        if interrupted(error):
            raise
        if isinstance(error, BrokenPipeError):
            # The interpreter flushes standard output once more when it ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return READER_LEFT
        if not isinstance(error, (OmniRouterError, ValueError, TypeError, OSError, MemoryError, RecursionError)):
            raise
        if sys.stderr is not None:
            print(f"omnirouter: error: {_in_a_line(error)}", file=sys.stderr)
        return BAD_USAGE


def _solved(arguments: argparse.Namespace) -> bool:
    try:
        return bool(arguments.run(arguments))
    except SolveError as error:
        print(json.dumps({"message": str(error)}) if arguments.json else error)
        return False


def _in_a_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return f"{error.filename}: {error.strerror}"
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return f"not enough memory: {text}" if text else "not enough memory"
    return f"the input is nested too deeply: {text}" if isinstance(error, RecursionError) else text


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Shows the defaults that are values."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        return action.help if action.default in (None, False, []) else super()._get_help_string(action)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, like every other error."""

    def error(self, message: str) -> NoReturn:
        self.exit(BAD_USAGE, f"omnirouter: error: {message} (see {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="omnirouter", description="Budget-constrained LLM routing with a proof.", epilog=EPILOG)
    parser.add_argument("--version", action="version", version=f"omnirouter {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def add(name: str, words: str, example: str, run: object) -> argparse.ArgumentParser:
        command = subparsers.add_parser(
            name,
            help=words,
            description=f"{words[0].upper()}{words[1:]}.",
            epilog=f"example: omnirouter {example}",
            formatter_class=_Help,
        )
        command.set_defaults(run=run)
        return command

    demo = add("demo", "fit and route a simulated batch, offline", "demo --out demo-output", commands.demo)
    demo.add_argument(
        "-o", "--out", type=Path, default=Path("demo-output"), help="folder for plan.csv, curve.png and demo.json"
    )
    demo.add_argument("--queries", type=int, default=1000, help="prompts to route")
    demo.add_argument("--seed", type=int, default=0, help="seed of the simulation")
    _json(demo)

    solve = add(
        "solve",
        "assign queries to models, given matrices of accuracy and cost",
        "solve acc.npy cost.npy --budget 2.50 --caps 1000,600,300 -o plan.npy",
        commands.solve,
    )
    solve.add_argument("acc", type=Path, help="(n, m) .npy file of expected accuracies, or a problem file (.json)")
    solve.add_argument("cost", type=Path, nargs="?", help="(n, m) .npy file of expected costs; not with a problem file")
    solve.add_argument("--caps", help=CAPS)
    _limits(solve)
    solve.add_argument("-o", "--out", type=Path, help="write the plan: .npy, .csv or .json")
    solve.add_argument("--save-problem", type=Path, help="write the problem, for `omnirouter verify`: .json")

    verify = add(
        "verify",
        "check a plan, its bound or its proof that there is none, without the solver",
        "verify problem.json plan.json",
        commands.verify,
    )
    verify.add_argument("problem", type=Path, help="problem file (.json), as solve --save-problem writes it")
    verify.add_argument("plan", type=Path, help="plan (.json), as solve -o writes it")
    verify.add_argument("--effort", type=int, default=100_000, help="plans that may be tried against what a search claims")
    _json(verify)

    fit = add("fit", "learn a router from past outcomes", "fit history.parquet -o router/", commands.fit)
    fit.add_argument("history", type=Path, help="past outcomes in any layout that Outcomes.read knows")
    fit.add_argument("-o", "--out", type=Path, required=True, help="folder of the router")
    fit.add_argument("--pool", type=Path, help="models, prices and caps: YAML or JSON; default: all models, logged costs")
    fit.add_argument("--prices", type=Path, help="a LiteLLM price file, instead of --pool")
    fit.add_argument("--predictor", choices=tuple(KINDS), default=DEFAULT_KIND, help="what learns")
    fit.add_argument("--encoder", help="folder or hub name of an ONNX text encoder; default: the embedded one")
    fit.add_argument("--split", help="use only the rows of this split")
    _json(fit)

    added = add(
        "add-model",
        "add a model to a fitted router from a few outcomes of its own, without learning anew of the others",
        "add-model router/ new-model.parquet -o router/",
        commands.add_model,
    )
    added.set_defaults(in_place="router")
    added.add_argument("router", type=Path, help="folder that fit wrote")
    added.add_argument("outcomes", type=Path, help="table of outcomes with the new model, on any prompts")
    added.add_argument("-o", "--out", type=Path, required=True, help="folder of the new router; may be the old one's")
    added.add_argument("--model", help="which model of the table; default: the only one that the router does not know")
    added.add_argument(
        "--pool", type=Path, help="prices and cap of the new model: YAML or JSON; where the router has a pool"
    )
    added.add_argument("--prices", type=Path, help="a LiteLLM price file, instead of --pool")
    added.add_argument("--split", help="use only the rows of this split")
    _json(added)

    route = add(
        "route",
        "plan which model answers which prompt",
        "route prompts.jsonl --router router/ --budget 2.50 --cap gpt-4=500 -o plan.parquet",
        commands.route,
    )
    route.add_argument("prompts", type=Path, help="prompts: JSONL, CSV or Parquet with a column 'prompt', or text lines")
    route.add_argument("--router", type=Path, required=True, help="folder that fit wrote")
    route.add_argument(
        "--cap",
        action="append",
        default=[],
        metavar="MODEL=N",
        help="most prompts for a model; repeatable; a lower cap of the pool stays",
    )
    _limits(route)
    route.add_argument(
        "--confidence",
        type=float,
        metavar="C",
        help="keep --budget and --min-accuracy by what answers will really cost and score, each with this probability "
        "(0.9: in nine of ten batches); default: by what is predicted, which real spend passes about half of the time",
    )
    route.add_argument("-o", "--out", type=Path, help="write the plan: .parquet, .csv or .jsonl")

    evaluate = add(
        "evaluate",
        "measure what routing is worth on outcomes that were not learned from",
        "evaluate outcomes.parquet --out evaluation/",
        commands.evaluate,
    )
    evaluate.add_argument("outcomes", type=Path, help="table of outcomes, with splits 'train' and 'test' or without a split")
    evaluate.add_argument("--router", type=Path, help="folder that fit wrote; default: routers fitted on the train split")
    evaluate.add_argument(
        "-o", "--out", type=Path, default=Path("evaluation"), help="folder for report.json, .md, .html and plots"
    )
    evaluate.add_argument(
        "--pool", type=Path, help="models, prices and caps: YAML or JSON; default: all models, logged costs"
    )
    evaluate.add_argument(
        "--encoder", help="folder or hub name of an ONNX text encoder; default: the router's or the embedded one"
    )
    evaluate.add_argument(
        "--predictor",
        action="append",
        choices=tuple(KINDS),
        help="what to fit on the train split, the one in question first; repeatable; default: all, beside a router 'knn'",
    )
    evaluate.add_argument("--points", type=int, default=24, help="budgets of each curve")
    evaluate.add_argument("--resamples", type=int, default=1000, help="bootstrap draws, for the intervals")
    evaluate.add_argument("--seed", type=int, default=0, help="of the draws, and of a split that has to be made")
    _json(evaluate)

    export = add(
        "export-encoder",
        "write a sentence-transformers model as an ONNX text encoder",
        "export-encoder sentence-transformers/all-MiniLM-L6-v2 minilm/ --int8",
        commands.export_encoder,
    )
    export.add_argument("model", help="folder or hub name of a sentence-transformers model")
    export.add_argument("out", type=Path, help="folder of the encoder, for fit --encoder")
    export.add_argument("--int8", action="store_true", help="quantise to 8 bits: a quarter of the size, faster, less exact")
    _json(export)

    tune = add(
        "finetune-encoder",
        "train a sentence-transformers model on past outcomes; written only where that helps (else exit code 1)",
        "finetune-encoder history.parquet sentence-transformers/all-MiniLM-L6-v2 tuned/",
        commands.finetune_encoder,
    )
    tune.add_argument("history", type=Path, help="table of outcomes, a fifth of which judges")
    tune.add_argument("base", help="folder or hub name of a sentence-transformers model")
    tune.add_argument("out", type=Path, help="folder of the encoder, for fit --encoder")
    tune.add_argument("--split", help="use only the rows of this split")
    tune.add_argument("--steps", type=int, default=200, help="steps of training")
    tune.add_argument("--seed", type=int, default=0, help="of the fifth that judges, the batches and dropout")
    _json(tune)

    frontier = add("frontier", "solve for a range of budgets", "frontier acc.npy cost.npy -o curve.png", commands.frontier)
    frontier.add_argument("acc", type=Path, help="(n, m) .npy file of expected accuracies")
    frontier.add_argument("cost", type=Path, help="(n, m) .npy file of expected costs")
    frontier.add_argument("--caps", help=CAPS)
    frontier.add_argument("--points", type=int, default=30, help="number of budgets")
    frontier.add_argument("-o", "--out", type=Path, help="write the curve: .json, .csv or .png")
    _json(frontier)
    return parser


def _json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object and nothing else")


def _limits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--budget", type=float, help="most money for the batch")
    parser.add_argument("--min-accuracy", type=float, help="least mean accuracy, in [0, 1]")
    parser.add_argument("--objective", choices=("accuracy", "cost"), help="what is optimised when both limits are given")
    parser.add_argument("--rel-gap", type=float, default=1e-4, help="stop when the gap is proven this small; 0 is exact")
    parser.add_argument("--time-limit", type=float, help="seconds")
    parser.add_argument("--threads", type=int, default=0, help="0 is all")
    _json(parser)
