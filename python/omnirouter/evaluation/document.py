"""The report in words and tables."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from omnirouter.evaluation.bootstrap import MOST_UNDEFINED, Estimate
from omnirouter.evaluation.rendering import Block, Figure, Heading, Items, Paragraph, Table
from omnirouter.evaluation.results import Difference, Method, Target, estimates
from omnirouter.predictor.calibration import BINS

if TYPE_CHECKING:
    from omnirouter.evaluation.report import Report

__all__ = ["METHODS", "document", "interval", "money", "percentage", "signed", "summary", "target_error"]

METHODS = {
    "router": "the given router, global solve",
    "hybrid": "neighbours and network stacked, global solve",
    "knn": "nearest past prompts, global solve",
    "network": "trained network, global solve",
    "lambda-tuned": "per query the most acc - λ·cost, the same λ for all (λ tuned on train where a budget is asked for)",
    "threshold": "per query the cheapest model predicted above a threshold (the AIOS rule), threshold swept",
    "zero router": "random mix of single models: the upper hull of their points on the test split",
    "random": "a model drawn at random for each query",
    "hindsight": "the best plans for somebody who knows the outcomes",
}
SINGLES_SHOWN = 15
USED_SHOWN = 12


def document(report: Report, captions: Mapping[str, str] | None = None, missing: str = "") -> list[Block]:
    """Everything a reader needs, in the order of importance.

    Parameters
    ----------
    report : Report
        What was found.
    captions : mapping, optional
        Pictures that exist, by name.
    missing : str
        Why there are none.
    """
    pictures = dict(captions or {})
    blocks = summary(report, missing)
    for part, picture in ((_curves, "curve"), (_scores, "calibration"), (_targets, "targets"), (_capacity, "capacity")):
        own = list(part(report))
        if picture in pictures and own:
            own.insert(1, Figure(picture, pictures[picture]))
        blocks += own
    return [*blocks, *_singles(report), *_definitions(report)]


def summary(report: Report, missing: str = "") -> list[Block]:
    """What was done, what a reader must know, and the verdicts."""
    data = report.data
    learned = f"Learned from {data.train:,} queries (split 'train')"
    if report.subject == "router":
        learned = f"The given router was fitted elsewhere, what it is compared with {learned[0].lower()}{learned[1:]}"
    name = f"Outcomes: {data.name}. " if data.name else ""
    blocks: list[Block] = [
        Heading(1, f"Evaluation of {report.subject} on {len(data.models)} models"),
        Paragraph(
            f"{name}{learned}, judged on {data.judged:,} others (split 'test'). Accuracy and cost are realised: "
            "looked up in outcomes that were not learned from; columns of predictions say so. In brackets: 95 % intervals "
            f"from {data.resamples:,} bootstrap resamples of the judged queries (seed {data.seed}); they "
            "say what other test queries would show, not what another train split would."
        ),
    ]
    notes = (*report.notes, *_left_out(report), *((missing,) if missing else ()))
    if notes:
        blocks.append(Items(notes))
    return [*blocks, *_verdicts(report)]


def _left_out(report: Report) -> Iterator[str]:
    """How many figures are not defined in some of the resamples, and what became of their intervals."""
    some = [found for found in estimates(report) if found.undefined > 0 and not math.isnan(found.value)]
    refused = sum(math.isnan(found.low) for found in some)
    if refused:
        yield (
            f"{refused} figures stand without an interval: more than {MOST_UNDEFINED:.0%} of the resamples have no value "
            "there, such as a spend below the cheapest point of a curve."
        )
    if len(some) > refused:
        most = max(found.undefined for found in some if not math.isnan(found.low))
        yield f"The intervals of {len(some) - refused} figures leave out the resamples without a value, up to {most:.1%}."


def _verdicts(report: Report) -> Iterator[Block]:
    yield Heading(2, f"Is {report.subject} better, at the same spend?" if report.methods else f"Is {report.subject} better?")
    compared = [own.predictor for own in report.scores] + [method.name for method in report.methods]
    compared += [name for name, _ in report.argmax]
    meanings = Items(tuple(f"{name}: {METHODS[name]}" for name in dict.fromkeys(compared) if name in METHODS))
    if report.argmax:
        found = tuple((name, interval(accuracy)) for name, accuracy in report.argmax)
        yield Paragraph("Accuracy when every query goes to the model that is predicted to be the most accurate on it:")
        yield Table(("by", "accuracy"), found, strong=(0,))
        yield Table(
            ("predictor", "less", "difference", "verdict"),
            tuple((d.method, d.against, signed(d.difference), d.verdict) for d in report.differences),
        )
        yield meanings
        return
    yield Paragraph(
        f"Accuracy of {report.subject} less that of the other, at shares of what the best single model "
        f"({report.best_single}) costs, in points of accuracy and paired query by query; hull area: over all spends (see "
        "the end). Ahead or behind: the interval does not hold zero; else level, or open where there is no interval."
    )
    others = list(dict.fromkeys(d.against for d in report.differences))
    rows: list[tuple[str, ...]] = []
    for other in others:
        at = {d.share: d for d in report.differences if d.against == other}
        own = [at.get(share) for share in (*report.shares, None)]
        rows.append((other, *("" if d is None else _judged(d) for d in own)))
    yield Table((f"{report.subject} less", *(f"at {share:.0%}" for share in report.shares), "hull area"), tuple(rows))
    yield meanings


def _judged(difference: Difference) -> str:
    """In points, with a verdict where there is one."""
    words = signed(difference.difference, 100)
    return words if difference.verdict in ("level", "open") else f"{words} {difference.verdict}"


def _curves(report: Report) -> Iterator[Block]:
    if not report.methods:
        return
    yield Heading(2, "Cost and accuracy")
    strong = tuple(i for i, method in enumerate(report.methods) if method.name == report.subject)
    at = tuple(f"at {share:.0%}" for share in report.shares)
    yield Paragraph(
        f"Accuracy at shares of what the best single model costs ({money(_single_cost(report))} per query), between "
        "operating points by straight lines. A dash: below the cheapest point."
    )
    yield Table(
        ("accuracy of", *at),
        tuple((method.name, *(interval(value) for value in method.accuracy_at)) for method in report.methods),
        strong,
    )
    columns = ("cost to match best single", "AIQ, code", "AIQ, paper", "hull area", "gap to hindsight", "target error")
    rows = []
    for method in report.methods:
        figures = (method.aiq_code, method.aiq_paper, method.hull_area, method.gap_to_hindsight)
        figures_shown = (interval(value) for value in figures)
        rows.append((method.name, percentage(method.cost_to_match), *figures_shown, target_error(report, method)))
    yield Table(("method", *columns), tuple(rows), strong)


def target_error(report: Report, method: Method) -> str:
    """The mean error, and how many of the budgets it is of where some have no plan."""
    if math.isnan(method.target_error.value):
        return "–"
    errors = [t.error.value for t in report.targets if (t.method, t.limit, t.confidence) == (method.name, "budget", None)]
    known = sum(not math.isnan(error) for error in errors)
    words = interval(method.target_error, lambda value: f"{value:.1%}")
    return words + (f", {known} of {len(errors)} budgets" if known < len(errors) else "")


def _scores(report: Report) -> Iterator[Block]:
    yield Heading(2, "Predicted accuracies")
    yield Paragraph("Lower is better. Model means: each model's mean on the train split, whatever the query.")
    rows = [
        (s.predictor, interval(s.log_loss), "" if k == 0 else signed(s.less_subject), interval(s.brier), interval(s.ece))
        for k, s in enumerate(report.scores)
    ]
    columns = ("log-loss", f"less that of {report.subject}", "Brier score", f"calibration error ({BINS} bins)")
    yield Table(("predictor", *columns), tuple(rows), strong=(0,))
    yield from _by_model(report)


def _by_model(report: Report) -> Iterator[Block]:
    pairs = zip(report.used, report.scores[0].per_model, strict=True)
    # Of models that are used as much, such as not at all, the more accurate first.
    ranked = sorted(pairs, key=lambda pair: (pair[0], np.nan_to_num(pair[1].accuracy.value)), reverse=True)
    where = "mean over the plans of its curve" if report.methods else "each going to the most accurate by prediction"
    cut = f" The {USED_SHOWN} most used of {len(ranked)} models; report.json has all." if len(ranked) > USED_SHOWN else ""
    yield Paragraph(
        f"The same by model, for {report.subject}; predicted and realised accuracy over all observed test queries, "
        f"wherever they are sent. Used: share of the queries that go to the model, {where}.{cut}"
    )
    columns = ("used", "predicted accuracy", "realised accuracy", "log-loss", f"calibration error ({BINS} bins)")
    rows = []
    for used, own in ranked[:USED_SHOWN]:
        found = (interval(figure) for figure in (own.accuracy, own.log_loss, own.ece))
        rows.append((own.model, f"{used:.1%}", _known(own.predicted, _decimals), *found))
    yield Table(("model", *columns), tuple(rows))


def _targets(report: Report) -> Iterator[Block]:
    if not report.targets:
        return
    yield Heading(2, "Asked for and got")
    yield Paragraph(
        "Budgets as shares of the best single model's cost. Error: realised over promised spend; the promise is the "
        "budget, or what the most accurate plan is predicted to cost if that is less. Corrected: by what earlier decisions "
        "of the predictor realised. Kept: in how many of the resamples the spend is within the budget. With a confidence, "
        "the realised spend is to keep the budget with this probability."
    )
    budgets = [t for t in report.targets if t.limit == "budget"]
    columns = ("predicted spend", "corrected", "realised spend", "error", "kept", "predicted accuracy", "realised accuracy")
    rows: list[tuple[str, ...]] = []
    for t in budgets:
        spent = (money(t.predicted_spend), _known(t.expected_spend, money), interval(t.spend, money), _percents(t.error))
        result = (*spent, f"{t.kept:.0%}", f"{t.predicted_accuracy:.3f}", interval(t.accuracy))
        rows.append((_who(t), f"{money(t.asked)} ({t.share:.0%})", *(_no_plan(7) if math.isnan(t.kept) else result)))
    yield Table(("method", "budget per query", *columns), tuple(rows))
    yield Paragraph("Accuracy floors, as shares of the best single model's accuracy on the train split; errors in points.")
    columns = ("predicted accuracy", "corrected", "realised accuracy", "error", "kept", "predicted spend", "realised spend")
    rows = []
    for t in (t for t in report.targets if t.limit == "min_accuracy"):
        reached = (_decimals(t.predicted_accuracy), _known(t.expected_accuracy, _decimals), interval(t.accuracy))
        result = (*reached, signed(t.error, 100), f"{t.kept:.0%}", money(t.predicted_spend), interval(t.spend, money))
        rows.append((_who(t), f"{t.asked:.3f}", *(_no_plan(7) if math.isnan(t.kept) else result)))
    yield Table(("method", "floor", *columns), tuple(rows))


def _who(target: Target) -> str:
    return target.method if target.confidence is None else f"{target.method}, confidence {target.confidence:g}"


def _no_plan(cells: int) -> tuple[str, ...]:
    return ("no plan", *["–"] * (cells - 1))


def _known(value: float, word: Callable[[float], str]) -> str:
    return "–" if math.isnan(value) else word(value)


def _capacity(report: Report) -> Iterator[Block]:
    if not report.capacity:
        return
    yield Heading(2, "When models are full")
    yield Paragraph(
        f"Global plans on the predictions of {report.subject} against per-query rules (the most acc - λ·cost) that fall "
        "back to the next model when one is full: queries in a random order of arrival, and the best pair first. All at "
        "the same spend per query, λ swept on the test split itself, so that each rule is at its best. Differences in "
        "points of accuracy, paired; predicted: by the predictions at the same predicted spend, what the solver gains "
        "before predictions err."
    )
    for scenario in report.capacity:
        yield Heading(3, scenario.name[0].upper() + scenario.name[1:])
        rows = [("global plans, accuracy", *(interval(value) for value in scenario.accuracy))]
        for rule in scenario.rules:
            rows.append((f"{rule.name}, accuracy", *(interval(value) for value in rule.accuracy)))
            rows.append(("global less that", *(signed(value, 100) for value in rule.behind_by)))
            rows.append(("global less that, predicted", *(f"{100 * value:+.1f}" for value in rule.predicted_behind_by)))
        yield Table(("at a spend per query of", *(money(spend) for spend in scenario.spends)), tuple(rows))


def _singles(report: Report) -> Iterator[Block]:
    yield Heading(2, "Single models")
    ranked = sorted(report.singles, key=lambda single: -single.accuracy.value)
    cut = f" The {SINGLES_SHOWN} most accurate of {len(ranked)}; report.json has all." if len(ranked) > SINGLES_SHOWN else ""
    yield Paragraph(f"Each answering everything.{cut}")
    columns = ("model", "accuracy", "cost per query") if report.data.has_cost else ("model", "accuracy")
    rows = [(s.model, interval(s.accuracy), interval(s.cost, money))[: len(columns)] for s in ranked[:SINGLES_SHOWN]]
    yield Table(columns, tuple(rows))


def _definitions(report: Report) -> Iterator[Block]:
    yield Heading(2, "Definitions")
    losses = (
        "log-loss: mean of -(a log p + (1 - a) log(1 - p)) over observed pairs of query and model, p clipped to [1e-6, 1 "
        "- 1e-6]; Brier score: mean of (p - a)².",
        f"calibration error: {BINS} bins of equal width in the prediction; mean distance of predicted and observed mean, "
        "by pairs. Its interval is that of the resamples, moved by their mean's distance from the figure: noise raises it.",
    )
    if not report.methods:
        yield Items(losses)
        return
    yield Items(
        (
            "cost to match: the least cost at which the curve first reaches the best single model's accuracy, as a share "
            "of that model's cost; ∞ where it never does.",
            "hull area: mean height of the realised upper hull (trapezoid rule) between the cost of the cheapest and of "
            "the dearest single model; the cheapest single model is a point of every curve. Vertices are chosen on the "
            "test split and kept in the resamples.",
            "AIQ, code: as RouterBench's evaluation code computes it: area under the non-decreasing hull, extended flat "
            "to the largest hull cost among all methods here, divided by that cost; so it depends on what is compared, and "
            "what lies left of the first point counts as zero. On the test split as a whole, where the code averages over "
            "its tasks.",
            "AIQ, paper: the same area divided by the distance from the first point to that largest cost.",
            "gap to hindsight: hull area of hindsight less that of the method.",
            "target error: mean over the budgets, those that have no plan left out, of the absolute relative error of the "
            "spend; its interval as that of the calibration error.",
            *losses,
        )
    )


def interval(estimate: Estimate, word: Callable[[float], str] | None = None) -> str:
    """A figure with its interval, three decimals unless `word` says otherwise.

    Examples
    --------
    >>> interval(Estimate(0.81234, 0.79, 0.83))
    '0.812 (0.790–0.830)'
    """
    say = word or _decimals
    if math.isnan(estimate.value):
        return "–"
    if math.isnan(estimate.low):
        return str(say(estimate.value))
    return f"{say(estimate.value)} ({say(estimate.low)}–{say(estimate.high)})"


def signed(estimate: Estimate, scale: float = 1.0) -> str:
    """A difference with its sign and interval.

    Examples
    --------
    >>> signed(Estimate(0.0123, -0.004, 0.03), 100)
    '+1.2 (-0.4 to +3.0)'
    """
    if math.isnan(estimate.value):
        return "–"
    digits = 1 if scale == 100 else 3
    return _to(estimate, lambda value: f"{scale * value:+.{digits}f}")


def _percents(estimate: Estimate) -> str:
    return _to(estimate, lambda value: f"{value:+.1%}")


def _to(estimate: Estimate, word: Callable[[float], str]) -> str:
    """A signed figure, with its interval where it has one."""
    ends = "" if math.isnan(estimate.low) else f" ({word(estimate.low)} to {word(estimate.high)})"
    return f"{word(estimate.value)}{ends}"


def money(value: float) -> str:
    """Three significant digits.

    Examples
    --------
    >>> money(0.00085432), money(12.345)
    ('0.000854', '12.3')
    """
    return (
        np.format_float_positional(value, precision=3, unique=False, fractional=False, trim="-")
        if value > 0
        else f"{value:g}"
    )


def _decimals(value: float) -> str:
    return f"{value:.3f}"


def percentage(estimate: Estimate) -> str:
    """A figure with its interval in per cent, without a sign.

    Examples
    --------
    >>> percentage(Estimate(0.7, 0.08, float("inf")))
    '70% (8%–∞)'
    """

    def word(value: float) -> str:
        return "∞" if math.isinf(value) else f"{value:.0%}"

    return interval(estimate, word)


def _single_cost(report: Report) -> float:
    return next(single.cost.value for single in report.singles if single.model == report.best_single)
