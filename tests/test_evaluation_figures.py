"""Figures of an evaluation against hand-computed cases and definitions written out anew."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from numpy.typing import NDArray

from omnirouter.evaluation.bootstrap import Estimate, Resamples, estimate
from omnirouter.evaluation.curves import accuracy_at, cost_to_reach, mean_height, reference_hull
from omnirouter.evaluation.document import signed
from omnirouter.evaluation.labels import place_labels
from omnirouter.evaluation.measuring import Judge
from omnirouter.evaluation.rendering import Table, to_html
from omnirouter.evaluation.results import Difference
from omnirouter.evaluation.scores import score
from omnirouter.hull import upper_hull
from omnirouter.predictor.calibration import BINS, expected_calibration_error

Array = NDArray[np.float64]


def row(*values: float) -> Array:
    return np.array([values])


def reference_code(points: list[tuple[float, float]], largest: float | None = None) -> float:
    """AIQ step by step as the reference's description has it, for one router."""
    points = sorted(points)
    raised = []
    for x, y in points:
        best = y
        for (xa, ya), (xb, yb) in itertools.combinations(points, 2):
            if xa <= x <= xb and xa < xb:
                best = max(best, ya + (yb - ya) * (x - xa) / (xb - xa))
        raised.append((x, best))
    kept = [raised[0]] + [b for a, b in itertools.pairwise(raised) if b[1] >= a[1]]
    largest = kept[-1][0] if largest is None else largest
    if kept[-1][0] < largest:
        kept.append((largest, kept[-1][1]))
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(kept)) / largest


def aiq_code(points: list[tuple[float, float]]) -> float:
    cost, acc = (np.array(values) for values in zip(*points, strict=True))
    hull = reference_hull(cost, acc)
    first, last = cost[hull].min(), cost[hull].max()
    height = mean_height(cost[hull][None], acc[hull][None], np.array([first]), np.array([last]))
    return float(height[0] * (last - first) / last) if last > first else 0.0


@pytest.mark.parametrize(
    ("points", "aiq"),
    [
        ([(1.0, 0.5), (2.0, 0.7), (4.0, 0.8)], 0.525),
        ([(1.0, 0.6), (2.0, 0.9), (3.0, 0.7), (4.0, 0.8)], 0.375),  # the last two fall away, and with them their cost
        ([(1.0, 0.6), (2.0, 0.9), (3.0, 0.9)], 0.55),  # a dearer point that is as good stays, and its cost divides
    ],
)
def test_aiq_of_the_reference_code_by_hand(points: list[tuple[float, float]], aiq: float) -> None:
    assert reference_code(points) == pytest.approx(aiq)
    assert aiq_code(points) == pytest.approx(aiq)


def test_aiq_agrees_with_the_reference_description_on_random_points() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        k = int(rng.integers(3, 9))
        points = [(float(x), float(y)) for x, y in zip(rng.random(k) + 0.1, np.round(rng.random(k), 1), strict=True)]
        assert aiq_code(points) == pytest.approx(reference_code(points)), points


def best_mix(cost: Array, acc: Array, spend: float) -> float:
    """Zero router by brute force: every mix of two models that spends no more."""
    best = max((a for c, a in zip(cost, acc, strict=True) if c <= spend), default=float("nan"))
    for a, b in itertools.permutations(range(len(cost)), 2):
        if cost[a] <= spend < cost[b]:
            weight = (spend - cost[a]) / (cost[b] - cost[a])
            best = max(best, (1 - weight) * acc[a] + weight * acc[b])
    return float(best)


def test_the_zero_router_is_the_best_mix_of_two_models() -> None:
    rng = np.random.default_rng(1)
    for _ in range(100):
        m = int(rng.integers(1, 8))
        cost, acc = np.round(rng.random(m), 1) + 0.1, np.round(rng.random(m), 1)
        hull = upper_hull(cost, acc)
        for spend in rng.random(5) * 1.3:
            got = accuracy_at(cost[hull][None], acc[hull][None], np.array([spend]))[0]
            np.testing.assert_allclose(got, best_mix(cost, acc, spend), equal_nan=True)


def test_accuracy_between_beyond_and_below_the_points() -> None:
    cost, acc = row(4.0, 1.0, 2.0), row(0.8, 0.5, 0.7)
    got = [accuracy_at(cost, acc, np.array([spend]))[0] for spend in (0.9, 1.0, 1.5, 3.0, 4.0, 9.0)]
    np.testing.assert_allclose(got, [np.nan, 0.5, 0.6, 0.75, 0.8, 0.8])


