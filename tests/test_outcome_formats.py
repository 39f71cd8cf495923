"""Tables of other projects: each layout is read whole, and broken versions of it are refused by name."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from omnirouter.errors import OutcomesError
from omnirouter.outcomes import Outcomes, read_prompts

LAYOUTS = Path(__file__).parent / "data" / "layouts"
PICKLES = sorted(LAYOUTS.glob("*.pkl"))
NAN = math.nan
PROMPTS = ("What is 2 + 2?", 'Write a poem,\nin "two" lines.', "Prüfe: 7 ist prim.")
ACC = [[1, 1], [NAN, 0.5], [0, NAN]]


def same(matrix: Any, expected: Any) -> None:
    np.testing.assert_array_equal(matrix, expected)


def rows_of(name: str) -> list[list[str]]:
    with open(LAYOUTS / name, encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def write_csv(rows: list[list[Any]], path: Path, **form: Any) -> Path:
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file, **({"lineterminator": "\n"} | form)).writerows(rows)
    return path


def columns_of(name: str) -> dict[str, list[Any]]:
    """A CSV file of the layouts as columns, with numbers as numbers."""
    head, *rows = rows_of(name)

    def value(text: str) -> Any:
        if text.isdigit():
            return int(text)
        try:
            return None if text == "" else float(text)
        except ValueError:
            return {"True": True, "False": False}.get(text, text)

    return {name: [value(row[k]) for row in rows] for k, name in enumerate(head) if name}


# --- RouterBench -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [LAYOUTS / "routerbench.csv", *PICKLES], ids=lambda path: path.name)
def test_routerbench(path: Path) -> None:
    past = Outcomes.read(path)
    assert past.prompts == PROMPTS  # taken out of ['...']
    assert past.models == ("lab/small", "large")
    same(past.acc, ACC)
    same(past.cost, [[1e-5, 0.002], [NAN, 0.004], [3e-5, NAN]])
    assert past.task == ("sums", "poems", "sums")
    assert past.query_id == ("sums.1", "poems.1", "sums.2")


def test_there_are_pickles_of_three_versions_of_pandas() -> None:
    assert {path.name.split("_")[1] for path in PICKLES} == {"pandas1", "pandas2", "pandas3"}


def test_routerbench_in_its_simplified_form(tmp_path: Path) -> None:
    rows = [["index", "prompt", "a", "b", "a|total_cost", "b|total_cost"], [0, "p", 1, 0, 0.5, 2]]
    past = Outcomes.read(write_csv(rows, tmp_path / "t.csv"))
    assert (past.prompts, past.models, past.query_id) == (("p",), ("a", "b"), None)
    same(past.cost, [[0.5, 2]])


def test_routerbench_raw_table(tmp_path: Path) -> None:
    head = ["sample_id", "prompt", "eval_name", "performance", "model_response", "model_name", "cost"]
    rows = [
        ["s1", "['a', 'b']", "sums", "1.0", "x", "m", 0.5],
        ["s2", "['p']", "sums", "", "no answer, no score", "m", ""],
        ["s1", "['a', 'b']", "sums", "0.0", "x", "n", 0.25],
    ]
    past = Outcomes.read(write_csv([head, *rows], tmp_path / "t.csv"))
    assert (past.prompts, past.query_id, past.models) == (("a\n\nb",), ("s1",), ("m", "n"))
    same(past.acc, [[1, 0]])
    same(past.cost, [[0.5, 0.25]])


@pytest.mark.parametrize(
    "text", ["['a'", "['a', 1]", "['a', f()]", "['a'] + ['b']", "['', 'b']", "[a]", "['a', " + "-" * 9999 + "1]"]
)
def test_prompt_that_is_no_written_list_stays_as_it_is(text: str, tmp_path: Path) -> None:
    path = write_csv([["prompt", "a", "a|total_cost"], [text, 1, 1]], tmp_path / "t.csv")
    assert Outcomes.read(path).prompts == (text,)


def test_scores_may_mix_true_and_false_with_numbers(tmp_path: Path) -> None:
    rows = [["prompt", "a", "a|total_cost"], ["p", "True", 1], ["q", "0.5", 1], ["r", "false", 1], ["s", "1e0", 1]]
    same(Outcomes.read(write_csv(rows, tmp_path / "t.csv")).acc[:, 0], [1, 0.5, 0, 1])


# --- LLMRouterBench --------------------------------------------------------------------------------------------------


def test_llmrouterbench_folder() -> None:
    past = Outcomes.read(LAYOUTS / "llmrouterbench")
    assert past.models == ("large", "small")
    assert past.prompts == (PROMPTS[1], PROMPTS[0], PROMPTS[2])
    assert past.query_id == ("poems/hybrid/0", "sums/test/0", "sums/test/1")
    assert (past.task, past.split) == (("poems", "sums", "sums"), ("hybrid", "test", "test"))
    same(past.acc, [[0.5, NAN], [1, 1], [NAN, 0]])  # of the latest run that is no demo, and without the null
    same(past.cost, [[0.004, NAN], [0.002, NAN], [NAN, NAN]])  # a model that only ever cost 0 has no known price
    same(past.input_tokens, [[11, NAN], [9, 9], [NAN, 8]])
    same(past.output_tokens, [[40, NAN], [5, 3], [NAN, 12]])


def test_llmrouterbench_records_as_a_table(tmp_path: Path) -> None:
    head = [
        "dataset_id",
        "split",
        "model_name",
        "record_index",
        "origin_query",
        "score",
        "prompt_tokens",
        "completion_tokens",
    ]
    pq.write_table(
        pa.table(dict(zip(head, [["d"], ["test"], ["m"], [3], ["q"], [0.25], [7], [1]], strict=True))), tmp_path / "t"
    )
    past = Outcomes.read(tmp_path / "t")
    assert (past.prompts, past.query_id, past.cost) == (("q",), ("d/test/3",), None)
    same(past.acc, [[0.25]])


def result(folder: Path, **change: Any) -> Path:
    """A result folder with one run of two records, changed."""
    record = {"index": 0, "origin_query": "q", "score": 1.0, "prompt_tokens": 1, "completion_tokens": 2, "cost": 0.5}
    records = [record, record | {"index": 1, "origin_query": "r"} | change.pop("record", {})]
    run = {"dataset_name": "d", "split": "test", "model_name": "m", "records": records} | change
    (folder / "m").mkdir(parents=True, exist_ok=True)
    (folder / "m" / "d-test-m-20260101_000000.json").write_text(json.dumps(run), encoding="utf-8-sig")
    return folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"record": {"score": "good"}}, r"column 'score' holds 'good' in record 1 .* of m.d-test-m-\S*, expected numbers"),
        ({"record": {"score": 1.5}}, r"score is 1\.5 for model 'm' in record 1 .* of m.d-test"),
        ({"record": {"score": True, "cost": -1}}, r"cost is -1 for model 'm' in record 1"),
        ({"record": {"prompt_tokens": 10**400}}, "column 'prompt_tokens' holds 10+.* in record 1"),
        ({"record": {"origin_query": " "}}, "column 'origin_query' is empty in record 1"),
        ({"record": {"origin_query": ["q"]}}, r"column 'origin_query' holds \['q'\] in record 1"),
        ({"record": {"index": 0}}, "column 'origin_query' is 'r' and 'q' in record 1 .* and record 0"),
        ({"record": {"index": None}}, "column 'record_index' is empty in record 1"),
        ({"records": [3]}, "record 0 is int, expected a JSON object"),
        ({"records": []}, "the table has no rows"),
        ({"records": [{"index": 0, "origin_query": "q"}]}, "column 'score' has no score at all"),
        ({"demo": True}, "a folder without a run of LLMRouterBench"),
        ({"model_name": None}, "column 'model_name' is empty in record 0"),
    ],
)
def test_broken_llmrouterbench_folder(change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(OutcomesError, match=message):
        Outcomes.read(result(tmp_path / "bench", **change))


def test_llmrouterbench_folder_may_hold_other_json_but_no_broken_one(tmp_path: Path) -> None:
    result(tmp_path)
    (tmp_path / "index.json").write_text("[1, 2]")
    (tmp_path / "notes.txt").write_text("{")
    assert Outcomes.read(tmp_path).n_queries == 2
    (tmp_path / "broken.json").write_text('{"records": [')
    with pytest.raises(OutcomesError, match=r"broken\.json: not a well-formed JSON file"):
        Outcomes.read(tmp_path)


# --- LLMRouter -------------------------------------------------------------------------------------------------------


def test_llmrouter_routing_data() -> None:
    past = Outcomes.read(LAYOUTS / "llmrouter.jsonl")
    assert (past.prompts, past.models) == (PROMPTS, ("small", "large"))
    same(past.acc, ACC)  # the failed call and the answer without a score are holes
    same(past.output_tokens, [[3, 30], [NAN, 3], [12, NAN]])
    same(past.latency, [[1.5, 2.5], [NAN, 1.5], [1.5, NAN]])
    assert past.cost is None
    assert (past.task, past.query_id) == (("sums", "poems", "sums"), ("40", "41", "42"))


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({}, False),
        ({"response": "API Error: 429", "token_num": 0}, False),
        ({"response": "ERROR codes are numbers", "output_tokens": 4}, True),  # an answer that begins with the word
        ({"response": None}, True),
        ({"response": "error", "output_tokens": 0}, True),
    ],
)
def test_llmrouter_failed_calls_are_left_out(change: dict[str, Any], kept: bool, tmp_path: Path) -> None:
    row = {"query": "p", "model_name": "a", "performance": 0, "response": "ERROR: down", "output_tokens": 0} | change
    good = {"query": "p", "model_name": "b", "performance": 1, "response": "4", "output_tokens": 1}
    (tmp_path / "t").write_text(json.dumps(row) + "\n" + json.dumps(good))
    assert Outcomes.read(tmp_path / "t").models == (("a", "b") if kept else ("b",))


def test_llmrouter_with_failed_calls_only(tmp_path: Path) -> None:
    (tmp_path / "t").write_text('{"query": "p", "model_name": "a", "performance": 0, "response": "ERROR: x"}')
    with pytest.raises(OutcomesError, match="column 'response' holds failed calls only"):
        Outcomes.read(tmp_path / "t")


# --- AIOS ------------------------------------------------------------------------------------------------------------


def test_aios_history() -> None:
    past = Outcomes.read(LAYOUTS / "aios.json")
    assert (past.prompts, past.models, past.query_id) == (PROMPTS, ("small", "large"), None)
    same(past.acc, ACC)
    same(past.input_tokens, [[9, 9], [NAN, 11], [8, NAN]])
    same(past.output_tokens, [[3, 5], [NAN, 40], [12, NAN]])


def test_aios_entries_with_equal_queries_stay_apart_and_outputs_alike_are_averaged(tmp_path: Path) -> None:
    one = {"query": "q", "outputs": [{"model_name": "a", "correctness": True}, {"model_name": "a", "correctness": False}]}
    two = {"query": "q", "outputs": [{"model_name": "a", "correctness": 1}]}
    (tmp_path / "t").write_text(json.dumps([one, two]))
    past = Outcomes.read(tmp_path / "t")
    assert (past.prompts, past.input_tokens, past.output_tokens) == (("q", "q"), None, None)
    same(past.acc, [[0.5], [1]])
    (tmp_path / "lines").write_text(json.dumps(one) + "\n" + json.dumps(two) + "\n")
    assert Outcomes.read(tmp_path / "lines") == past


@pytest.mark.parametrize(
    ("outputs", "message"),
    [
        ([], r"column 'outputs' holds \[\] in row 1 .*expected a list of JSON objects"),
        (None, "column 'outputs' holds None in row 1"),
        ([1], r"column 'outputs' holds \[1\] in row 1"),
        ([{"model_name": "a", "correctness": "yes"}], "column 'correctness' holds 'yes' in output 0 of row 1"),
        ([{"model_name": "a", "correctness": 10**400}], "column 'correctness' holds 10+.* in output 0 of row 1"),
        ([{"model_name": "a", "correctness": 2}], "correctness is 2 for model 'a' in output 0 of row 1"),
        ([{"correctness": 1}], "column 'model_name' is empty in output 0 of row 1"),
        ([{"model_name": "a", "correctness": None}], None),
    ],
)
def test_broken_aios_history(outputs: Any, message: str | None, tmp_path: Path) -> None:
    good = {"query": "p", "outputs": [{"model_name": "a", "correctness": True}]}
    (tmp_path / "t").write_text(json.dumps([good, {"query": "q", "outputs": outputs}]))
    if message is None:
        assert Outcomes.read(tmp_path / "t").prompts == ("p",)
    else:
        with pytest.raises(OutcomesError, match=message):
            Outcomes.read(tmp_path / "t")


def test_aios_history_that_names_no_model(tmp_path: Path) -> None:
    (tmp_path / "t").write_text('[{"query": "q", "outputs": [{"correctness": true}]}]')
    with pytest.raises(OutcomesError, match="column 'outputs' names no 'model_name' anywhere"):
        Outcomes.read(tmp_path / "t")


# --- RouteLLM and EmbedLLM -------------------------------------------------------------------------------------------


def test_routellm() -> None:
    past = Outcomes.read(LAYOUTS / "routellm.csv")
    assert (past.prompts, past.models, past.cost) == (PROMPTS, ("mixtral-mini", "gpt-large"), None)
    same(past.acc, [[1, 1], [NAN, 0], [0, 1]])


def test_embedllm() -> None:
    past = Outcomes.read(LAYOUTS / "embedllm.csv")
    assert (past.prompts, past.models) == (PROMPTS, ("small", "large"))
    same(past.acc, ACC)  # labels 0 and 1 of the same pair are 0.5
    assert (past.task, past.query_id) == (("sums", "poems", "sums"), ("17", "18", "19"))


def test_embedllm_without_names(tmp_path: Path) -> None:
    path = write_csv([["model_id", "prompt_id", "prompt", "label"], [3, 0, "p", 1], [0, 0, "p", 0]], tmp_path / "t.csv")
    past = Outcomes.read(path)
    assert (past.models, past.task) == (("3", "0"), None)


# --- every layout in every format, and broken ------------------------------------------------------------------------

SCORES = {"routerbench.csv": "lab/small", "routellm.csv": "gpt-large", "embedllm.csv": "label"}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("form", ["crlf", "mark", "parquet", "jsonl", "json", "wide"])
def test_layouts_are_read_in_every_format(name: str, form: str, tmp_path: Path) -> None:
    path, expected = tmp_path / "t", Outcomes.read(LAYOUTS / name)
    if form == "crlf":
        write_csv(rows_of(name), path, lineterminator="\r\n", quoting=csv.QUOTE_ALL)
    elif form == "mark":
        path.write_bytes(b"\xef\xbb\xbf" + (LAYOUTS / name).read_bytes())
    elif form == "parquet":
        pq.write_table(pa.table(columns_of(name)), path)
    elif form == "wide":
        path = tmp_path / "t.csv"
        expected.write(path)
    else:
        columns = columns_of(name)
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        path.write_text(json.dumps(rows) if form == "json" else "\n".join(map(json.dumps, rows)))
    assert Outcomes.read(path) == expected


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("high", "column '{}' holds 'high' in row 2"),
        ("1" + "0" * 400, "is inf"),
        ("-0.5", "is -0.5"),
        ("1.01", "is 1.01"),
        ("1,0", "holds '1,0' in row 2"),
    ],
)
def test_bad_scores_are_named(name: str, bad: str, message: str, tmp_path: Path) -> None:
    rows = rows_of(name)
    rows[3][rows[0].index(SCORES[name])] = bad
    with pytest.raises(OutcomesError, match=rf"t\.csv: .*{message.format(SCORES[name])}"):
        Outcomes.read(write_csv(rows, tmp_path / "t.csv"))


@pytest.mark.parametrize("name", SCORES)
def test_ragged_rows_and_missing_prompts_are_refused(name: str, tmp_path: Path) -> None:
    rows = rows_of(name)
    with pytest.raises(OutcomesError, match="not a well-formed CSV file"):
        Outcomes.read(write_csv([*rows, rows[-1][:-1]], tmp_path / "t.csv"))
    rows[2][rows[0].index("prompt")] = "  "
    with pytest.raises(OutcomesError, match="column 'prompt' is empty in row 1"):
        Outcomes.read(write_csv(rows, tmp_path / "t.csv"))


@pytest.mark.parametrize(
    ("name", "column"),
    [("routerbench.csv", "prompt"), ("routellm.csv", "prompt"), ("embedllm.csv", "label"), ("embedllm.csv", "prompt_id")],
)
def test_missing_column_makes_the_layout_unknown_and_lists_the_known_ones(name: str, column: str, tmp_path: Path) -> None:
    head, *rows = rows_of(name)
    keep = [k for k, title in enumerate(head) if title != column]
    path = write_csv([[row[k] for k in keep] for row in [head, *rows]], tmp_path / "t.csv")
    known = r"wide \(.*long \(.*RouterBench \(.*LLMRouterBench \(.*LLMRouter \(.*AIOS \(.*EmbedLLM \(.*RouteLLM \("
    with pytest.raises(OutcomesError, match=rf"t\.csv: unknown layout\. It has the columns .*Known: {known}"):
        Outcomes.read(path)


def test_routerbench_column_of_scores_is_missing(tmp_path: Path) -> None:
    path = write_csv([["prompt", "a", "a|total_cost", "b|total_cost"], ["p", 1, 1, 1]], tmp_path / "t.csv")
    with pytest.raises(OutcomesError, match=r"column 'b\|total_cost' is a cost of model 'b', which has no column of scores"):
        Outcomes.read(path)


@pytest.mark.parametrize(
    "rows",
    [
        [["prompt", "a"], ["p", True]],  # one model is no choice
        [["prompt", "a", "b"], ["p", 1, 0.002]],  # could be anything
        [["prompt", "a", "b"], ["p", "", ""]],
        [["prompt", "a", "b"], ["p", 0, 0]],
    ],
)
def test_prompt_beside_other_columns_is_not_taken_for_routellm(rows: list[list[Any]], tmp_path: Path) -> None:
    with pytest.raises(OutcomesError, match="unknown layout"):
        Outcomes.read(write_csv(rows, tmp_path / "t.csv"))


def test_same_prompt_in_two_rows_stays_two_queries_or_is_averaged_by_its_id(tmp_path: Path) -> None:
    rows = rows_of("routellm.csv")
    assert Outcomes.read(write_csv([*rows, rows[1]], tmp_path / "t.csv")).n_queries == 4
    rows = rows_of("embedllm.csv")
    past = Outcomes.read(write_csv([*rows, [*rows[1][:3], "0", *rows[1][4:]]], tmp_path / "t.csv"))
    same(past.acc, [[0.5, 1], [NAN, 0.5], [0, NAN]])


def test_files_of_prompts_may_be_json_lists_and_pickles(tmp_path: Path) -> None:
    (tmp_path / "t").write_text('["p", {"prompt": "q"}]')
    assert read_prompts(tmp_path / "t").prompts == ("p", "q")
    assert len(read_prompts(PICKLES[0])) == 3


@pytest.mark.data
def test_real_routellm_outcomes_survive_their_own_layout(shared_data: Path, tmp_path: Path) -> None:
    past = Outcomes.read(shared_data / "routellm_mmlu_gsm8k.parquet").take(np.arange(0, 15_000, 10))
    rows = [["prompt", *past.models], *([p, *map(bool, a)] for p, a in zip(past.prompts, past.acc.tolist(), strict=True))]
    again = Outcomes.read(write_csv(rows, tmp_path / "t.csv"))
    assert (again.prompts, again.models) == (past.prompts, past.models)
    same(again.acc, past.acc)
