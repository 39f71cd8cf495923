"""What a router is worth on outcomes it has not seen: realised accuracy and cost beside what a sceptic would try first."""

from omnirouter.evaluation.evaluating import evaluate
from omnirouter.evaluation.report import Report

__all__ = ["Report", "evaluate"]
