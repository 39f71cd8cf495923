"""Outcomes: what every model did on every query, with holes."""

from __future__ import annotations

import difflib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter.outcomes.checks import check_filled, check_range, frozen_matrix, text_tuple
from omnirouter.outcomes.means import column_means

__all__ = ["Outcomes"]

_MATRICES = ("acc", "cost", "input_tokens", "output_tokens", "latency", "cached_tokens")
_LABELS = ("task", "split", "query_id")


@dataclass(frozen=True, eq=False, repr=False)
class Outcomes:
    """Past outcomes of `m` models on `n` queries.

    Matrices are ``(n, m)`` float64 in C order, read-only, with NaN where nothing is known. Arrays that are
    already so are shared, others are copied. The same prompt may come in several rows.

    Parameters
    ----------
    prompts : sequence of str
        The queries; none may be empty.
    models : sequence of str
        Names of the models, the order of the columns; no two the same.
    acc : array_like, (n, m)
        Scores in [0, 1]; NaN = not observed. Every query and every model needs at least one observed score.
    cost : array_like, (n, m), optional
        Money spent, >= 0.
    input_tokens, output_tokens : array_like, (n, m), optional
        Tokens of the prompt as the model counts them, and of its answer, >= 0.
    latency : array_like, (n, m), optional
        Seconds until the answer was complete, >= 0.
    task, split, query_id : sequence of str, optional
        One text per query: kind of query, part of the data (as ``"train"``), and a name of the query.
    cached_tokens : array_like, (n, m), optional
        Tokens of the prompt that came from the provider's prompt cache, >= 0 and at most the input tokens.

    Raises
    ------
    TypeError, ValueError
        For everything that does not fit the above; the message names the argument, the model and the row,
        counted from 0.

    Examples
    --------
    >>> acc = [[1, 1], [0, np.nan]]
    >>> past = Outcomes(["2+2?", "Prove it."], ["small", "large"], acc, split=["train", "test"])
    >>> past
    Outcomes(2 queries x 2 models, 75.0 % observed, split)
    >>> past.select(split="train").acc
    array([[1., 1.]])
    """

    prompts: tuple[str, ...]
    models: tuple[str, ...]
    acc: NDArray[np.float64]
    cost: NDArray[np.float64] | None = None
    input_tokens: NDArray[np.float64] | None = None
    output_tokens: NDArray[np.float64] | None = None
    latency: NDArray[np.float64] | None = None
    task: tuple[str, ...] | None = None
    split: tuple[str, ...] | None = None
    query_id: tuple[str, ...] | None = None
    cached_tokens: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        put = object.__setattr__  # the way to fill a frozen dataclass
        for name in ("prompts", "models", *_LABELS):
            value: Any = getattr(self, name)
            if value is not None or name in ("prompts", "models"):
                put(self, name, text_tuple(name, value))
        if not self.prompts or not self.models:
            raise ValueError(f"outcomes have {self.n_queries} queries and {self.n_models} models, expected one or more")
        check_filled("prompts", self.prompts)
        check_filled("models", self.models)
        twice = [name for name, count in Counter(self.models).items() if count > 1]
        if twice:
            raise ValueError(f"models holds {twice[0]!r} twice")
        for name in _LABELS:
            value = getattr(self, name)
            if value is not None and len(value) != self.n_queries:
                raise ValueError(f"{name} has {len(value)} entries, expected n_queries = {self.n_queries}")
        if self.query_id is not None:
            check_filled("query_id", self.query_id)

        for name in _MATRICES:
            value = getattr(self, name)
            if value is not None or name == "acc":
                matrix = frozen_matrix(name, value, (self.n_queries, self.n_models))
                check_range(name, matrix, self._place, upper=1.0 if name == "acc" else np.inf)
                put(self, name, matrix)
        self._check_cached()
        unseen = np.flatnonzero(~self.observed.any(axis=0))
        if unseen.size:
            names = ", ".join(repr(self.models[j]) for j in unseen)
            raise ValueError(f"acc has no observed outcome for model {names}; leave the model out")
        _refuse_unobserved_queries(self.observed, "acc has no observed outcome", "leave them out")

    def _check_cached(self) -> None:
        read, cached = self.input_tokens, self.cached_tokens
        if read is not None and cached is not None and (beyond := cached > read).any():
            i, j = (int(k) for k in np.argwhere(beyond)[0])
            raise ValueError(
                f"cached_tokens is {cached[i, j]:g} for {self._place(i, j)}, "
                f"expected at most its input_tokens, {read[i, j]:g}"
            )

    def _place(self, i: int, j: int) -> str:
        return f"model {self.models[j]!r} in row {i} (counted from 0)"

    @property
    def n_queries(self) -> int:
        """Number of queries, `n`."""
        return len(self.prompts)

    @property
    def n_models(self) -> int:
        """Number of models, `m`."""
        return len(self.models)

    @property
    def observed(self) -> NDArray[np.bool_]:
        """Where a score was observed, ``(n, m)`` bool."""
        return ~np.isnan(self.acc)

    def __len__(self) -> int:
        return self.n_queries

    def __eq__(self, other: object) -> bool:
        """Same texts and same numbers, NaN in the same places."""
        if not isinstance(other, Outcomes):
            return NotImplemented
        for field in fields(self):
            a, b = getattr(self, field.name), getattr(other, field.name)
            if field.name in _MATRICES and a is not None and b is not None:
                if not np.array_equal(a, b, equal_nan=True):
                    return False
            elif a is not b and (a is None or b is None or a != b):
                return False
        return True

    def __repr__(self) -> str:
        extra = [name for name in (*_MATRICES[1:], *_LABELS) if getattr(self, name) is not None]
        parts = [
            f"{self.n_queries} queries x {self.n_models} models",
            f"{_percent(self.observed.mean())} observed",
        ]
        return f"Outcomes({', '.join([*parts, *extra])})"

    def take(self, rows: ArrayLike) -> Outcomes:
        """Return the outcomes of some queries.

        All models are kept, so that columns stay aligned; where a log is sparse, a model may be left without
        an observed outcome in these rows.

        Parameters
        ----------
        rows : array_like of int, or (n,) bool
            Row numbers in any order, repeats allowed, negative ones from the end; or a mask.

        Raises
        ------
        TypeError, ValueError, IndexError
            When `rows` is not made of row numbers, is empty, is a mask of another length, or points outside.
        """
        index = np.asarray(rows)
        if index.size == 0:
            raise ValueError("rows is empty, expected at least one row")
        if index.ndim != 1 or index.dtype.kind not in "iub":
            raise TypeError(f"rows is {index.dtype} of shape {index.shape}, expected row numbers or a mask")
        if index.dtype.kind == "b":
            if len(index) != self.n_queries:
                raise ValueError(f"rows is a mask of {len(index)} entries, expected n_queries = {self.n_queries}")
            index = np.flatnonzero(index)
            if not index.size:
                raise ValueError("rows is a mask without a true entry, expected at least one row")
        elif index.max() >= self.n_queries or index.min() < -self.n_queries:
            raise IndexError(f"rows holds {index.min()} to {index.max()}, expected row numbers < {self.n_queries}")
        numbers = index.tolist()
        return self._part(lambda texts: tuple(texts[i] for i in numbers), lambda matrix: matrix[index], models=self.models)

    def select(self, *, split: str) -> Outcomes:
        """Return the queries of one split; see `take`.

        Raises
        ------
        ValueError
            When the outcomes have no split, or none of that name; the message lists those they have.
        """
        if self.split is None:
            raise ValueError(f"split={split!r} asked for, but these outcomes have no split")
        rows = [i for i, name in enumerate(self.split) if name == split]
        if not rows:
            raise ValueError(f"no query has split {split!r}; these outcomes have {_counts(self.split)}")
        return self.take(rows)

    def with_models(self, names: Sequence[str]) -> Outcomes:
        """Return the outcomes of these models, in this order.

        Raises
        ------
        TypeError, ValueError
            For an unknown or repeated name, and when a query has no observed outcome among these models:
            `take` the other queries first.
        """
        names = text_tuple("names", names)
        if not names or len(set(names)) < len(names):
            raise ValueError(f"names is {list(names)}, expected at least one model and each once")
        for name in names:
            if name not in self.models:
                near = difflib.get_close_matches(name, self.models, n=3) or self.models
                raise ValueError(f"no outcomes of model {name!r}; these outcomes have {', '.join(near)}")
        columns = [self.models.index(name) for name in names]
        _refuse_unobserved_queries(
            self.observed[:, columns], "these models have no observed outcome", "take the other queries first"
        )
        return self._part(lambda texts: texts, lambda matrix: np.ascontiguousarray(matrix[:, columns]), models=names)

    def _part(self, texts: Any, matrix: Any, models: tuple[str, ...]) -> Outcomes:
        """Apply `texts` to the texts and `matrix` to the matrices; what was checked need not be again."""
        part = object.__new__(Outcomes)
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "models":
                value = models
            elif value is not None and field.name in _MATRICES:
                value = matrix(value)
                value.flags.writeable = False
            elif value is not None:
                value = texts(value)
            object.__setattr__(part, field.name, value)
        return part

    def describe(self) -> str:
        """Return a short text: sizes, share of cells known, and each model's mean score and cost.

        Means are over the cells with an observed score (for costs, also a known cost); ``-`` if there is none.
        """
        seen = self.observed
        lines = [f"{self.n_queries:,} queries x {self.n_models:,} models, {_percent(seen.mean())} of scores observed"]
        known = [
            f"{name.replace('_', ' ')} {_percent(1 - np.isnan(matrix).mean())}"
            for name in _MATRICES[1:]
            if (matrix := getattr(self, name)) is not None
        ]
        lines.append(f"known: {', '.join(known) or 'no cost, no tokens'}")
        lines += [f"{name}: {_counts(getattr(self, name))}" for name in ("split", "task") if getattr(self, name)]
        acc = column_means(self.acc)
        cost = None if self.cost is None else column_means(np.where(seen, self.cost, np.nan))
        width = max(5, *map(len, self.models))
        lines.append(f"{'model':<{width}}  {'queries':>9}  {'mean acc':>8}  {'mean cost':>10}")
        for j, name in enumerate(self.models):
            score = "-" if np.isnan(acc[j]) else f"{acc[j]:.3f}"
            money = "-" if cost is None or np.isnan(cost[j]) else f"{cost[j]:.3g}"
            lines.append(f"{name:<{width}}  {seen[:, j].sum():>9,}  {score:>8}  {money:>10}")
        return "\n".join(lines)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Outcomes:
        """Read past outcomes: Parquet, CSV, JSONL or JSON in any known layout, both found by the content.

        - **wide**, a row per query: ``prompt``, ``acc:MODEL`` and, where known, ``cost:MODEL``,
          ``in_tokens:MODEL``, ``out_tokens:MODEL``, ``cached_tokens:MODEL``, ``latency:MODEL`` (of some models only, if
          need be), ``task``, ``split``, ``query_id``.
        - **long**, a row per observed pair: ``prompt``, ``model``, ``score`` and, where known, ``cost``,
          ``input_tokens``, ``output_tokens``, ``cached_tokens``, ``latency_s``, ``task``, ``split``, ``query_id``. A query
          is what shares the ``query_id``, or else the ``prompt``; repeated trials of a model on it are averaged.
        - **RouterBench**: its wide table, ``prompt``, ``MODEL``, ``MODEL|total_cost``, and its raw table of a row per
          answer; pickles of pandas too, of which nothing is run and pandas is not needed.
        - **LLMRouterBench**: a folder of result files, the latest per model, data set and split; or its records as
          a table. A model that only ever cost 0 there has no known price.
        - **LLMRouter**: routing data, ``query``, ``model_name``, ``performance``; failed calls are left out.
        - **AIOS, ECCOS**: a JSON list of ``query``, ``input_token_length`` and ``outputs``.
        - **EmbedLLM**: ``prompt_id``, ``prompt``, ``model_id`` or ``model_name``, ``label``.
        - **RouteLLM**: ``prompt`` and two or more columns of true/false, each a model.

        Missing values are holes, never zero. Other columns are ignored. Columns of scores may be true/false.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        OutcomesError
            When the file is empty, broken or a pickle that asks for more than a frame needs, the layout is
            unknown (the message lists the known ones), a column holds something else than it should, or
            `Outcomes` refuses the values. The message starts with the path.
        MissingExtraError
            When pyarrow is not installed.
        """
        from omnirouter.outcomes.layouts import read_outcomes

        return read_outcomes(path)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a wide table: ``.parquet``, ``.csv`` or ``.jsonl``, by the suffix of `path`.

        The file appears whole or not at all, and replaces one that is there. `read` gives equal outcomes.

        Raises
        ------
        ValueError
            For another suffix.
        MissingExtraError
            When pyarrow is not installed.
        """
        from omnirouter.outcomes.writing import write_outcomes

        write_outcomes(self, path)


def _refuse_unobserved_queries(observed: NDArray[np.bool_], what: str, advice: str) -> None:
    empty = np.flatnonzero(~observed.any(axis=1))
    if empty.size:
        noun = "query" if empty.size == 1 else "queries"
        raise ValueError(f"{what} for {empty.size} {noun}, first in row {empty[0]} (counted from 0); {advice}")


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _counts(labels: Sequence[str]) -> str:
    """Words like ``train 70, test 30``, most frequent first, cut after eight."""
    common = Counter(labels).most_common()
    words = [f"{label or '(none)'} {count:,}" for label, count in common[:8]]
    return ", ".join(words) + (f", and {len(common) - 8} more" if len(common) > 8 else "")
