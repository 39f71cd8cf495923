"""The command line: each command is a thin call of the function of the same name."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    try:
        # Imports take long enough to be interrupted too.
        from omnirouter.cli.interrupts import watching

        with watching() as interrupted:
            try:
                from omnirouter.cli.arguments import run

                return run(argv, interrupted)
            except Exception as error:
                if interrupted(error):
                    raise KeyboardInterrupt from error
                raise
    except KeyboardInterrupt:
        # Where it came in the exec of a text, such as that of dataclasses, Python would end by the signal; the next exec
        # makes it forget that.
        exec("")
        if sys.stderr is not None:
            print("omnirouter: interrupted", file=sys.stderr)
        return INTERRUPTED
