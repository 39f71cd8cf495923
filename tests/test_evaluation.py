"""`evaluate` and its report, end to end on simulated outcomes."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from omnirouter import Model, Outcomes, Pool, Report, Router, evaluate
from omnirouter.cli import main
from omnirouter.demo import simulate
from omnirouter.evaluation.bootstrap import Estimate
from omnirouter.evaluation.exam import hash_split, set_exam
from omnirouter.evaluation.results import estimates
from omnirouter.predictor import embedded_encoder
from omnirouter.predictor.history import History
from routers import labelled

FILES = {"report.json", "report.md", "report.html", "curve.png", "calibration.png", "targets.png", "capacity.png"}


def test_every_way_to_route_is_compared_on_the_same_queries(report: Report) -> None:
    names = [method.name for method in report.methods]
    assert names == ["knn", "lambda-tuned", "threshold", "zero router", "random", "hindsight"]
    assert report.data.judged == report.data.test == len(labelled().select(split="test"))
    hindsight = report.method("hindsight")
    for method in report.methods:
        assert method.hull_area.value <= hindsight.hull_area.value + 1e-3
        assert all(0 <= accuracy <= 1 for accuracy in method.accuracy)
        for at, best in zip(method.accuracy_at, hindsight.accuracy_at, strict=True):
            assert not at.value > best.value + 1e-3
    assert hindsight.gap_to_hindsight.value == 0
    assert report.method("zero router").cost_to_match.value == pytest.approx(1.0)
    with pytest.raises(KeyError, match="no method 'oracle'; there are knn, lambda-tuned"):
        report.method("oracle")


def test_accuracy_and_cost_are_looked_up_not_predicted(report: Report) -> None:
    test = labelled().select(split="test")
    best = int(test.acc.mean(axis=0).argmax())
    assert report.best_single == test.models[best]
    for single, acc, cost in zip(report.singles, test.acc.T, test.cost.T, strict=True):  # type: ignore[union-attr]
        assert single.accuracy.value == pytest.approx(acc.mean())
        assert single.cost.value == pytest.approx(cost.mean())
        assert single.accuracy.low <= single.accuracy.value <= single.accuracy.high
    router = Router.fit(labelled().select(split="train"), predictor="knn")
    target = next(t for t in report.targets if t.method == "knn" and t.limit == "budget" and t.share == 0.5)
    assert target.asked == pytest.approx(0.5 * test.cost[:, best].mean())  # type: ignore[index]
    routing = router.route(test.prompts, budget=target.asked * len(test), rel_gap=1e-3)
    plan = routing.solution.raise_for_status().assignment
    rows = np.arange(len(test))
    assert target.accuracy.value == pytest.approx(test.acc[rows, plan].mean())
    assert target.spend.value == pytest.approx(test.cost[rows, plan].mean())  # type: ignore[index]
    assert target.predicted_accuracy == pytest.approx(routing.solution.accuracy)
    assert target.error.value == pytest.approx(target.spend.value / target.asked - 1)
    assert 0 <= target.kept <= 1
    loose = next(t for t in report.targets if t.method == "knn" and t.share == 1.0 and t.limit == "budget")
    if loose.spend.high <= loose.asked:
        assert loose.kept >= 0.975


def test_limits_asked_with_confidence_are_those_of_the_router(report: Report) -> None:
    test = labelled().select(split="test")
    router = Router.fit(labelled().select(split="train"), predictor="knn")
    sure = next(t for t in report.targets if t.confidence == 0.9 and t.limit == "budget" and t.share == 0.5)
    routing = router.route(test.prompts, budget=sure.asked * len(test), confidence=0.9, rel_gap=1e-3)
    plan, expected = routing.assignment, routing.expected
    assert plan is not None
    assert expected is not None
    assert sure.accuracy.value == pytest.approx(test.acc[np.arange(len(test)), plan].mean())
    assert sure.expected_spend == pytest.approx(expected.spend.expected / len(test))
    loose = next(t for t in report.targets if t.confidence is None and t.share == 0.5 and t.limit == "budget")
    assert sure.predicted_spend < loose.predicted_spend
    assert sure.kept >= loose.kept


def test_differences_are_those_of_the_curves_at_the_same_spend(report: Report) -> None:
    own, zero = report.method("knn"), report.method("zero router")
    for share, a, b in zip(report.shares, own.accuracy_at, zero.accuracy_at, strict=True):
        found = next(d for d in report.differences if d.against == "zero router" and d.share == share)
        assert found.difference.value == pytest.approx(a.value - b.value)
        low, high = found.difference.low, found.difference.high
        assert found.verdict == ("ahead" if low > 0 else "behind" if high < 0 else "level")


def test_differences_of_hull_areas_are_paired_too(report: Report) -> None:
    own, zero = report.method("knn"), report.method("zero router")
    found = next(d for d in report.differences if d.against == "zero router" and d.share is None).difference
    assert found.value == pytest.approx(own.hull_area.value - zero.hull_area.value)
    assert found.low <= found.value <= found.high


def test_target_errors_have_the_interval_of_the_resamples(report: Report) -> None:
    for name in ("knn", "lambda-tuned"):
        found = report.method(name).target_error
        budgets = [t for t in report.targets if (t.method, t.limit, t.confidence) == (name, "budget", None)]
        assert found.value == pytest.approx(np.mean([abs(t.error.value) for t in budgets]))
        assert 0 <= found.low <= found.value <= found.high
        assert found.low < found.high <= max(max(abs(t.error.low), abs(t.error.high)) for t in budgets)
    assert np.isnan(report.method("threshold").target_error.value)


def test_each_model_has_a_row_of_calibration_or_the_most_used_have(report: Report) -> None:
    assert sum(report.used) == pytest.approx(1.0)
    words = report.to_markdown()
    head = "| model | used | predicted accuracy | realised accuracy | log-loss | calibration error (15 bins) |"
    own = dict(zip(report.data.models, report.scores[0].per_model, strict=True))
    table = words.split(head)[1].split("\n\n")[0].splitlines()[2:]
    used = dict(zip(own, report.used, strict=True))
    assert [row.split(" | ")[0][2:] for row in table] == sorted(
        own, key=lambda name: (-used[name], -own[name].accuracy.value)
    )
    busiest = own[table[0].split(" | ")[0][2:]]
    assert f"| {max(report.used):.1%} | {busiest.predicted:.3f} | {busiest.accuracy.value:.3f} (" in table[0]
    assert "most used" not in words
    found = report.to_dict()
    assert found["scores"][0]["per_model"][0]["ece"]["high"] == report.scores[0].per_model[0].ece.high
    assert found["used"] == list(report.used)
    first = report.scores[0]
    many = replace(
        report, used=report.used + (0.0,) * 12, scores=(replace(first, per_model=first.per_model + (busiest,) * 12),)
    )
    words = many.to_markdown()
    assert f"The 12 most used of {len(own) + 12} models; report.json has all." in words
    assert len(words.split(head)[1].split("\n\n")[0].splitlines()) == 2 + 12


def test_what_has_no_value_is_told(report: Report) -> None:
    nothing = Estimate(float("nan"), float("nan"), float("nan"))
    first, *others = report.targets
    assert (first.method, first.limit, first.confidence) == ("knn", "budget", None)
    own, *rest = report.methods
    gaps = replace(own, hull_area=Estimate(0.7, float("nan"), float("nan"), 0.2), aiq_code=Estimate(0.5, 0.4, 0.6, 0.004))
    text = replace(report, targets=(replace(first, error=nothing), *others), methods=(gaps, *rest)).to_markdown()
    known = own.target_error
    assert f"{known.value:.1%} ({known.low:.1%}–{known.high:.1%}), 3 of 4 budgets" in text
    assert "3 of 4 budgets" not in report.to_markdown()
    refused = sum(found.undefined > 0.01 and not np.isnan(found.value) for found in estimates(report))
    assert f"{refused + 1} figures stand without an interval: more than 1% of the resamples have no value" in text
    assert "leave out the resamples without a value, up to" in text


def test_global_plans_keep_to_the_caps_and_rules_fill_them_in_turn(report: Report) -> None:
    assert [scenario.name[:4] for scenario in report.capacity] == ["each", "rate"]
    for scenario in report.capacity:
        assert sum(scenario.load) == report.data.judged
        assert all(load <= cap for load, cap in zip(scenario.load, scenario.caps, strict=True))
        assert len(scenario.rules) == 2
        for rule in scenario.rules:
            for best, own, less in zip(scenario.accuracy, rule.accuracy, rule.behind_by, strict=True):
                assert less.value == pytest.approx(best.value - own.value)


def test_the_same_seed_gives_the_same_report(report: Report) -> None:
    again = evaluate(labelled(), predictors=["knn"], points=8, resamples=100)
    assert again.to_dict() == report.to_dict()


def test_progress_counts_to_its_end() -> None:
    seen: list[tuple[int, int]] = []
    evaluate(
        labelled(120), predictors=["knn"], points=3, resamples=20, progress=lambda done, total: seen.append((done, total))
    )
    assert [done for done, _ in seen] == list(range(1, len(seen) + 1))
    assert seen[-1][0] == seen[-1][1]


def test_the_command_writes_all_files_and_the_page_needs_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled(160).write(tmp_path / "outcomes.parquet")
    command = [
        "evaluate",
        str(tmp_path / "outcomes.parquet"),
        "--out",
        str(tmp_path / "out"),
        "--resamples",
        "50",
        "--points",
        "4",
    ]
    assert main([*command, "--predictor", "knn"]) == 0
    shown = capsys.readouterr().out
    assert "zero router" in shown
    assert "wrote report.json" in shown
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 4
    assert not re.findall(r"(?:src|href)=\"(?!data:)", page)
    assert "http" not in page
    assert "<script" not in page
    words = (tmp_path / "out" / "report.md").read_text()
    assert all(f"({name})" in words for name in FILES if name.endswith(".png"))
    found = json.loads((tmp_path / "out" / "report.json").read_text())
    assert found["subject"] == "knn"
    replace(labelled(120), cost=None, output_tokens=None).write(tmp_path / "outcomes.parquet")
    assert main([*command, "--predictor", "knn", "--json"]) == 0  # replaces the older report
    printed = json.loads(capsys.readouterr().out)
    assert printed["methods"] == []
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES - {"curve.png", "targets.png", "capacity.png"}


def test_a_file_or_a_foreign_folder_in_the_way_is_refused_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled(100).write(tmp_path / "outcomes.parquet")
    (tmp_path / "taken").write_text("mine")
    command = ["evaluate", str(tmp_path / "outcomes.parquet"), "--out"]
    assert main([*command, str(tmp_path / "taken")]) == 2
    assert "which is a file, expected a folder" in capsys.readouterr().err
    assert main([*command, str(tmp_path)]) == 2
    assert "a folder with other files in it" in capsys.readouterr().err
    with pytest.raises(FileExistsError, match="taken is a file"):
        evaluate(labelled(100), out=tmp_path / "taken")
    assert (tmp_path / "taken").read_text() == "mine"


def test_without_matplotlib_the_report_comes_without_plots_and_says_so(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report.write(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.json", "report.md", "report.html"}
    for name in ("report.md", "report.html"):
        words = (tmp_path / "out" / name).read_text()
        assert "There are no plots" in words
        assert "omnirouter[plot]" in words
        assert ".png" not in words


def test_a_split_is_made_where_there_is_none_and_it_is_said() -> None:
    outcomes = simulate(300, seed=0)
    found = evaluate(outcomes, predictors=["knn"], points=3, resamples=20, seed=3)
    assert "no split: 70% of the prompts, by a hash with seed 3" in found.notes[0]
    split = hash_split(outcomes.prompts, seed=3)
    assert found.data.train == split.count("train")
    assert 0.6 < split.count("train") / 300 < 0.8
    with pytest.raises(ValueError, match="split 'dev', expected 'train' and 'test'"):
        evaluate(replace(outcomes, split=("dev",) * 300))


def test_what_a_router_has_learned_from_does_not_judge_it() -> None:
    outcomes = labelled()
    test = np.flatnonzero(np.array(outcomes.split) == "test")
    few = Router.fit(outcomes.take(np.r_[np.flatnonzero(np.array(outcomes.split) == "train"), test[:7]]), predictor="knn")
    found = evaluate(outcomes, few, predictors=[], points=2, resamples=5)
    assert found.data.judged == len(test) - 7
    assert (
        f"7 of {len(test)} test queries are left out: their prompt is one that the router has learned from." in found.notes
    )
    assert "The given router was fitted elsewhere" in found.to_markdown()
    with pytest.raises(ValueError, match=r"learned from all \d+ test queries.*fit it on the train split alone"):
        evaluate(outcomes, Router.fit(outcomes, predictor="knn"))
    unknown = Router(few.predictor, few.pool, few.reliability)
    notes = evaluate(outcomes, unknown, predictors=[], points=2, resamples=5).notes
    assert any("It is not known what the router has learned from" in note for note in notes)


@pytest.mark.slow
def test_coin_flips_look_predictable_to_whoever_has_seen_them() -> None:
    rng = np.random.default_rng(0)
    prompts = [f"{word} {i} {' '.join(rng.choice(list('abcdefgh'), 5))}" for i, word in enumerate(["law", "code"] * 200)]
    coins = Outcomes(
        prompts=tuple(prompts),
        models=("a", "b", "c", "d"),
        acc=(rng.random((400, 4)) < 0.5).astype(float),
        cost=np.tile([1.0, 1.1, 1.2, 1.3], (400, 1)),
        split=("test", "train", "test", "test", "train", "train") * 66 + ("test", "train") * 2,
    )
    scored = {}
    for split in ("train", None):
        router = Router.fit(coins if split is None else coins.select(split=split), predictor="knn")
        router.learned_from = None  # as before routers remembered it
        found = evaluate(coins, router, predictors=[], points=4, resamples=5)
        scored[split] = found.method("router").accuracy_at[-1].value
    assert scored["train"] < 0.58
    assert scored[None] > scored["train"] + 0.08


def test_prompts_of_the_train_split_do_not_judge() -> None:
    outcomes = labelled()
    split = np.array(outcomes.split)
    again = outcomes.take(np.r_[np.arange(len(split)), np.flatnonzero(split == "train")[:5]])
    assert again.split is not None
    found = evaluate(replace(again, split=(*again.split[:-5], *["test"] * 5)), predictors=["knn"], points=2, resamples=5)
    assert found.data.judged == (split == "test").sum()
    assert found.notes[0].startswith("5 of ")
    assert "also in the train split" in found.notes[0]
    train = outcomes.select(split="train")
    leak = replace(train.take(np.r_[np.arange(20), np.arange(20)]), split=("train",) * 20 + ("test",) * 20)
    with pytest.raises(
        ValueError, match="the prompts of all 20 test queries are in the train split too, so nothing is left"
    ):
        evaluate(leak, predictors=["knn"])


def test_a_handful_of_resamples_is_drawn_even_where_its_interval_misses_the_figure(tmp_path: Path) -> None:
    found = evaluate(labelled(120), predictors=["knn"], points=3, resamples=1, out=tmp_path / "out")
    at = [value for value in found.method("knn").accuracy_at if value.value == value.value]
    assert any(not value.low <= value.value <= value.high for value in at)
    assert (tmp_path / "out" / "curve.png").is_file()


def test_what_the_exam_lacks_is_named() -> None:
    with pytest.raises(ValueError, match="seed is -1, expected a whole number >= 0"):
        evaluate(labelled(), seed=-1)
    outcomes = labelled()
    split, acc = np.array(outcomes.split), outcomes.acc.copy()
    few = outcomes.take(np.r_[np.flatnonzero(split == "train"), np.flatnonzero(split == "test")[:3]])
    with pytest.raises(ValueError, match="only 3 test queries can be judged on, expected at least 10"):
        evaluate(few)
    acc[split == "train", 1] = np.nan
    with pytest.raises(ValueError, match=f"model '{outcomes.models[1]}' has no observed score in the train split"):
        evaluate(replace(outcomes, acc=acc))


def test_the_report_says_what_was_judged_and_what_each_method_is(
    report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled(120).write(tmp_path / "logs.parquet")
    command = ["evaluate", str(tmp_path / "logs.parquet"), "--out", str(tmp_path / "out"), "--predictor", "knn"]
    assert main([*command, "--points", "2", "--resamples", "5"]) == 0
    shown = capsys.readouterr().out
    assert "Outcomes: logs.parquet. Learned from" in shown
    assert "others (split 'test')" in shown
    for name in ("knn", "lambda-tuned", "threshold", "zero router", "random", "hindsight"):
        assert f"\n{name}: " in shown
    words = report.to_markdown()
    assert words.count("- zero router: random mix of single models") == 1
    assert words.index("- zero router:") < words.index("## Cost and accuracy")


def test_equal_prompts_stay_on_one_side_of_a_split() -> None:
    split = hash_split([f"prompt {i % 50}" for i in range(200)], seed=0)
    assert all(split[i] == split[i % 50] for i in range(200))
    assert split != hash_split([f"prompt {i % 50}" for i in range(200)], seed=1)


def test_without_costs_there_are_accuracies_and_a_word_about_it(tmp_path: Path) -> None:
    outcomes = replace(labelled(), cost=None, output_tokens=None)
    found = evaluate(outcomes, predictors=["knn"], resamples=100, out=tmp_path / "out")
    assert any("have no cost: accuracy figures only" in note for note in found.notes)
    assert found.methods == found.targets == found.capacity == ()
    test = outcomes.select(split="test")
    assert dict(found.argmax)["hindsight"].value == pytest.approx(test.acc.max(axis=1).mean())
    difference = found.differences[0]
    assert difference.difference.value == pytest.approx(
        dict(found.argmax)["knn"].value - max(single.accuracy.value for single in found.singles)
    )
    assert {score.predictor for score in found.scores} == {"knn", "model means"}
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES - {"curve.png", "targets.png", "capacity.png"}
    words = (tmp_path / "out" / "report.md").read_text()
    assert "accuracy figures only" in words
    assert "cost per query" not in words


def test_models_without_a_cost_are_left_out_and_named() -> None:
    outcomes = labelled(160)
    cost = outcomes.cost.copy()  # type: ignore[union-attr]
    cost[:, 2] = np.nan
    found = evaluate(replace(outcomes, cost=cost), predictors=["knn"], points=3, resamples=20)
    assert found.notes == ("1 of 6 models have no cost and are left out: coder-14b.",)
    assert "coder-14b" not in found.data.models


def test_plans_are_judged_where_all_outcomes_are_known() -> None:
    outcomes = labelled(200)
    acc = outcomes.acc.copy()
    test = np.flatnonzero(np.array(outcomes.split) == "test")
    acc[test[::3], 1] = np.nan
    found = evaluate(replace(outcomes, acc=acc), predictors=["knn"], points=3, resamples=20)
    whole = [i for i in test if i not in set(test[::3])]
    assert (found.data.test, found.data.judged) == (len(test), len(whole))
    assert f"judged on {len(whole)} of {len(test)} test queries" in found.notes[0]
    assert found.singles[0].accuracy.value == pytest.approx(outcomes.acc[whole, 0].mean())


def test_too_many_holes_are_refused_with_the_model_that_has_most() -> None:
    outcomes = labelled(120)
    acc = outcomes.acc.copy()
    test = np.flatnonzero(np.array(outcomes.split) == "test")
    acc[test[5:], 1] = np.nan
    with pytest.raises(ValueError, match=r"only 5 of \d+ test queries .* \(most: 'small-8b', \d+% missing\)"):
        evaluate(replace(outcomes, acc=acc))


def test_a_given_router_is_the_one_in_question() -> None:
    outcomes = labelled(160)
    router = Router.fit(outcomes.select(split="train"), predictor="knn")
    found = evaluate(outcomes, router, points=3, resamples=20)
    assert found.subject == "router"
    assert [method.name for method in found.methods][:2] == ["router", "knn"]
    assert found.method("router").accuracy == found.method("knn").accuracy  # fitted alike
    assert any("may have learned from" in note for note in found.notes)


@pytest.mark.parametrize("logged", [True, False])
def test_predictors_and_evaluations_charge_alike_where_only_output_tokens_are_logged(logged: bool) -> None:
    """By prices, with our own count of input tokens, whether or not costs were logged too."""
    outcomes = labelled(100)
    bare = replace(outcomes, input_tokens=None, cost=outcomes.cost if logged else None)
    pool = Pool(Model(name, 3e-3, 5e-3) for name in outcomes.models)
    encoder = embedded_encoder(threads=1)
    exam = set_exam(bare, pool.names, pool, 0, None, lambda prompts: encoder.encode_counted(prompts)[1])
    paid = History.of(bare.select(split="test"), pool, encoder).paid
    np.testing.assert_allclose(exam.test.cost, paid)  # type: ignore[arg-type]
    assert "Input tokens are not known" in exam.notes[0]
    found = evaluate(bare, pool=pool, predictors=["knn"], points=3, resamples=5)
    charged = [single.cost.value for single in found.singles]
    np.testing.assert_allclose(charged, exam.cost.mean(axis=0))  # type: ignore[union-attr]
    router = Router.fit(bare.select(split="train"), pool, predictor="knn", encoder=encoder)
    predicted = router.predict(bare.select(split="test").prompts).cost
    assert predicted.mean() == pytest.approx(np.mean(charged), rel=0.1)


def test_a_pool_chooses_the_models_and_charges_its_prices() -> None:
    outcomes = labelled(160)
    tokens = replace(outcomes, cost=None, input_tokens=np.full(outcomes.acc.shape, 10.0))
    pool = Pool([Model("medium-32b", 1e-3, 2e-3), Model("nano-1b", 1e-4, 0.0)])
    exam = set_exam(tokens, pool.names, pool, seed=0)
    assert exam.models == pool.names
    written = outcomes.select(split="test").output_tokens
    assert exam.cost is not None
    np.testing.assert_allclose(exam.cost[:, 0], 0.01 + 2e-3 * written[:, 3])  # type: ignore[index]
    np.testing.assert_allclose(exam.cost[:, 1], 1e-3)
    found = evaluate(tokens, pool=pool, predictors=["knn"], points=3, resamples=20)
    assert found.data.models == pool.names
    with pytest.raises(ValueError, match="outcomes have no model 'gpt'"):
        evaluate(outcomes, pool=Pool([Model("gpt", 1.0, 1.0), Model("nano-1b", 1.0, 1.0)]))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(TypeError, match="outcomes is str, expected Outcomes"):
        evaluate("outcomes.parquet")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="predictors names 'oracle', expected some of"):
        evaluate(labelled(100), predictors=["oracle"])
    with pytest.raises(ValueError, match="predictors is empty"):
        evaluate(labelled(100), predictors=[])
    with pytest.raises(ValueError, match="resamples is 0"):
        evaluate(labelled(100), predictors=["knn"], resamples=0)
    with pytest.raises(ValueError, match="one model to route to, 'nano-1b'"):
        evaluate(labelled(100).with_models(["nano-1b"]))


@pytest.mark.slow
@pytest.mark.data
def test_real_outcomes_give_the_figures_that_were_first_measured(shared_data: Path) -> None:
    """Hull areas of the issue that asked for this: what needs no predictor exactly, neighbours about."""
    for name, zero, hindsight, neighbours in (
        ("routerbench_arc_mbpp", 0.846, 0.960, 0.874),
        ("medagents_medqa_mmlu", 0.864, 0.956, 0.863),
    ):
        found = evaluate(Outcomes.read(shared_data / f"{name}.parquet"), predictors=["knn"], resamples=20)
        assert found.method("zero router").hull_area.value == pytest.approx(zero, abs=6e-4)
        assert found.method("hindsight").hull_area.value == pytest.approx(hindsight, abs=1.1e-3)
        assert found.method("knn").hull_area.value == pytest.approx(neighbours, abs=5e-3)


@pytest.mark.parametrize("free", [slice(None), slice(0, 1)])
def test_models_that_cost_nothing_leave_shares_of_nothing_open(free: slice) -> None:
    outcomes = labelled(100)
    cost = outcomes.cost.copy()  # type: ignore[union-attr]
    cost[:, free] = 0.0
    found = evaluate(replace(outcomes, cost=cost), predictors=["knn"], points=3, resamples=10)
    everything_free = free.stop is None
    assert all(np.isnan(method.cost_to_match.value) == everything_free for method in found.methods)
    json.dumps(found.to_dict(), allow_nan=False)
    found.to_markdown()
