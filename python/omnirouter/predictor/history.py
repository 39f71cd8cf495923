"""What predictors learn from: encoded prompts with their observed outcomes, one column per model to predict."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from omnirouter.errors import PoolError, PredictorError
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor.base import Progress
from omnirouter.predictor.costs import cost_source, expected_cost
from omnirouter.predictor.encoded import Encoded, encode
from omnirouter.predictor.encoder import Encoder

__all__ = ["AMOUNTS", "History", "pool_outcomes"]

AMOUNTS = ("input_tokens", "output_tokens", "cached_tokens", "cost")


@dataclass(frozen=True, eq=False)
class History:
    """Encoded prompts and what was observed of each model on them.

    Attributes
    ----------
    encoded : Encoded
        The h prompts.
    prompt_numbers : (h,) int64
        Equal for rows with the same prompt.
    models : tuple of str
    acc : (h, m) float32
        NaN where not observed. A part of a history may have models without an observation.
    amounts : dict of str to (h, m) float64
        ``"input_tokens"``, ``"output_tokens"``, ``"cached_tokens"`` and ``"cost"``, as far as the outcomes have them; NaN
        where not observed.
    cost_source : tuple of str
        For each model ``"prices"`` or ``"logged"``.
    pool : Pool or None
    """

    encoded: Encoded
    prompt_numbers: NDArray[np.int64]
    models: tuple[str, ...]
    acc: NDArray[np.float32]
    amounts: dict[str, NDArray[np.float64]]
    cost_source: tuple[str, ...]
    pool: Pool | None

    def __len__(self) -> int:
        return len(self.acc)

    @classmethod
    def of(cls, outcomes: Outcomes, pool: Pool | None, encoder: Encoder, *, progress: Progress | None = None) -> History:
        """Check the outcomes and encode their prompts.

        Raises
        ------
        PoolError
            When the pool names a model that the outcomes lack, or a model has neither prices with observed
            output tokens nor a logged cost.
        PredictorError
            When a model has no observed score.
        """
        outcomes = pool_outcomes(outcomes, pool)
        amounts = {name: matrix for name in AMOUNTS if (matrix := getattr(outcomes, name)) is not None}
        sources = cost_source(outcomes.models, pool, amounts)
        encoded = encode(encoder, outcomes.prompts, progress=progress)
        numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(outcomes.prompts))}
        prompt_numbers = np.array([numbers[prompt] for prompt in outcomes.prompts], dtype=np.int64)
        return cls(encoded, prompt_numbers, outcomes.models, outcomes.acc.astype(np.float32), amounts, sources, pool)

    def take(self, rows: NDArray[np.int64]) -> History:
        """The history of some rows, all models kept."""
        amounts = {name: matrix[rows] for name, matrix in self.amounts.items()}
        return replace(
            self,
            encoded=self.encoded.take(rows),
            prompt_numbers=self.prompt_numbers[rows],
            acc=self.acc[rows],
            amounts=amounts,
        )

    @property
    def observed(self) -> NDArray[np.bool_]:
        """(h, m) where a score was observed."""
        return ~np.isnan(self.acc)

    @property
    def paid(self) -> NDArray[np.float64]:
        """(h, m) money by what was observed: tokens times prices or the logged cost, NaN where unknown."""
        return expected_cost(self.amounts, self.encoded.lengths, self.pool, self.cost_source)


def pool_outcomes(outcomes: Outcomes, pool: Pool | None) -> Outcomes:
    """The rows and models of the outcomes that a predictor for this pool learns from; see `History.of`."""
    if pool is not None:
        missing = [name for name in pool.names if name not in outcomes.models]
        if missing:
            raise PoolError(
                f"the outcomes have no model {missing[0]!r}, which the pool names; they have {', '.join(outcomes.models)}"
            )
        columns = [outcomes.models.index(name) for name in pool.names]
        known = outcomes.observed[:, columns].any(axis=1)
        if not known.any():
            raise PredictorError("the outcomes have no observed score of any model of the pool")
        outcomes = outcomes.take(known).with_models(pool.names)
    for name, column in zip(outcomes.models, outcomes.observed.T, strict=True):
        if not column.any():
            raise PredictorError(f"model {name!r} has no observed score in the outcomes")
    return outcomes