def test_points_of_equal_cost_do_not_divide_by_zero() -> None:
    assert accuracy_at(row(1.0, 1.0), row(0.4, 0.6), np.array([1.0]))[0] in (0.4, 0.6)


def test_cost_to_reach_an_accuracy() -> None:
    cost, acc = row(4.0, 1.0, 2.0), row(0.8, 0.5, 0.7)
    got = [cost_to_reach(cost, acc, np.array([target]))[0] for target in (0.4, 0.6, 0.7, 0.75, 0.9)]
    np.testing.assert_allclose(got, [1.0, 1.5, 2.0, 3.0, np.inf])


def test_mean_height_is_the_integral() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        k = int(rng.integers(1, 6))
        x, y = np.sort(rng.random(k)), rng.random(k)
        low, high = np.sort(rng.random(2))
        grid = np.linspace(low, high, 20_001)
        values = np.interp(grid, x, y)
        wanted = float(((values[1:] + values[:-1]) / 2).mean())
        assert mean_height(x[None], y[None], np.array([low]), np.array([high]))[0] == pytest.approx(wanted, abs=1e-4)
    assert np.isnan(mean_height(row(1.0), row(0.5), np.array([2.0]), np.array([2.0]))[0])


def test_scores_are_their_definitions() -> None:
    rng = np.random.default_rng(3)
    acc = np.round(rng.random((60, 3)), 1)
    acc[rng.random(acc.shape) < 0.3] = np.nan
    p = rng.random(acc.shape)
    found = score("p", ("a", "b", "c"), p, acc, Resamples(60, 20, seed=0))
    seen = ~np.isnan(acc)
    a, q = acc[seen], p[seen]
    assert found.log_loss.value == pytest.approx(-(a * np.log(q) + (1 - a) * np.log(1 - q)).mean())
    assert found.brier.value == pytest.approx(((q - a) ** 2).mean())
    assert found.less_subject == Estimate(0.0, 0.0, 0.0)
    other = score("q", ("a", "b", "c"), np.full(acc.shape, 0.5), acc, Resamples(60, 20, seed=0), subject=p)
    assert other.less_subject.value == pytest.approx(other.log_loss.value - found.log_loss.value)
    error = 0.0
    for low in np.arange(BINS) / BINS:
        mine = (q >= low) & (q < low + 1 / BINS)
        if mine.any():
            error += mine.mean() * abs(q[mine].mean() - a[mine].mean())
    assert found.ece.value == pytest.approx(error)
    assert found.diagram.count.sum() == seen.sum()
    own = found.per_model[1]
    mine = seen[:, 1]
    assert own.brier.value == pytest.approx(((p - acc)[mine, 1] ** 2).mean())
    assert (own.predicted, own.accuracy.value) == pytest.approx((p[mine, 1].mean(), acc[mine, 1].mean()))
    assert own.ece.value == pytest.approx(expected_calibration_error(p[mine, 1], acc[mine, 1]))
    for figure in (own.accuracy, own.log_loss, own.brier, own.ece):
        assert figure.low < figure.value < figure.high
    alone = score("p", ("b",), p[:, [1]], acc[:, [1]], Resamples(60, 20, seed=0))
    assert (alone.log_loss, alone.ece) == (own.log_loss, own.ece)


def test_a_model_that_was_not_observed_has_no_scores() -> None:
    acc = np.column_stack([np.tile([0.0, 1.0], 10), np.full(20, np.nan)])
    found = score("p", ("a", "b"), np.full((20, 2), 0.5), acc, Resamples(20, 10, seed=0))
    assert np.isnan([found.per_model[1].predicted, *(figure.value for figure in found.per_model[1][2:])]).all()
    assert found.per_model[0].ece.value == found.ece.value == 0.0


def test_intervals_of_calibration_errors_hold_their_figure_and_cover() -> None:
    """Calibrated predictions: every percentile of the resamples would lie above what most test splits show."""
    rng = np.random.default_rng(0)
    chances = [rng.random((150, 2)) for _ in range(100)]
    found = [score("p", ("a", "b"), p, (rng.random(p.shape) < p) * 1.0, Resamples(150, 100, seed=1)).ece for p in chances]
    expected = np.mean([own.value for own in found])
    assert all(0 <= own.low <= own.value <= own.high for own in found)
    assert 88 <= sum(own.low <= expected <= own.high for own in found) <= 99


