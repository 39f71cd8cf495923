"""`evaluate`: fit on the train split, route the test split, compare with everything a sceptic would try first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from omnirouter.checks import LARGEST_COUNT, as_path, maybe_callable, whole
from omnirouter.evaluation.bootstrap import NOT_DEFINED, Resamples, estimate
from omnirouter.evaluation.comparing import compare, shares_of, steps_of
from omnirouter.evaluation.encoding import RememberingEncoder
from omnirouter.evaluation.exam import Exam, set_exam
from omnirouter.evaluation.fitting import KINDS, Fitting, Forecast, Sample, forecast
from omnirouter.evaluation.report import REPORT, Report
from omnirouter.evaluation.results import Data, Difference, Single
from omnirouter.evaluation.scores import Scores, score
from omnirouter.folder import check_replaceable
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Pool
from omnirouter.predictor import Encoder, embedded_encoder
from omnirouter.predictor.base import Progress
from omnirouter.router import Router

__all__ = ["evaluate"]


class _Steps:
    """Counts the long steps, for a progress bar."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress

    def __call__(self) -> None:
        self.done += 1
        if self.progress is not None:
            self.progress(min(self.done, self.total), self.total)


def evaluate(
    outcomes: Outcomes,
    router: Router | None = None,
    pool: Pool | None = None,
    *,
    out: str | Path | None = None,
    predictors: Sequence[str] | None = None,
    encoder: Encoder | str | Path | None = None,
    points: int = 24,
    resamples: int = 1000,
    seed: int = 0,
    name: str | None = None,
    progress: Progress | None = None,
) -> Report:
    """Measure what routing is worth on outcomes that were not learned from.

    Accuracy and cost are **realised**: looked up in the test split, never predicted, unless a figure says predicted. Methods
    are compared at the same spend. The first predictor is the one in question; per-query rules use its predictions too.

    Parameters
    ----------
    outcomes : Outcomes
        With splits ``"train"`` and ``"test"``; without a split, a hash of the prompts with `seed` makes one. Data without
        costs gets accuracy figures only.
    router : Router, optional
        The router in question, fitted elsewhere. Test queries that it has learned from are left out. Default: one fitted
        on the train split.
    pool : Pool, optional
        The models to route to, and prices by which answers are charged where the outcomes know their tokens.
        Default: the router's pool, else all models, at logged costs. Its caps are not used; capacities are scenarios.
    out : str or Path, optional
        Folder to write; see `Report.write`.
    predictors : sequence of str, optional
        Kinds to fit on the train split, the one in question first. Default: all kinds; beside a given router, ``("knn",)``.
    encoder : Encoder, str or Path, optional
        As in `Router.fit`. Default: the router's, else the embedded one.
    points : int
        Budgets of each curve, in equal ratios from the least possible spend to that of the most accurate plan.
    resamples : int
        Bootstrap draws over the test queries, for the intervals.
    seed : int
        Of the draws, and of a split that has to be made.
    name : str, optional
        What the report calls the outcomes, such as the name of their file.
    progress : callable, optional
        Called as ``progress(done, total)`` after each fit and solve.

    Returns
    -------
    Report

    Raises
    ------
    TypeError, ValueError
        For bad input; see also `set_exam` for what outcomes must have.
    PoolError, PredictorError
        As in `Router.fit`.

    Notes
    -----
    Deterministic for the same input, seed and versions.

    Examples
    --------
    >>> from omnirouter.demo import simulate
    >>> report = evaluate(simulate(120, seed=0), predictors=["knn"], points=4, resamples=50)
    >>> [method.name for method in report.methods][:2]
    ['knn', 'lambda-tuned']
    """
    if not isinstance(outcomes, Outcomes):
        raise TypeError(f"outcomes is {type(outcomes).__name__}, expected Outcomes; Outcomes.read(path) reads a file")
    if out is not None:
        check_replaceable(as_path("out", out), REPORT)
    if name is not None and not isinstance(name, str):
        raise TypeError(f"name is {name!r}, expected a text")
    if router is not None and not isinstance(router, Router):
        raise TypeError(f"router is {type(router).__name__}, expected Router; Router.load(folder) opens one")
    if pool is not None and not isinstance(pool, Pool):
        raise TypeError(f"pool is {type(pool).__name__}, expected Pool; Pool.read(path) reads a file")
    if isinstance(predictors, str) or not (predictors is None or isinstance(predictors, Sequence)):
        raise TypeError(f"predictors is {predictors!r}, expected a sequence of names, some of {', '.join(KINDS)}")
    points, resamples = whole("points", points, 2, LARGEST_COUNT), whole("resamples", resamples, 1, LARGEST_COUNT)
    seed = whole("seed", seed)
    maybe_callable("progress", progress)
    kinds = tuple(predictors) if predictors is not None else (tuple(KINDS) if router is None else ("knn",))
    for kind in kinds:
        if kind not in KINDS or kinds.count(kind) > 1:
            raise ValueError(f"predictors names {kind!r}, expected some of {', '.join(KINDS)}, each once")
    if not kinds and router is None:
        raise ValueError("predictors is empty and there is no router, expected one of them")
    if router is not None:
        pool = router.pool if pool is None else pool.select(router.models)
    names = router.models if router is not None else None if pool is None else pool.names
    kept = _encoder(encoder, router)
    learned_from = None if router is None else router.learned_from
    exam = set_exam(outcomes, names, pool, seed, learned_from, lambda prompts: kept.encode_counted(prompts)[1])
    n_forecasts = len(kinds) + (router is not None)
    steps = _Steps(n_forecasts + (0 if exam.cost is None else steps_of(n_forecasts, points)), progress)
    forecasts, notes = [], list(exam.notes)
    sample: Sample | None = None
    if router is not None:
        if router.learned_from is None:
            notes.append("It is not known what the router has learned from: that it has not seen the test split is trusted.")
        known = router.reliability
        forecasts.append(forecast("router", router.predictor, exam.test, None if known is None else known.record))
        own = forecast("router", router.predictor, exam.train)
        sample = None if exam.train.cost is None else Sample(own.acc, own.cost, exam.train.cost)
        steps()
    if kinds:
        fitting = Fitting(exam, pool, kept)
        for kind in kinds:
            predictor = fitting.fit(kind)
            first = not forecasts and exam.cost is not None
            forecasts.append(forecast(kind, predictor, exam.test, fitting.record(predictor) if first else None))
            sample = fitting.sample(predictor) if first else sample
            steps()
    judged = [(own.name, own.acc) for own in forecasts] + [("model means", _model_means(exam))]
    every = Resamples(len(exam.test), resamples, seed)
    scores = [score(who, exam.models, acc, exam.test.acc, every, forecasts[0].acc) for who, acc in judged]
    draws = Resamples(len(exam.rows), resamples, seed)
    data = Data(
        train=len(exam.train),
        test=len(exam.test),
        judged=len(exam.rows),
        models=exam.models,
        has_cost=exam.cost is not None,
        resamples=resamples,
        seed=seed,
        name=name,
    )
    forecasts = [own.of(exam.rows) for own in forecasts]
    if exam.cost is None:
        notes.append("The outcomes have no cost: accuracy figures only, no curves, budgets or capacities.")
        report = _without_cost(data, notes, exam, forecasts, scores, draws)
    else:
        if router is not None:
            notes.append("λ is tuned on the router's own predictions for the train split, which it may have learned from.")
        elif sample is None:
            notes.append("λ could not be tuned: the costs of some model are known in one part of the train split only.")
        found = compare(exam, forecasts, sample, draws, points, seed, steps)
        report = Report(
            subject=forecasts[0].name,
            data=data,
            notes=tuple(notes),
            singles=_singles(exam, draws),
            scores=tuple(scores),
            **found,
        )
    if out is not None:
        report.write(out)
    return report


