"""The pictures of a report, as PNG bytes with their captions."""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.evaluation.document import money
from omnirouter.evaluation.labels import place_labels
from omnirouter.evaluation.results import Method, Target
from omnirouter.extras import require

if TYPE_CHECKING:
    from omnirouter.evaluation.report import Report

__all__ = ["draw"]

# Okabe and Ito's colours, which colour-blind readers can tell apart; line styles differ too.
BLUE, ORANGE, GREEN, RED, PURPLE, SKY, YELLOW, GREY = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442", "#777777",
)  # fmt: skip
LOOKS: dict[str, dict[str, Any]] = {
    "lambda-tuned": {"color": ORANGE, "ls": "--", "lw": 1.3},
    "threshold": {"color": PURPLE, "ls": ":", "lw": 1.8},
    "zero router": {"color": "black", "ls": "-.", "lw": 1.5},
    "hindsight": {"color": GREY, "ls": "-", "lw": 1.3},
    "random": {"color": GREY, "ls": "", "marker": "D", "ms": 6},
}
PREDICTORS = (
    {"color": BLUE, "ls": "-", "lw": 2.4},
    {"color": GREEN, "ls": "-", "lw": 1.3},
    {"color": RED, "ls": "-", "lw": 1.3},
    {"color": SKY, "ls": "-", "lw": 1.3},
)
WORDS = {
    "hybrid": "hybrid (neighbours and network)",
    "knn": "knn (nearest past prompts)",
    "network": "network (trained)",
    "router": "router (the given one)",
    "lambda-tuned": "lambda-tuned (rule per query:\nmost accuracy - λ·cost)",
    "threshold": "threshold (rule per query:\ncheapest model above it)",
    "zero router": "zero router (random mix of\nsingle models, in hindsight)",
    "random": "random (model drawn)",
    "hindsight": "hindsight (knows the outcomes)",
}
DPI = 150
SHIFT = 0.003  # of accuracy, so that two marks for one floor do not hide each other
LINE_STEP = 6.0  # pixels between points of a curve that names of models keep clear of
EDGE = 0.045  # of accuracy, beyond 0 and 1
BARS = 14  # models in a picture of capacities


def draw(report: Report) -> dict[str, tuple[bytes, str]]:
    """All pictures that the report has figures for.

    Returns
    -------
    dict
        Name to (PNG, caption).

    Raises
    ------
    MissingExtraError
        When matplotlib is not installed.
    """
    # Figures of their own need no backend and no pyplot, and so leave the caller's settings alone.
    make = require("matplotlib.figure", extra="plot").Figure
    pictures = {"calibration": _calibration(report, make)}
    if report.methods:
        pictures["curve"] = _curve(report, make)
        pictures["targets"] = _targets(report, make)
    if report.capacity:
        pictures["capacity"] = _capacity(report, make)
    return pictures


def _png(figure: Any) -> bytes:
    file = io.BytesIO()
    # No date, no version: the same report gives the same bytes.
    figure.savefig(file, format="png", dpi=DPI, metadata={"Software": None})
    return file.getvalue()


def _looks(report: Report) -> dict[str, dict[str, Any]]:
    names = [method.name for method in report.methods if method.predicted_spend and method.name not in LOOKS]
    names = names or [own.predictor for own in report.scores]
    return LOOKS | {name: PREDICTORS[i % len(PREDICTORS)] for i, name in enumerate(names)}


def _curve(report: Report, make: Callable[..., Any]) -> tuple[bytes, str]:
    figure = make(figsize=(10.2, 5.4), dpi=DPI, layout="constrained")  # text is as wide as measured at this DPI only
    axes = figure.subplots()
    looks = _looks(report)
    for method in report.methods:
        spend, accuracy = _drawn(method, max(single.cost.value for single in report.singles))
        order = 3 if method.name == report.subject else 2
        axes.plot(spend, accuracy, label=WORDS.get(method.name, method.name), zorder=order, **looks[method.name])
    subject = report.method(report.subject)
    price = next(single.cost.value for single in report.singles if single.model == report.best_single)
    for k, (share, at) in enumerate(zip(report.shares, subject.accuracy_at, strict=True)):
        if not math.isnan(at.value):
            below, above = max(at.value - at.low, 0.0), max(at.high - at.value, 0.0)
            label = f"{subject.name}, 95 % interval" if k == 0 else None
            axes.errorbar(
                share * price, at.value, yerr=[[below], [above]], fmt="o", color=BLUE, ms=5, capsize=3, label=label
            )
    cost = np.array([single.cost.value for single in report.singles])
    mean = np.array([single.accuracy.value for single in report.singles])
    axes.plot(cost, mean, "x", color="black", ms=6, label="single models", zorder=4)
    if cost.max() > 10 * cost.min() > 0:  # else a logarithmic axis has hardly a tick
        axes.set_xscale("log")
        # Plain numbers: powers of ten as formulas need fonts that not every machine has.
        axes.xaxis.set_major_formatter(lambda value, _: money(value))
        axes.xaxis.set_minor_formatter("")
        axes.set_xlim(right=cost.max() * 3)
    else:
        axes.set_xlim(right=cost.max() + 0.3 * np.ptp(cost))
    # From the lowest curve up; single models far below it would only press the curves together.
    low = min(min(report.method(name).accuracy) for name in (report.subject, "zero router", "random", "hindsight"))
    high = max(report.method("hindsight").accuracy)
    room = max(high - low, 0.05)
    axes.set_ylim(low - 0.06 * room, high + 0.03 * room)
    axes.set_xlabel("realised cost per query (money of the outcomes or of the pool)")
    axes.set_ylabel("realised accuracy (mean over queries)")
    axes.grid(alpha=0.25)
    figure.legend(loc="outside right upper", frameon=False, fontsize=9)
    figure.draw_without_rendering()  # from now on the axes stay where they are
    _name_singles(axes, report)
    words = (
        "Realised accuracy against realised cost per query. Crosses: single models, named where they are on the hull "
        f"that random mixes reach (zero router) and there is room. Dots: {report.subject} at "
        f"{', '.join(f'{share:.0%}' for share in report.shares)} of the "
        f"cost of the best single model, {report.best_single}. Single models far below the curves are not shown."
    )
    return _png(figure), words


