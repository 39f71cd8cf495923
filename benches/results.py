"""Write docs/results.md: every table in it, by the command that stands above it.

python benches/results.py ../shared/data --train .venv-train/bin/python
"""

from __future__ import annotations

import argparse
import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
# Scripts on the real tables, with titles.
REAL = (
    ("quality.py", "Quality on real outcomes"),
    ("every_spend.py", "Hybrid against the zero router at every spend (real outcomes)"),
    ("confidence.py", "Limits on realised spend and accuracy (real outcomes)"),
    ("new_models.py", "New models and few observations (real outcomes)"),
)
# The table whose prompts are routed to measure throughput.
PROMPTS = "routerbench_arc_mbpp.parquet"
# Script, title, and options that keep the whole in half an hour.
SIMULATED = (
    ("compare.py", "Speed against other solvers (simulated)", ("--limit", "30")),
    ("hard.py", "Hard instances (simulated)", ("--limit", "5")),
    ("exact.py", "Proven optima (simulated)", ()),
    ("infeasible.py", "No plan: how long, and what is said (simulated)", ()),
    ("passes.py", "Reads, memory, cost per pair (simulated)", ()),
)
INTRO = """# Results

Written by `make results`; each table by the command above it. Machines differ and are noisy: read
ratios, not absolute times. Where a table says simulated, the data was made from a seed; all other data are real outcomes.

"""


def run(*command: str, python: str) -> tuple[str, str]:
    """What a script of this folder prints, and the command as a reader would type it."""
    done = subprocess.run([python, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip(), " ".join(("python", *command))


def section(script: str, title: str, *options: str, python: str = sys.executable) -> str:
    """A section from a script's own words and what it prints."""
    output, command = run(f"benches/{script}", *options, python=python)
    words = ast.get_docstring(ast.parse((ROOT / "benches" / script).read_text(encoding="utf-8"))) or ""
    paragraphs = [part for part in words.split("\n\n") if not part.startswith("    ")]
    return "\n\n".join((f"## {title}", *paragraphs, f"    {command}", output)) + "\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of the outcome tables")
    parser.add_argument("--train", type=Path, help="python with the extra train; MiniLM is left out without it")
    parser.add_argument("--quick", action="store_true", help="small instances, to see that all scripts run")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    arguments = parser.parse_args()
    text = INTRO
    quick = ("--quick",) if arguments.quick else ()
    for script, title in REAL:
        text += section(script, title, arguments.data, *quick)
    minilm = ("--minilm",) if arguments.train else ()
    # Not resolved: an environment's python is a link, whose place names the environment.
    python = str(arguments.train.absolute()) if arguments.train else sys.executable
    prompts = f"{arguments.data}/{PROMPTS}"
    text += section("throughput.py", "Throughput (real prompts)", "--data", prompts, *minilm, *quick, python=python)
    text += section(
        "retrieval.py", "Retrieval (vectors of real prompts, repeated with noise)", "--data", arguments.data, *quick
    )
    for script, title, options in SIMULATED:
        text += section(script, title, *(quick or options))
    fresh = arguments.out.with_name(arguments.out.name + ".tmp")
    fresh.write_text(text.rstrip() + "\n", encoding="utf-8")
    fresh.replace(arguments.out)


if __name__ == "__main__":
    main()