def _encoder(encoder: Encoder | str | Path | None, router: Router | None) -> RememberingEncoder:
    if encoder is None:
        return RememberingEncoder(router.predictor.encoder_ if router is not None else embedded_encoder())
    return RememberingEncoder(encoder if isinstance(encoder, Encoder) else Encoder.load(encoder))


def _model_means(exam: Exam) -> NDArray[np.float64]:
    """The least that a predictor must beat: each model's mean on the train split, whatever the query."""
    return np.broadcast_to(np.nanmean(exam.train.acc, axis=0), exam.test.acc.shape)


def _singles(exam: Exam, draws: Resamples) -> tuple[Single, ...]:
    acc = draws.means(exam.acc)
    cost = None if exam.cost is None else draws.means(exam.cost)
    return tuple(
        Single(name, estimate(acc[:, j]), NOT_DEFINED if cost is None else estimate(cost[:, j]))
        for j, name in enumerate(exam.models)
    )


def _without_cost(
    data: Data, notes: list[str], exam: Exam, forecasts: list[Forecast], scores: list[Scores], draws: Resamples
) -> Report:
    """Each predictor's most accurate model for every query, against the best single model."""
    rows = np.arange(len(exam.acc))
    single = draws.means(exam.acc)
    best = int(single[0].argmax())
    differences, argmax = [], []
    for own in forecasts:
        chosen = draws.means(exam.acc[rows, own.acc.argmax(axis=1)][:, None])[:, 0]
        argmax.append((own.name, estimate(chosen)))
        gain = estimate(chosen - single[:, best])
        differences.append(Difference(own.name, f"best single model ({exam.models[best]})", None, gain))
    argmax.append(("hindsight", estimate(draws.means(exam.acc.max(axis=1)[:, None])[:, 0])))
    return Report(
        subject=forecasts[0].name,
        data=data,
        notes=tuple(notes),
        shares=(),
        singles=_singles(exam, draws),
        best_single=exam.models[best],
        scores=tuple(scores),
        used=shares_of(forecasts[0].acc.argmax(axis=1), len(exam.models)),
        argmax=tuple(argmax),
        differences=tuple(differences),
    )
