"""Resources: what queries use up on models, and limits on the sums."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter.checks import is_number, unmasked

__all__ = ["Column", "Resource", "as_array", "assembled"]


@dataclass(frozen=True, slots=True)
class Column:
    """An array that each chunk of an oracle carries, by its name; see `omnirouter.solve_oracle`.

    Attributes
    ----------
    name : str
        Name in the chunk.
    per_model : bool
        Whether it is a usage of shape (rows, m), rather than (rows,).
    """

    name: str
    per_model: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"name is {self.name!r}, expected the name of an array of the chunks")


def as_array(name: str, value: Any) -> NDArray[Any]:
    """``numpy.asarray``, with an error that names the argument."""
    unmasked(name, value)
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} is no array of numbers, expected rows of equal length: {error}") from None


@dataclass(frozen=True, slots=True, init=False, eq=False)
class Resource:
    """Something of which queries on models use an amount, with limits on the sums.

    Parameters
    ----------
    usage : array_like, {"acc", "cost"} or Column
        What query i on model j uses: one number; one per model, (m,) or (1, m); one per query, (n,) or (n, 1); or one per
        pair, (n, m). Where n = m a vector is ambiguous and one of the two-dimensional forms is asked for. "acc" and
        "cost" stand for the matrices of the problem; a `Column` for an array in the chunks of an oracle.
    limit : float, array_like or mapping
        One number, or one per member of `per`: (m,) for models, one per group in sorted order of the labels, or a
        mapping from label to limit. Infinity (minus infinity for ">=") is no limit.
    per : "all", "model", (n,) array_like of labels, or Column
        Over what the amounts are added: everything, the queries on each model, or the queries of each group (tenant). With a
        `Column` of labels in the chunks of an oracle, `limit` must be a mapping, which names the groups.
    sense : {"<=", ">="}
        Whether the limit is a maximum or a minimum.
    name : str
        Name in messages and duals.

    Examples
    --------
    >>> Resource([[800.0], [200.0]], 900, name="tokens").limit
    array([900.])
    """

    usage: Any
    limit: NDArray[np.float64]
    per: Any
    sense: Literal["<=", ">="]
    name: str
    labels: tuple[Any, ...] | None
    _by_label: dict[Any, float] | None

    def __init__(
        self,
        usage: ArrayLike | Column,
        limit: float | ArrayLike | Mapping[Any, float],
        *,
        per: str | ArrayLike | Column = "all",
        sense: Literal["<=", ">="] = "<=",
        name: str,
    ) -> None:
        if not isinstance(name, str) or not name:
            raise TypeError(f"name is {name!r}, expected a non-empty string")
        if sense not in ("<=", ">="):
            raise ValueError(f"{name}: sense is {sense!r}, expected '<=' or '>='")
        labels: tuple[Any, ...] | None = None
        if isinstance(per, str):
            if per not in ("all", "model"):
                raise ValueError(f"{name}: per is {per!r}, expected 'all', 'model' or one label per query")
        elif isinstance(per, Column):
            if not isinstance(limit, Mapping) or not limit:
                raise TypeError(f"{name}: limit is {limit!r}, expected a mapping from each label in {per} to its limit")
            labels = tuple(np.unique(np.asarray(list(limit))).tolist())
        else:
            given = as_array(f"{name}: per", per)
            if given.ndim != 1 or not given.size:
                raise ValueError(f"{name}: per has shape {given.shape}, expected one label per query, (n,)")
            unique, inverse = np.unique(given, return_inverse=True)
            labels, per = tuple(unique.tolist()), inverse.reshape(-1).astype(np.uint32)
        by_label = dict(limit) if isinstance(limit, Mapping) else None
        limits = np.zeros(0) if by_label is not None else _vector(f"{name}: limit", limit)
        _fill(self, name, usage, limits, per, sense, labels, by_label)

    def fitted(self, n: int, m: int) -> Resource:
        """The same resource for n queries and m models: usage of a definite form, one limit per member."""
        if isinstance(self.usage, Column) or isinstance(self.per, Column):
            raise TypeError(f"{self.name}: a Column is an array of an oracle's chunks; pass the array itself")
        if not isinstance(self.per, str) and len(self.per) != n:
            raise ValueError(f"{self.name}: per has {len(self.per)} labels, expected {n}: one per query")
        return self._with(_usage(self.name, self.usage, n, m), m)

    def fitted_to_chunks(self, m: int) -> Resource:
        """The same resource for m models and queries that come in chunks."""
        if not isinstance(self.per, str | Column):
            raise TypeError(f"{self.name}: per is one label per query, expected a Column of the oracle's chunks")
        usage = self.usage
        if not isinstance(usage, str | Column):
            if np.ndim(usage) and np.shape(usage) not in ((m,), (1, m)):
                shape = np.shape(usage)
                raise ValueError(
                    f"{self.name}: usage has shape {shape}, expected ({m},), or a Column of the oracle's chunks"
                )
            usage = _usage(self.name, np.reshape(usage, (1, -1)) if np.ndim(usage) else usage, 0, m)
        return self._with(usage, m)

    def _with(self, usage: Any, m: int) -> Resource:
        """The same with another usage, and one limit per member."""
        members = self.members(m)
        if self._by_label is not None:
            unknown = [label for label in self._by_label if label not in members]
            missing = [label for label in members if label not in self._by_label]
            if unknown or missing:
                raise ValueError(f"{self.name}: limit has keys {list(self._by_label)}, expected exactly {list(members)}")
            limit = _vector(f"{self.name}: limit", [self._by_label[label] for label in members])
        elif len(self.limit) == 1:
            limit = np.repeat(self.limit, len(members))
        else:
            limit = self.limit
        if len(limit) != len(members):
            raise ValueError(f"{self.name}: limit has {len(limit)} entries, expected {len(members)}")
        return assembled(self.name, usage, limit, self.per, self.sense, self.labels)

    def members(self, m: int) -> tuple[Any, ...]:
        """What the limits belong to: models, labels, or one thing."""
        if self.labels is not None:
            return self.labels
        return tuple(range(m)) if self.per == "model" else ("all",)

    def describe(self, member: int) -> str:
        """Words for one limit: the name, and the member where there are several."""
        if self.labels is not None:
            return f"{self.name}[{self.labels[member]!r}]"
        return f"{self.name}[{member}]" if self.per == "model" else self.name

    def violations(self, used: NDArray[np.float64], plan: NDArray[Any]) -> list[str]:
        """Sentences for the limits that are broken when each query uses what is given, (n,)."""
        member = plan if isinstance(self.per, str) else self.per
        if isinstance(self.per, str) and self.per == "all":
            member = np.zeros(len(plan), dtype=np.int64)
        out = []
        for k, limit in enumerate(self.limit):
            numbers = used[member == k]
            sums = (math.fsum(numbers), float(numbers.sum()))
            sign = 1 if self.sense == "<=" else -1
            if all(sign * total > sign * limit for total in sums):
                word = "most" if sign > 0 else "least"
                out.append(f"{self.describe(k)}: {sums[0]:.12g} is used, at {word} {limit:.12g} is allowed")
        return out

    def to_core(self, inputs: list[tuple[str, NDArray[Any], bool, float]]) -> tuple[str, Any, Any, bool, list[float]]:
        """The form that the native core takes; an (n, m) usage becomes one more input."""
        usage: Any
        if isinstance(self.usage, str):
            usage = ("input", [name for name, *_ in inputs].index(self.usage))
        elif isinstance(self.usage, Column):
            if self.usage.per_model:
                inputs.append((f"{self.name}.usage", np.zeros_like(inputs[0][1]), False, math.inf))
                usage = ("input", len(inputs) - 1)
            else:
                usage = ("query", np.zeros(0))
        elif isinstance(self.usage, float):
            usage = self.usage
        elif self.usage.shape[0] == 1:
            usage = ("model", np.ascontiguousarray(self.usage[0], dtype=np.float64))
        elif self.usage.shape[1] == 1:
            usage = ("query", np.ascontiguousarray(self.usage[:, 0], dtype=np.float64))
        else:
            inputs.append((f"{self.name}.usage", self.usage, False, math.inf))
            usage = ("input", len(inputs) - 1)
        per = np.zeros(0, np.uint32) if isinstance(self.per, Column) else self.per
        return (self.name, usage, per, self.sense == ">=", self.limit.tolist())


def assembled(
    name: str,
    usage: Any,
    limit: NDArray[np.float64],
    per: Any = "all",
    sense: Literal["<=", ">="] = "<=",
    labels: tuple[Any, ...] | None = None,
) -> Resource:
    """A resource of parts that are known to be right and fit the problem: nothing is checked."""
    resource = object.__new__(Resource)
    _fill(resource, name, usage, limit, per, sense, labels, None)
    return resource


def _fill(resource: Resource, name: str, usage: Any, limit: Any, per: Any, sense: str, labels: Any, by_label: Any) -> None:
    put = object.__setattr__  # the class is frozen
    put(resource, "usage", usage)
    put(resource, "limit", limit)
    put(resource, "per", per)
    put(resource, "sense", sense)
    put(resource, "name", name)
    put(resource, "labels", labels)
    put(resource, "_by_label", by_label)


def _vector(name: str, value: Any) -> NDArray[np.float64]:
    unmasked(name, value)
    entries = value if isinstance(value, (list, tuple)) else [] if isinstance(value, np.ndarray) else [value]
    if (isinstance(value, np.ndarray) and value.dtype.kind in "bUS") or not all(map(is_number, entries)):
        raise TypeError(f"{name} is {value!r}, expected numbers")
    try:
        array = np.atleast_1d(np.asarray(value, dtype=np.float64))
    except (TypeError, ValueError):
        raise TypeError(f"{name} is {value!r}, expected numbers") from None
    except OverflowError:
        raise ValueError(f"{name} holds a whole number beyond float64, expected numbers") from None
    if array.ndim != 1 or not array.size or np.isnan(array).any():
        raise ValueError(f"{name} is {value!r}, expected one number or a vector of numbers, not NaN")
    return array


def _usage(name: str, usage: Any, n: int, m: int) -> Any:
    """A name, a float, or a (1, m), (n, 1) or (n, m) array."""
    if isinstance(usage, str):
        if usage not in ("acc", "cost"):
            raise ValueError(f"{name}: usage is {usage!r}, expected numbers, 'acc' or 'cost'")
        return usage
    array = as_array(f"{name}: usage", usage)
    if array.dtype.kind not in "fiub" or (array.ndim == 0 and not is_number(usage)):
        raise TypeError(f"{name}: usage has dtype {array.dtype}, expected real numbers")
    if array.ndim == 0:
        return float(array)
    if array.dtype not in (np.float32, np.float64) or array.shape != (n, m):
        array = array.astype(np.float64)
    if array.ndim == 1:
        if n == m and len(array) == n:
            raise ValueError(
                f"{name}: usage has shape ({n},) and there are as many queries as models; pass (1, {m}) or ({n}, 1)"
            )
        if len(array) not in (n, m):
            raise ValueError(f"{name}: usage has shape {array.shape}, expected ({m},), ({n},) or ({n}, {m})")
        array = array.reshape(1, m) if len(array) == m else array.reshape(n, 1)
    if array.shape not in ((1, m), (n, 1), (n, m)):
        raise ValueError(f"{name}: usage has shape {array.shape}, expected (1, {m}), ({n}, 1) or ({n}, {m})")
    if array.size == 1:
        return float(array[0, 0])
    return np.require(array, requirements=["C", "A"])
