"""Files that describe models: pool files in YAML or JSON, and LiteLLM's table of prices."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from omnirouter.errors import PoolError
from omnirouter.extras import require
from omnirouter.json_text import parse_json

__all__ = ["close_names", "entry_fields", "load_mapping", "token_prices"]

_PRICES = {"input_price": True, "output_price": True, "cached_input_price": False}  # name: must it be given?
_LITELLM = {
    "input_price": "input_cost_per_token",
    "output_price": "output_cost_per_token",
    "cached_input_price": "cache_read_input_token_cost",
}


def load_mapping(path: Path) -> dict[Any, Any]:
    """Parse a JSON or YAML file whose top is a mapping; the message of a `PoolError` starts with the path.

    The suffix decides; without a known one, text that starts with a brace is JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise PoolError(f"{path}: not UTF-8 text ({error})") from error
    suffix = path.suffix.lower()
    if suffix == ".json" or (suffix not in (".yaml", ".yml") and text.lstrip().startswith("{")):
        try:
            data = parse_json(text)
        except ValueError as error:
            raise PoolError(f"{path}: not JSON ({error})") from error
    else:
        yaml = require("yaml", extra="predict")
        try:
            data = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise PoolError(f"{path}: not YAML ({' '.join(str(error).split())})") from error
    if not isinstance(data, dict):
        came = "nothing" if data is None else type(data).__name__
        raise PoolError(f"{path}: holds {came}, expected a mapping")
    return data


def entry_fields(entry: Any, j: int, known: Sequence[str]) -> dict[str, Any]:
    """Return the fields of a model, entry `j` of a pool file, with every price per token.

    `known` are the names of the fields; a price may be spelled ``..._per_million`` instead.
    """
    if not isinstance(entry, Mapping) or "name" not in entry:
        raise PoolError(f"entry {j} of models is {entry!r}, expected a mapping with a name and prices")
    name, values = entry["name"], dict(entry)
    for field, needed in _PRICES.items():
        million = field + "_per_million"
        if field in values and million in values:
            raise PoolError(f"model {name!r}: both {field} and {million} are given, expected one of them")
        if million in values:
            price = _number(name, million, values.pop(million))
            values[field] = None if price is None else price / 1e6
        elif field in values:
            values[field] = _number(name, field, values[field])
        if needed and values.get(field) is None:
            raise PoolError(f"model {name!r} has no {field} and no {million}")
    unknown = [str(key) for key in values if key not in known]
    if unknown:
        raise PoolError(f"model {name!r}: unknown key {', '.join(unknown)}; known are {', '.join(known)}")
    return values


def token_prices(table: Mapping[Any, Any], name: str) -> dict[str, Any]:
    """Return the prices per token of one model of a LiteLLM table; those it must have are there."""
    if name == "sample_spec" or name not in table:  # sample_spec describes the fields, it is not a model
        known = [key for key in table if isinstance(key, str) and key != "sample_spec"]
        raise PoolError(f"no price for model {name!r}{close_names(name, known)}")
    entry = table[name]
    if not isinstance(entry, Mapping):
        raise PoolError(f"model {name!r} is {type(entry).__name__}, expected a mapping of prices")
    prices = {field: entry.get(key) for field, key in _LITELLM.items()}
    for field, needed in _PRICES.items():
        if needed and prices[field] is None:
            raise PoolError(f"model {name!r} has no {_LITELLM[field]}")
    return prices


def close_names(name: str, known: Iterable[str]) -> str:
    """Words that suggest known names: the same name under a provider's prefix, then similar spelling."""
    known = list(known)
    tail = name.rsplit("/", 1)[-1].lower()
    near = [other for other in known if other.rsplit("/", 1)[-1].lower() == tail]
    near += [other for other in difflib.get_close_matches(name, known, n=3) if other not in near]
    return f" (close: {', '.join(near[:3])})" if near else ""


def _number(name: Any, key: str, value: Any) -> Any:
    """Return a price as a number; what it may be is for `Model` to say."""
    if value is None:
        return None
    try:
        # YAML 1.1 takes 1e-6 for text: its numbers need a dot before the exponent.
        number = float(value) if isinstance(value, str) else value
    except ValueError:
        number = None
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise PoolError(f"model {name!r}: {key} is {value!r}, expected a number")
    return number
