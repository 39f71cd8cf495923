"""The demo: a router fitted on a simulated history routes a simulated batch. Nothing here is real data."""

from omnirouter.demo.run import MANIFEST, Result, run
from omnirouter.demo.simulate import simulate

__all__ = ["MANIFEST", "Result", "run", "simulate"]
