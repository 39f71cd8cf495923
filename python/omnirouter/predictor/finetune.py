"""Train an encoder so that prompts on which the models fare alike lie close together; kept only where that helps."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from omnirouter.checks import as_path, maybe_callable, real, whole
from omnirouter.errors import PredictorError
from omnirouter.extras import require
from omnirouter.folder import check_replaceable
from omnirouter.outcomes import Outcomes
from omnirouter.predictor.base import Progress
from omnirouter.predictor.chances import log_losses
from omnirouter.predictor.export import EXPORT_FILE, load_model, write_encoder
from omnirouter.predictor.folds import fold_numbers
from omnirouter.predictor.knn import KnnPredictor
from omnirouter.predictor.means import mean_scores
from omnirouter.predictor.neighbours import Neighbours, shrunk_mean, unit_rows, weights_of

__all__ = ["FinetuneReport", "agreement", "finetune_encoder", "log_loss", "neighbour_scores"]

FOLDS = 5  # one of them judges
FEWEST = 100  # prompts; with fewer the judgement is noise
TRAINED_LENGTH = 128  # tokens of a prompt that are trained on
WARM_UP = 0.1  # share of the steps in which the step length grows
LONGEST_GRADIENT = 1.0


@dataclass(frozen=True)
class FinetuneReport:
    """Whether training made an encoder better, on prompts it was not trained on.

    Attributes
    ----------
    folder : Path or None
        The encoder folder; None where the base was not beaten and nothing was written.
    before, after : float
        Log-loss of scores predicted by 64 neighbours, mean over held-out prompts and models, with the base
        encoder and with the trained one.
    error : float
        Standard error of ``before - after``.
    prompts : int
        Held-out prompts.
    """

    folder: Path | None
    before: float
    after: float
    error: float
    prompts: int

    @property
    def kept(self) -> bool:
        """Whether the gain was more than two of its standard errors."""
        return self.before - self.after > 2 * self.error

    def to_dict(self) -> dict[str, Any]:
        """Fields that JSON can hold."""
        return {**vars(self), "folder": None if self.folder is None else str(self.folder), "kept": self.kept}

    def in_words(self) -> str:
        """One line for a person."""
        gain = f"log-loss {self.before:.4f} before, {self.after:.4f} after, on {self.prompts} held-out prompts"
        gain += f" (gain {self.before - self.after:+.4f}, standard error {self.error:.4f})"
        return f"{self.folder}: {gain}" if self.kept else f"not kept, nothing written: {gain}"


def finetune_encoder(
    outcomes: Outcomes,
    base: str | Path,
    out: str | Path,
    *,
    steps: int = 200,
    batch_size: int = 32,
    learning_rate: float = 2e-5,
    seed: int = 0,
    progress: Progress | None = None,
) -> FinetuneReport:
    """Train a sentence-transformers model on the similarity of outcomes, and export it if that pays.

    A step takes a batch of prompts and ranks its pairs: the cosine of two prompts shall grow with their
    `agreement` (CoSENT loss). A fifth of the prompts is held out; the trained encoder is written only where its
    neighbours predict their scores better than the base encoder's, by more than two standard errors.

    Parameters
    ----------
    outcomes : Outcomes
        The history to train on; at least 100 prompts. Holes are allowed.
    base : str or Path
        The model to start from; see `export_encoder`.
    out : str or Path
        Folder to write; see `export_encoder`.
    steps : int, default 200
        Steps of AdamW, with a warm-up over the first tenth and a linear decay.
    batch_size : int, default 32
        Prompts per step.
    learning_rate : float, default 2e-5
        Largest step length.
    seed : int, default 0
        Of the held-out part, the batches and dropout.
    progress : callable, optional
        Called as ``progress(done, total)`` after each step.

    Returns
    -------
    FinetuneReport

    Raises
    ------
    ValueError, TypeError
        For a parameter of the wrong kind or out of its range, or too few prompts.
    PredictorError
        As for `export_encoder`; also when no two prompts of a batch share a model.
    FileExistsError
        When something else is at `out`; nothing is trained then.

    Examples
    --------
    >>> from omnirouter import Outcomes
    >>> outcomes = Outcomes.read("history.parquet")  # doctest: +SKIP
    >>> finetune_encoder(outcomes, "sentence-transformers/all-MiniLM-L6-v2", "tuned").kept  # doctest: +SKIP
    True
    """
    if not isinstance(outcomes, Outcomes):
        raise TypeError(f"outcomes is {type(outcomes).__name__}, expected Outcomes; Outcomes.read(path) reads a file")
    as_path("base", base)
    out = as_path("out", out)
    steps, batch_size, seed = whole("steps", steps, 1), whole("batch_size", batch_size, 2), whole("seed", seed)
    learning_rate = real("learning_rate", learning_rate, "a number between 0 and 1")
    if not 0 < learning_rate < 1:
        raise ValueError(f"learning_rate is {learning_rate!r}, expected a number between 0 and 1")
    maybe_callable("progress", progress)
    held_out = fold_numbers(outcomes.prompts, FOLDS, seed=seed) == 0
    known, judge = outcomes.take(~held_out), outcomes.take(held_out)
    if len(outcomes) < FEWEST or len(known) < batch_size:
        raise ValueError(
            f"the outcomes have {len(outcomes)} prompts, {len(known)} of them to train on; expected at least {FEWEST}, and "
            f"a batch of {batch_size} to train on"
        )
    check_replaceable(out, EXPORT_FILE)
    encoder = load_model(base)
    before = _losses(encoder, known, judge)
    _train(encoder, known, steps, batch_size, learning_rate, np.random.default_rng(seed), progress)
    after = _losses(encoder, known, judge)
    gain = before - after
    error = float(gain.std(ddof=1) / np.sqrt(len(gain)))
    report = FinetuneReport(out, float(before.mean()), float(after.mean()), error, len(judge))
    if not report.kept:
        return FinetuneReport(None, report.before, report.after, error, len(judge))
    write_encoder(encoder, out, origin=str(base))
    return report


def agreement(acc: NDArray[np.float64]) -> NDArray[np.float64]:
    """How alike the models fare on each pair of prompts.

    Parameters
    ----------
    acc : (b, m) float64
        Scores in [0, 1], NaN where not observed.

    Returns
    -------
    (b, b) float64
        One minus the mean distance of the scores of the models that both prompts know; NaN where there is
        none.

    Examples
    --------
    >>> agreement(np.array([[1.0, 0.0], [1.0, 1.0], [np.nan, 0.0]]))
    array([[1. , 0.5, 1. ],
           [0.5, 1. , 0. ],
           [1. , 0. , 1. ]])
    """
    seen = ~np.isnan(acc)
    common = seen[:, None] & seen[None]
    distance = np.where(common, np.abs(acc[:, None] - acc[None]), 0.0).sum(axis=2)
    count = common.sum(axis=2)
    return np.where(count > 0, 1 - distance / np.maximum(count, 1), np.nan)


def neighbour_scores(
    known: NDArray[np.float32], acc: NDArray[np.float64], asked: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Expected scores by the neighbours among `known`, with the defaults of `KnnPredictor`.

    Parameters
    ----------
    known, asked : (h, d) and (n, d) float32
        Unit vectors.
    acc : (h, m) float64
        Scores of the known prompts, NaN where not observed.

    Returns
    -------
    (n, m) float64
    """
    settings = KnnPredictor()
    indices, similarity = Neighbours(known).search(asked, settings.k)
    weights = weights_of(similarity, settings.sharpness)
    mean = mean_scores(acc, settings.shrinkage)
    return shrunk_mean(acc.astype(np.float32), indices, weights, mean, settings.shrinkage)


