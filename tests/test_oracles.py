"""Rows in memory, in chunks and in shards: the same status and the same bits."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import omnirouter
from instances import KINDS, batch
from omnirouter import ChunkedOracle, Column, Resource, ShardedOracle, Solution
from omnirouter.errors import OracleError

CHUNK = 700


class Cut:
    """Chunks of arrays; each iteration starts again."""

    def __init__(self, size: int, **arrays: Any) -> None:
        self.size, self.arrays, self.readings = size, arrays, 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        self.readings += 1
        for first in range(0, len(self.arrays["acc"]), self.size):
            yield {name: array[first : first + self.size] for name, array in self.arrays.items()}


def chunked(**arrays: Any) -> ChunkedOracle:
    return ChunkedOracle(Cut(CHUNK, **arrays))


def sharded(**arrays: Any) -> ShardedOracle:
    cuts = [0, 1, len(arrays["acc"]) // 3, len(arrays["acc"])]
    parts = [{name: array[a:b] for name, array in arrays.items()} for a, b in itertools.pairwise(cuts)]
    return ShardedOracle([Cut(CHUNK, **part) for part in parts], threads=1)


HOMES = [chunked, sharded]
Home = Callable[..., Any]


def same(one: Solution, other: Solution) -> None:
    """Equal but for times and the way to the rows."""
    mine, yours = one.to_dict(), other.to_dict()
    for both in (mine, yours):
        del both["info"]
    assert mine == yours
    for name in ("objective", "bound", "gap", "spend", "accuracy"):
        a, b = getattr(one, name), getattr(other, name)
        assert a == b or (math.isnan(a) and math.isnan(b)), name
    assert (one.info.passes, one.info.nodes) == (other.info.passes, other.info.nodes)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_sampled_batch_has_the_same_answer(home: Home, kind: Any, dtype: Any) -> None:
    given = batch(9_000, 6, seed=3, kind=kind)
    acc, cost = given.acc.astype(dtype), given.cost.astype(dtype)
    dense = omnirouter.solve(acc, cost, given.caps, given.budget)
    same(omnirouter.solve_oracle(home(acc=acc, cost=cost), given.caps, given.budget), dense)


@pytest.mark.parametrize("home", HOMES)
@pytest.mark.parametrize("limits", [{"budget": 0.0}, {"min_accuracy": 0.9}, {"min_accuracy": 0.7}, {"min_accuracy": 0.999}])
def test_small_batches_and_infeasible_ones_have_the_same_answer(home: Home, limits: dict[str, float]) -> None:
    given = batch(50, 4, seed=1)
    dense = omnirouter.solve(given.acc, given.cost, given.caps, rel_gap=0.0, **limits)
    same(omnirouter.solve_oracle(home(acc=given.acc, cost=given.cost), given.caps, rel_gap=0.0, **limits), dense)


@pytest.mark.parametrize("home", HOMES)
def test_columns_of_tokens_tenants_and_allowed_pairs(home: Home) -> None:
    given = batch(8_000, 6, seed=5)
    rng = np.random.default_rng(0)
    tokens, heat = rng.integers(1, 900, 8_000), rng.random((8_000, 6))
    tenant, allowed = np.array(["red", "green", "blue"])[rng.integers(0, 3, 8_000)], rng.random((8_000, 6)) > 0.1
    budgets = {"red": given.budget * 0.35, "green": given.budget * 0.4, "blue": given.budget * 0.3}

    def resources(tokens: Any, heat: Any, tenant: Any) -> list[Resource]:
        return [
            Resource(tokens, 900_000, per="model", name="tokens"),
            Resource(heat, 4_100, name="heat"),
            Resource("cost", budgets, per=tenant, name="tenant"),
        ]

    dense = omnirouter.solve(given.acc, given.cost, resources=resources(tokens, heat, tenant), allowed=allowed)
    rows = home(acc=given.acc, cost=given.cost, tokens=tokens, heat=heat, tenant=tenant, allowed=allowed)
    columns = resources(Column("tokens"), Column("heat", per_model=True), Column("tenant"))
    same(omnirouter.solve_oracle(rows, resources=columns, allowed=True), dense)
    assert dense.assignment is not None


@pytest.mark.parametrize("home", HOMES)
def test_a_limit_that_is_met_to_the_last_bit_is_met(home: Home) -> None:
    given = batch(2_000, 4, seed=2)
    plan = np.arange(2_000) % 4
    budget = float(given.cost[np.arange(2_000), plan].sum())
    caps = np.bincount(plan, minlength=4)
    dense = omnirouter.solve(given.acc, given.cost, caps, budget)
    same(omnirouter.solve_oracle(home(acc=given.acc, cost=given.cost), caps, budget), dense)


def test_rows_are_read_once_per_pass() -> None:
    given = batch(9_000, 6, seed=3)
    source = Cut(CHUNK, acc=given.acc, cost=given.cost)
    solution = omnirouter.solve_oracle(ChunkedOracle(source, n_queries=9_000), given.caps, given.budget)
    # One reading checks the numbers, one adds up the plan, and one chunk was looked at for the number of models.
    assert solution.info.readings == solution.info.passes + 2 == source.readings - 1


def test_messages_are_counted() -> None:
    given = batch(9_000, 6, seed=3)
    solution = omnirouter.solve_oracle(sharded(acc=given.acc, cost=given.cost), given.caps, given.budget)
    assert 3 <= solution.info.rounds <= 12
    assert 0 < solution.info.message_bytes < 2 * given.acc.nbytes


def test_npy_files(tmp_path: Path) -> None:
    given = batch(9_000, 6, seed=4)
    acc, cost = given.acc.astype(np.float32), given.cost
    np.save(tmp_path / "acc.npy", acc)
    np.save(tmp_path / "cost.npy", cost)
    dense = omnirouter.solve(acc, cost, given.caps, given.budget)
    for chunk_rows in (None, 1_000):
        oracle = ChunkedOracle.from_npy(tmp_path / "acc.npy", tmp_path / "cost.npy", chunk_rows=chunk_rows)
        same(omnirouter.solve_oracle(oracle, given.caps, given.budget), dense)


def test_npy_files_of_another_kind_are_refused(tmp_path: Path) -> None:
    good, path = tmp_path / "good.npy", tmp_path / "bad.npy"
    np.save(good, np.zeros((3, 2)))
    for array, message in [
        (np.zeros((3, 2), np.float16), "float16"),
        (np.asfortranarray(np.zeros((3, 2))), "Fortran order"),
        (np.zeros(3), "expected"),
        (np.zeros((3, 3)), "as acc has"),
    ]:
        np.save(path, array)
        with pytest.raises((ValueError, TypeError), match=message):
            ChunkedOracle.from_npy(good, path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"acc \(.*bad\.npy\) is empty, expected a .npy file of numbers"),
        (b"acc,cost\n", r"acc \(.*bad\.npy\) is not a .npy file of numbers: it starts with b'acc,co', expected"),
        (b"PK\x03\x04 and more", r"acc \(.*bad\.npy\) holds several arrays"),
        (b"\x93NUMPY\x01\x00", r"acc \(.*bad\.npy\) is not a .npy file of numbers: EOF"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b" " * 65535, r"acc \(.*bad\.npy\) is not .*may not be safe to load securely\.$"),
        (np.ones((3, 2)), r"acc \(.*bad\.npy\) is not a .npy file of numbers: mmap length"),
        (np.array([[None, 1]]), r"acc \(.*bad\.npy\) is not a .npy file of numbers: .*Python objects"),
    ],
)
def test_what_is_no_npy_file_is_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "bad.npy"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        np.save(path, content)
        path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match=message):
        ChunkedOracle.from_npy(path, path)


def test_arguments_about_npy_files_are_checked(tmp_path: Path) -> None:
    good = tmp_path / "good.npy"
    np.save(good, np.zeros((3, 2)))
    files: Any = (3, good)
    with pytest.raises(TypeError, match="acc is 3, expected a path"):
        ChunkedOracle.from_npy(*files)
    rows: Any
    for rows, message in [("x", "'x'"), (1.5, "1.5"), (True, "True"), (0, "0")]:
        with pytest.raises((TypeError, ValueError), match=f"chunk_rows is {message}, expected a whole number >= 1"):
            ChunkedOracle.from_npy(good, good, chunk_rows=rows)


def test_a_file_that_is_cut_off_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "acc.npy", np.zeros((1_000, 2)))
    np.save(tmp_path / "cost.npy", np.zeros((1_000, 2)))
    oracle = ChunkedOracle.from_npy(tmp_path / "acc.npy", tmp_path / "cost.npy")
    with (tmp_path / "cost.npy").open("r+b") as file:
        file.truncate(10_000)
    with pytest.raises(ValueError, match=r"cost\.npy ends \d+ bytes too early"):
        omnirouter.solve_oracle(oracle, budget=1.0)


@pytest.mark.parametrize("lists", [False, True])
def test_parquet_files_and_record_batches(tmp_path: Path, lists: bool) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    given = batch(6_000, 3, seed=6)
    tenant = np.array(["a", "b"])[np.arange(6_000) % 2]
    if lists:
        names = (["acc"], ["cost"])
        columns = {"acc": given.acc.tolist(), "cost": given.cost.tolist(), "tenant": tenant}
    else:
        names = ([f"acc:{j}" for j in range(3)], [f"cost:{j}" for j in range(3)])
        columns = {f"acc:{j}": given.acc[:, j] for j in range(3)} | {f"cost:{j}": given.cost[:, j] for j in range(3)}
        columns["tenant"] = tenant
    table = arrow.table(columns)
    parquet.write_table(table.slice(0, 2_500), tmp_path / "a.parquet")
    parquet.write_table(table.slice(2_500), tmp_path / "b.parquet")
    limit = {"a": given.budget * 0.6, "b": given.budget * 0.5}
    dense = omnirouter.solve(given.acc, given.cost, resources=[Resource("cost", limit, per=tenant, name="tenant")])
    sources = [[tmp_path / "a.parquet", tmp_path / "b.parquet"], table, table.to_batches(max_chunksize=999)]
    for source in sources:
        oracle = ChunkedOracle.from_arrow(source, *names)
        resource = Resource("cost", limit, per=Column("tenant"), name="tenant")
        same(omnirouter.solve_oracle(oracle, resources=[resource]), dense)


def test_what_is_no_source_of_arrow_is_refused(tmp_path: Path) -> None:
    arrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    empty, cut, none = (tmp_path / f"{name}.parquet" for name in ("empty", "cut", "none"))
    empty.write_bytes(b"")
    table = arrow.table({"acc": [0.5] * 99, "cost": [1.0] * 99})
    parquet.write_table(table, cut)
    cut.write_bytes(cut.read_bytes()[:-20])
    parquet.write_table(table.slice(0, 0), none)
    source: Any
    for source, message in [
        (3, "source is int, expected a path, a sequence of paths, a pyarrow.Table or an iterable of pyarrow.RecordBatch"),
        ([3], r"source\[0\] is int, expected a pyarrow.RecordBatch"),
        ([], "source has no rows, expected at least one"),
        (none, "source has no rows, expected at least one"),
        (table.slice(0, 0), "source has no rows, expected at least one"),
        (empty, r"source \(.*empty\.parquet\) is not a readable Parquet file: "),
        ([cut], r"source \(.*cut\.parquet\) is not a readable Parquet file: "),
        (table.select(["acc"]), r"source\[0\] has no column 'cost'; it has \['acc'\]"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            omnirouter.solve_oracle(ChunkedOracle.from_arrow(source, ["acc"], ["cost"]), budget=99.0)
    with pytest.raises(FileNotFoundError, match=r"gone\.parquet"):
        ChunkedOracle.from_arrow(tmp_path / "gone.parquet", ["acc"], ["cost"])
    names: Any
    for names in (3, "acc", [], [3]):
        with pytest.raises(TypeError, match=r"cost is .*, expected"):
            ChunkedOracle.from_arrow(table, ["acc"], names)


class Odd(Cut):
    """Something happens in one reading."""

    def __init__(self, reading: int, action: Callable[[int, dict[str, Any]], dict[str, Any]], **arrays: Any) -> None:
        super().__init__(1_000, **arrays)
        self.reading, self.action = reading, action

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for at, chunk in enumerate(super().__iter__()):
            yield self.action(at, chunk) if self.readings == self.reading else chunk


@pytest.mark.parametrize("reading", [1, 2, 3])
def test_exceptions_of_the_source_are_raised_as_they_were(reading: int) -> None:
    given = batch(9_000, 6, seed=3)

    def fail(at: int, chunk: dict[str, Any]) -> dict[str, Any]:
        if at == 4:
            raise ZeroDivisionError("chunk four")
        return chunk

    source = Odd(reading, fail, acc=given.acc, cost=given.cost)
    with pytest.raises(ZeroDivisionError, match="chunk four"):
        omnirouter.solve_oracle(ChunkedOracle(source), given.caps, given.budget)


def test_a_source_with_other_rows_the_next_time_is_refused() -> None:
    given = batch(9_000, 6, seed=3)

    def swap(at: int, chunk: dict[str, Any]) -> dict[str, Any]:
        return {**chunk, "acc": chunk["acc"][::-1]} if at == 2 else chunk

    source = Odd(3, swap, acc=given.acc, cost=given.cost)
    with pytest.raises(OracleError, match="chunk 2 of the oracle is not what it was"):
        omnirouter.solve_oracle(ChunkedOracle(source), given.caps, given.budget)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"acc": np.zeros((1_000, 5))}, r"chunk 3: acc has shape \(1000, 5\), expected \(1000, 6\)"),
        ({"cost": np.zeros((999, 6))}, r"chunk 3: cost has shape \(999, 6\), expected \(1000, 6\)"),
        ({"cost": np.full((1_000, 6), -1.0)}, r"cost\[3000, 0\] is -1, expected a number >= 0"),
        ({"acc": np.full((1_000, 6), np.nan)}, r"acc\[3000, 0\] is NaN, expected a finite number"),
    ],
)
def test_bad_chunks_are_named(change: dict[str, Any], message: str) -> None:
    given = batch(9_000, 6, seed=3)
    source = Odd(2, lambda at, chunk: {**chunk, **change} if at == 3 else chunk, acc=given.acc, cost=given.cost)
    with pytest.raises(ValueError, match=message):
        omnirouter.solve_oracle(ChunkedOracle(source), given.caps, given.budget)


def test_what_cannot_be_read_again_is_refused() -> None:
    with pytest.raises(TypeError, match="generator, which can be read once"):
        ChunkedOracle((acc, acc) for acc in [np.zeros((1, 1))])
    with pytest.raises(TypeError, match="chunks is int"):
        ChunkedOracle(3)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="0 queries"):
        omnirouter.solve_oracle(ChunkedOracle([]), budget=1.0)


@pytest.mark.parametrize("home", [ChunkedOracle, lambda chunks: ShardedOracle([chunks])])
def test_the_first_chunk_says_how_many_models_there_are(home: Home) -> None:
    acc, cost = np.full((4, 3), 0.5), np.ones((4, 3))
    with pytest.raises(ValueError, match=r"chunk 1: acc has shape \(4, 2\), expected \(4, 3\)"):
        omnirouter.solve_oracle(home([(acc, cost), (acc[:, :2], cost[:, :2])]), budget=9.0)


def test_what_is_no_oracle_is_refused() -> None:
    acc, cost = np.full((4, 3), 0.5), np.ones((4, 3))
    oracle: Any
    for oracle, came in [(3, "int"), (None, "NoneType"), ((acc, cost), "tuple"), (acc, "ndarray"), (ChunkedOracle, "type")]:
        with pytest.raises(TypeError, match=f"oracle is {came}, expected a ChunkedOracle, ShardedOracle or another Oracle"):
            omnirouter.solve_oracle(oracle, budget=1.0)
    allowed: Any
    for allowed, came in [(np.ones((4, 3), bool), "ndarray"), (3, "int"), ("no", "str"), (None, "NoneType")]:
        with pytest.raises(TypeError, match=f"allowed is {came}, expected True or False: whether the chunks carry"):
            omnirouter.solve_oracle(ChunkedOracle([(acc, cost)]), budget=9.0, allowed=allowed)
    with pytest.raises(ValueError, match="chunks is empty, expected n_queries = 3 rows"):
        omnirouter.solve_oracle(ChunkedOracle([], n_queries=3), budget=1.0)
    rows: Any = "x"
    with pytest.raises(TypeError, match="n_queries is 'x', expected a whole number >= 1"):
        ChunkedOracle([(acc, cost)], n_queries=rows)


def test_what_are_no_shards_is_refused() -> None:
    shard = [(np.full((4, 3), 0.5), np.ones((4, 3)))]
    shards: Any
    for shards, came in [(None, "NoneType"), (3, "int"), ("ab", "str"), (iter([shard]), "list_iterator")]:
        with pytest.raises(TypeError, match=f"shards is {came}, expected a sequence of iterables of chunks"):
            ShardedOracle(shards)
    threads: Any
    for threads in ("x", -1, 1.5, None):
        with pytest.raises((TypeError, ValueError), match=f"threads is {threads!r}, expected a whole number >= 0"):
            ShardedOracle([shard], threads=threads)


def test_arrays_of_all_queries_and_unknown_columns_are_refused() -> None:
    given = batch(50, 4)
    rows = chunked(acc=given.acc, cost=given.cost, tenant=np.array(["a"] * 50))
    for resource, message in [
        (Resource(np.ones(50), 3, name="tokens"), r"tokens: usage has shape \(50,\), expected \(4,\), or a Column"),
        (Resource(1.0, 3, per=["a"] * 50, name="tenant"), "expected a Column"),
        (Resource(Column("tokens"), 3, name="tokens"), "chunk 0 has no array 'tokens'"),
        (Resource(1.0, {"b": 3}, per=Column("tenant"), name="tenant"), "'a', for which tenant has no limit"),
    ]:
        with pytest.raises((ValueError, TypeError), match=message):
            omnirouter.solve_oracle(rows, resources=[resource])
    with pytest.raises(TypeError, match="pass the array itself"):
        omnirouter.solve(given.acc, given.cost, resources=[Resource(Column("tokens"), 3, name="tokens")])
    with pytest.raises(TypeError, match="expected a mapping"):
        Resource(1.0, 3, per=Column("tenant"), name="tenant")


@pytest.mark.parametrize("home", HOMES)
def test_callbacks_stop_and_their_exceptions_are_raised(home: Home) -> None:
    given = batch(9_000, 6, seed=3)
    rows = home(acc=given.acc, cost=given.cost)
    stopped = omnirouter.solve_oracle(rows, given.caps, given.budget, callback=lambda progress: True)
    assert stopped.status.value == "stopped"
    with pytest.raises(ZeroDivisionError):
        omnirouter.solve_oracle(rows, given.caps, given.budget, callback=lambda progress: 1 / 0)  # type: ignore[arg-type,return-value]


def test_a_time_limit_during_the_first_reading_is_a_status() -> None:
    given = batch(9_000, 6, seed=3)
    solution = omnirouter.solve_oracle(chunked(acc=given.acc, cost=given.cost), budget=given.budget, time_limit=1e-9)
    assert solution.status.value == "time_limit"
    assert solution.assignment is None


def test_a_query_cannot_be_explained_without_its_row() -> None:
    given = batch(50, 4)
    solution = omnirouter.solve_oracle(chunked(acc=given.acc, cost=given.cost), budget=given.budget)
    with pytest.raises(omnirouter.SolveError, match="rows of an oracle are elsewhere"):
        solution.explain(0)


def test_a_solution_is_verified_against_its_rows_in_memory_only() -> None:
    given = batch(50, 4, seed=1)
    for limits, kind in (({"budget": given.budget}, None), ({"min_accuracy": 0.999}, "ray")):
        solution = omnirouter.solve_oracle(chunked(acc=given.acc, cost=given.cost), given.caps, rel_gap=0.0, **limits)
        assert (solution.certificate and solution.certificate.kind) == kind
        assert omnirouter.verify(omnirouter.Problem(given.acc, given.cost, given.caps, **limits), solution).ok
        with pytest.raises(TypeError, match="problem is Form, expected Problem"):
            omnirouter.verify(solution.problem, solution)  # type: ignore[arg-type]


def test_prices_of_an_oracle_have_no_ranges() -> None:
    given = batch(50, 4, seed=1)
    solution = omnirouter.solve_oracle(chunked(acc=given.acc, cost=given.cost), budget=given.budget)
    with pytest.raises(ValueError, match="rows of an oracle"):
        omnirouter.price_ranges(solution)


def test_a_query_without_a_model_is_named_without_its_row() -> None:
    acc, cost, allowed = np.full((3, 2), 0.5), np.ones((3, 2)), np.ones((3, 2), bool)
    allowed[1] = False
    solution = omnirouter.solve_oracle(chunked(acc=acc, cost=cost, allowed=allowed), budget=3.0, allowed=True)
    assert solution.certificate is not None
    assert solution.certificate.query == 1
    assert solution.message == "infeasible: query 1 is forbidden, or alone passes a limit, on every model"
