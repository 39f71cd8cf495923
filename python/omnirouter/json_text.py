"""JSON from files that may hold anything."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["parse_json"]


def parse_json(text: str | bytes) -> Any:
    """What a text in JSON holds.

    Raises
    ------
    ValueError
        It is not JSON, or nested deeper than Python's parser goes.

    Examples
    --------
    >>> parse_json("[1, null]")
    [1, None]
    >>> parse_json("[" * 100_000)
    Traceback (most recent call last):
    ...
    ValueError: nested too deeply
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None
