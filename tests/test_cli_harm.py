"""What a command line must never do: overwrite its own input or others' files, or end in a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from omnirouter.cli import main
from omnirouter.demo import simulate


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two matrices, a problem of them, a history, a router and prompts."""
    path = tmp_path_factory.mktemp("harm")
    rng = np.random.default_rng(0)
    np.save(path / "acc.npy", rng.random((20, 3)))
    np.save(path / "cost.npy", rng.random((20, 3)))
    np.save(path / "allowed.npy", np.ones((20, 3), dtype=bool))
    entries = {"acc": "acc.npy", "cost": "cost.npy", "budget": 12.0, "allowed": "allowed.npy"}
    (path / "problem.json").write_text(json.dumps(entries))
    (path / "caps.json").write_text("[20, 20, 20]")
    history = simulate(60, seed=0)
    history.write(path / "history.parquet")
    lines = (json.dumps({"prompt": prompt}) + "\n" for prompt in history.prompts[:9])
    (path / "prompts.jsonl").write_text("".join(lines))
    assert main(["fit", str(path / "history.parquet"), "-o", str(path / "router"), "--predictor", "knn", "--json"]) == 0
    return path


@pytest.fixture
def here(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(made)
    return made


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """Runs a command line that must end with one line and exit code 2, and gives that line."""

    def run(line: str) -> str:
        capsys.readouterr()
        assert main(line.split()) == 2
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.startswith("omnirouter: error: ")
        assert shown.err.count("\n") == 1
        return shown.err

    return run


def contents(folder: Path) -> dict[str, Any]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    "line",
    [
        "solve acc.npy cost.npy --budget 12 -o cost.npy",
        "solve acc.npy cost.npy --budget 12 -o ./router/../acc.npy",
        "solve acc.npy cost.npy --budget 12 -o link.npy",
        "solve link.npy cost.npy --budget 12 -o acc.npy",
        "solve acc.npy cost.npy --caps caps.json -o caps.json",
        "solve acc.npy cost.npy --budget 12 -o new.json --save-problem new.json",
        "solve problem.json -o problem.json",
        "solve problem.json -o acc.npy",
        "solve problem.json -o allowed.npy",
        "route prompts.jsonl --router router --budget 1 -o prompts.jsonl",
        "frontier acc.npy cost.npy --caps caps.json -o caps.json",
        "evaluate history.parquet --router router --out router",
        "fit history.parquet -o history.parquet",
        "add-model router history.parquet -o history.parquet",
    ],
)
def test_a_command_never_replaces_its_input(here: Path, refused: Callable[[str], str], line: str) -> None:
    link = here / "link.npy"
    if not link.is_symlink():
        link.symlink_to("acc.npy")
    before = contents(here)
    error = refused(line)
    assert str(Path(line.split()[-1])) in error
    assert "expected a file of its own" in error
    assert contents(here) == before


def test_text_that_is_no_name_of_a_file_is_compared_with_none(here: Path) -> None:
    assert main(["solve", "acc.npy", "cost.npy", "--caps", "20,20,none", "-o", "plan.npy", "--json"]) == 0
    os.unlink("plan.npy")
