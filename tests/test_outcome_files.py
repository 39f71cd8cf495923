"""Tables of outcomes and prompts on disk: layouts, formats, damage, real data."""

from __future__ import annotations

import contextlib
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from damage import damaged
from omnirouter.errors import MissingExtraError, OutcomesError
from omnirouter.outcomes import Outcomes, Prompts, read_prompts

DATA = Path(__file__).parent / "data"
NAN = math.nan
FORMATS = ("parquet", "csv", "jsonl")


def example(**more: Any) -> Outcomes:
    fields: dict[str, Any] = {
        "prompts": ["p0", "p1", "p2"],
        "models": ["a", "b"],
        "acc": [[1, 0.5], [NAN, 0], [0.25, NAN]],
        "cost": [[0.1, 0.2], [NAN, 0.4], [0.3, NAN]],
        "split": ["train", "test", "train"],
    }
    return Outcomes(**fields | more)


def write_table(columns: dict[str, list[Any]], path: Path) -> Path:
    """Write columns in the format of the suffix, independently of the package's own writer."""
    if path.suffix == ".parquet":
        pq.write_table(pa.table(columns), path)
    elif path.suffix == ".csv":
        pa_csv.write_csv(pa.table(columns), path)
    else:
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


# --- wide and long, three formats ------------------------------------------------------------------------------------


def check_example_files(past: Outcomes) -> None:
    assert past.prompts == ("What is 2 + 2?", 'Write a poem,\nin "two" lines.', "007")
    assert past.models == ("small", "large")
    np.testing.assert_array_equal(past.acc, [[1, 1], [NAN, 0.5], [0, NAN]])
    np.testing.assert_array_equal(past.cost, [[NAN, 0.002], [NAN, 0.004], [NAN, NAN]])
    np.testing.assert_array_equal(past.output_tokens, [[3, NAN], [NAN, NAN], [12, NAN]])
    assert past.input_tokens is None
    assert past.latency is None
    assert past.task == ("sums", "poems", "sums")
    assert past.split == ("train", "train", "test")
    assert past.query_id == ("q1", "q2", "q3")


def test_wide_csv_and_long_jsonl_say_the_same() -> None:
    check_example_files(Outcomes.read(DATA / "wide.csv"))
    check_example_files(Outcomes.read(str(DATA / "long.jsonl")))


