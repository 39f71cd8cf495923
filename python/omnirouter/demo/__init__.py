"""The demo: a router fitted on a simulated history routes a simulated batch. Nothing here is real data."""

from omnirouter.demo.run import FILES, Result, run
from omnirouter.demo.simulate import simulate

__all__ = ["FILES", "Result", "run", "simulate"]
