"""The demo: a simulation that repeats by its seed, and figures that say they are simulated."""

from __future__ import annotations

import csv
import errno
import json
from pathlib import Path

import numpy as np
import pytest

from omnirouter.cli import main
from omnirouter.demo import run, simulate


def test_the_simulation_repeats_by_its_seed() -> None:
    one, same, other = simulate(50, seed=3), simulate(50, seed=3), simulate(50, seed=4)
    assert one.prompts == same.prompts
    assert np.array_equal(one.acc, same.acc)
    assert one.prompts != other.prompts
    assert np.all(np.diff(one.cost.mean(axis=0)) > 0), "the models are a ladder of prices"


def test_every_printed_figure_says_simulated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "demo"
    assert main(["demo", "--out", str(out), "--queries", "200"]) == 0
    shown = capsys.readouterr().out
    title, *_ = shown.splitlines()
    below = shown[shown.index("proof") :].splitlines()
    for line in (title, *(line for line in below if not line.startswith("wrote"))):
        assert "(simulated)" in line
    assert sorted(path.name for path in out.iterdir()) == ["curve.png", "demo.json", "plan.csv"]
    with (out / "plan.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 200


def test_the_plan_beats_the_best_single_model_within_the_budget(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):  # its own folder is written over
        assert main(["demo", "--out", str(tmp_path / "demo"), "--queries", "500", "--json"]) == 0
        shown = json.loads(capsys.readouterr().out)
    assert shown["simulated"] is True
    assert shown["realised_accuracy"] > shown["single_accuracy"]
    assert shown["single_spend"] <= shown["budget"]
    assert shown["solution"]["spend"] <= shown["budget"]


def test_files_of_the_users_own_are_not_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "plan.csv").write_text("mine")
    (tmp_path / "thesis.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path), "--queries", "20"]) == 2
    assert "a folder with other files in it, expected a new or empty one" in capsys.readouterr().err
    with pytest.raises(FileExistsError, match=r"has no demo\.json; it is not replaced"):
        run(tmp_path, n_queries=20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plan.csv", "thesis.txt"]
    assert (tmp_path / "plan.csv").read_text() == "mine"


def test_a_full_disk_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("omnirouter.curve.Frontier.plot", full)
    assert main(["demo", "--out", str(tmp_path / "demo"), "--queries", "20", "--json"]) == 2
    assert capsys.readouterr().err == f"omnirouter: error: {tmp_path / 'demo'}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


def test_too_few_queries_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--queries", "3"]) == 2
    assert "queries is 3" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()
