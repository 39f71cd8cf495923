"""What a solution claims, read from a `Solution` or from the JSON of one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.checks import unmasked

__all__ = ["Claim"]


@dataclass(frozen=True, slots=True, eq=False)
class Claim:
    """Plain values of a solution.

    Attributes
    ----------
    status : str
    assignment : (n,) integer array or None
    objective, bound, dual_bound, gap, spend, accuracy : float
    load : (m,) array
    duals : mapping
        As `Duals.to_dict` gives it.
    rel_gap : float
        The gap that was asked for.
    certificate : mapping or None
        As `Certificate.to_dict` gives it.
    """

    status: str
    assignment: NDArray[Any] | None
    objective: float
    bound: float
    dual_bound: float
    gap: float
    spend: float
    accuracy: float
    load: NDArray[Any]
    duals: Mapping[str, Any]
    rel_gap: float
    certificate: Mapping[str, Any] | None

    @classmethod
    def of(cls, solution: Any) -> Claim:
        """Read a `Solution`, or a mapping as `Solution.to_dict` gives it.

        Raises
        ------
        ValueError
            An entry is missing or of the wrong kind.
        """
        plain = isinstance(solution, Mapping)
        try:
            read = solution.__getitem__ if plain else lambda name: getattr(solution, name)
            info, certificate = read("info"), read("certificate")
            assignment = read("assignment")
            return cls(
                status=str(read("status") if plain else read("status").value),
                assignment=None if assignment is None else _whole_numbers("assignment", assignment),
                objective=_number("objective", read("objective"), math.nan),
                bound=_number("bound", read("bound"), math.nan),
                dual_bound=_number("dual_bound", read("dual_bound"), math.nan),
                gap=_number("gap", read("gap"), math.inf),
                spend=_number("spend", read("spend"), math.nan),
                accuracy=_number("accuracy", read("accuracy"), math.nan),
                load=_whole_numbers("load", read("load")),
                duals=read("duals") if plain else read("duals").to_dict(),
                rel_gap=_number("rel_gap", (info["settings"] if plain else info.settings)["rel_gap"], math.nan),
                certificate=_certificate(certificate if plain or certificate is None else certificate.to_dict()),
            )
        except KeyError as missing:
            raise ValueError(f"the plan has no {missing}, expected what Solution.to_dict gives") from None
        except AttributeError:
            kind = type(solution).__name__
            raise ValueError(f"the plan is {kind}, expected a Solution or what Solution.to_dict gives") from None
        except TypeError as error:
            raise ValueError(f"the plan is not what Solution.to_dict gives: {error}") from None


def _number(name: str, value: Any, absent: float) -> float:
    try:
        return absent if value is None else float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the plan's {name} is no number: {error}") from None


def _certificate(value: Any) -> Mapping[str, Any] | None:
    """One with all that its kind needs; what is in there is for the checks to judge."""
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise ValueError(f"the plan's certificate is {value!r}, expected an object as Certificate.to_dict gives it")
    kind = value.get("kind")
    for needing, needed in (("ray", "prices"), ("query", "query")):
        if kind == needing and needed not in value:
            raise ValueError(f"the plan's certificate is of kind {kind!r} and has no {needed}")
    return value


def _whole_numbers(name: str, value: Any) -> NDArray[Any]:
    unmasked(f"the plan's {name}", value)
    try:
        array = np.asarray(value)
    except ValueError:
        raise ValueError(f"the plan's {name} is no list of whole numbers") from None
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise ValueError(f"the plan's {name} is {array.dtype} of shape {array.shape}, expected a list of whole numbers")
    return array
