"""The command line through its entry point: output, files, exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from omnirouter.cli import main
from omnirouter.demo import simulate


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
    assert "one more unit of money buys" in shown


def test_no_solution_is_exit_code_1_and_leaves_nothing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = folder / "none.csv"
    command = ["solve", str(folder / "acc.npy"), str(folder / "cost.npy"), "--budget", "1", "-o", str(out)]
    assert main(command) == 1
    assert "budget 1 cannot be met: at least" in capsys.readouterr().out
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["solve", "missing.npy", "missing.npy"], "missing.npy"),
        (["solve", "ACC", "COST", "--caps", "1,x,2"], "--caps is '1,x,2'"),
        (["solve", "ACC", "COST", "-o", "plan.xyz"], "expected a name ending in"),
        (["solve", "ACC", "COST", "-o", "nowhere/plan.npy"], "does not exist"),
        (["solve", "ACC", "COST", "--min-accuracy", "85"], "min_accuracy is 85"),
        (["route", "PROMPTS", "--router", "ROUTER", "--cap", "nobody=3"], "nobody"),
        (["route", "PROMPTS", "--router", "ROUTER", "--cap", "3"], "expected MODEL=N"),
        (["route", "PROMPTS", "--router", "PROMPTS"], "router"),
        (["fit", "PROMPTS", "-o", "r"], "prompt"),
        (["nonsense"], "invalid choice"),
    ],
)
def test_bad_usage_is_one_line_and_exit_code_2(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], words: str
) -> None:
    names = {"ACC": "acc.npy", "COST": "cost.npy", "PROMPTS": "prompts.jsonl", "ROUTER": "router"}
    assert main([str(folder / names[word]) if word in names else word for word in arguments]) == 2
    errors = capsys.readouterr().err
    assert words in errors
    assert "Traceback" not in errors


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


def test_demo_says_simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--queries", "200"]) == 0
    shown = capsys.readouterr().out
    assert shown.count("simulated") >= 2
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == ["curve.png", "plan.csv"]


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("demo", "solve", "fit", "route", "frontier"):
        assert main([command, "--help"]) == 0
        assert f"example: omnirouter {command}" in capsys.readouterr().out
