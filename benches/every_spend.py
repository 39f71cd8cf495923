"""The hybrid against the zero router at every spend, not at a few shares of it only.

    python benches/every_spend.py ../shared/data

Realised on the test split, paired, 1,000 bootstrap resamples, as in `benches/quality.py`. Spends are 96 in equal ratios from
2 % of what the most accurate single model costs, or from the cheapest single model where that is dearer, to the dearest.
"Ahead" and "behind" count those whose 95 % interval lies above or below zero. Neighbouring spends share nearly all of their
plan, and one interval in forty lies below zero by chance: a few spends behind in a row are one finding, and no strong one.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from exams import PricedExam
from measure import described, table
from omnirouter import Outcomes
from omnirouter.evaluation.document import signed
from omnirouter.evaluation.encoding import RememberingEncoder
from omnirouter.predictor import HybridPredictor, embedded_encoder

SPENDS, LEAST = 96, 0.02
RESAMPLES = 1000
COLUMNS = ("data set", "spends, of the best single's cost", "ahead", "level", "behind", "from … to", "where furthest behind")


def compared(path: Path, encoder: RememberingEncoder, spends: int, resamples: int) -> tuple[object, ...] | None:
    """A row of the table; None where there is no cost."""
    outcomes = Outcomes.read(path)
    if outcomes.cost is None:
        return None
    exam = PricedExam(outcomes, encoder, resamples)
    judge, curve = exam.judge, exam.curve("hybrid", HybridPredictor())
    zero = judge.zero_router()
    best, singles = float(judge.best_cost[0]), judge.singles.cost[0]
    shares = np.geomspace(max(LEAST, singles.min() / best), singles.max() / best, spends)
    found = [(share, judge.difference(curve, zero, float(share)).difference) for share in shares]
    ahead = sum(difference.low > 0 for _, difference in found)
    behind = [(share, difference) for share, difference in found if difference.high < 0]
    where, worst = "", ""
    if behind:
        share, difference = min(behind, key=lambda pair: pair[1].high)
        where, worst = f"{behind[0][0]:.0%} … {behind[-1][0]:.0%}", f"{share:.0%}: {signed(difference, 100)}"
    level = spends - ahead - len(behind)
    return path.stem, f"{shares[0]:.0%} to {shares[-1]:.0%}", ahead, level, len(behind), where, worst


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of outcome tables")
    parser.add_argument("--quick", action="store_true", help="one table, few spends and resamples")
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob("*.parquet"))
    sizes = (SPENDS, RESAMPLES)
    if arguments.quick:
        files, sizes = [path for path in files if path.stem.startswith("medagents_hard")], (8, 100)
    encoder = RememberingEncoder(embedded_encoder())
    rows = [row for path in files if (row := compared(path, encoder, *sizes)) is not None]
    print(table(COLUMNS, rows))
    print(f"\n{described()}")


if __name__ == "__main__":
    main()
