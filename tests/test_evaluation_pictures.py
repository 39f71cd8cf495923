"""The pictures of a report, as matplotlib holds them: what is written lies inside, and names belong to their crosses."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from omnirouter import Report
from omnirouter.evaluation.bootstrap import Estimate
from omnirouter.evaluation.plots import DPI, draw


def pictures(report: Report, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The figures that `draw` makes, as matplotlib holds them, by name."""
    drawn: list[Any] = []
    monkeypatch.setattr("omnirouter.evaluation.plots._png", lambda figure: drawn.append(figure) or b"")
    names = list(draw(report))
    return dict(zip(names, drawn, strict=True))


def test_long_names_of_models_end_inside_the_picture(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tuple(replace(own, model=own.model.ljust(44, "x")) for own in report.singles)
    axes = pictures(replace(report, singles=long, best_single=report.best_single.ljust(44, "x")), monkeypatch)["curve"].axes[
        0
    ]
    names = [text for text in axes.texts if text.get_text().endswith("x")]
    assert len(names) >= 2
    for text in names:
        assert axes.bbox.x0 <= text.get_window_extent().x0 < text.get_window_extent().x1 <= axes.bbox.x1


def test_names_cover_no_cross_and_are_nearest_to_their_own(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    hull = report.method("zero router")
    crowd = []
    for spend, accuracy in zip(hull.spend, hull.accuracy, strict=True):  # right where names would stand
        for k, (x, y) in enumerate(zip(rng.uniform(1.02, 1.3, 6), rng.uniform(0.002, 0.02, 6), strict=True)):
            cost, height = Estimate(spend * x, spend, spend), Estimate(accuracy - y, 0.0, 1.0)
            crowd.append(replace(report.singles[0], model=f"crowd {k}", cost=cost, accuracy=height))
    singles = (*report.singles, *crowd)
    axes = pictures(replace(report, singles=singles), monkeypatch)["curve"].axes[0]
    cross = axes.transData.transform([(own.cost.value, own.accuracy.value) for own in singles])
    names = [own.model for own in singles]
    assert len(axes.texts) >= len(hull.spend) - 1
    assert axes.figure.dpi == DPI  # the text is as wide as in the file
    for text in axes.texts:
        (left, bottom), (right, top) = text.get_window_extent().get_points()
        beside = np.maximum(np.maximum(left - cross[:, 0], cross[:, 0] - right), 0)
        beyond = np.maximum(np.maximum(bottom - cross[:, 1], cross[:, 1] - top), 0)
        away = np.hypot(beside, beyond)
        assert names[away.argmin()] == text.get_text()
        assert np.maximum(beside, beyond).min() > 3 * axes.figure.dpi / 72  # half of a cross


def test_dots_of_the_calibration_are_whole_and_queries_are_counted_in_whole_numbers(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, *others = report.scores
    ends = np.array([0.0, 1.0])
    diagram = replace(first.diagram, predicted=ends, observed=ends, count=np.array([5, 5]))
    few = replace(report.capacity[0], caps=(1.0,) * len(report.singles), load=(1,) * len(report.singles))
    drawn = pictures(replace(report, scores=(replace(first, diagram=diagram), *others), capacity=(few,)), monkeypatch)
    axes = drawn["calibration"].axes[0]
    drawn["calibration"].draw_without_rendering()
    dots = axes.collections[0]
    radius = np.sqrt(dots.get_sizes().max()) / 2 * drawn["calibration"].dpi / 72
    for x, y in axes.transData.transform(dots.get_offsets()):
        assert axes.bbox.x0 <= x - radius < x + radius <= axes.bbox.x1
        assert axes.bbox.y0 <= y - radius < y + radius <= axes.bbox.y1
    assert all(tick == round(tick) for tick in drawn["capacity"].axes[0].get_yticks())


def test_models_of_equal_cost_are_told_apart_in_the_picture(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    best = next(own for own in report.singles if own.model == report.best_single)
    worse = replace(best, model="as dear, worse", accuracy=replace(best.accuracy, value=best.accuracy.value - 0.3))
    axes = pictures(replace(report, singles=(*report.singles, worse)), monkeypatch)["curve"].axes[0]
    assert best.model in [text.get_text() for text in axes.texts]
