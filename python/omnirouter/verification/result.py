"""What a check found out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Support", "Verification"]

Support = Literal["multipliers", "certificate", "enumeration", "search", "nothing"]


@dataclass(frozen=True, slots=True, eq=False)
class Verification:
    """The recomputed figures of a solution, and what is wrong with it.

    Attributes
    ----------
    ok : bool
        Whether nothing that was claimed is contradicted.
    proven : bool
        Whether, beyond that, the bound (or that there is no plan) was shown here again, and does not rest on the word of
        the solver's search.
    status : str
        The claimed status.
    support : str
        What shows the bound, or that there is no plan: "multipliers" or "certificate" (recomputed), "enumeration" (every
        plan that could contradict was tried), "search" (the solver's word), "nothing" (nothing is claimed).
    objective, spend, accuracy : float
        Of the plan, recomputed; NaN without one.
    load : (m,) int64
        Queries per model, recomputed; zeros without a plan.
    dual_bound : float
        What no plan can be better than, by the multipliers alone; rounding errors are on the safe side.
    gap : float
        Between the recomputed objective and the claimed bound.
    exact : bool
        Whether multipliers and certificate were evaluated in rational numbers; else in float64 with a proven error bound.
    findings, notes : tuple of str
        What is wrong, and what was not checked: a sentence each.
    """

    ok: bool
    proven: bool
    status: str
    support: Support
    objective: float
    spend: float
    accuracy: float
    load: NDArray[np.int64]
    dual_bound: float
    gap: float
    exact: bool
    findings: tuple[str, ...]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; NaN and infinity become None."""
        out: dict[str, Any] = {name: getattr(self, name) for name in Verification.__slots__}
        for name in ("objective", "spend", "accuracy", "dual_bound", "gap"):
            out[name] = out[name] if math.isfinite(out[name]) else None
        return out | {"load": self.load.tolist(), "findings": list(self.findings), "notes": list(self.notes)}

    def __str__(self) -> str:
        lines = ["verified" if self.ok and self.proven else "not contradicted" if self.ok else "WRONG"]
        lines[0] += f": {self.status}, shown by {self.support}" + (", in exact arithmetic" if self.exact else "")
        if math.isfinite(self.objective):
            lines.append(
                f"objective {self.objective:.8g}, spend {self.spend:.8g}, accuracy {self.accuracy:.6g}, gap {self.gap:.2g}"
            )
        if math.isfinite(self.dual_bound):
            lines.append(f"bound by the multipliers alone: {self.dual_bound:.10g}")
        return "\n".join([*lines, *(f"wrong: {text}" for text in self.findings), *(f"note: {text}" for text in self.notes)])
