"""The same bits on a local Ray cluster, for any number of shards, also when an actor dies in the middle."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import omnirouter
import omnirouter.ray
from instances import batch
from omnirouter.errors import OracleError

pytestmark = [pytest.mark.ray, pytest.mark.filterwarnings("ignore")]
ray = pytest.importorskip("ray", reason="the ray tier has an environment of its own: make test-ray")

N, M = 9_000, 6


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    # Workers must find this module.
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    ray.init(num_cpus=8, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": {"PYTHONPATH": path}})
    yield
    ray.shutdown()


def chunks(first: int, last: int) -> Iterable[tuple[Any, Any]]:
    """Rows of a batch that every actor can make again."""
    given = batch(N, M, seed=3)
    return [(given.acc[a : min(a + 1_000, last)], given.cost[a : min(a + 1_000, last)]) for a in range(first, last, 1_000)]


def oracle(cuts: list[int], **options: Any) -> Any:
    ends = zip([0, *cuts], [*cuts, N], strict=True)
    return omnirouter.ray.RayOracle([partial(chunks, a, b) for a, b in ends], num_cpus=0.5, **options)


def same(one: omnirouter.Solution, other: omnirouter.Solution) -> None:
    mine, yours = one.to_dict(), other.to_dict()
    for both in (mine, yours):
        del both["info"]
    assert mine == yours


class Deadly:
    """Actors that die once they have answered: (shard, question) pairs, each the first time."""

    def __init__(self, rows: Any, deaths: list[tuple[int, str]]) -> None:
        self.rows, self.deaths = rows, deaths

    def __getattr__(self, name: str) -> Any:
        return getattr(self.rows, name)

    def ask(self, question: str, message: bytes) -> list[bytes]:
        answers: list[bytes] = self.rows.ask(question, message)
        for victim, last in [death for death in self.deaths if death[1] == question]:
            ray.kill(self.rows.shards[victim].actor)
            self.deaths.remove((victim, last))
        return answers


def test_any_number_of_shards_and_any_death_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    given = batch(N, M, seed=3)
    dense = omnirouter.solve(given.acc, given.cost, given.caps, given.budget)
    solution = omnirouter.solve_oracle(oracle([]), given.caps, given.budget)
    same(solution, dense)
    assert solution.info.rounds <= 12
    deadly = Deadly(oracle([1, 4_000]), [(0, "screen"), (1, "tally"), (2, "keep")])
    solve_shards = omnirouter.ray.solve_shards
    monkeypatch.setattr(omnirouter.ray, "solve_shards", lambda shards, *rest: solve_shards(deadly, *rest))
    broken = omnirouter.solve_oracle(deadly.rows, given.caps, given.budget)
    same(broken, dense)
    assert not deadly.deaths
    # The last one may have answered before the kill arrived.
    assert [shard.started for shard in deadly.rows.shards[:2]] == [2, 2]
    assert broken.info.rounds == solution.info.rounds
    assert broken.info.message_bytes < given.acc.nbytes + given.cost.nbytes


def test_a_shard_that_dies_again_and_again_is_an_error() -> None:
    rows = oracle([4_000], attempts=1)
    rows.shape()
    ray.kill(rows.shards[1].actor)
    with pytest.raises(OracleError, match="a shard died 1 times"):
        omnirouter.solve_oracle(rows, budget=1.0)


def test_exceptions_of_a_source_are_raised_as_they_were() -> None:
    def bad() -> Any:
        return [(np.full((2, 2), np.nan), np.ones((2, 2)))]

    with pytest.raises(ValueError, match=r"acc\[0, 0\] is NaN"):
        omnirouter.solve_oracle(omnirouter.ray.RayOracle([bad], num_cpus=0.5), budget=1.0)


def test_what_a_source_returns_can_be_read_again() -> None:
    def once() -> Any:
        return (pair for pair in chunks(0, N))

    with pytest.raises(TypeError, match="what a source returns is generator, which can be read once"):
        omnirouter.solve_oracle(omnirouter.ray.RayOracle([once], num_cpus=0.5), budget=1.0)


@dataclass(frozen=True)
class Lengths:
    """A router whose predictions follow from the length of a prompt."""

    models: tuple[str, ...] = ("small", "large")

    def predict(self, prompts: list[str]) -> Any:
        length = np.array([len(prompt) for prompt in prompts], dtype=np.float32)
        acc = np.stack([1 / (1 + length / 50), 1 / (1 + length / 200)], axis=1)
        return SimpleNamespace(acc=acc, cost=np.stack([length, 10 * length], axis=1), models=self.models)


def test_a_dataset_is_predicted_and_routed() -> None:
    import ray.data

    rng = np.random.default_rng(0)
    prompts = ["x" * int(n) for n in rng.integers(1, 400, 3_000)]
    prediction = Lengths().predict(prompts)
    budget = float(prediction.cost[:, 0].sum()) * 3
    dense = omnirouter.solve(prediction.acc, prediction.cost, budget=budget)
    for shards in (1, 3):
        dataset = ray.data.from_items(
            [{"prompt": prompt, "key": at} for at, prompt in enumerate(prompts)], override_num_blocks=5
        )
        routing = omnirouter.ray.route(dataset, Lengths(), budget, shards=shards, num_cpus=0.5)
        same(routing.solution, dense)
        rows = routing.dataset.take_all()
        assert [row["key"] for row in rows] == list(range(3_000))
        assert dense.assignment is not None
        assert [row["model"] for row in rows] == [Lengths().models[j] for j in dense.assignment]
