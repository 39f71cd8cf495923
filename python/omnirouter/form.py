"""A problem whose rows are elsewhere: everything but the matrices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter.problem import Caps, Objective, as_allowed, as_matrix, objective_or_default, short_limits, user_resources
from omnirouter.resources import Column, Resource, as_array

__all__ = ["Chunk", "Form", "Rows"]

Chunk: TypeAlias = "tuple[ArrayLike, ArrayLike] | Mapping[str, ArrayLike]"


@dataclass(frozen=True, slots=True, eq=False)
class Form:
    """What an oracle is asked to solve.

    Attributes
    ----------
    n_queries, n_models : int
        Numbers of rows and columns.
    resources : tuple of Resource
        All limits.
    allowed : bool
        Whether chunks carry an array "allowed".
    objective : {"accuracy", "cost"}
        What is optimised.
    min_accuracy : float or None
        Least mean of acc over the plan.
    """

    n_queries: int
    n_models: int
    resources: tuple[Resource, ...]
    allowed: bool
    objective: Objective
    min_accuracy: float | None

    @classmethod
    def of(
        cls,
        n_queries: int,
        n_models: int,
        caps: Caps | None,
        budget: float | None,
        min_accuracy: float | None,
        resources: Sequence[Resource],
        allowed: bool,
        objective: Objective | None,
    ) -> Form:
        """Check the limits; raises as `Problem` does."""
        if not isinstance(allowed, (bool, np.bool_)):
            raise TypeError(
                f"allowed is {type(allowed).__name__}, expected True or False: whether the chunks carry an array 'allowed'"
            )
        if n_queries == 0 or n_models == 0:
            raise ValueError(f"the oracle has {n_queries} queries and {n_models} models, expected at least one of each")
        limits = short_limits(n_queries, n_models, caps, budget, min_accuracy)
        limits.extend(resource.fitted_to_chunks(n_models) for resource in user_resources(resources))
        return cls(
            n_queries,
            n_models,
            tuple(limits),
            bool(allowed),
            objective_or_default(objective, budget, min_accuracy),
            None if min_accuracy is None else float(min_accuracy),
        )

    def columns(self) -> tuple[str, ...]:
        """Names of the arrays that chunks must carry besides acc and cost."""
        named = [item.name for r in self.resources for item in (r.usage, r.per) if isinstance(item, Column)]
        return tuple(dict.fromkeys([*named, *(["allowed"] if self.allowed else [])]))


class _Arrays(NamedTuple):
    """One chunk as the native core takes it; usage and groups have an entry per resource."""

    n_queries: int
    inputs: list[NDArray[Any]]
    usage: list[NDArray[np.float64] | None]
    groups: list[NDArray[np.uint32] | None]
    allowed: NDArray[np.bool_] | None


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Chunks that can be read again, each checked and turned into what the native core takes."""

    chunks: Any
    form: Form

    def __iter__(self) -> Iterator[_Arrays]:
        """Read from the first chunk."""
        return (self._arrays(at, chunk) for at, chunk in enumerate(self.chunks))

    def _arrays(self, at: int, chunk: Chunk) -> _Arrays:
        acc, cost, more = matrices(at, chunk)
        shape = (len(acc), self.form.n_models)
        for name, array in (("acc", acc), ("cost", cost)):
            if array.shape != shape:
                raise ValueError(f"chunk {at}: {name} has shape {array.shape}, expected {shape}")
        inputs = [acc, cost]
        usage: list[NDArray[np.float64] | None] = []
        groups: list[NDArray[np.uint32] | None] = []
        for resource in self.form.resources:
            per_query: NDArray[np.float64] | None = None
            if isinstance(resource.usage, Column):
                name = resource.usage.name
                given = as_array(f"chunk {at}: {name}", _named(at, more, name))
                if resource.usage.per_model:
                    inputs.append(_shaped(at, name, as_matrix(f"chunk {at}: {name}", given), shape))
                else:
                    per_query = _shaped(at, name, np.ascontiguousarray(given, dtype=np.float64), shape[:1])
            usage.append(per_query)
            groups.append(_codes(at, more, resource, shape[0]) if isinstance(resource.per, Column) else None)
        allowed = as_allowed(f"chunk {at}: allowed", _named(at, more, "allowed"), shape) if self.form.allowed else None
        return _Arrays(shape[0], inputs, usage, groups, allowed)


def matrices(at: int, chunk: Chunk) -> tuple[NDArray[Any], NDArray[Any], Mapping[str, ArrayLike]]:
    """Acc, cost, and the mapping with what else a chunk carries."""
    if isinstance(chunk, Mapping):
        acc, cost, more = _named(at, chunk, "acc"), _named(at, chunk, "cost"), chunk
    elif isinstance(chunk, tuple | list) and len(chunk) == 2:
        (acc, cost), more = chunk, {}
    else:
        raise TypeError(f"chunk {at} is {type(chunk).__name__}, expected a pair (acc, cost) or a mapping of arrays")
    return as_matrix(f"chunk {at}: acc", acc), as_matrix(f"chunk {at}: cost", cost), more


def _named(at: int, chunk: Mapping[str, ArrayLike], name: str) -> ArrayLike:
    if name not in chunk:
        raise ValueError(f"chunk {at} has no array {name!r}; it has {sorted(chunk)}")
    return chunk[name]


def _shaped(at: int, name: str, array: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    if array.shape != shape:
        raise ValueError(f"chunk {at}: {name} has shape {array.shape}, expected {shape}")
    return array


def _codes(at: int, chunk: Mapping[str, ArrayLike], resource: Resource, n: int) -> NDArray[np.uint32]:
    """Positions of the labels among those that have limits."""
    assert resource.labels is not None
    name, labels = resource.per.name, np.asarray(resource.labels)
    given = _shaped(at, name, as_array(f"chunk {at}: {name}", _named(at, chunk, name)), (n,))
    codes = np.minimum(np.searchsorted(labels, given), len(labels) - 1)
    unknown = labels[codes] != given
    if unknown.any():
        first = given[int(np.argmax(unknown))].item()
        raise ValueError(f"chunk {at}: {name} has the label {first!r}, for which {resource.name} has no limit")
    return codes.astype(np.uint32)
