"""The command line: each command is a thin call of the function of the same name."""

from omnirouter.cli.main import main

__all__ = ["main"]
