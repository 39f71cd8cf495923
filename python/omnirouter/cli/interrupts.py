"""Ctrl-C, also where a library makes another error of it.

A module that is interrupted while it is imported may raise ImportError, and code that is called from C anything.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["watching"]


@contextmanager
def watching() -> Iterator[Callable[[BaseException], bool]]:
    """Give a function that says whether an exception is Ctrl-C, or comes of one or after one.

    A handler of somebody else stays, as does Ctrl-C that is ignored, as for what a shell runs in the background.
    """
    seen: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        seen.append(number)
        signal.default_int_handler(number, frame)

    in_main = threading.current_thread() is threading.main_thread()
    ours = in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, note)
    try:
        yield lambda error: bool(seen) or _comes_of_one(error)
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _comes_of_one(error: BaseException) -> bool:
    left, known = [error], set()
    while left:
        one = left.pop()
        if isinstance(one, KeyboardInterrupt):
            return True
        known.add(id(one))
        left += [other for other in (one.__cause__, one.__context__) if other is not None and id(other) not in known]
    return False
