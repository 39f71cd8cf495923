from collections.abc import Callable, Iterable, Sequence
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Shard",
    "__version__",
    "curve",
    "defaults",
    "merge_facts",
    "price_ranges",
    "solve",
    "solve_shards",
    "solve_source",
]

__version__: str

def defaults() -> dict[str, Any]: ...
def curve(
    problem: Any,
    settings: tuple[float, float, int, int, int],
    resource: int,
    budgets: list[float] | None,
    count: int,
    plans: bool,
    callback: Callable[[str, int, float, float], bool] | None,
) -> tuple[list[float], list[tuple[float, float, float, list[float], NDArray[np.int32] | None] | None], int]: ...
def price_ranges(
    problem: Any,
    settings: tuple[float, float, int, int, int],
    prices: list[float],
    tolerance: float,
) -> list[tuple[float, float]]: ...
def solve(
    problem: Any,
    settings: tuple[float, float, int, int, int],
    start: list[float] | None,
    callback: Callable[[str, int, float, float], bool] | None,
) -> dict[str, Any]: ...
def solve_source(
    form: Any,
    source: Iterable[Any],
    n_queries: int,
    settings: tuple[float, float, int, int, int],
    start: list[float] | None,
    callback: Callable[[str, int, float, float], bool] | None,
) -> dict[str, Any]: ...
def solve_shards(
    form: Any,
    ask: Callable[[str, bytes], list[bytes]],
    in_turn: Callable[[str, bytes], bytes],
    facts: bytes,
    settings: tuple[float, float, int, int, int],
    start: list[float] | None,
    callback: Callable[[str, int, float, float], bool] | None,
) -> dict[str, Any]: ...
def merge_facts(facts: Sequence[bytes]) -> bytes: ...

@final
class Shard:
    def __new__(cls, form: Any, rows: Iterable[Any], threads: int) -> Shard: ...
    def facts(self) -> tuple[int, bytes]: ...
    def agree(self, facts: bytes, first: int) -> None: ...
    def answer(self, question: str, message: bytes) -> bytes: ...
    def assignment(self) -> NDArray[np.int32]: ...