def test_a_certain_prediction_that_fails_has_a_finite_log_loss() -> None:
    found = score("p", ("a",), np.array([[1.0], [0.0]]), np.array([[0.0], [0.0]]), Resamples(2, 5, seed=0))
    assert found.log_loss.value == pytest.approx(-np.log(1e-6) / 2)


def test_resamples_are_those_of_a_plain_bootstrap() -> None:
    values = np.random.default_rng(5).random((40, 2))
    draws = Resamples(40, 300, seed=7)
    means = draws.means(values)
    np.testing.assert_allclose(means[0], values.mean(axis=0))
    rng = np.random.default_rng(7)
    for k in range(300):
        np.testing.assert_allclose(means[k + 1], values[rng.integers(0, 40, 40)].mean(axis=0))
    np.testing.assert_array_equal(Resamples(40, 300, seed=7).counts, draws.counts)
    assert (Resamples(40, 300, seed=8).counts != draws.counts).any()


def test_intervals_cover_the_mean_as_often_as_they_say() -> None:
    rng = np.random.default_rng(6)
    covered = 0
    for _ in range(100):
        found = estimate(Resamples(80, 100, seed=1).means(rng.random((80, 1)))[:, 0])
        covered += found.low <= 0.5 <= found.high
    assert 88 <= covered <= 99


def test_an_estimate_keeps_infinities_and_has_no_interval_where_much_is_not_defined() -> None:
    found = estimate(np.array([1.0, np.inf, 0.5, 0.7]))
    assert (found.value, found.low, found.high, found.undefined) == (1.0, 0.5, np.inf, 0.0)
    draws = np.linspace(0, 1, 1001)
    draws[1:11] = np.nan
    found = estimate(draws)
    assert found.undefined == pytest.approx(0.01)
    assert found.low < 0.05 < 0.95 < found.high
    draws[11] = np.nan
    found = estimate(draws)
    assert found.undefined == pytest.approx(0.011)
    assert np.isnan([found.low, found.high]).all()
    assert np.isnan(estimate(np.array([np.nan, 1.0])).low)
    assert Difference("a", "b", None, found).verdict == "open"
    assert signed(found) == "+0.000"


def test_differences_are_paired() -> None:
    """Two plans that differ in one query of a hundred: far closer than two independent means."""
    rng = np.random.default_rng(7)
    acc = np.column_stack([rng.integers(0, 2, 100), rng.integers(0, 2, 100)]).astype(np.float64)
    acc[:99, 1] = acc[:99, 0]
    acc[99] = [0, 1]
    judge = Judge(("a", "b"), acc, np.ones((100, 2)), Resamples(100, 400, seed=0))
    curves = [judge.curve(name, np.full((1, 100), j)) for j, name in enumerate("ab")]
    found = judge.difference(curves[1], curves[0], 1.0).difference
    assert found.value == pytest.approx(0.01)
    assert found.high - found.low < 0.05


def test_a_label_without_room_is_left_out_and_labels_do_not_overlap() -> None:
    grid = np.array([(x, y) for x in range(100, 140, 6) for y in range(100, 140, 6)], dtype=np.float64)
    middle, far = len(grid) // 2, len(grid)
    points = np.concatenate([grid, [[300.0, 100.0], [320.0, 112.0]]])
    boxes = place_labels(
        points, [middle, far, far + 1], np.full((3, 2), [60.0, 11.0]), np.empty((0, 2)), np.array([0.0, 0.0, 400.0, 200.0])
    )
    assert boxes[0] is None
    (left, bottom, right, top), (a, b, c, d) = (box.tolist() for box in boxes[1:] if box is not None)
    assert right <= a or c <= left or top <= b or d <= bottom


def test_labels_keep_clear_of_curves_where_they_can() -> None:
    line = np.column_stack([np.linspace(100, 200, 50), np.full(50, 100.0)])  # right of the point
    (box,) = place_labels(
        np.array([[100.0, 100.0]]), [0], np.array([[60.0, 11.0]]), line, np.array([0.0, 0.0, 300.0, 200.0])
    )
    assert box is not None
    assert not ((line >= box[:2]) & (line <= box[2:])).all(axis=1).any()


def test_wide_tables_wrap_around_figures_with_their_intervals() -> None:
    page = to_html([Table(("less", "at 10%"), (("best single (a long name)", "+1.7 (+0.3 to +3.2) ahead"),))], {})
    assert '<td><span class="whole">+1.7 (+0.3 to +3.2)</span> ahead</td>' in page
    assert not re.search(r"t[dh][^{}]*\{[^}]*nowrap", page)
