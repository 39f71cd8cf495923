"""Exceptions of OmniRouter.

Bad arguments raise `ValueError` or `TypeError` before any work; what is wrong with files, optional packages or an
unsolved problem raises one of these.
"""

__all__ = [
    "MissingExtraError",
    "OmniRouterError",
    "OracleError",
    "OutcomesError",
    "PoolError",
    "PredictorError",
    "RouterError",
    "SolveError",
]


class OmniRouterError(Exception):
    """Base of every exception that OmniRouter defines."""


class SolveError(OmniRouterError):
    """A solution without a plan was asked for one; raised only by ``raise_for_status``."""


class OracleError(OmniRouterError):
    """The rows behind an oracle cannot be read, or are others than they were in the first reading."""


class OutcomesError(OmniRouterError):
    """A table of past outcomes cannot be read: unknown layout, missing column, broken file."""


class PoolError(OmniRouterError):
    """A pool file is wrong, or a model has no price where one is needed."""


class PredictorError(OmniRouterError):
    """An encoder or predictor cannot be loaded, or does not fit what it was given."""


class RouterError(OmniRouterError):
    """A saved router cannot be loaded: newer format, missing or damaged file."""


class MissingExtraError(OmniRouterError, ImportError):
    """An optional package is not installed; the message names the extra that brings it."""
