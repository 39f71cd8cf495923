"""The command line through its entry point: output, files, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnirouter.cli import main
from omnirouter.demo import simulate
from omnirouter.router import Router


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    np.save(path / "acc.npy", rng.random((300, 3)))
    np.save(path / "cost.npy", rng.random((300, 3)))
    simulate(300, seed=0).write(path / "history.parquet")
    prompts = simulate(50, seed=1).prompts
    (path / "prompts.jsonl").write_text("".join(json.dumps({"prompt": prompt}) + "\n" for prompt in prompts))
    assert main(["fit", str(path / "history.parquet"), "-o", str(path / "router"), "--json"]) == 0
    return path


def test_solve_writes_a_plan_and_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["solve", str(folder / "acc.npy"), str(folder / "cost.npy"), "--budget", "90", "--caps", "300,none,120"]
    assert main([*arguments, "-o", str(folder / "plan.npy"), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["status"] == "optimal"
    assert answer["load"][2] <= 120
    assert np.load(folder / "plan.npy").tolist() == answer["assignment"]
    assert main(arguments) == 0
    shown = capsys.readouterr().out
    assert "proof:" in shown
    assert "1% more budget (0.9) buys" in shown
    assert "per unit of money" in shown


@pytest.mark.parametrize("name", ["caps.json", "caps.npy"])
def test_caps_come_from_a_file_too(folder: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    (folder / "caps.json").write_text("[null, 20, 100]")
    np.save(folder / "caps.npy", np.array([np.inf, 20, 100]))
    command = ["solve", str(folder / "acc.npy"), str(folder / "cost.npy"), "--caps", str(folder / name), "--json"]
    assert main(command) == 0
    load = json.loads(capsys.readouterr().out)["load"]
    assert load[1] <= 20
    assert load[2] <= 100


def test_no_solution_is_exit_code_1_and_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "none.csv"
    command = ["solve", str(folder / "acc.npy"), str(folder / "cost.npy"), "--budget", "1", "-o", str(out)]
    assert main(command) == 1
    assert "budget 1 cannot be met: at least" in capsys.readouterr().out
    assert not out.exists()


def test_a_plan_and_its_problem_are_verified(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem, plan = folder / "problem.json", folder / "plan.json"
    command = ["solve", str(folder / "acc.npy"), str(folder / "cost.npy"), "--budget", "90", "--caps", "300,none,120"]
    assert main([*command, "--save-problem", str(problem), "-o", str(plan), "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert main(["verify", str(problem), str(plan), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["objective"], found["load"]) == (True, answer["objective"], answer["load"])
    assert main(["verify", str(problem), str(plan)]) == 0
    assert "optimal, shown by" in capsys.readouterr().out
    # The problem file solves to the same plan.
    assert main(["solve", str(problem), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["assignment"] == answer["assignment"]
    answer["assignment"][7] = (answer["assignment"][7] + 1) % 3
    plan.write_text(json.dumps(answer))
    assert main(["verify", str(problem), str(plan)]) == 1
    assert "wrong: objective is" in capsys.readouterr().out


def test_that_there_is_no_plan_is_verified_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    problem, plan = folder / "none.problem.json", folder / "none.json"
    command = ["solve", str(folder / "acc.npy"), str(folder / "cost.npy"), "--budget", "1", "--save-problem", str(problem)]
    assert main([*command, "-o", str(plan)]) == 1
    assert main(["verify", str(problem), str(plan)]) == 0
    assert "verified: infeasible, shown by certificate" in capsys.readouterr().out


def test_resources_come_from_a_problem_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(folder / "tokens.npy", np.random.default_rng(1).random((300, 1)))
    allowed = np.random.default_rng(2).random((300, 3)) < 0.9
    allowed[:, 0] = True
    np.save(folder / "allowed.npy", allowed)
    tenant = [i % 2 for i in range(300)]
    resources = [
        {"name": "tokens", "usage": "tokens.npy", "limit": [120, 90, 90], "per": "model"},
        {"name": "tenant", "usage": "cost", "limit": [60, 60], "per": tenant},
        {"name": "reserved", "usage": 1, "limit": [10, None, 0], "per": "model", "sense": ">="},
    ]
    problem, plan = folder / "rich.json", folder / "rich.plan.json"
    text = {"acc": "acc.npy", "cost": "cost.npy", "allowed": "allowed.npy", "min_accuracy": 0.5, "resources": resources}
    problem.write_text(json.dumps(text))
    assert main(["solve", str(problem), "-o", str(plan), "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)["duals"]["resources"]) == {"tokens", "tenant", "reserved"}
    assert main(["verify", str(problem), str(plan)]) == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "is not a JSON file of a problem"),
        ("[]", "holds list, expected an object"),
        ('{"acc": "acc.npy"}', "has no cost"),
        ('{"acc": "acc.npy", "cost": "cost.npy", "budgets": 3}', "unknown entries ['budgets']"),
        ('{"acc": "acc.npy", "cost": "cost.npy", "resources": 3}', "resources is 3, expected a list of objects"),
        ('{"acc": [[0.1, 0.2], [0.3]], "cost": "cost.npy"}', "acc is no array of numbers, expected rows of equal length"),
        (f'{{"acc": "acc.npy", "cost": "cost.npy", "budget": 1{"0" * 400}}}', "budget is a whole number beyond float64"),
        ('{"acc": 3, "cost": "cost.npy"}', "acc is 3, expected the name of a .npy file or a list"),
        ('{"acc": "", "cost": "cost.npy"}', "acc is '', expected the name of a .npy file or a list"),
        ('{"acc": "acc.npy", "cost": "gone.npy"}', "cost is 'gone.npy', expected the name of a .npy file or a list; /"),
        ('{"acc": "acc.npy", "cost": "gone.npy"}', "gone.npy: No such file"),
        (
            '{"acc": "acc.npy", "cost": "cost.npy", "resources": [{"name": "x", "usage": 1, "limit": [9], "per": "foo"}]}',
            "x: per is 'foo', expected 'all', 'model', the name of a .npy file or a list; /",
        ),
        ('{"acc": "acc.npy", "cost": "cost.npy", "resources": [{"name": "x"}]}', "resources[0] has no limit and no usage"),
    ],
)
def test_bad_problem_files_are_refused(folder: Path, capsys: pytest.CaptureFixture[str], text: str, words: str) -> None:
    (folder / "bad.json").write_text(text)
    assert main(["solve", str(folder / "bad.json")]) == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_frontier_of_an_impossible_problem_is_exit_code_1(
    folder: Path, capsys: pytest.CaptureFixture[str], flag: list[str]
) -> None:
    assert main(["frontier", str(folder / "acc.npy"), str(folder / "cost.npy"), "--caps", "1,1,1", *flag]) == 1
    shown = capsys.readouterr()
    assert "cannot be met" in (json.loads(shown.out)["message"] if flag else shown.out)
    assert shown.err == ""


def test_a_cap_in_conflict_names_its_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["route", str(folder / "prompts.jsonl"), "--router", str(folder / "router")]
    for model in simulate(10, seed=0).models:
        command += ["--cap", f"{model}=2"]
    assert main(command) == 1
    assert "the cap 2 of nano-1b cannot be met" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["solve", "missing.npy", "missing.npy"], "missing.npy"),
        (["solve", "ACC", "COST", "--caps", "1,x,2"], "--caps is '1,x,2'"),
        (["solve", "ACC", "COST", "-o", "plan.xyz"], "expected a name ending in"),
        (["solve", "ACC", "COST", "-o", "nowhere/plan.npy"], "does not exist"),
        (["solve", "ACC", "COST", "-o", "FOLDER"], "expected a name ending in"),
        (["solve", "ACC", "COST", "--min-accuracy", "85"], "min_accuracy is 85"),
        (["solve", "PROMPTS", "COST"], "prompts.jsonl is not a .npy file"),
        (["solve", "ACC", "COST", "--caps", "missing.json"], "missing.json: No such file"),
        (["route", "PROMPTS", "--router", "ROUTER", "--cap", "nobody=3"], "nobody"),
        (["route", "PROMPTS", "--router", "ROUTER", "--cap", "3"], "expected MODEL=N"),
        (["route", "PROMPTS", "--router", "ROUTER", "--cap", "=3"], "expected MODEL=N"),
        (["route", "PROMPTS", "--router", "ROUTER", "--cap", "a=3", "--cap", "a=4"], "twice"),
        (["route", "PROMPTS", "--router", "PROMPTS"], "router"),
        (["fit", "PROMPTS", "-o", "r"], "prompt"),
        (["fit", "missing.parquet", "-o", "nowhere/r"], "the folder nowhere does not exist"),
        (["fit", "missing.parquet", "-o", "FOLDER"], "with other files in it"),
        (["fit", "missing.parquet", "-o", "ACC"], "which is a file"),
        (["fit", "PROMPTS", "-o", "r", "--pool", "a", "--prices", "b"], "--pool and --prices are both given"),
        (["add-model", "ROUTER", "missing.parquet", "-o", "FOLDER"], "with other files in it"),
        (["add-model", "ROUTER", "HISTORY", "-o", "r"], "the router knows every model of the outcomes"),
        (["add-model", "ROUTER", "HISTORY", "-o", "r", "--model", "x"], "--model is 'x', expected one of"),
        (["add-model", "ROUTER", "HISTORY", "-o", "r", "--pool", "a", "--prices", "b"], "both given"),
        (["export-encoder", "m", "FOLDER"], "omnirouter: error: out is /"),
        (["finetune-encoder", "HISTORY", "m", "nowhere/o"], "omnirouter: error: out is nowhere/o, but the folder"),
        (["demo", "--out", "FOLDER"], "with other files in it"),
        (["frontier", "ACC", "COST", "--points", "1"], "points is 1"),
        (["frontier", "ACC", "COST", "-o", "/proc/curve.json"], "/proc/curve.json: "),
        (["solve", "ACC", "COST", "--save-problem", "p.csv"], "--save-problem is p.csv, expected a name ending in .json"),
        (["route", "PROMPTS", "--router", "ROUTER", "--threads", "-1"], "threads is -1, expected 0 (all) or more"),
        (["demo", "--out", "new", "--seed", "-1"], "seed is -1, expected a whole number >= 0"),
        (["solve", "ACC"], "cost is missing, expected a second .npy file after"),
        (["solve", "ACC", "--budget", "3"], "cost is missing, expected a second .npy file after"),
        (["solve", "PROMPTS"], "prompts.jsonl is not a JSON file of a problem"),
        (["solve", "HISTORY", "COST"], "history.parquet is not a .npy file of numbers: it starts with b'PAR1"),
        (["solve", "PROMPTS", "--budget", "3"], "--budget is given, but the limits are those of"),
        (["verify", "PROMPTS"], "the following arguments are required: plan"),
        (["verify", "missing.json", "PROMPTS"], "missing.json: No such file"),
        (["nonsense"], "invalid choice"),
        ([], "required: COMMAND"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    names = {"ACC": "acc.npy", "COST": "cost.npy", "PROMPTS": "prompts.jsonl", "ROUTER": "router", "FOLDER": ""}
    names["HISTORY"] = "history.parquet"
    assert main([str(folder / names[word]) if word in names else word for word in arguments]) == 2
    errors = capsys.readouterr().err
    assert errors.startswith("omnirouter: error: ")
    assert words in errors
    assert errors.count("\n") == 1


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_route_writes_one_row_per_prompt(folder: Path, capsys: pytest.CaptureFixture[str], suffix: str) -> None:
    out = folder / f"plan.{suffix}"
    command = ["route", str(folder / "prompts.jsonl"), "--router", str(folder / "router"), "--min-accuracy", "0.7"]
    assert main([*command, "--cap", "frontier-x=5", "--rel-gap", "0.01", "-o", str(out)]) == 0
    shown = capsys.readouterr().out
    assert "frontier-x" in shown
    assert "one point less of accuracy saves" in shown
    if suffix == "jsonl":
        rows = [json.loads(line) for line in out.read_text().splitlines()]
        assert len(rows) == 50
        assert sum(row["model"] == "frontier-x" for row in rows) <= 5
    assert out.stat().st_size > 500
    assert not list(folder.glob(".*"))


def test_frontier_rises(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["frontier", str(folder / "acc.npy"), str(folder / "cost.npy"), "--points", "8", "--json"]
    assert main([*command, "-o", str(folder / "curve.png")]) == 0
    curve = json.loads(capsys.readouterr().out)
    assert len(curve["budgets"]) == 8
    assert np.all(np.diff(curve["accuracy"]) > -1e-3)
    assert all(a <= b + 1e-12 for a, b in zip(curve["accuracy"], curve["bound"], strict=True))
    assert (folder / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("demo", "solve", "verify", "fit", "add-model", "route", "frontier"):
        assert main([command, "--help"]) == 0
        assert f"example: omnirouter {command}" in capsys.readouterr().out


def test_help_shows_defaults_only_where_there_are_some(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "(default: 24)" in shown
    assert "(default: None)" not in shown


@pytest.mark.parametrize("command", ["fit", "evaluate"])
def test_a_file_of_the_users_own_in_a_folder_of_ours_is_never_deleted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    simulate(60, seed=0).write(tmp_path / "history.parquet")
    out = tmp_path / "out"
    arguments = [command, str(tmp_path / "history.parquet"), "--out", str(out), "--predictor", "knn"]
    if command == "evaluate":
        arguments += ["--points", "2", "--resamples", "5"]
    assert main(arguments) == 0
    (out / "notes").mkdir()
    (out / "notes" / "mine.txt").write_text("mine")
    capsys.readouterr()
    assert main(arguments) == 2
    assert "has other files too: notes/mine.txt; move them away" in capsys.readouterr().err
    assert (out / "notes" / "mine.txt").read_text() == "mine"
    (out / "notes" / "mine.txt").unlink()
    assert main(arguments) == 0


def test_prices_that_cannot_be_used_are_said_to_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    outcomes = replace(simulate(60, seed=0), input_tokens=None, output_tokens=None)
    outcomes.write(tmp_path / "history.parquet")
    pool = {"models": [{"name": name, "input_price": 1, "output_price": 1} for name in outcomes.models[:2]]}
    (tmp_path / "pool.json").write_text(json.dumps(pool))
    files = [str(tmp_path / "history.parquet"), "--pool", str(tmp_path / "pool.json"), "--predictor", "knn"]
    names = ", ".join(outcomes.models[:2])
    assert main(["fit", *files, "-o", str(tmp_path / "router")]) == 0
    assert f"the pool's prices are not used for {names}: " in capsys.readouterr().out
    assert main(["evaluate", *files, "--out", str(tmp_path / "out"), "--points", "2", "--resamples", "5"]) == 0
    assert f"The pool's prices are not used for {names}: " in capsys.readouterr().out


def test_a_model_is_added_to_a_saved_router(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = simulate(60, seed=0)
    *known, fifth, sixth = history.models
    table, router = str(tmp_path / "history.parquet"), str(tmp_path / "router")
    history.with_models(known).write(table)
    assert main(["fit", table, "-o", router, "--predictor", "knn"]) == 0
    history.write(table)
    capsys.readouterr()
    command = ["add-model", router, table, "-o", router]
    assert main(command) == 2
    assert f"does not know, {fifth}, {sixth}; give --model" in capsys.readouterr().err
    before = (tmp_path / "router" / "router.json").read_bytes()
    assert main([*command, "--model", known[0]]) == 2
    assert (tmp_path / "router" / "router.json").read_bytes() == before
    capsys.readouterr()
    assert main([*command, "--model", sixth, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["added"], told["queries"], told["models"]) == (sixth, 60, [*known, sixth])
    acc = history.acc.copy()
    acc[20:, history.models.index(fifth)] = np.nan  # holes: the new model was asked 20 of the prompts
    replace(history, acc=acc).write(table)
    assert main(command) == 0
    assert f"router for 6 models, {fifth} the last, written to" in capsys.readouterr().out
    opened = Router.load(router)
    expected = Router.fit(history.with_models(known), predictor="knn")
    expected.add_model(history.with_models([sixth]))
    expected.add_model(history.take(np.arange(20)).with_models([fifth]))
    found, wanted = (one.predict(history.prompts[:5]) for one in (opened, expected))
    np.testing.assert_array_equal(found.acc, wanted.acc)
    np.testing.assert_array_equal(found.cost, wanted.cost)


def test_a_model_is_added_with_its_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    history = simulate(60, seed=0)
    table, router, pool = (str(tmp_path / name) for name in ("history.parquet", "router", "pool.json"))
    history.write(table)
    for models in (history.models[:5], history.models[5:]):
        entries = [{"name": name, "input_price": 1e-6, "output_price": 2e-6, "cap": 7} for name in models]
        Path(pool).write_text(json.dumps({"models": entries}))
        if len(models) == 5:
            assert main(["fit", table, "-o", router, "--predictor", "knn", "--pool", pool]) == 0
            capsys.readouterr()
            assert main(["add-model", router, table, "-o", router]) == 2
            assert "as the router has a pool" in capsys.readouterr().err
    assert main(["add-model", router, table, "-o", str(tmp_path / "new"), "--pool", pool]) == 0
    opened = Router.load(tmp_path / "new")
    assert opened.pool is not None
    assert opened.pool[history.models[5]].cap == 7
    assert Router.load(router).models == history.models[:5]


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("omnirouter 0.")


def test_a_model_name_is_not_markup(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"prompt": f"question {i}", "model": name, "score": 1, "cost": 1.0} for i in range(20) for name in "ab"]
    text = "\n".join(json.dumps({**row, "model": f"{row['model']}[bold]"}) for row in rows)
    (tmp_path / "history.jsonl").write_text(text)
    assert main(["fit", str(tmp_path / "history.jsonl"), "-o", str(tmp_path / "router")]) == 0
    assert main(["route", str(folder / "prompts.jsonl"), "--router", str(tmp_path / "router")]) == 0
    assert "b[bold]" in capsys.readouterr().out


def test_a_failed_write_leaves_the_old_file(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "plan.npy"
    out.write_bytes(b"old")

    def fail(file: object, array: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("numpy.save", fail)
    assert main(["solve", str(folder / "acc.npy"), str(folder / "cost.npy"), "-o", str(out)]) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["plan.npy"]
    assert out.read_bytes() == b"old"


def omnirouter(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "omnirouter", *map(str, arguments)]


def test_json_is_all_that_a_process_prints(folder: Path) -> None:
    command = omnirouter("solve", folder / "acc.npy", folder / "cost.npy", "--budget", "90", "--json")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["status"] == "optimal"
    assert done.stderr == ""


def test_a_terminal_without_unicode_gets_a_table(folder: Path) -> None:
    command = omnirouter("frontier", folder / "acc.npy", folder / "cost.npy", "--points", "2")
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ascii_only)
    assert "bound" in done.stdout


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_is_exit_code_130_and_leaves_nothing(start: Callable[..., Any], tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("acc", "cost"):
        np.save(tmp_path / f"{name}.npy", rng.random((100_000, 10), dtype=np.float32))
    # So many budgets that the signal comes in the middle; a signal during the imports would end Python itself.
    code = "import sys; from omnirouter.cli import main; print('ready', flush=True); sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", code, "frontier", "acc.npy", "cost.npy", "--points", "100000", "-o", "curve.json"]
    process = start(command, cwd=tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    time.sleep(1.0)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "omnirouter: interrupted\n"
    assert out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["acc.npy", "cost.npy"]


@pytest.mark.skipif(os.name == "nt", reason="POSIX pipes")
@pytest.mark.parametrize("caps", ["none,none,none", "1,1,1"], ids=["plans", "no plan"])
def test_a_reader_that_leaves_is_not_an_error(start: Callable[..., Any], folder: Path, caps: str) -> None:
    command = omnirouter("frontier", folder / "acc.npy", folder / "cost.npy", "--points", "2", "--caps", caps)
    process = start(command)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == ""
    assert process.wait(timeout=60) == 141


def test_solve_with_json_needs_numpy_only(folder: Path) -> None:
    code = (
        "import sys\n"
        "for name in ('rich', 'pyarrow', 'onnxruntime', 'matplotlib', 'yaml', 'tokenizers'): sys.modules[name] = None\n"
        "from omnirouter.cli import main\n"
        f"sys.exit(main(['solve', {str(folder / 'acc.npy')!r}, {str(folder / 'cost.npy')!r}, '--budget', '90', '--json']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "optimal"
