"""Write docs/results.md: every table in it, by the command that stands above it.

python benches/results.py ../shared/data
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATA = ("routerbench_arc_mbpp", "cascades_mmlu_truthfulqa_gsm8k", "medagents_medqa_mmlu")
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
SPEED = """## HiGHS on the linear relaxation (simulated)

    {command}

{table}

"""


def run(*command: str) -> tuple[str, str]:
    """The table that a script of this folder prints, and the command as a reader would type it."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    # HiGHS writes a banner of its own to the same stream.
    table = "\n".join(line for line in done.stdout.splitlines() if line.startswith("|"))
    return table, " ".join(("python", *command))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="folder of the outcome tables")
    data = parser.parse_args().data
    text = INTRO
    for name in DATA:
        table, command = run("benches/route_real.py", os.path.join(data, f"{name}.parquet"))
        text += REAL.format(name=name, command=command, table=table)
    table, command = run("benches/compare_highs.py")
    text += SPEED.format(command=command, table=table)
    fresh = ROOT / "docs" / "results.md.tmp"
    fresh.write_text(text.rstrip() + "\n", encoding="utf-8")
    fresh.replace(ROOT / "docs" / "results.md")


if __name__ == "__main__":
    main()
