"""Where the rows of a problem can be, other than in memory: on disk in chunks, or in shards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from omnirouter import _core
from omnirouter.checks import whole
from omnirouter.chunks import ArrowChunks, NpyChunks
from omnirouter.duals import Duals
from omnirouter.form import Chunk, Form, Rows, matrices
from omnirouter.problem import Caps, Objective
from omnirouter.resources import Resource
from omnirouter.solution import Solution
from omnirouter.solver import Callback, CoreProblem, core_settings, run, to_core

__all__ = ["ChunkedOracle", "Oracle", "ShardedOracle", "solve_oracle"]


@runtime_checkable
class Oracle(Protocol):
    """Rows that only the oracle sees; the solver asks it for sums."""

    def shape(self) -> tuple[int, int]:
        """Numbers of queries and models."""

    def solve(self, form: Form, settings: Any, start: Any, callback: Any) -> dict[str, Any]:
        """Solve the form over the rows, with the native core."""


def solve_oracle(
    oracle: Oracle,
    caps: Caps | None = None,
    budget: float | None = None,
    *,
    min_accuracy: float | None = None,
    resources: Sequence[Resource] = (),
    allowed: bool = False,
    objective: Objective | None = None,
    rel_gap: float = 1e-4,
    time_limit: float | None = None,
    threads: int = 0,
    seed: int = 0,
    warm_start: Duals | None = None,
    callback: Callback | None = None,
    verbose: bool = False,
) -> Solution:
    """Solve a problem whose rows do not fit in memory, or are on other machines.

    The answer has the same bits as that of `solve` for the same rows in memory, however they are cut.

    Parameters
    ----------
    oracle : ChunkedOracle, ShardedOracle or another Oracle
        The rows.
    caps, budget, min_accuracy, resources, objective
        As for `solve`. Usage per query and groups are given as a `Column` of the chunks.
    allowed : bool
        Whether the chunks carry an array "allowed", (rows, m) bool.
    rel_gap, time_limit, threads, seed, warm_start, callback, verbose
        As for `solve`. `threads` are those of this process; a `ShardedOracle` sets those of its shards.

    Returns
    -------
    Solution
        `info` also tells how often the source was read, or how many messages travelled. `explain` needs rows in memory.

    Raises
    ------
    ValueError, TypeError
        Bad input, as for `solve`.
    OracleError
        The source gave other rows than in its first reading.
    Exception
        What the code of the source raises is raised as it was.

    Notes
    -----
    Extra memory: two chunks, the sampled rows (at most 2^24 pairs), the few rows in which a choice is left, two bytes per
    query for each of at most two plans, and four for the assignment at the end.

    Examples
    --------
    >>> import numpy as np
    >>> import omnirouter
    >>> chunks = [(np.array([[0.9, 0.6]]), np.array([[3.0, 1.0]])), (np.array([[0.8, 0.7]]), np.array([[3.0, 1.0]]))]
    >>> solution = omnirouter.solve_oracle(omnirouter.ChunkedOracle(chunks), budget=4.0)
    >>> solution.assignment
    array([0, 1], dtype=int32)
    """
    if isinstance(oracle, type) or not isinstance(oracle, Oracle):
        raise TypeError(
            f"oracle is {type(oracle).__name__}, expected a ChunkedOracle, ShardedOracle or another Oracle; "
            "matrices in memory are for omnirouter.solve"
        )
    settings = core_settings(rel_gap, time_limit, threads, seed)
    n, m = oracle.shape()
    form = Form.of(n, m, caps, budget, min_accuracy, resources, allowed, objective)
    return run(form, oracle.solve, (form,), settings, warm_start, callback, verbose)


class ChunkedOracle:
    """Rows that are read chunk by chunk, once per pass; a thread reads the next chunk while a pass works on this one.

    Parameters
    ----------
    chunks : iterable of (acc, cost) pairs or of mappings
        Each time it is iterated, the same chunks in the same order. acc and cost are (rows, m), as in `solve`. A mapping has
        "acc", "cost", and the arrays that limits name by `Column`, and "allowed". Arrays must not be written to once given.
        The iteration runs on a thread of its own, one after the other.
    n_queries : int, optional
        Number of rows of all chunks; without it they are counted in a further reading.

    Examples
    --------
    >>> ChunkedOracle([([[0.9, 0.6]], [[3.0, 1.0]])]).shape()
    (1, 2)
    """

    def __init__(self, chunks: Iterable[Chunk], *, n_queries: int | None = None) -> None:
        check_rereadable("chunks", chunks)
        self._chunks = chunks
        self._n_queries = None if n_queries is None else whole("n_queries", n_queries, 1)
        self._shape: tuple[int, int] | None = None

    @classmethod
    def from_npy(cls, acc: str | Path, cost: str | Path, *, chunk_rows: int | None = None) -> ChunkedOracle:
        """Rows of two .npy files, each (n, m), float32 or float64 in C order.

        Parameters
        ----------
        acc, cost : path
            The files; they are read into buffers, not mapped.
        chunk_rows : int, optional
            Rows per chunk; by default 16 MB of both files together.
        """
        chunks = NpyChunks(acc, cost, chunk_rows)
        return cls(chunks, n_queries=chunks.shape[0])

    @classmethod
    def from_arrow(cls, source: Any, acc: Sequence[str], cost: Sequence[str]) -> ChunkedOracle:
        """Rows of Parquet files or of Arrow record batches.

        Parameters
        ----------
        source : path, sequence of paths, pyarrow.Table, or iterable of pyarrow.RecordBatch that can be iterated again
            The rows. Of Parquet files only the columns that are needed are read.
        acc, cost : sequence of str
            The columns of each model, in the same order; or one column each of lists with an entry per model.

        Raises
        ------
        ValueError, TypeError
            The source is none of these, or empty, or a file is no Parquet file.
        """
        chunks = ArrowChunks(source, acc, cost)
        n_queries = chunks.n_queries()
        if n_queries == 0:
            raise ValueError("source has no rows, expected at least one")
        return cls(chunks, n_queries=n_queries)

    def shape(self) -> tuple[int, int]:
        """Numbers of queries and models."""
        if self._shape is None:
            if self._n_queries is None:
                self._shape = count_rows(self._chunks)
            else:
                first = next(iter(self._chunks), None)
                if first is None:
                    raise ValueError(f"chunks is empty, expected n_queries = {self._n_queries} rows")
                self._shape = (self._n_queries, matrices(0, first)[0].shape[1])
        return self._shape

    def solve(self, form: Form, settings: Any, start: Any, callback: Any) -> dict[str, Any]:
        """Solve the form over the rows, with the native core."""
        rows = Rows(with_columns(self._chunks, form), form)
        raw: dict[str, Any] = _core.solve_source(without_rows(form), rows, form.n_queries, settings, start, callback)
        return raw


def check_rereadable(name: str, chunks: Any) -> None:
    """Refuse what cannot be read a second time."""
    if not isinstance(chunks, Iterable):
        raise TypeError(f"{name} is {type(chunks).__name__}, expected an iterable of (acc, cost) pairs")
    if isinstance(chunks, Iterator):
        raise TypeError(f"{name} is {type(chunks).__name__}, which can be read once; expected what can be iterated again")


def count_rows(chunks: Iterable[Chunk]) -> tuple[int, int]:
    """Numbers of rows and, by the first chunk, of models, from one reading."""
    n, m = 0, 0
    for at, chunk in enumerate(chunks):
        acc, _, _ = matrices(at, chunk)
        n, m = n + len(acc), m or acc.shape[1]
    return n, m


def with_columns(chunks: Iterable[Chunk], form: Form) -> Iterable[Chunk]:
    """Chunks that read the further arrays that the form names, where the source must be told."""
    return chunks.with_columns(form.columns()) if isinstance(chunks, ArrowChunks) else chunks


def without_rows(form: Form) -> CoreProblem:
    """The form as the native core takes it."""
    empty = np.zeros((0, form.n_models), np.float32)
    return to_core(form, empty, empty, np.zeros((0, form.n_models), np.bool_) if form.allowed else None)


def started(form: Form, chunks: Iterable[Chunk], threads: int) -> _core.Shard:
    """A shard that has read and checked its rows."""
    return _core.Shard(without_rows(form), Rows(with_columns(chunks, form), form), threads)


class ShardedOracle:
    """Rows in shards, each of which answers for itself: here all in this process, in `omnirouter.ray` on many machines.

    Parameters
    ----------
    shards : sequence of iterables of chunks
        Each as for `ChunkedOracle`, and held in memory.
    threads : int
        Threads of each shard; 0 takes all of the machine.

    Examples
    --------
    >>> ShardedOracle([[([[0.9, 0.6]], [[3.0, 1.0]])], [([[0.8, 0.7]], [[3.0, 1.0]])]]).shape()
    (2, 2)
    """

    def __init__(self, shards: Sequence[Iterable[Chunk]], *, threads: int = 0) -> None:
        if isinstance(shards, str) or not isinstance(shards, Sequence):
            raise TypeError(f"shards is {type(shards).__name__}, expected a sequence of iterables of chunks")
        if not shards:
            raise ValueError("shards is empty, expected at least one")
        for at, chunks in enumerate(shards):
            check_rereadable(f"shards[{at}]", chunks)
        self._chunks, self._threads = shards, whole("threads", threads)
        self._shards: list[_core.Shard] = []

    def shape(self) -> tuple[int, int]:
        """Numbers of queries and models."""
        return joined_shape([count_rows(chunks) for chunks in self._chunks])

    def solve(self, form: Form, settings: Any, start: Any, callback: Any) -> dict[str, Any]:
        """Solve the form over the shards, with the native core."""
        self._shards = [started(form, chunks, self._threads) for chunks in self._chunks]
        return solve_shards(self, form, settings, start, callback)

    def facts(self) -> list[tuple[int, bytes]]:
        """Of each shard, its number of rows and what the others must know."""
        return [shard.facts() for shard in self._shards]

    def agree(self, facts: bytes, firsts: list[int]) -> None:
        """Tell each shard the facts of all rows, and its first query."""
        for shard, first in zip(self._shards, firsts, strict=True):
            shard.agree(facts, first)

    def ask(self, question: str, message: bytes) -> list[bytes]:
        """The answers of all shards."""
        return [shard.answer(question, message) for shard in self._shards]

    def ask_in_turn(self, question: str, message: bytes) -> bytes:
        """The answer of the last shard, each having got that of the one before."""
        for shard in self._shards:
            message = shard.answer(question, message)
        return message

    def assignments(self) -> list[NDArray[np.int32]]:
        """The plans of all shards."""
        return [shard.assignment() for shard in self._shards]


class Shards(Protocol):
    """Shards that have read their rows; see `ShardedOracle` for the methods."""

    def facts(self) -> list[tuple[int, bytes]]: ...
    def agree(self, facts: bytes, firsts: list[int]) -> None: ...
    def ask(self, question: str, message: bytes) -> list[bytes]: ...
    def ask_in_turn(self, question: str, message: bytes) -> bytes: ...
    def assignments(self) -> list[NDArray[np.int32]]: ...


def joined_shape(shapes: Sequence[tuple[int, int]]) -> tuple[int, int]:
    """Numbers of queries and models of all shards."""
    models = {m for n, m in shapes if n}
    if len(models) > 1:
        raise ValueError(f"the shards have {sorted(models)} models, expected the same number in each")
    return sum(n for n, _ in shapes), max(models, default=0)


def solve_shards(shards: Shards, form: Form, settings: Any, start: Any, callback: Any) -> dict[str, Any]:
    """Let the shards agree on the facts of all rows, solve, and collect the plan; messages are counted."""
    counted = _Counted(shards)
    facts = shards.facts()
    sizes = [n for n, _ in facts]
    if sum(sizes) != form.n_queries:
        raise ValueError(f"the shards have {sum(sizes)} rows, expected n_queries = {form.n_queries}")
    merged = _core.merge_facts([message for _, message in facts])
    shards.agree(merged, [sum(sizes[:at]) for at in range(len(sizes))])
    counted.count(merged, [message for _, message in facts])
    raw: dict[str, Any] = _core.solve_shards(
        without_rows(form), counted.ask, counted.ask_in_turn, merged, settings, start, callback
    )
    if raw["assignment"] is not None:
        raw["assignment"] = np.concatenate(shards.assignments())
    return {**raw, "rounds": counted.rounds, "message_bytes": counted.bytes}


class _Counted:
    """Counts what travels: a message to several shards counts once for each."""

    def __init__(self, shards: Shards) -> None:
        self._shards = shards
        self.rounds, self.bytes = 0, 0

    def count(self, message: bytes, answers: Sequence[bytes]) -> None:
        self.rounds += 1
        self.bytes += len(message) * len(answers) + sum(len(answer) for answer in answers)

    def ask(self, question: str, message: bytes) -> list[bytes]:
        answers = self._shards.ask(question, message)
        self.count(message, answers)
        return answers

    def ask_in_turn(self, question: str, message: bytes) -> bytes:
        answer = self._shards.ask_in_turn(question, message)
        self.count(message, [answer])
        return answer