def _drawn(method: Method, dearest: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A curve to draw: mixes of two points are straight in money, so bent in its logarithm; flat at the end."""
    order = np.argsort(method.spend, kind="stable")
    spend, accuracy = np.asarray(method.spend)[order], np.asarray(method.accuracy)[order]
    if method.name == "random":
        return spend, accuracy
    if dearest > spend[-1]:
        spend, accuracy = np.append(spend, dearest), np.append(accuracy, accuracy[-1])
    dense = np.unique(np.concatenate([spend, *(np.linspace(a, b, 24) for a, b in pairwise(spend))]))
    return dense, np.interp(dense, spend, accuracy)


def _name_singles(axes: Any, report: Report) -> None:
    """Names of the single models on the hull beside their crosses, as many as there is room for."""
    spends = report.method("zero router").spend
    # Of models that cost the same, the most accurate is on the hull.
    at_cost = {own.cost.value: own for own in sorted(report.singles, key=lambda own: own.accuracy.value)}
    named = [at_cost[spend] for spend in spends]
    others = [own for own in report.singles if own not in named]
    points = axes.transData.transform([(own.cost.value, own.accuracy.value) for own in (*named, *others)])
    seen = axes.bbox.y0 <= points[:, 1]
    seen[: len(named)] = True
    box = {"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.6}
    texts = [
        axes.text(own.cost.value, own.accuracy.value, own.model, fontsize=7.5, va="bottom", bbox=box, zorder=4.5)
        for own in named
    ]
    sizes = np.array([text.get_window_extent().size for text in texts])
    lengths = (points[seen], sizes, _drawn_points(axes), np.array(axes.bbox.extents))
    points, sizes, lines, frame = (length * (72 / DPI) for length in lengths)
    boxes = place_labels(points, range(len(texts)), sizes, lines, frame)
    for text, place in zip(texts, boxes, strict=True):
        if place is None:
            text.remove()
        else:
            text.set_position(axes.transData.inverted().transform(place[:2] * (DPI / 72)))


def _drawn_points(axes: Any) -> NDArray[np.float64]:
    """Points along the lines and intervals of a picture, in pixels, close enough that none passes a label unseen."""
    curves = [line.get_xydata() for line in axes.lines if line.get_linestyle() != "None"]
    curves += [segment for bars in axes.collections for segment in bars.get_segments()]
    found = []
    for curve in curves:
        x, y = axes.transData.transform(curve).T
        along = np.concatenate([[0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))])
        at = np.arange(0.0, along[-1], LINE_STEP)
        found.append(np.column_stack([np.interp(at, along, x), np.interp(at, along, y)]))
    return np.concatenate(found)


def _calibration(report: Report, make: Callable[..., Any]) -> tuple[bytes, str]:
    shown = [own for own in report.scores if own.predictor != "model means"]
    figure = make(figsize=(3.4 * len(shown) + 0.6, 4.1), layout="constrained")
    panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
    looks = _looks(report)
    for axes, own in zip(panels, shown, strict=True):
        found = own.diagram
        some = found.count > 0
        size = 12 + 160 * found.count[some] / found.count.max()
        axes.plot([0, 1], [0, 1], color=GREY, lw=1, ls="--")
        color = looks.get(own.predictor, PREDICTORS[0])["color"]
        axes.plot(found.predicted[some], found.observed[some], color=color, lw=1)
        axes.scatter(found.predicted[some], found.observed[some], s=size, color=color, alpha=0.75, zorder=3)
        axes.set_title(f"{own.predictor}: error {own.ece.value:.3f}", fontsize=10)
        axes.set_xlabel("predicted accuracy")
        axes.set_xlim(-EDGE, 1 + EDGE)  # whole dots at 0 and 1
        axes.set_ylim(-EDGE, 1 + EDGE)
        axes.set_aspect("equal")
        axes.grid(alpha=0.25)
    panels[0].set_ylabel("observed accuracy")
    return _png(figure), (
        "Calibration: mean observed against mean predicted accuracy, in bins of the prediction; the larger a dot, the "
        "more pairs of query and model. Dashed: perfect."
    )


def _targets(report: Report, make: Callable[..., Any]) -> tuple[bytes, str]:
    figure = make(figsize=(9.4, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.25, 1))
    looks = _looks(report)
    budgets = [t for t in report.targets if t.limit == "budget" and t.confidence is None]
    names = list(dict.fromkeys(t.method for t in budgets))
    for k, name in enumerate(names):
        own = [t for t in budgets if t.method == name and not math.isnan(t.error.value)]
        at = [report.shares.index(t.share) + (k - (len(names) - 1) / 2) * 0.16 for t in own]
        _bars(left, at, own, 100.0, "error", color=looks[name]["color"], label=name)
    left.axhline(0, color=GREY, lw=1, ls="--")
    left.set_xticks(range(len(report.shares)), [f"{share:.0%}" for share in report.shares])
    left.set_xlabel("budget asked for (share of the best single model's cost)")
    left.set_ylabel("realised less promised spend (%)")
    left.set_title("Budgets", fontsize=10)
    floors = [t for t in report.targets if t.limit == "min_accuracy" and not math.isnan(t.accuracy.value)]
    plain = [t for t in floors if t.confidence is None]
    sure = [t for t in floors if t.confidence is not None]
    _bars(right, [t.asked for t in plain], plain, 1.0, "accuracy", color=BLUE, label="realised")
    right.plot([t.asked for t in plain], [t.predicted_accuracy for t in plain], "_", color="black", ms=12, label="predicted")
    if sure:
        label = f"realised, asked with confidence {sure[0].confidence:g}"
        _bars(right, [t.asked + SHIFT for t in sure], sure, 1.0, "accuracy", color=ORANGE, label=label)
    if floors:
        ends = [min(t.asked for t in floors) - 0.01, max(t.asked for t in floors) + 0.01]
        right.plot(ends, ends, color=GREY, lw=1, ls="--", label="as asked")
    else:
        right.text(0.5, 0.5, "no floor could be met", ha="center", va="center", transform=right.transAxes)
    right.set_xlabel("accuracy floor asked for")
    right.set_ylabel("accuracy (mean over queries)")
    right.set_title(f"Floors, {report.subject}", fontsize=10)
    for axes in (left, right):
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(
                loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2 if axes is right else 4, frameon=False, fontsize=8.5
            )
    return _png(figure), (
        "What was asked for and what came of it, with 95 % intervals. Left: realised over promised spend, in per cent. "
        f"Right: accuracy floors for {report.subject}; the distance between the black marks and the dots is what the "
        "predictions were wrong by; dots below the line missed their floor."
    )


def _bars(axes: Any, at: list[float], targets: list[Target], scale: float, field: str, **looks: Any) -> None:
    values = [getattr(t, field) for t in targets]
    middle = np.array([value.value for value in values]) * scale
    below = np.array([value.value - value.low for value in values]) * scale
    above = np.array([value.high - value.value for value in values]) * scale
    if len(values):
        axes.errorbar(at, middle, yerr=np.maximum([below, above], 0.0), fmt="o", ms=5, capsize=3, lw=1.3, **looks)


def _capacity(report: Report, make: Callable[..., Any]) -> tuple[bytes, str]:
    figure = make(figsize=(9.4, 3.2 * len(report.capacity)), layout="constrained")
    panels = figure.subplots(len(report.capacity), 1, squeeze=False)[:, 0]
    cost = np.array([single.cost.value for single in report.singles])
    for axes, scenario in zip(panels, report.capacity, strict=True):
        load, caps = np.array(scenario.load), np.array(scenario.caps)
        busiest = np.argsort(-load, kind="stable")[:BARS]
        shown = busiest[np.argsort(cost[busiest], kind="stable")]
        place = np.arange(len(shown))
        axes.bar(place, np.minimum(caps[shown], sum(load)), color="#dddddd", label="room", width=0.75)
        axes.bar(place, load[shown], color=BLUE, label="queries", width=0.55)
        top = max(caps[shown].max(), load.max())
        for x, j in zip(place, shown, strict=True):
            if scenario.prices[j] > 0:
                axes.text(x, caps[j] + 0.02 * top, f"{scenario.prices[j]:.2g}", ha="center", fontsize=8, color=RED)
        axes.set_ylim(0, 1.15 * top)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.set_xticks(place, [report.data.models[j] for j in shown], rotation=28, ha="right", fontsize=8)
        axes.set_ylabel("queries")
        axes.set_title(f"{scenario.name[0].upper()}{scenario.name[1:]}", fontsize=10)
        axes.grid(alpha=0.25, axis="y")
        axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)
    return _png(figure), (
        f"Load of the global plan at the middle spend, models from cheap to dear (at most {BARS}, the busiest). Red: the "
        "price of one more slot, in expected correct answers."
    )