@pytest.mark.parametrize("suffix", FORMATS)
def test_format_is_found_by_content_not_by_name(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"x.{suffix}"
    example().write(path)
    renamed = path.rename(tmp_path / "x.data")
    assert Outcomes.read(renamed) == example()


@pytest.mark.parametrize("suffix", FORMATS)
def test_long_table_orders_by_first_row_and_averages_trials(suffix: str, tmp_path: Path) -> None:
    columns = {
        "model": ["b", "a", "b", "b"],
        "prompt": ["q", "p", "p", "q"],
        "score": [1.0, 0.5, 0.25, 0.0],
        "cost": [1.0, None, 0.5, None],
        "latency_s": [1.0, 2.0, 3.0, 4.0],
    }
    past = Outcomes.read(write_table(columns, tmp_path / f"t.{suffix}"))
    assert past.prompts == ("q", "p")
    assert past.models == ("b", "a")
    np.testing.assert_array_equal(past.acc, [[0.5, NAN], [0.25, 0.5]])
    np.testing.assert_array_equal(past.cost, [[1.0, NAN], [0.5, NAN]])
    np.testing.assert_array_equal(past.latency, [[2.5, NAN], [3.0, 2.0]])


@pytest.mark.parametrize("suffix", FORMATS)
def test_query_id_tells_equal_prompts_apart(suffix: str, tmp_path: Path) -> None:
    columns = {"query_id": [7, 8], "prompt": ["p", "p"], "model": ["a", "a"], "score": [1.0, 0.0]}
    past = Outcomes.read(write_table(columns, tmp_path / f"t.{suffix}"))
    assert past.prompts == ("p", "p")
    assert past.query_id == ("7", "8")


@pytest.mark.parametrize("suffix", FORMATS)
def test_scores_may_be_true_and_false(suffix: str, tmp_path: Path) -> None:
    columns = {"prompt": ["p", "q"], "acc:a": [True, False], "acc:b": [None, True]}
    past = Outcomes.read(write_table(columns, tmp_path / f"t.{suffix}"))
    np.testing.assert_array_equal(past.acc, [[1, NAN], [0, 1]])


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_column_that_is_all_holes_is_read_as_holes(suffix: str, tmp_path: Path) -> None:
    columns = {"prompt": ["p", "q"], "acc:a": [1.0, 0.0], "cost:a": [None, None], "task": [None, "t"]}
    past = Outcomes.read(write_table(columns, tmp_path / f"t.{suffix}"))
    assert past.cost is not None
    assert np.isnan(past.cost).all()
    assert past.task == ("", "t")


def test_parquet_types_of_pandas_are_read(tmp_path: Path) -> None:
    columns = {
        "prompt": pa.array(["p", "q"]).dictionary_encode(),
        "acc:a": pa.array([1, 0], pa.int8()),
        "acc:b": pa.array(["0.5", " NaN "]),
        "cost:a": pa.array([0.5, None], pa.float32()),
        "answer:a": pa.array([{"text": "x"}, None]),
    }
    pq.write_table(pa.table(columns), tmp_path / "t")
    past = Outcomes.read(tmp_path / "t")
    np.testing.assert_array_equal(past.acc, [[1, 0.5], [0, NAN]])
    np.testing.assert_array_equal(past.cost, [[0.5, NAN], [NAN, NAN]])


def test_parquet_names_with_dots_that_begin_alike(tmp_path: Path) -> None:
    columns = {"prompt": ["p"], "acc:llama3": [0.25], "acc:llama3.1": [0.5], "acc:llama3.1.x": [1.0]}
    past = Outcomes.read(write_table(columns, tmp_path / "t.parquet"))
    assert past.models == ("llama3", "llama3.1", "llama3.1.x")
    assert past.acc.tolist() == [[0.25, 0.5, 1.0]]


def test_jsonl_rows_may_differ_in_keys_and_in_types_nobody_reads(tmp_path: Path) -> None:
    rows = [
        {"prompt": "p\u2028q", "acc:a": 1, "truth": 5, "query_id": 1},
        {"acc:b": 0.5, "prompt": "2020-01-01", "truth": ["x"], "query_id": "two"},
    ]
    text = "\n\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    (tmp_path / "t").write_text("\ufeff" + text, encoding="utf-8")
    past = Outcomes.read(tmp_path / "t")
    assert past.prompts == ("p\u2028q", "2020-01-01")
    assert past.query_id == ("1", "two")
    np.testing.assert_array_equal(past.acc, [[1, NAN], [NAN, 0.5]])


def test_csv_with_mark_windows_lines_and_long_prompts(tmp_path: Path) -> None:
    long = "x" * 3_000_000
    text = f'\ufeffprompt,acc:a,acc:b\r\n{long},1,N/A\r\n"a\nb",true,0\r\nNA,false,1\r\n'
    (tmp_path / "t").write_bytes(text.replace("true", "1").replace("false", "0").encode())
    past = Outcomes.read(tmp_path / "t")
    assert past.prompts == (long, "a\nb", "NA")
    np.testing.assert_array_equal(past.acc, [[1, NAN], [1, 0], [0, 1]])


# --- files that are refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"prompt": ["p"], "acc": [1.0]}, r"unknown layout\. It has the columns prompt, acc\. Known: wide \(prompt, acc:"),
        ({"question": ["p"], "acc:a": [1.0]}, r"unknown layout.*long \(prompt, model, score"),
        ({"prompt": ["p", "q"], "acc:a": ["1", "high"]}, "column 'acc:a' holds 'high' in row 1.*expected numbers"),
        ({"prompt": ["p"], "acc:a": [1.0], "cost:b": [1.0]}, "column 'cost:b' names model 'b', which has no column"),
        ({"prompt": ["p"], "acc:a": [2.0]}, r"acc is 2 for model 'a' in row 0 .*in \[0, 1\]"),
        ({"prompt": ["p"], "acc:a": [1.0], "cost:a": [-2.0]}, "cost is -2 for model 'a' in row 0"),
        ({"prompt": ["p"], "acc:a": [1.0], "cost:a": ["inf"]}, "cost is inf for model 'a' in row 0"),
        ({"prompt": ["p", " "], "acc:a": [1.0, 1.0]}, "column 'prompt' is empty in row 1"),
        ({"prompt": ["p", None], "acc:a": [1.0, 1.0]}, "column 'prompt' is empty in row 1"),
        ({"prompt": ["p"], "acc:": [1.0]}, r"models\[0\] is empty"),
        ({"prompt": ["p", "q"], "acc:a": [1.0, None]}, "no observed outcome for 1 query, first in row 1"),
        ({"prompt": ["p"], "model": [None], "score": [1.0]}, "column 'model' is empty in row 0"),
        ({"prompt": ["p", "p"], "model": ["a", "a"], "score": [1.5, 0.0]}, "score is 1.5 for model 'a' in row 0"),
        ({"prompt": ["p", "q"], "model": ["a", "b"], "score": [1.0, None]}, "no observed outcome for model 'b'"),
        (
            {"prompt": ["p", "q"], "query_id": ["1", "1"], "model": ["a", "b"], "score": [1.0, 1.0]},
            r"column 'prompt' is 'q' and 'p' in row 1 \(counted from 0\) and row 0 .*, which have the same query_id",
        ),
        (
            {"prompt": ["p", "p"], "split": ["x", "y"], "model": ["a", "b"], "score": [1.0, 1.0]},
            "column 'split' is 'y' and 'x' in row 1 .* and row 0 .*the same prompt",
        ),
    ],
)
def test_error_names_file_and_column(columns: dict[str, list[Any]], message: str, suffix: str, tmp_path: Path) -> None:
    path = write_table(columns, tmp_path / f"bad.{suffix}")
    with pytest.raises(OutcomesError, match=rf"bad\.{suffix}: .*{message}"):
        Outcomes.read(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"\xef\xbb\xbf \n\n", "the file is empty"),
        (b"prompt,acc:a\n", "the table has no rows"),
        (b"prompt,acc:a\np,1\nq\n", r"not a well-formed CSV file \(.*Expected 2 columns, got 1"),
        (b'prompt,acc:a\n"p,1\nq,1\n', "not a well-formed CSV file"),
        (b"prompt,acc:a,acc:a\np,1,1\n", "column 'acc:a' comes twice"),
        (b"prompt,acc:a\n\xff\xfe,1\n", "neither Parquet nor UTF-8 text"),
        (b"\x80\x04\x95pickle", "not a readable pickle"),
        (b"PAR1", "not a readable Parquet file"),
        (b"PAR1" + bytes(100), "not a readable Parquet file"),
        (b'{"prompt": "p", "acc:a": 1}\n{"prompt"\n', "line 2 is not JSON"),
        (b'{"prompt": "p", "acc:a": 1}\n\n"p"\n', "line 3 is str, expected a JSON object"),
        (b'{"prompt": "p", "acc:a": [1]}', r"column 'acc:a' holds \[1\] in row 0 .*expected numbers"),
        (b'{"prompt": "p", "acc:a": 1' + b"0" * 400 + b"}", r"column 'acc:a' holds 10{56,58}\.\.\. in row 0"),
        (b'{"prompt": true, "acc:a": 1}', "column 'prompt' holds True in row 0 .*expected text"),
        (b'{"prompt": "\\ud800", "acc:a": 1}', "column 'prompt' holds half of a surrogate pair in row 0"),
        (b'{"prompt": "\xff", "acc:a": 1}', "not UTF-8 text"),
        (b'[{"prompt": "p", "acc:a": 1}, 2]', "entry 1 is int, expected a JSON object"),
        (b'[{"prompt": "p", "acc:a": 1}', "not a well-formed JSON array"),
        (b"[" * 100_000, "not a well-formed JSON array"),
        (b"[]", "the table has no rows"),
        (b'{"a":' * 100_000, "line 1 is not JSON"),
        (b'{"prompt": "p", "acc:a": 1' + b"0" * 5000 + b"}", "line 1 is not JSON"),
    ],
)
def test_broken_file_is_named(content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(OutcomesError, match=rf"bad: {message}"):
        Outcomes.read(tmp_path / "bad")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b"3\n", "line 1 is int, expected a JSON object"),
        ("a.jsonl", b"null\n", "line 1 is null, expected a JSON object"),
        ("a.json", b"true", "line 1 is bool, expected a JSON object"),
        ("a.csv.gz", b"prompt,acc:a\np,1\n", r"not a well-formed CSV file \(.*incorrect header check"),
    ],
)
def test_what_is_no_table_is_named(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    for read in (Outcomes.read, read_prompts):
        with pytest.raises(OutcomesError, match=rf"{name}: {message}"):
            read(tmp_path / name)


def test_csv_by_another_name_is_a_table(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("prompt,acc:a\np,1\n")
    assert Outcomes.read(tmp_path / "a.jsonl").prompts == ("p",)


def test_parquet_column_types_that_are_not_text_or_numbers(tmp_path: Path) -> None:
    path = tmp_path / "bad"
    pq.write_table(pa.table({"prompt": pa.array([b"p"]), "acc:a": [1.0]}), path)
    with pytest.raises(OutcomesError, match="bad: column 'prompt' is of type binary, expected text"):
        Outcomes.read(path)
    pq.write_table(pa.table({"prompt": ["p"], "acc:a": pa.array([[1.0]])}), path)
    with pytest.raises(OutcomesError, match=r"bad: column 'acc:a' is of type list.*expected numbers"):
        Outcomes.read(path)
    broken = pa.StringArray.from_buffers(1, pa.array([0, 1], pa.int32()).buffers()[1], pa.py_buffer(b"\xff"))
    pq.write_table(pa.table({"prompt": broken, "acc:a": [1.0]}), path)
    with pytest.raises(OutcomesError, match="bad: column 'prompt' is not UTF-8 text"):
        Outcomes.read(path)


def test_damaged_parquet_is_an_outcomes_error_wherever_the_damage_is(tmp_path: Path) -> None:
    example(prompts=["x" * 300, "y" * 300, "z" * 300]).write(tmp_path / "t.parquet")
    good = (tmp_path / "t.parquet").read_bytes()
    for bad in damaged(good, times=300, at_once=4, first=4):
        (tmp_path / "bad").write_bytes(bad)
        with contextlib.suppress(OutcomesError):
            Outcomes.read(tmp_path / "bad")


def test_missing_file_is_the_error_of_python_and_a_folder_says_which_are_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Outcomes.read(tmp_path / "none.csv")
    with pytest.raises(OutcomesError, match="a folder without a run of LLMRouterBench"):
        Outcomes.read(tmp_path)


def test_missing_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"omnirouter\[predict\]"):
        Outcomes.read(DATA / "wide.csv")


def test_import_needs_numpy_only() -> None:
    code = "import sys, omnirouter.outcomes, omnirouter.pool; print({'pyarrow', 'yaml'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


# --- writing ---------------------------------------------------------------------------------------------------------

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(str.strip)


@st.composite
def outcomes(draw: st.DrawFn) -> Outcomes:
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 3))

    def matrix(upper: float | None) -> st.SearchStrategy[Any]:
        return hnp.arrays(np.float64, (n, m), elements=st.just(NAN) | st.floats(0, upper, allow_infinity=False))

    def labels(text: st.SearchStrategy[str]) -> Any:
        return draw(st.none() | st.lists(text, min_size=n, max_size=n))

    acc = draw(matrix(1))
    acc[np.isnan(acc).all(axis=1), 0] = 1
    acc[0, np.isnan(acc).all(axis=0)] = 0
    optional = {name: draw(st.none() | matrix(None)) for name in ("cost", "output_tokens", "latency", "cached_tokens")}
    return Outcomes(
        draw(st.lists(words, min_size=n, max_size=n)),
        draw(st.lists(words, min_size=m, max_size=m, unique=True)),
        acc,
        **optional,
        task=labels(st.just("") | words),
        split=labels(st.just("") | words),
        query_id=labels(words),
    )


