"""Write docs/results.md: every table in it, by the command that stands above it.

python benches/results.py ../shared/data
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
# Script, title, and options that keep the whole in half an hour.
SIMULATED = (
    ("compare.py", "Speed against other solvers (simulated)", ("--limit", "30")),
    ("hard.py", "Hard instances (simulated)", ("--limit", "5")),
    ("exact.py", "Proven optima (simulated)", ()),
    ("infeasible.py", "No plan: how long, and what is said (simulated)", ()),
    ("passes.py", "Reads, memory, cost per pair (simulated)", ()),
)
INTRO = """# Results

Written by `python benches/results.py DATA`; each table by the command above it. Machines differ and are noisy: read
ratios, not absolute times. Where a table says simulated, the data was made from a seed; all other data are real outcomes.

"""


def run(*command: str) -> tuple[str, str]:
    """What a script of this folder prints, and the command as a reader would type it."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip(), " ".join(("python", *command))


def section(script: str, title: str, *options: str) -> str:
    """A section from a script's own words and what it prints."""
    output, command = run(f"benches/{script}", *options)
    words = ast.get_docstring(ast.parse((ROOT / "benches" / script).read_text(encoding="utf-8"))) or ""
    paragraphs = [part for part in words.split("\n\n") if not part.startswith("    ")]
    return "\n\n".join((f"## {title}", *paragraphs, f"    {command}", output)) + "\n\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of the outcome tables")
    parser.add_argument("--quick", action="store_true", help="small instances, to see that all scripts run")
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    arguments = parser.parse_args()
    text = INTRO
    quick = ("--quick",) if arguments.quick else ()
    for script, title in REAL:
        text += section(script, title, arguments.data, *quick)
    for script, title, options in SIMULATED:
        text += section(script, title, *(quick or options))
    fresh = arguments.out.with_name(arguments.out.name + ".tmp")
    fresh.write_text(text.rstrip() + "\n", encoding="utf-8")
    fresh.replace(arguments.out)


if __name__ == "__main__":
    main()
