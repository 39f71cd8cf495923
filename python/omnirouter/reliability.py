"""What is known of a predictor's errors: calibration, intervals, quantiles, and its track record of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from omnirouter.predictor.base import Prediction
from omnirouter.predictor.calibration import Calibration, CalibrationReport, cross_calibrated
from omnirouter.predictor.folds import hold_out
from omnirouter.predictor.history import History
from omnirouter.predictor.intervals import AmountQuantiles, ScoreIntervals
from omnirouter.predictor.learned import LearnedPredictor
from omnirouter.predictor.learned_parts import Expected
from omnirouter.predictor.newcomer import Newcomer
from omnirouter.record import TrackRecord

__all__ = ["Quantiles", "Reliability"]

FOLDER = "reliability"
FOLDS = 5
COUNTING = 1e-5  # what float32 leaves of a whole number of tokens


class Quantiles(NamedTuple):
    """Amounts (n, m) float32 that are not passed with a stated probability.

    ``output_tokens`` is None where the history has no output tokens.
    """

    cost: NDArray[np.float32]
    output_tokens: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Reliability:
    """Learned from out-of-fold predictions of a history beside its outcomes.

    Attributes
    ----------
    calibration : Calibration
        From predicted scores to calibrated ones, which intervals lie around. Decisions are made by the scores as
        predicted: maps per model undo the shrinkage that keeps a solver from picking noise.
    report : CalibrationReport
    intervals : ScoreIntervals
    quantiles : dict of str to AmountQuantiles
        ``"cost"`` and, where known, ``"output_tokens"``.
    record : TrackRecord
    """

    calibration: Calibration
    report: CalibrationReport
    intervals: ScoreIntervals
    quantiles: dict[str, AmountQuantiles]
    record: TrackRecord

    @classmethod
    def learn(cls, predictor: LearnedPredictor, history: History) -> Reliability:
        """Compare what a predictor says of rows of its history that it has not learned from with what was observed.

        Parameters
        ----------
        predictor : LearnedPredictor
            Fitted on the history.
        history : History
            Of at least two different prompts, as equal ones are held out together.
        """
        held = predictor.held_out_ or hold_out(predictor, history, predictor.encoder_)
        seen, expected = history.take(held.rows), held.expected
        amounts = {"cost": (expected.cost, seen.paid)}
        if expected.output_tokens is not None:
            amounts["output_tokens"] = (expected.output_tokens, seen.amounts["output_tokens"])
        return cls.of(history.models, np.clip(expected.acc, 0.0, 1.0), seen.acc, amounts)

    @classmethod
    def of(
        cls,
        models: tuple[str, ...],
        acc: NDArray[np.floating],
        scores: NDArray[np.floating],
        amounts: Mapping[str, tuple[NDArray[np.floating], NDArray[np.floating]]],
    ) -> Reliability:
        """Compare out-of-fold predictions with outcomes.

        Parameters
        ----------
        models : tuple of str
            Names of the m models.
        acc, scores : (h, m) float
            Predicted and observed, NaN where not.
        amounts : mapping
            Predicted and observed (h, m) of ``"cost"`` and, where known, ``"output_tokens"``.
        """
        scores = np.where(np.isnan(acc), np.nan, scores)
        # Folds of their own: in those of the predictions, a fold's mean is low where that of the others is high, and maps
        # learned from the others would be blamed for it.
        fold = np.random.default_rng(0).permutation(len(acc)) % FOLDS
        calibrated = cross_calibrated(acc, scores, fold)
        return cls(
            Calibration.fit(acc, scores),
            CalibrationReport.of(models, acc, calibrated, scores),
            ScoreIntervals.fit(calibrated, scores),
            {name: AmountQuantiles.fit(*pair) for name, pair in amounts.items()},
            TrackRecord.of(acc, amounts["cost"][0], scores, amounts["cost"][1]),
        )

    def with_model(self, predictor: LearnedPredictor, history: History) -> Reliability:
        """The same with one more model, by what is said of its outcomes by those of them in other folds.

        Parameters
        ----------
        predictor : LearnedPredictor
            To which the model is not added yet.
        history : History
            Outcomes of the new model alone.
        """
        known = predictor.expect(history.encoded)
        written = history.amounts.get("output_tokens")
        observed = (history.acc[:, 0], history.paid[:, 0], None if written is None else written[:, 0])
        first = len(predictor.models_)
        fitted = Expected(
            known.acc[:, :first],
            known.cost[:, :first],
            None if known.output_tokens is None else known.output_tokens[:, :first],
        )
        newcomer, held = Newcomer.fit("", fitted, *observed), Newcomer.held_out(fitted, *observed, history.prompt_numbers)
        record = self.record
        past = Expected(record.acc[:, :first].astype(np.float64), record.cost[:, :first].astype(np.float64))
        before = newcomer.expect(past)
        nothing = np.full((len(history), record.acc.shape[1]), np.nan)
        acc = np.block([[record.acc, before.acc], [known.acc, held.acc]])
        cost = np.block([[record.cost, before.cost], [known.cost, held.cost]])
        unseen = np.full((len(record), 1), np.nan)
        scores = np.block([[record.scores, unseen], [nothing, history.acc]])
        paid = np.block([[record.paid, unseen], [nothing, history.paid]])
        models = (*predictor.models, *history.models)
        joined = Reliability.of(models, acc, scores, {"cost": (cost, paid)})
        tokens = self.quantiles.get("output_tokens")
        if tokens is not None and held.output_tokens is not None:
            own = np.full((len(history), 1), np.nan) if written is None else written
            joined.quantiles["output_tokens"] = tokens.beside(AmountQuantiles.fit(held.output_tokens, own))
        return joined

    def with_intervals(self, prediction: Prediction) -> Prediction:
        """The same prediction with intervals; see `ScoreIntervals`."""
        intervals = self.intervals.of(self.calibration.apply(prediction.acc))
        return Prediction(prediction.acc, prediction.cost, prediction.models, prediction.output_tokens, intervals)

    def quantiles_of(self, prediction: Prediction, level: float) -> Quantiles:
        """Cost and output tokens that are not passed with this probability; see `AmountQuantiles`.

        Tokens are counted: a part of one is rounded up, without which answers of one token would pass a quantile of 0.99.
        """
        written, tokens = self.quantiles.get("output_tokens"), None
        if written is not None and prediction.output_tokens is not None:
            tokens = np.ceil(written.of(prediction.output_tokens, level) * (1 - COUNTING)).astype(np.float32)
        return Quantiles(self.quantiles["cost"].of(prediction.cost, level), tokens)

    def save(self, folder: Path) -> dict[str, Any]:
        """Write arrays into a folder of their own in `folder`; return what else `load` needs."""
        arrays = {**self.calibration.arrays(), **self.intervals.arrays(), **self.record.arrays()}
        for name, part in self.quantiles.items():
            arrays |= part.arrays(name)
        (folder / FOLDER).mkdir()
        for name, array in arrays.items():
            np.save(folder / FOLDER / f"{name}.npy", array, allow_pickle=False)
        return {"arrays": list(arrays), "quantiles": list(self.quantiles), "calibration": self.report.to_dict()}

    @classmethod
    def load(cls, folder: Path, saved: dict[str, Any]) -> Reliability:
        """Open what `save` wrote; arrays are memory-mapped."""
        arrays = {
            name: np.load(folder / FOLDER / f"{name}.npy", mmap_mode="r", allow_pickle=False) for name in saved["arrays"]
        }
        return cls(
            Calibration.from_arrays(arrays),
            CalibrationReport.from_dict(saved["calibration"]),
            ScoreIntervals.from_arrays(arrays),
            {name: AmountQuantiles.from_arrays(name, arrays) for name in saved["quantiles"]},
            TrackRecord.from_arrays(arrays),
        )
