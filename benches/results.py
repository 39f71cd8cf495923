"""Write docs/results.md: every table in it, by the command that stands above it.

python benches/results.py ../shared/data
"""

from __future__ import annotations

import argparse
import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ("routerbench_arc_mbpp", "cascades_mmlu_truthfulqa_gsm8k", "medagents_medqa_mmlu")
# Script, title, and options that keep the whole in half an hour.
SIMULATED = (
    ("compare.py", "Speed against other solvers (simulated)", ("--limit", "30")),
    ("hard.py", "Hard instances (simulated)", ("--limit", "5")),
    ("passes.py", "Reads, memory, cost per pair (simulated)", ()),
)
INTRO = """# Results

Written by `python benches/results.py DATA`; each table by the command above it. Machines differ and are noisy: read
ratios, not absolute times. Where a table says simulated, the data was made from a seed; all other data are real outcomes.

"""
REAL = """## {name}

Real outcomes. The router is fitted on the file's train split (embedded encoder, 64 neighbours) and routes its test split;
accuracy and spend are **realised**: looked up in the held-out outcomes. Budgets are shares of what the most accurate single
model really costs on the test split. Best single, zero router and hindsight are at the plan's realised spend.

    {command}

{table}

"""


def run(*command: str) -> tuple[str, str]:
    """What a script of this folder prints, and the command as a reader would type it."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip(), " ".join(("python", *command))


def simulated(script: str, title: str, *options: str) -> str:
    """A section from a script's own words and what it prints."""
    output, command = run(f"benches/{script}", *options)
    words = ast.get_docstring(ast.parse((ROOT / "benches" / script).read_text(encoding="utf-8"))) or ""
    paragraphs = [part for part in words.split("\n\n") if not part.startswith("    ")]
    return "\n\n".join((f"## {title}", *paragraphs, f"    {command}", output)) + "\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of the outcome tables")
    parser.add_argument("--quick", action="store_true", help="small simulated instances, to see that all scripts run")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    arguments = parser.parse_args()
    text = INTRO
    for name in DATA:
        table, command = run("benches/route_real.py", os.path.join(arguments.data, f"{name}.parquet"))
        text += REAL.format(name=name, command=command, table=table)
    for script, title, options in SIMULATED:
        text += simulated(script, title, *(("--quick",) if arguments.quick else options))
    fresh = arguments.out.with_name(arguments.out.name + ".tmp")
    fresh.write_text(text.rstrip() + "\n", encoding="utf-8")
    fresh.replace(arguments.out)


if __name__ == "__main__":
    main()
