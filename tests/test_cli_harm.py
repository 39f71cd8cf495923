"""What a command line must never do: overwrite its own input or others' files, or end in a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
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


@pytest.fixture
def deep(here: Path) -> Path:
    """JSON nested deeper than the parser goes, under the names that commands read."""
    text = "[" * 100_000
    (here / "deep.json").write_text(text)
    (here / "deep").mkdir(exist_ok=True)
    (here / "deep" / "router.json").write_text(text)
    return here


@pytest.mark.parametrize(
    "line",
    [
        "solve deep.json",
        "solve acc.npy cost.npy --caps deep.json",
        "verify deep.json problem.json",
        "verify problem.json deep.json",
        "route prompts.jsonl --router deep",
        "route deep.json --router router",
        "fit deep.json -o new",
        "fit history.parquet --pool deep.json -o new",
    ],
)
def test_deep_json_is_refused(deep: Path, refused: Callable[[str], str], line: str) -> None:
    error = refused(line)
    assert "nested too deeply" in error
    assert ("router.json" if "--router deep" in line else "deep.json") in error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError("Unable to allocate 7 TiB"), "not enough memory: Unable to allocate 7 TiB"),
        (MemoryError(), "not enough memory"),
        (RecursionError("maximum depth"), "the input is nested too deeply: maximum depth"),
    ],
)
def test_what_no_check_foresaw_is_one_line(
    here: Path, refused: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, error: Exception, words: str
) -> None:
    def fail(_: Path) -> None:
        raise error

    monkeypatch.setattr("omnirouter.cli.commands.read_array", fail)
    assert refused("frontier acc.npy cost.npy") == f"omnirouter: error: {words}\n"


@pytest.mark.parametrize(
    "line",
    [
        "frontier acc.npy cost.npy --points 1000000000000",
        "evaluate history.parquet --predictor knn --points 100000000000",
        "evaluate history.parquet --predictor knn --resamples 100000000000",
        "demo --queries 10000000000",
    ],
)
def test_counts_beyond_all_memory_are_refused(here: Path, refused: Callable[[str], str], line: str) -> None:
    assert f"{line.split()[-2][2:]} is {int(line.split()[-1]):,}, expected a whole number from" in refused(line)


@pytest.mark.parametrize(("flag", "words"), [("--rel-gap 5", "rel_gap is 5"), ("--time-limit -1", "time_limit is -1")])
def test_settings_are_refused_before_prompts_are_embedded(
    here: Path, refused: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, flag: str, words: str
) -> None:
    monkeypatch.setattr("omnirouter.predictor.learned.LearnedPredictor.predict", None)
    assert words in refused(f"route prompts.jsonl --router router --budget 1 {flag}")


@pytest.mark.parametrize(
    ("line", "missing", "extra"),
    [
        ("solve acc.npy cost.npy --budget 12 -o plan.npy --save-problem new.json", "rich", "predict"),
        ("frontier acc.npy cost.npy -o curve.csv", "rich", "predict"),
        ("frontier acc.npy cost.npy -o curve.png", "matplotlib", "plot"),
        ("frontier acc.npy cost.npy -o curve.png --json", "matplotlib", "plot"),
        ("route prompts.jsonl --router router --budget 1 -o plan.csv", "rich", "predict"),
        ("evaluate history.parquet", "rich", "predict"),
        ("demo --out new", "rich", "predict"),
        ("demo --out new --json", "matplotlib", "plot"),
    ],
)
def test_what_is_not_installed_is_said_before_any_work(
    here: Path, refused: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, line: str, missing: str, extra: str
) -> None:
    for name in [name for name in sys.modules if name.startswith(f"{missing}.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    for work in ("cli.commands.solve_problem", "cli.commands.solve_frontier", "router.Router.load", "router.Router.fit"):
        monkeypatch.setattr(f"omnirouter.{work}", None)
    before = contents(here)
    error = refused(line)
    assert re.search(rf'error: {missing}[.a-z]* is not installed; run: pip install "omnirouter\[{extra}\]"', error)
    assert contents(here) == before


@pytest.mark.parametrize("closed", ["stdout", "stderr"])
@pytest.mark.parametrize("flag", ["", " --json"])
def test_a_stream_that_was_closed_from_the_start_is_no_error(
    here: Path, monkeypatch: pytest.MonkeyPatch, closed: str, flag: str
) -> None:
    monkeypatch.setattr(sys, closed, None)
    assert main(f"solve acc.npy cost.npy --budget 12{flag}".split()) == 0
    assert main(["solve", "missing.npy", "cost.npy"]) == 2


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C as a terminal gives it, also where the tests run in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, before)


def lost() -> None:
    """As onnxruntime does whose import is interrupted."""
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise ImportError("initialization failed")


def refusal() -> None:
    with contextlib.suppress(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    raise ValueError("half of a file")


def chained() -> None:
    try:
        raise KeyboardInterrupt
    except KeyboardInterrupt as error:
        raise SystemError("returned a result with an exception set") from error


@pytest.mark.parametrize("work", [lost, refusal, chained, lambda: signal.raise_signal(signal.SIGINT)])
def test_ctrl_c_is_an_interrupt_whatever_becomes_of_it(
    here: Path,
    ctrl_c: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    work: Callable[[], None],
) -> None:
    monkeypatch.setattr("omnirouter.cli.commands.read_array", lambda path: work())
    assert main(["frontier", "acc.npy", "cost.npy"]) == 130
    assert capsys.readouterr() == ("", "omnirouter: interrupted\n")


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_inside_exec_is_exit_code_130_too(tmp_path: Path) -> None:
    """Python remembers such a one where it runs a module, and would end by the signal."""
    code = (
        "import sys\n"
        "from omnirouter.cli import commands, main\n"
        "commands.read_array = lambda path: exec('raise KeyboardInterrupt')\n"
        "sys.exit(main(['frontier', 'acc.npy', 'cost.npy']))\n"
    )
    (tmp_path / "stopped.py").write_text(code)
    command = [sys.executable, "-m", "stopped"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "omnirouter: interrupted\n")


def test_without_ctrl_c_an_error_of_ours_keeps_its_traceback(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise ImportError("initialization failed")

    monkeypatch.setattr("omnirouter.cli.commands.read_array", broken)
    with pytest.raises(ImportError, match="initialization failed"):
        main(["frontier", "acc.npy", "cost.npy"])