@pytest.mark.parametrize("suffix", FORMATS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(past=outcomes())
def test_what_is_written_is_read_back_equal(suffix: str, past: Outcomes, tmp_path: Path) -> None:
    path = tmp_path / f"t.{suffix}"
    past.write(path)
    assert Outcomes.read(path) == past
    assert read_prompts(path) == Prompts(past.prompts, past.query_id)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_write_replaces_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "t.parquet"
    path.write_text("old")

    def fail(table: Any, where: Path, **_: Any) -> None:
        Path(where).write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(pq, "write_table", fail)
    with pytest.raises(OSError, match="disk full"):
        example().write(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_write_refuses_other_suffixes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"path ends in '.xlsx', expected one of .parquet, .csv, .jsonl"):
        example().write(tmp_path / "t.xlsx")
    with pytest.raises(ValueError, match="path ends in 'no suffix'"):
        example().write(tmp_path / "t")


# --- prompts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "prompts", "query_id"),
    [
        ("a.txt", b"one\r\n two \xe2\x80\xa8 lines\n{three\n\n", ("one", " two \u2028 lines", "{three"), None),
        ("a.txt", b"\xef\xbb\xbfone", ("one",), None),
        ("a.jsonl", b'{"prompt": "a\\nb", "query_id": 1}\n{"prompt": "c", "query_id": "x"}\n', ("a\nb", "c"), ("1", "x")),
        ("a", b'"a"\n\n{"prompt": "b"}\n', ("a", "b"), None),
        ("a.csv", b'"prompt"\n"a"\n"b"\n', ("a", "b"), None),
        ("a.csv", b'query_id,prompt\n1,a\n2,"b\n"\n', ("a", "b\n"), ("1", "2")),
    ],
)
def test_prompts_are_read_from_each_format(
    name: str, content: bytes, prompts: tuple[str, ...], query_id: tuple[str, ...] | None, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    assert read_prompts(tmp_path / name) == Prompts(prompts, query_id)


def test_table_of_outcomes_is_a_file_of_prompts(tmp_path: Path) -> None:
    example(query_id=["x", "y", "z"]).write(tmp_path / "t.parquet")
    assert read_prompts(tmp_path / "t.parquet") == Prompts(("p0", "p1", "p2"), ("x", "y", "z"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"", "the file is empty"),
        ("a.txt", b"one\n\ntwo\n", "line 2 is empty, expected one prompt per line"),
        ("a.parquet", b"PA", "neither Parquet nor well-formed CSV"),
        ("a.txt", b"\xff", "not UTF-8 text"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": ""}\n', "column 'prompt' is empty in row 1"),
        ("a.jsonl", b'{"prompt": "a", "query_id": 1}\n{"prompt": "b"}\n', "column 'query_id' is empty in row 1"),
        ("a.jsonl", b'{"prompt": "a"}\n5\n', "line 2 is int, expected a JSON object"),
        ("a.csv", b"text,x\na,1\n", "no column 'prompt'; it has text, x. Plain text needs the suffix .txt"),
        ("a.csv", b"prompt,x\na,1\n,2\n", "column 'prompt' is empty in row 1"),
    ],
)
def test_bad_prompts_name_file_and_row(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(OutcomesError, match=rf"{name}: {message}"):
        read_prompts(tmp_path / name)


def test_plain_text_needs_no_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    assert len(read_prompts(tmp_path / "a.txt")) == 2


def test_prompts_are_checked() -> None:
    with pytest.raises(ValueError, match="prompts is empty"):
        Prompts(())
    with pytest.raises(ValueError, match="query_id has 1 entries, expected 2"):
        Prompts(("a", "b"), ("1",))
    with pytest.raises(FileNotFoundError):
        read_prompts("none.txt")


# --- real tables -----------------------------------------------------------------------------------------------------


@pytest.mark.data
def test_real_tables_agree_with_an_independent_reading(shared_data: Path) -> None:
    paths = sorted(shared_data.glob("*.parquet"))
    assert paths
    for path in paths:
        table = pq.read_table(path)
        past = Outcomes.read(path)
        names = [name[4:] for name in table.column_names if name.startswith("acc:")]
        assert past.models == tuple(names)
        assert past.acc.shape == (table.num_rows, len(names))
        assert past.prompts == tuple(table["prompt"].to_pylist())
        assert past.query_id == tuple(table["query_id"].to_pylist())
        assert past.observed.all()
        for field, prefix in {"acc": "acc:", "cost": "cost:", "input_tokens": "in_tokens:"}.items():
            matrix = getattr(past, field)
            assert (matrix is None) == (not any(name.startswith(prefix) for name in table.column_names))
            for j, name in enumerate(names):
                if prefix + name in table.column_names:
                    np.testing.assert_array_equal(matrix[:, j], table[prefix + name].to_numpy().astype(np.float64))
                elif matrix is not None:
                    assert np.isnan(matrix[:, j]).all()
        splits = table["split"].to_pylist()
        assert sum(len(past.select(split=split)) for split in set(splits)) == table.num_rows
        assert past.describe().count("\n") >= len(names)
