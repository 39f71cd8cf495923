"""The command line: each command is a thin call of the function of the same name."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code."""
    try:
        # Imports take long enough to be interrupted too.
        from omnirouter.cli.arguments import run
    except KeyboardInterrupt:
        print("omnirouter: interrupted", file=sys.stderr)
        return 130
    return run(argv)
