"""The models a router may choose from: names, prices per token and limits."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, cast, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter.checks import as_path
from omnirouter.errors import PoolError
from omnirouter.pool_files import close_names, entry_fields, load_mapping, token_prices

__all__ = ["Model", "Pool"]

_PRICES = ("input_price", "output_price", "cached_input_price")
_COUNTS = ("cap", "rpm", "tpm", "max_parallel_requests")


@dataclass(frozen=True, slots=True)
class Model:
    """One model of a pool.

    Parameters
    ----------
    name : str
        Name, as the tables of outcomes and the gateway use it.
    input_price, output_price : float
        Money per input and per output token, finite and >= 0. A price that is not known has no default.
    cap : int or None
        Most queries of one plan that the model may get; None = no limit.
    rpm, tpm, max_parallel_requests : int or None
        Requests per minute, tokens per minute and requests at a time that the model bears; None = no limit.
    base_url : str or None
        Where the model is served.
    cached_input_price : float or None
        Money per input token that comes from the provider's prompt cache; None = not known.

    Raises
    ------
    TypeError, ValueError
        For a value of the wrong kind or out of its range; the message names the model and the field.

    Examples
    --------
    >>> Model("small", input_price=1.5e-7, output_price=6e-7, cap=500).cap
    500
    """

    name: str
    input_price: float
    output_price: float
    cap: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    max_parallel_requests: int | None = None
    base_url: str | None = None
    cached_input_price: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise TypeError(f"model name is {self.name!r}, expected text")
        if not self.name.strip():
            raise ValueError("model name is empty, expected text")
        for field in _PRICES:
            value = getattr(self, field)
            if value is not None or field != "cached_input_price":
                object.__setattr__(self, field, _price(self.name, field, value))
        for field in _COUNTS:
            value = getattr(self, field)
            if value is not None:
                object.__setattr__(self, field, _count(self.name, field, value))
        if self.base_url is not None and not (isinstance(self.base_url, str) and self.base_url.strip()):
            raise TypeError(f"model {self.name!r}: base_url is {self.base_url!r}, expected text")


class Pool(Sequence[Model]):
    """The models a router may choose from, in a fixed order.

    A pool is a read-only sequence of `Model`; ``pool["name"]`` finds a model by its name and ``"name" in pool``
    asks for one. Column `j` of every matrix that belongs to a pool is model ``pool[j]``.

    Parameters
    ----------
    models : iterable of Model
        At least one; no two with the same name.

    Raises
    ------
    TypeError, ValueError
        For an entry that is not a `Model`, an empty pool, or a name that comes twice.

    Examples
    --------
    >>> pool = Pool([Model("small", 1e-7, 4e-7), Model("large", 2e-6, 8e-6, cap=100)])
    >>> pool.names
    ('small', 'large')
    >>> pool.caps()
    array([ inf, 100.])
    >>> pool.cost([1000], [[200, 100]]).round(6)
    array([[0.00018, 0.0028 ]])
    """

    __slots__ = ("_by_name", "_models")

    def __init__(self, models: Iterable[Model]) -> None:
        if not isinstance(models, Iterable):
            raise TypeError(f"models is {models!r}, expected some of Model")
        self._models = tuple(models)
        self._by_name: dict[str, Model] = {}
        for model in self._models:
            if not isinstance(model, Model):
                raise TypeError(f"models holds {model!r}, expected Model")
            if model.name in self._by_name:
                raise ValueError(f"model {model.name!r} is in the pool twice")
            self._by_name[model.name] = model
        if not self._models:
            raise ValueError("the pool is empty, expected at least one model")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the models, in the order of the pool."""
        return tuple(self._by_name)

    def __len__(self) -> int:
        return len(self._models)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._models)

    def __contains__(self, item: object) -> bool:
        return item in self._by_name if isinstance(item, str) else item in self._models

    @overload
    def __getitem__(self, key: int | str) -> Model: ...
    @overload
    def __getitem__(self, key: slice) -> Pool: ...
    def __getitem__(self, key: int | str | slice) -> Model | Pool:
        if isinstance(key, str):
            return self.select([key])._models[0]
        return Pool(self._models[key]) if isinstance(key, slice) else self._models[key]

    def __eq__(self, other: object) -> bool:
        return self._models == other._models if isinstance(other, Pool) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._models)

    def __repr__(self) -> str:
        shown = ", ".join(self.names[:4]) + (", ..." if len(self) > 4 else "")
        return f"Pool({len(self)} models: {shown})"

    def caps(self) -> NDArray[np.float64]:
        """Caps of the models, ``(m,)`` float64, ``inf`` where a model has none."""
        return np.array([math.inf if model.cap is None else model.cap for model in self], dtype=np.float64)

    def cost(
        self, input_tokens: ArrayLike, output_tokens: ArrayLike, cached_tokens: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Money that each query costs on each model.

        ``(input_tokens - cached_tokens) * input_price + cached_tokens * cached_input_price + output_tokens * output_price``

        Parameters
        ----------
        input_tokens : array_like, (n,) or (n, m)
            Tokens of the prompts; one column per model where tokenizers differ. NaN = not known.
        output_tokens : array_like, (n, m)
            Tokens of the answers, columns in the order of the pool. NaN = not known.
        cached_tokens : array_like, (n, m), optional
            How many of the input tokens come from the provider's prompt cache, at most all. NaN = not known. Default: none.

        Returns
        -------
        (n, m) float64 array
            Money, in the currency of the prices; NaN where a count is not known, even if its price is 0.

        Raises
        ------
        TypeError, ValueError
            For arrays that are not numeric or of another shape, for negative or infinite counts, and for more cached
            tokens than input tokens.
        PoolError
            When a model has cached tokens and no `cached_input_price`.
        """
        written = _tokens("output_tokens", output_tokens)
        if written.ndim != 2 or written.shape[1] != len(self):
            raise ValueError(f"output_tokens has shape {written.shape}, expected (n, m) with m = {len(self)} models")
        read = _tokens("input_tokens", input_tokens)
        if read.shape not in (written.shape, written.shape[:1]):
            raise ValueError(
                f"input_tokens has shape {read.shape}, expected {written.shape[:1]} or {written.shape}"
                " to go with output_tokens"
            )
        if read.ndim == 1:
            read = read[:, np.newaxis]
        input_price = np.array([model.input_price for model in self])
        output_price = np.array([model.output_price for model in self])
        money = cast(NDArray[np.float64], read * input_price + written * output_price)
        if cached_tokens is None:
            return money
        cached = _tokens("cached_tokens", cached_tokens)
        if cached.shape != written.shape:
            raise ValueError(f"cached_tokens has shape {cached.shape}, expected {written.shape} to go with output_tokens")
        if (cached > read).any():
            raise ValueError("cached_tokens are more than input_tokens, of which they are a part")
        self.check_cached(cast(NDArray[np.bool_], (cached > 0).any(axis=0)))
        cached_price = [
            model.input_price if model.cached_input_price is None else model.cached_input_price for model in self
        ]
        return cast(NDArray[np.float64], money - cached * (input_price - np.array(cached_price)))

    def check_cached(self, cached: NDArray[np.bool_]) -> None:
        """Raise `PoolError` for a model that reads from a cache, (m,), at a price that is not known."""
        for model, reads in zip(self, cached, strict=True):
            if reads and model.cached_input_price is None:
                raise PoolError(
                    f"model {model.name!r} has cached tokens and no cached_input_price in the pool; give it, be it the "
                    "input_price again"
                )

    def select(self, names: Iterable[str]) -> Pool:
        """Return the pool of these models, in this order.

        Raises
        ------
        PoolError
            When the pool lacks a model, so that its price is not known; the message names every such model.
        """
        names = _name_list(names)
        missing = [name for name in names if name not in self._by_name]
        if missing:
            which = "; ".join(f"{name!r}{close_names(name, self.names)}" for name in missing)
            raise PoolError(f"the pool has no price for {which}. It has: {', '.join(self.names)}")
        return Pool(self._by_name[name] for name in names)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for a file, ``{"models": [{"name": ...}, ...]}``, without fields that are None."""
        entries = [{name: getattr(model, name) for name in _FIELDS} for model in self]
        return {"models": [{k: v for k, v in entry.items() if v is not None} for entry in entries]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Pool:
        """Make a pool from plain data, as `to_dict` gives it or a pool file holds it (see `read`).

        Raises
        ------
        PoolError
            For unknown or missing keys and for everything that `Model` and `Pool` refuse.
        """
        if set(data) != {"models"} or not isinstance(data["models"], list):
            came = ", ".join(map(str, data)) or "no keys"
            raise PoolError(f"a pool is a mapping with one key, 'models', that holds a list; got {came}")
        try:
            return cls(Model(**entry_fields(entry, j, _FIELDS)) for j, entry in enumerate(data["models"]))
        except (TypeError, ValueError) as error:
            raise PoolError(str(error)) from error

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Pool:
        """Read a pool file, YAML or JSON.

        The file holds ``models``, a list of entries with the fields of `Model`. A price may be given per
        million tokens instead, as ``input_price_per_million``, ``output_price_per_million`` or
        ``cached_input_price_per_million``; exactly one of the two spellings per price. The suffix decides the
        format; without a known suffix, text that starts with a brace is JSON. JSON needs no optional package.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        PoolError
            When the text is not YAML or JSON, or `from_dict` refuses it; the message starts with the path.
        MissingExtraError
            When PyYAML is needed and not installed.
        """
        data = load_mapping(as_path("path", path))
        try:
            return cls.from_dict(data)
        except PoolError as error:
            raise PoolError(f"{os.fspath(path)}: {error}") from error

    @classmethod
    def from_prices(cls, names: Iterable[str], path: str | os.PathLike[str]) -> Pool:
        """Make a pool from LiteLLM's price file, ``model_prices_and_context_window.json``.

        Prices are the file's ``input_cost_per_token``, ``output_cost_per_token`` and, where it has one,
        ``cache_read_input_token_cost``: US dollars per token. Its prices of batches, tiers and long contexts
        are not read.

        Parameters
        ----------
        names : iterable of str
            Models of the file, in the order the pool shall have.
        path : path
            The price file.

        Raises
        ------
        FileNotFoundError
            When there is no such file.
        PoolError
            When the file is not such a table, or lacks a model or its price per token; the message names it.
        """
        names = _name_list(names)
        table = load_mapping(as_path("path", path))
        try:
            return cls(Model(name, **token_prices(table, name)) for name in names)
        except (PoolError, TypeError, ValueError) as error:
            raise PoolError(f"{os.fspath(path)}: {error}") from error


_FIELDS = tuple(field.name for field in fields(Model))


def _price(name: str, field: str, value: Any) -> float:
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"model {name!r}: {field} is {value!r}, expected money per token, a number")
    try:
        price = float(value)
    except OverflowError:
        price = math.inf
    if not 0 <= price < math.inf:
        raise ValueError(f"model {name!r}: {field} is {value!r}, expected a finite number >= 0")
    return price


def _count(name: str, field: str, value: Any) -> int:
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        count = operator.index(value)
    except TypeError:
        raise TypeError(f"model {name!r}: {field} is {value!r}, expected an integer or None") from None
    if not 0 <= count < 2**63:
        raise ValueError(f"model {name!r}: {field} is {count}, expected an integer >= 0 and below 2**63, or None")
    return count


def _tokens(argument: str, value: ArrayLike) -> NDArray[np.float64]:
    try:
        tokens = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{argument} is not an array of numbers: {error}") from error
    if np.isinf(tokens).any() or (tokens < 0).any():
        raise ValueError(f"{argument} holds negative or infinite counts, expected numbers >= 0 or NaN")
    return tokens


def _name_list(names: Iterable[str]) -> list[str]:
    if isinstance(names, str):
        raise TypeError(f"names is the text {names!r}, expected a list of names")
    if not isinstance(names, Iterable):
        raise TypeError(f"names is {names!r}, expected a list of names")
    names = list(names)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"names holds {name!r}, expected text")
    return names
