"""Pickles of outcomes: what is read, and that nothing in them is ever run."""

from __future__ import annotations

import codecs
import contextlib
import math
import pickle
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from damage import damaged
from omnirouter.errors import OutcomesError
from omnirouter.outcomes import Outcomes

LAYOUTS = Path(__file__).parent / "data" / "layouts"
PICKLES = sorted(LAYOUTS.glob("*.pkl"))
NAN = math.nan
PROMPTS = ("What is 2 + 2?", 'Write a poem,\nin "two" lines.', "Prüfe: 7 ist prim.")
ACC = [[1, 1], [NAN, 0.5], [0, NAN]]


class Evil:
    """Runs a command where a pickle is believed."""

    def __init__(self, call: Callable[..., Any], *args: Any) -> None:
        self.call, self.args = call, args

    def __reduce__(self) -> Any:
        return self.call, self.args


def frame_with(what: Any) -> bytes:
    """A pickle of a frame with one more object in it, among its attributes, which nobody reads."""
    good = (LAYOUTS / "routerbench_pandas2_p5.pkl").read_bytes()
    inner = pickle.dumps(what, protocol=2)[2:-1]  # without protocol and end
    at = good.rindex(b"attrs") + 5
    assert good[at : at + 2] == b"\x94}"  # memoised, and an empty dictionary
    unframed = good[:2] + good[11:at] + b"\x94" + inner + good[at + 2 :]
    return unframed


@pytest.mark.parametrize("protocol", [2, 5])
@pytest.mark.parametrize(
    ("evil", "name"),
    [
        (lambda flag: Evil(exec, f"open({str(flag)!r}, 'w')"), r"(builtins|__builtin__)\.exec"),
        (lambda flag: Evil(__import__("os").system, f"touch {flag}"), r"(posix|nt)\.system"),
        (lambda flag: Evil(__import__("os").mkdir, str(flag)), r"(posix|nt)\.mkdir"),
        (lambda flag: Evil(codecs.open, str(flag), "w"), r"codecs\.open"),
        (lambda flag: Evil(np.load, str(flag)), r"numpy\.load"),
        (lambda flag: Evil(__import__("pathlib").Path(flag).touch), r"(builtins|__builtin__)\.getattr"),
    ],
)
def test_malicious_pickle_never_runs(evil: Callable[[Path], Evil], name: str, protocol: int, tmp_path: Path) -> None:
    flag = tmp_path / "ran"
    for k, content in enumerate((pickle.dumps(evil(flag), protocol=protocol), frame_with(evil(flag)))):
        path = tmp_path / f"{k}.pkl"
        path.write_bytes(content)
        with pytest.raises(OutcomesError, match=rf"{k}\.pkl: the pickle asks for {name}, which .* refused"):
            Outcomes.read(path)
    assert not flag.exists()


def test_the_frame_around_the_malicious_object_is_read_without_it(tmp_path: Path) -> None:
    (tmp_path / "t.pkl").write_bytes(frame_with({"harmless": 1}))
    np.testing.assert_array_equal(Outcomes.read(tmp_path / "t.pkl").acc, ACC)


def test_reading_a_pickle_imports_nothing_it_names(tmp_path: Path) -> None:
    module = tmp_path / "evil_module.py"
    module.write_text("raise SystemExit('imported')")
    (tmp_path / "t.pkl").write_bytes(b"\x80\x02cevil_module\nmain\n)R.")
    sys.path.insert(0, str(tmp_path))
    try:
        with pytest.raises(OutcomesError, match=r"asks for evil_module\.main"):
            Outcomes.read(tmp_path / "t.pkl")
    finally:
        sys.path.remove(str(tmp_path))
    assert "evil_module" not in sys.modules


@pytest.mark.parametrize("dtype", ["V8", "M8", "O7", "f9", "8O", "(2)f8"])
def test_array_types_other_than_numbers_and_objects_are_refused(dtype: str, tmp_path: Path) -> None:
    """A type may claim to hold objects while its content is raw bytes, a forged pointer if it were believed."""
    good = (LAYOUTS / "routerbench_pandas2_p2.pkl").read_bytes()
    number = b"X\x02\x00\x00\x00f8"
    assert good.count(number) == 1
    (tmp_path / "t.pkl").write_bytes(good.replace(number, b"X" + struct.pack("<I", len(dtype)) + dtype.encode()))
    with pytest.raises(OutcomesError, match=r"t\.pkl: column .* of the pickle is damaged"):
        Outcomes.read(tmp_path / "t.pkl")


@pytest.mark.parametrize("path", PICKLES, ids=lambda path: path.name)
def test_damaged_pickle_is_an_outcomes_error_wherever_the_damage_is(path: Path, tmp_path: Path) -> None:
    good = path.read_bytes()
    for cut in range(2, len(good), 97):
        (tmp_path / "bad").write_bytes(good[:cut])
        with pytest.raises(OutcomesError):
            Outcomes.read(tmp_path / "bad")
    for bad in damaged(good, times=150, at_once=3, first=2):
        (tmp_path / "bad").write_bytes(bad)
        with contextlib.suppress(OutcomesError):
            Outcomes.read(tmp_path / "bad")


@pytest.mark.parametrize("value", [[1, 2], {"prompt": ["p"]}, None, "text"])
def test_pickle_of_something_else_than_a_frame(value: Any, tmp_path: Path) -> None:
    (tmp_path / "t.pkl").write_bytes(pickle.dumps(value, protocol=4))
    with pytest.raises(OutcomesError, match="something else than a frame of pandas"):
        Outcomes.read(tmp_path / "t.pkl")
