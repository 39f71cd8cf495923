"""The demo: a router fitted on a simulated history routes a simulated batch. Nothing here is real data."""

from omnirouter.demo.run import DEMO_FILE, Result, run
from omnirouter.demo.simulate import simulate

__all__ = ["DEMO_FILE", "Result", "run", "simulate"]