def log_loss(acc: NDArray[np.float64], predicted: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log-loss of each prompt, mean over the models observed on it.

    Parameters
    ----------
    acc : (n, m) float64
        Scores in [0, 1], NaN where not observed.
    predicted : (n, m) float64
        Expected scores.

    Returns
    -------
    (n,) float64

    Examples
    --------
    >>> log_loss(np.array([[1.0, np.nan], [0.0, 1.0]]), np.full((2, 2), 0.5)).round(4)
    array([0.6931, 0.6931])
    """
    loss: NDArray[np.float64] = log_losses(predicted, acc).sum(axis=1) / (~np.isnan(acc)).sum(axis=1)
    return loss


def _losses(encoder: Any, known: Outcomes, judge: Outcomes) -> NDArray[np.float64]:
    vectors = [unit_rows(encoder.encode(list(part.prompts), show_progress_bar=False)) for part in (known, judge)]
    return log_loss(judge.acc, neighbour_scores(vectors[0], known.acc, vectors[1]))


def _train(
    encoder: Any,
    known: Outcomes,
    steps: int,
    batch_size: int,
    learning_rate: float,
    rng: np.random.Generator,
    progress: Progress | None,
) -> None:
    torch = require("torch", extra="train")
    rank = require("sentence_transformers.sentence_transformer.losses", extra="train").CoSENTLoss(encoder)
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=learning_rate)
    warm = max(1, round(WARM_UP * steps))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: min((step + 1) / warm, (steps - step) / max(1, steps - warm))
    )
    length = encoder.max_seq_length
    encoder.max_seq_length = min(length or TRAINED_LENGTH, TRAINED_LENGTH)
    first, second = np.triu_indices(batch_size, 1)
    encoder.train()
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            for step in range(steps):
                rows = rng.choice(len(known), batch_size, replace=False)
                labels = agreement(known.acc[rows])[first, second]
                pairs = ~np.isnan(labels)
                if not pairs.any():
                    raise PredictorError("no two prompts of a batch have a model in common; the outcomes are too sparse")
                vectors = encoder(encoder.preprocess([known.prompts[i] for i in rows]))["sentence_embedding"]
                sides = [vectors[side[pairs]] for side in (first, second)]
                loss = rank.compute_loss_from_embeddings(sides, torch.from_numpy(labels[pairs]).float())
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(encoder.parameters(), LONGEST_GRADIENT)
                optimiser.step()
                schedule.step()
                if progress is not None:
                    progress(step + 1, steps)
    finally:
        encoder.eval()
        encoder.max_seq_length = length
