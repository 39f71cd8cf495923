"""Batches on many machines with Ray: actors hold the rows, and only sums and the few rows with a choice travel.

A dead actor is started again from the source of its rows, and the questions that it had answered are put to it
once more; so the answer has the same bits whatever dies meanwhile, and for any number of shards.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from omnirouter.chunks import ArrowChunks
from omnirouter.errors import OracleError
from omnirouter.extras import require
from omnirouter.form import Chunk, Form
from omnirouter.oracles import check_rereadable, count_rows, joined_shape, solve_oracle, solve_shards, started
from omnirouter.solution import Solution

__all__ = ["RayOracle", "RayRouting", "route"]

T = TypeVar("T")
Source = Callable[[], Iterable[Chunk]]
# After these, a shard's choices are others than before.
_KEPT_QUESTIONS = ("screen", "tally", "keep")


class RayOracle:
    """Rows held by Ray actors, one shard each; for `omnirouter.solve_oracle`.

    Parameters
    ----------
    sources : sequence of callables
        Each is called in its actor, and again where that has died; it returns the chunks of a shard, as for `ShardedOracle`.
    num_cpus : float
        Processors that Ray reserves for each actor; each uses as many threads (at least one).
    attempts : int
        Times that one shard is started before its death is an error.

    Examples
    --------
    >>> oracle = RayOracle([partial(read_shard, path) for path in paths])    # doctest: +SKIP
    >>> omnirouter.solve_oracle(oracle, budget=1000.0)                       # doctest: +SKIP
    """

    def __init__(self, sources: Sequence[Source], *, num_cpus: float = 1, attempts: int = 3) -> None:
        expected = "a callable that returns the chunks of a shard"
        if isinstance(sources, str) or not isinstance(sources, Sequence):
            raise TypeError(f"sources is {type(sources).__name__}, expected a sequence, each {expected}")
        if not sources:
            raise ValueError("sources is empty, expected at least one")
        for at, source in enumerate(sources):
            if not callable(source):
                raise TypeError(f"sources[{at}] is {type(source).__name__}, expected {expected}")
        self._ray = require("ray", extra="ray")
        self.shards = [_Remote(self._ray, source, num_cpus, attempts) for source in sources]

    def shape(self) -> tuple[int, int]:
        """Numbers of queries and models."""
        return joined_shape(self._all(lambda shard: shard.call("shape")))

    def solve(self, form: Form, settings: Any, start: Any, callback: Any) -> dict[str, Any]:
        """Solve the form over the shards."""
        shared = self._ray.put(form)
        self._all(lambda shard: shard.call("prepare", shared, kept=True, afresh=True))
        return solve_shards(self, form, settings, start, callback)

    def facts(self) -> list[tuple[int, bytes]]:
        """Of each shard, its number of rows and what the others must know."""
        return self._all(lambda shard: shard.call("facts"))

    def agree(self, facts: bytes, firsts: list[int]) -> None:
        """Tell each shard the facts of all rows, and its first query."""
        first = iter(firsts)
        self._all(lambda shard: shard.call("agree", facts, next(first), kept=True))

    def ask(self, question: str, message: bytes) -> list[bytes]:
        """The answers of all shards."""
        shared = self._ray.put(message)
        return self._all(lambda shard: shard.call("answer", question, shared, kept=question in _KEPT_QUESTIONS))

    def ask_in_turn(self, question: str, message: bytes) -> bytes:
        """The answer of the last shard, each having got that of the one before."""
        for shard in self.shards:
            message = shard.result(shard.call("answer", question, message))
        return message

    def assignments(self) -> list[NDArray[np.int32]]:
        """The plans of all shards."""
        return self._all(lambda shard: shard.call("assignment"))

    def _all(self, call: Callable[[_Remote], _Call]) -> list[Any]:
        """Calls every shard before it waits for the first."""
        calls = [call(shard) for shard in self.shards]
        return [shard.result(pending) for shard, pending in zip(self.shards, calls, strict=True)]


@dataclass
class _Call:
    """A call of an actor that may have to be made again."""

    method: str
    arguments: tuple[Any, ...]
    kept: bool
    reference: Any


@dataclass
class _Remote:
    """An actor and what it takes to make another one like it."""

    ray: Any
    source: Source
    num_cpus: float
    attempts: int
    started: int = 0
    actor: Any = None
    history: list[_Call] = field(default_factory=list)

    def call(self, method: str, *arguments: Any, kept: bool = False, afresh: bool = False) -> _Call:
        """Send a call; one that is `kept` is part of what the actor knows, `afresh` forgets the earlier ones."""
        if self.actor is None:
            self._start()
        if afresh:
            self.history.clear()
        return _Call(method, arguments, kept, getattr(self.actor, method).remote(*arguments))

    def result(self, call: _Call) -> Any:
        """Wait for the answer, with other actors where one dies."""
        while True:
            try:
                answer = self.ray.get(call.reference)
            except self.ray.exceptions.RayTaskError as error:
                raise (error.cause if isinstance(error.cause, Exception) else error) from None
            except self.ray.exceptions.RayActorError as error:
                self._restart(call, error)
                continue
            if call.kept:
                self.history.append(call)
            return answer

    def _start(self) -> None:
        self.started += 1
        threads = max(1, int(self.num_cpus))
        self.actor = self.ray.remote(_Shard).options(num_cpus=self.num_cpus).remote(self.source, threads)

    def _restart(self, call: _Call, error: Exception) -> None:
        """Another actor, which is told all that the dead one knew; calls of an actor are carried out in order."""
        if self.started >= self.attempts:
            raise OracleError(f"a shard died {self.started} times: {error}") from error
        self._start()
        for earlier in self.history:
            earlier.reference = getattr(self.actor, earlier.method).remote(*earlier.arguments)
        call.reference = getattr(self.actor, call.method).remote(*call.arguments)


class _Shard:
    """What an actor runs."""

    def __init__(self, source: Source, threads: int) -> None:
        self._source, self._threads = source, threads
        self._chunks: Iterable[Chunk] | None = None
        self._shard: Any = None

    def _read(self) -> Iterable[Chunk]:
        # Not as the actor starts: there an exception would look like its death.
        if self._chunks is None:
            chunks = self._source()
            check_rereadable("what a source returns", chunks)
            self._chunks = chunks
        return self._chunks

    def shape(self) -> tuple[int, int]:
        return count_rows(self._read())

    def prepare(self, form: Form) -> None:
        self._shard = started(form, self._read(), self._threads)

    def facts(self) -> tuple[int, bytes]:
        facts: tuple[int, bytes] = self._ready().facts()
        return facts

    def agree(self, facts: bytes, first: int) -> None:
        self._ready().agree(facts, first)

    def answer(self, question: str, message: bytes) -> bytes:
        answer: bytes = self._ready().answer(question, message)
        return answer

    def assignment(self) -> NDArray[np.int32]:
        plan: NDArray[np.int32] = self._ready().assignment()
        return plan

    def _ready(self) -> Any:
        if self._shard is None:
            raise OracleError("the shard was asked before it was told the problem")
        return self._shard


@dataclass(frozen=True, eq=False)
class RayRouting:
    """A routed Ray Dataset.

    Attributes
    ----------
    dataset : ray.data.Dataset or None
        The rows of the dataset that was given, in their order, with the columns "acc" and "cost" (lists, one number per
        model) and "model" (name of the chosen one); None without a plan.
    models : tuple of str
        Names of the models.
    solution : Solution
        Status, proof, prices and totals.
    """

    dataset: Any
    models: tuple[str, ...]
    solution: Solution


def route(
    dataset: Any,
    router: Any,
    budget: float | None = None,
    *,
    prompt: str = "prompt",
    shards: int = 4,
    num_cpus: float = 1,
    batch_size: int = 1024,
    **limits: Any,
) -> RayRouting:
    """Predict and route the prompts of a Ray Dataset; the rows stay where Ray keeps them.

    Parameters
    ----------
    dataset : ray.data.Dataset
        A row per query.
    router : path or object
        A folder of a saved `Router`, which every worker can read; or an object with `models` and `predict(prompts)` as a
        `Router` has them, which is sent to the workers.
    budget : float, optional
        As for `omnirouter.solve`.
    prompt : str
        Column with the texts.
    shards : int
        Actors that hold predictions while the problem is solved. The answer has the same bits for any number.
    num_cpus, batch_size : float, int
        Processors per worker, and prompts per prediction.
    **limits
        The other keywords of `omnirouter.solve_oracle`.

    Returns
    -------
    RayRouting
        Plan and proof.
    """
    ray = require("ray", extra="ray")
    data = require("ray.data", extra="ray")
    models = tuple(_opened(router).models)
    context = data.DataContext.get_current()
    before = context.execution_options.preserve_order
    # The order of the rows decides between equal plans.
    context.execution_options.preserve_order = True
    try:
        predicted = dataset.map_batches(
            _Predict,
            fn_constructor_args=(router, prompt),
            batch_format="pyarrow",
            batch_size=batch_size,
            num_cpus=num_cpus,
            concurrency=(1, shards),
        )
        blocks = predicted.materialize().to_arrow_refs()
    finally:
        context.execution_options.preserve_order = before
    count = min(shards, len(blocks))
    cuts = [len(blocks) * at // count for at in range(count + 1)]
    parts = [blocks[a:b] for a, b in itertools.pairwise(cuts)]
    oracle = RayOracle([_Blocks(part) for part in parts], num_cpus=num_cpus)
    solution = solve_oracle(oracle, budget=budget, **limits)
    if solution.assignment is None:
        return RayRouting(None, models, solution)
    name = ray.remote(_named)
    out, first = [], 0
    lengths = ray.get([ray.remote(_length).remote(block) for block in blocks])
    for block, length in zip(blocks, lengths, strict=True):
        out.append(name.remote(block, solution.assignment[first : first + length], models))
        first += length
    return RayRouting(data.from_arrow_refs(out), models, solution)


@dataclass(frozen=True)
class _Blocks:
    """Blocks of a dataset as the source of a shard: Ray keeps them, and makes lost ones again."""

    references: list[Any]

    def __call__(self) -> _Tables:
        return _Tables(require("ray", extra="ray").get(self.references))


@dataclass(frozen=True)
class _Tables:
    """Arrow tables with list columns acc and cost, as chunks."""

    tables: list[Any]

    def __iter__(self) -> Iterator[Chunk]:
        for table in self.tables:
            yield from ArrowChunks(table, ["acc"], ["cost"])


class _Predict:
    """Adds acc and cost to a batch of prompts."""

    def __init__(self, router: Any, prompt: str) -> None:
        self._router, self._prompt = _opened(router), prompt

    def __call__(self, batch: Any) -> Any:
        arrow = require("pyarrow", extra="ray")
        if self._prompt not in batch.column_names:
            raise ValueError(f"the dataset has no column {self._prompt!r}; it has {batch.column_names}")
        prediction = self._router.predict(batch.column(self._prompt).to_pylist())
        for name in ("acc", "cost"):
            matrix = getattr(prediction, name)
            flat = arrow.array(np.ascontiguousarray(matrix).reshape(-1))
            batch = batch.append_column(name, arrow.FixedSizeListArray.from_arrays(flat, matrix.shape[1]))
        return batch


def _opened(router: Any) -> Any:
    if not isinstance(router, str | Path):
        return router
    from omnirouter.router import Router

    return Router.load(router)


def _length(table: Any) -> int:
    return int(table.num_rows)


def _named(table: Any, plan: NDArray[np.int32], models: tuple[str, ...]) -> Any:
    """A block with the column "model"."""
    return table.append_column("model", require("pyarrow", extra="ray").array([models[j] for j in plan.tolist()]))
