"""What routing is worth on every table of real outcomes: fitted on the train split, judged on the test split.

    python benches/quality.py ../shared/data

Accuracy and cost are **realised**: looked up in the held-out outcomes. Methods are compared at the same spend, as shares of
what the most accurate single model costs on the test split; brackets hold 95 % intervals, from 1,000 bootstrap resamples
of the test queries, differences paired. `omnirouter evaluate` writes the whole report on one table, with the definition of
each figure. Rules: "lambda-tuned" takes for each query the most acc - λ·cost with one λ (tuned on the train split for the
target error, swept for its curve), "threshold" the cheapest model predicted above a threshold (the AIOS rule, swept); both
use the predictions of the first predictor. The zero router is the hull of the single models' points **on the test split**.
Hull area is the mean height of the realised upper hull between the cheapest and the dearest single model's cost. Cost to
match is a share of the best single model's cost; ∞ where its accuracy is never reached.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np

from exams import POINTS, PricedExam
from measure import described, table, write_json
from omnirouter import Outcomes, Report, evaluate
from omnirouter.evaluation.bootstrap import Estimate
from omnirouter.evaluation.document import interval, percentage, signed, target_error
from omnirouter.evaluation.encoding import RememberingEncoder
from omnirouter.evaluation.results import Difference
from omnirouter.hull import upper_hull
from omnirouter.predictor import embedded_encoder
from omnirouter.predictor.kinds import new_predictor
from plain import PLAIN

QUICK_PAIRS = 25_000
RESAMPLES = 1000
FIGURES = {"hull area": None, "at 50%": 0.5}  # where plain predictors are compared: names and shares


PlainFigures: TypeAlias = "dict[str, list[tuple[float, Difference]]]"
"""For each figure what each plain predictor reaches, and the subject less it."""


def points(estimate: Estimate) -> str:
    """A difference in points of accuracy with its interval, and the verdict as a mark."""
    return marked(estimate, 100)


def marked(estimate: Estimate, factor: float) -> str:
    """A difference with its interval and the verdict on the subject as a mark; what is higher is better for it."""
    if math.isnan(estimate.value):
        return "–"
    mark = "▲ " if estimate.low > 0 else "▼ " if estimate.high < 0 else ""
    return mark + signed(estimate, factor)


def verdicts(reports: dict[str, Report]) -> str:
    """One row per data set: the subject against the zero router at each share."""
    rows = []
    for name, report in reports.items():
        at = {d.share: d.difference for d in report.differences if d.against == "zero router"}
        best = next(single for single in report.singles if single.model == report.best_single)
        words = f"{best.model}, {interval(best.accuracy)}"
        size = f"{report.data.judged:,} × {len(report.data.models)}"
        rows.append((name, size, words, *(points(at[share]) for share in (*report.shares, None))))
    shares = [f"at {share:.0%}" for share in next(iter(reports.values())).shares]
    return table(("data set", "test queries × models", "best single model", *shares, "hull area"), rows)


def rivals(reports: dict[str, Report], share: float | None) -> str:
    """One row per data set: the subject against every other method at one share, or in hull area."""
    names = list(dict.fromkeys(d.against for report in reports.values() for d in report.differences if d.share == share))
    rows = []
    for name, report in reports.items():
        at = {d.against: d.difference for d in report.differences if d.share == share}
        rows.append((name, *(points(at[other]) if other in at else "" for other in names)))
    return table(("data set", *(f"less {name}" for name in names)), rows)


def figures(reports: dict[str, Report]) -> str:
    """Every method on every data set."""
    rows: list[tuple[str, ...]] = []
    for name, report in reports.items():
        scores = {score.predictor: score for score in report.scores}
        quarter, half = report.shares.index(0.25), report.shares.index(0.5)
        for k, method in enumerate(report.methods):
            own = scores.get(method.name)
            rows.append(
                (
                    name if k == 0 else "",
                    method.name,
                    interval(method.accuracy_at[quarter]),
                    interval(method.accuracy_at[half]),
                    percentage(method.cost_to_match),
                    interval(method.aiq_code),
                    interval(method.aiq_paper),
                    interval(method.hull_area),
                    interval(method.gap_to_hindsight),
                    "" if own is None else interval(own.log_loss),
                    "" if own is None else interval(own.ece),
                    "" if math.isnan(method.target_error.value) else target_error(report, method),
                )
            )
    columns = ("data set", "method", "at 25%", "at 50%", "cost to match best single", "AIQ, code", "AIQ, paper", "hull area")
    return table((*columns, "gap to hindsight", "log-loss", "ECE", "target error"), rows)


def singles(reports: dict[str, Report]) -> str:
    """The single models of every data set that no mix of two others beats, cheapest first: what the zero router mixes."""
    rows = []
    for name, report in reports.items():
        known = [single for single in report.singles if not math.isnan(single.cost.value)]
        points = np.array([(single.cost.value, single.accuracy.value) for single in known])
        best = next(single for single in known if single.model == report.best_single)
        for k, at in enumerate(upper_hull(points[:, 0], points[:, 1])):
            share = f"{known[at].cost.value / best.cost.value:.1%}"
            rows.append((name if k == 0 else "", known[at].model, interval(known[at].accuracy), share))
    return table(("data set", "single model", "accuracy", "cost, of the best single's"), rows)


def capacities(reports: dict[str, Report]) -> str:
    """Global plans against per-query rules when models fill up, at the middle of the spends that all reach."""
    rows = []
    for name, report in reports.items():
        for k, scenario in enumerate(report.capacity):
            less = [f"{points(rule.behind_by[1])}; {100 * rule.predicted_behind_by[1]:+.1f}" for rule in scenario.rules]
            rows.append((name if k == 0 else "", scenario.name, interval(scenario.accuracy[1]), *less))
    return table(("data set", "capacities", "global plan", "less arrival order", "less best-first order"), rows)


def log_losses(reports: dict[str, Report]) -> str:
    """One row per data set: log-loss of each predictor less that of the subject, paired."""
    names = list(dict.fromkeys(score.predictor for report in reports.values() for score in report.scores))
    rows = []
    for name, report in reports.items():
        own = {score.predictor: score for score in report.scores}
        first = interval(report.scores[0].log_loss)
        rows.append((name, first, *(marked(own[other].less_subject, 1) for other in names[1:])))
    return table(("data set", f"log-loss of {names[0]}", *(f"{other}, more by" for other in names[1:])), rows)


def without_cost(reports: dict[str, Report]) -> str:
    """Log-loss, calibration and the accuracy of the argmax where the data has no cost."""
    rows: list[tuple[str, ...]] = []
    for name, report in reports.items():
        chosen, gain = dict(report.argmax), {d.method: d.difference for d in report.differences}
        for k, score in enumerate(report.scores):
            known = score.predictor in gain
            rows.append(
                (
                    name if k == 0 else "",
                    score.predictor,
                    interval(score.log_loss),
                    interval(score.brier),
                    interval(score.ece),
                    interval(chosen[score.predictor]) if known else "",
                    points(gain[score.predictor]) if known else "",
                )
            )
        best = max(single.accuracy.value for single in report.singles)
        rows.append(("", f"best single {best:.3f}, hindsight {chosen['hindsight'].value:.3f}", *[""] * 5))
    columns = ("log-loss", "Brier", "ECE", "accuracy of the argmax", "less best single model")
    return table(("data set", "predictor", *columns), rows)


def hull_areas(reports: dict[str, Report]) -> str:
    """Side by side."""
    names = list(dict.fromkeys(method.name for report in reports.values() for method in report.methods))
    rows = []
    for name, report in reports.items():
        areas = {method.name: method.hull_area.value for method in report.methods}
        rows.append((name, *(f"{areas.get(own, np.nan):.3f}" for own in names)))
    return table(("hull area", *names), rows)


def against_plain(
    outcomes: Outcomes, encoder: RememberingEncoder, subject: str, resamples: int, n_points: int
) -> PlainFigures:
    """The subject beside plain predictors on one table with costs."""
    exam = PricedExam(outcomes, encoder, resamples, n_points)
    own = exam.curve(subject, new_predictor(subject))
    others = [exam.curve(name, kind()) for name, kind in PLAIN.items()]
    judge = exam.judge
    return {
        figure: [
            (
                float((judge.hull_area(other) if share is None else judge.at(other, share))[0]),
                judge.difference(own, other, share),
            )
            for other in others
        ]
        for figure, share in FIGURES.items()
    }


def plain_parts(found: dict[str, PlainFigures]) -> str:
    """Two rows per data set: the subject against each plain predictor."""
    rows = []
    for name, figures in found.items():
        for k, (figure, compared) in enumerate(figures.items()):
            own = compared[0][0] + compared[0][1].difference.value
            less = [f"{value:.3f}; {points(gap.difference)}" for value, gap in compared]
            rows.append((name if k == 0 else "", figure, f"{own:.3f}", *less))
    subject = next(iter(found.values()))["hull area"][0][1].method
    return table(("data set", "", subject, *(f"{name}; less it" for name in PLAIN)), rows)


def ahead_of_plain(found: dict[str, PlainFigures]) -> str:
    """On how many tables the subject is ahead of the best plain predictor, and of each."""
    sentences = []
    for figure in FIGURES:
        gaps = [[gap.difference for _, gap in figures[figure]] for figures in found.values()]
        best = counted([min(row, key=lambda gap: gap.value) for row in gaps])
        each = [f"of {name} {counted(column)}" for name, column in zip(PLAIN, zip(*gaps, strict=True), strict=True)]
        sentences.append(f"- {figure}: ahead of the best plain part on {best}; {'; '.join(each)}.")
    return "\n".join(sentences)


def counted(gaps: Sequence[Estimate]) -> str:
    """How many differences are above zero, and how many intervals lie above and below it."""
    ahead = sum(gap.value > 0 for gap in gaps)
    beyond, behind = sum(gap.low > 0 for gap in gaps), sum(gap.high < 0 for gap in gaps)
    return f"{ahead} of {len(gaps)}, beyond its interval on {beyond} (behind beyond it on {behind})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of outcome tables, or one of them")
    parser.add_argument("--out", type=Path, help="also write a report folder per table here")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    parser.add_argument("--predictor", action="append", help="kinds to fit; default: all")
    parser.add_argument("--quick", action="store_true", help="small tables, few budgets and resamples, to see that it runs")
    arguments = parser.parse_args()
    files = sorted(arguments.data.glob("*.parquet")) if arguments.data.is_dir() else [arguments.data]
    n_points, resamples = (6, 100) if arguments.quick else (POINTS, RESAMPLES)
    reports: dict[str, Report] = {}
    plain: dict[str, PlainFigures] = {}
    encoder = RememberingEncoder(embedded_encoder())
    seconds = {}
    for path in files:
        start = time.perf_counter()
        outcomes = Outcomes.read(path)
        if arguments.quick and len(outcomes) * outcomes.n_models > QUICK_PAIRS:
            continue
        out = None if arguments.out is None else arguments.out / path.stem
        report = evaluate(outcomes, predictors=arguments.predictor, out=out, points=n_points, resamples=resamples)
        reports[path.stem] = report
        if report.methods:
            plain[path.stem] = against_plain(outcomes, encoder, report.subject, resamples, n_points)
        seconds[path.stem] = time.perf_counter() - start
        print(f"{path.stem}: {seconds[path.stem]:.0f} s", file=sys.stderr)
    priced = {name: report for name, report in reports.items() if report.methods}
    free = {name: report for name, report in reports.items() if not report.methods}
    parts = []
    if priced:
        subject = next(iter(priced.values())).subject
        parts += [
            f"### {subject} less zero router: points of accuracy at the same spend (▲ ahead, ▼ behind: the interval has "
            "no zero)",
            verdicts(priced),
            f"### {subject} at half the cost of the best single model, less the others",
            rivals(priced, 0.5),
            f"### {subject}, hull area less that of the others, in points",
            rivals(priced, None),
            f"### {subject} less plain predictors, points of accuracy",
            "What anybody would write first: the 64 nearest prompts, weighted alike, and 4 times the model's mean; a "
            "logistic regression for each model, with a ridge regression of log cost; the mean of both "
            "(`benches/plain.py`). All by the embedded static vector alone. The best of them is chosen on the test split.",
            plain_parts(plain),
            ahead_of_plain(plain),
            "### Hull areas",
            hull_areas(priced),
            "### All figures",
            figures(priced),
            "### Single models",
            singles(priced),
            "### When models are full",
            "Global plan less per-query rules that fall back to the next model, points of accuracy at the middle of the "
            "spends that "
            "all of them reach; after the semicolon the same by the predictions, which is what the solver is given.",
            capacities(priced),
        ]
    words = "### Log-loss of all pairs, of the others less that of the first (paired; ▲ the first is better, ▼ worse)"
    parts += [words, log_losses(reports)]
    if free:
        parts += ["### Tables without cost", without_cost(free)]
    notes = [f"- {name}: {note}" for name, report in reports.items() for note in report.notes if "no cost:" not in note]
    if notes:
        parts += ["Notes on the data:", "\n".join(notes)]
    slowest = max(seconds, key=lambda name: seconds[name])
    parts.append(f"{sum(seconds.values()):.0f} s in all, most for {slowest} ({seconds[slowest]:.0f} s). {described()}")
    print("\n\n".join(parts))
    write_json(arguments.json, {"reports": {name: report.to_dict() for name, report in reports.items()}, "seconds": seconds})


if __name__ == "__main__":
    main()
