"""Fit on past outcomes, route batches and single prompts, save and load: predictor, then solver."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter import __version__
from omnirouter.checks import is_number, maybe_callable, unmasked
from omnirouter.confidence import Assurance, check_confidence, solve_confidently
from omnirouter.duals import Duals
from omnirouter.errors import OmniRouterError, RouterError
from omnirouter.fingerprints import fingerprints
from omnirouter.folder import read_folder, write_folder
from omnirouter.outcomes import Outcomes
from omnirouter.pool import Model, Pool
from omnirouter.predictor.base import Prediction, Progress, check_prompts
from omnirouter.predictor.encoder import Encoder
from omnirouter.predictor.history import History, pool_outcomes
from omnirouter.predictor.kinds import DEFAULT_KIND, load_predictor, new_predictor
from omnirouter.predictor.learned import LearnedPredictor
from omnirouter.prices import BatchPrices
from omnirouter.problem import Objective, Problem
from omnirouter.reliability import Quantiles, Reliability
from omnirouter.resources import Resource
from omnirouter.routing import Routing
from omnirouter.solution import Solution
from omnirouter.solver import Callback, check_callback, core_settings, solve

__all__ = ["Router", "Routing"]

MANIFEST = "router.json"
LEARNED_FROM = "learned_from.npy"
FORMAT = 2
TICK = 1e-6  # seconds that a solve gets at least, where others have used the time


class Router:
    """Assigns prompts to models so that a whole batch is best within its limits.

    Parameters
    ----------
    predictor : LearnedPredictor
        Fitted.
    pool : Pool, optional
        The models with their caps, in the order of the predictor's models.
    reliability : Reliability, optional
        What is known of the predictor's errors, for intervals, expectations and `confidence`.
    learned_from : (k,) uint64, optional
        `fingerprints` of the prompts of the history, so that `evaluate` does not judge by them.

    Attributes
    ----------
    predictor : LearnedPredictor
    pool : Pool or None
    reliability : Reliability or None
        None where the history had one prompt only, so that nothing could be held out.
    learned_from : (k,) uint64 or None
        None where it is not known.
    prices : BatchPrices or None
        From the last batch that got a plan; what `route_one` goes by.
    """

    def __init__(
        self,
        predictor: LearnedPredictor,
        pool: Pool | None = None,
        reliability: Reliability | None = None,
        learned_from: NDArray[np.uint64] | None = None,
    ) -> None:
        if not isinstance(predictor, LearnedPredictor):
            raise TypeError(f"predictor is {type(predictor).__name__}, expected a fitted LearnedPredictor")
        if pool is not None and not isinstance(pool, Pool):
            raise TypeError(f"pool is {type(pool).__name__}, expected Pool; Pool.read(path) reads a file")
        if reliability is not None and not isinstance(reliability, Reliability):
            raise TypeError(f"reliability is {type(reliability).__name__}, expected Reliability")
        if learned_from is not None and getattr(learned_from, "dtype", None) != np.uint64:
            raise TypeError(f"learned_from is {type(learned_from).__name__}, expected an array of uint64")
        if pool is not None and pool.names != predictor.models:
            raise ValueError(f"pool has the models {pool.names}, expected those of the predictor, {predictor.models}")
        self.predictor = predictor
        self.pool = pool
        self.reliability = reliability
        self.learned_from = learned_from
        self.prices: BatchPrices | None = None

    @classmethod
    def fit(
        cls,
        outcomes: Outcomes,
        pool: Pool | None = None,
        *,
        predictor: str | LearnedPredictor = DEFAULT_KIND,
        encoder: Encoder | str | Path | None = None,
        progress: Progress | None = None,
    ) -> Router:
        """Learn from past outcomes.

        Parameters
        ----------
        outcomes : Outcomes
            The history; holes are allowed.
        pool : Pool, optional
            The models to route to, their prices and caps; without it all models of the outcomes, at logged
            costs.
        predictor : {"hybrid", "knn", "network"} or LearnedPredictor, default "hybrid"
            What learns: `HybridPredictor`, `KnnPredictor` or `NetworkPredictor` with their default parameters, or
            one with other parameters, which is fitted.
        encoder : Encoder, str, Path or None
            A text encoder, its folder or its hub name; None takes the embedded one. Not together with a
            predictor that is given as such, which has its own.
        progress : callable, optional
            Called as ``progress(done, total)`` while the prompts are encoded.

        Raises
        ------
        PoolError
            When the outcomes lack a model of the pool, or a model's cost cannot be known.
        PredictorError
            When the encoder cannot be opened.
        """
        if not isinstance(outcomes, Outcomes):
            raise TypeError(f"outcomes is {type(outcomes).__name__}, expected Outcomes; Outcomes.read(path) reads a file")
        if isinstance(predictor, str):
            predictor = new_predictor(predictor, encoder)
        elif not isinstance(predictor, LearnedPredictor):
            raise TypeError(f"predictor is {type(predictor).__name__}, expected a name or a LearnedPredictor")
        elif encoder is not None:
            raise ValueError("encoder and a predictor with its own encoder are both given, expected one of them")
        if pool is not None and not isinstance(pool, Pool):
            raise TypeError(f"pool is {type(pool).__name__}, expected Pool; Pool.read(path) reads a file")
        outcomes = pool_outcomes(outcomes, pool)
        opened = predictor.open_encoder()
        history = History.of(outcomes, pool, opened, progress=progress)
        predictor.fit_history(history, opened)
        several = len(np.unique(history.prompt_numbers)) > 1
        reliability = Reliability.learn(predictor, history) if several else None
        return cls(predictor, pool, reliability, np.unique(fingerprints(outcomes.prompts)))

    def add_model(self, outcomes: Outcomes, model: Model | None = None, *, progress: Progress | None = None) -> None:
        """Add a model from outcomes of its own, few or many, without learning anew of the others.

        Predictions of the others stay what they are. Those of the new model start at what a model like the others
        would do on a prompt and follow its outcomes as far as they go (see `Newcomer`); intervals around them are
        the wider, the fewer these are. Prices of the last batch are forgotten: they do not know the model's cap.

        Parameters
        ----------
        outcomes : Outcomes
            Of the new model alone, on any prompts.
        model : Model, optional
            Its prices and limits; needed where the router has a pool, refused where it has none.
        progress : callable, optional
            Called as ``progress(done, total)`` while the prompts are encoded.

        Raises
        ------
        ValueError, TypeError
            When the outcomes are of several models or of one the router knows, or `model` is not the one that is
            needed.
        PoolError
            When the model's cost cannot be known.
        """
        if not isinstance(outcomes, Outcomes):
            raise TypeError(f"outcomes is {type(outcomes).__name__}, expected Outcomes; Outcomes.read(path) reads a file")
        if outcomes.n_models != 1:
            raise ValueError(
                f"outcomes has {outcomes.n_models} models, expected the new one alone; see Outcomes.with_models"
            )
        (name,) = outcomes.models
        if name in self.models:
            raise ValueError(
                f"outcomes is of the model {name!r}, which the router knows; fit the router again to learn more"
            )
        if model is not None and not isinstance(model, Model):
            raise TypeError(f"model is {type(model).__name__}, expected Model")
        if self.pool is not None and (model is None or model.name != name):
            raise ValueError(f"model is {model!r}, expected the prices of {name!r}, as the router has a pool")
        if self.pool is None and model is not None:
            raise ValueError(f"model is {model.name!r}, expected none, as the router has no pool and goes by logged costs")
        pool = None if model is None else Pool([model])
        history = History.of(outcomes, pool, self.predictor.encoder_, progress=progress)
        if self.reliability is not None:
            self.reliability = self.reliability.with_model(self.predictor, history)
        self.predictor.add_model(history)
        if self.learned_from is not None:
            self.learned_from = np.union1d(self.learned_from, fingerprints(outcomes.prompts))
        if self.pool is not None and model is not None:
            self.pool = Pool([*self.pool, model])
        self.prices = None

    @property
    def duals(self) -> Duals | None:
        """Duals of the last batch that got a plan."""
        return None if self.prices is None else self.prices.duals

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models, in the order of all columns."""
        return self.predictor.models

    def predict(self, prompts: Sequence[str], *, progress: Progress | None = None) -> Prediction:
        """Expected accuracy and cost of every model on every prompt, with intervals around the accuracy.

        See `LearnedPredictor.predict` and, for what the intervals hold, `ScoreIntervals`.
        """
        prediction = self.predictor.predict(prompts, progress=progress)
        return prediction if self.reliability is None else self.reliability.with_intervals(prediction)

    def quantiles(self, prediction: Prediction, level: float = 0.9) -> Quantiles:
        """Cost and output tokens (n, m) that are not passed with probability `level`, 0.5 or 0.9.

        Raises
        ------
        RouterError
            When nothing is known of the predictor's errors.
        ValueError
            For another level.
        """
        if not isinstance(prediction, Prediction):
            raise TypeError(f"prediction is {type(prediction).__name__}, expected Prediction, as predict gives it")
        return self._known("quantiles").quantiles_of(prediction, level)

    def route(
        self,
        prompts: Sequence[str],
        budget: float | None = None,
        *,
        min_accuracy: float | None = None,
        confidence: float | None = None,
        caps: Mapping[str, float | None] | ArrayLike | None = None,
        resources: Sequence[Resource] = (),
        allowed: ArrayLike | None = None,
        objective: Objective | None = None,
        rel_gap: float = 1e-4,
        time_limit: float | None = None,
        threads: int = 0,
        seed: int = 0,
        callback: Callback | None = None,
        verbose: bool = False,
        progress: Progress | None = None,
    ) -> Routing:
        """Predict, then solve: the best plan for the whole batch.

        Parameters
        ----------
        prompts : sequence of str
            At least one, none empty.
        budget : float, optional
            Most money for the batch, in the currency of the predicted costs.
        min_accuracy : float, optional
            Least mean predicted accuracy of the batch, in [0, 1].
        confidence : float, optional
            In [0.5, 1), such as 0.9: `budget` and `min_accuracy` are then about what the answers will cost and score,
            not about what is predicted, and each is to be kept with this probability (see `Total.margin`). Plans
            are held to a smaller budget or a higher floor, by what earlier decisions of the kind realised; see
            ``Routing.assurance``, also for whether the plan keeps them (``kept``). Limits on other things stay as they
            are.
        caps : mapping or array_like, optional
            Most prompts per model: by name, or one entry per model; None and infinity mean no limit. The
            pool's caps hold as well, so that the lower of both counts.
        resources, allowed, objective, rel_gap, time_limit, threads, seed, callback, verbose
            As in `omnirouter.solve`.
        progress : callable, optional
            Called as ``progress(done, total)`` while the prompts are encoded.

        Returns
        -------
        Routing
            With ``assignment`` None where ``solution.status`` says that there is no plan. ``Routing.expected`` is
            what the plan is expected to realise.

        Raises
        ------
        RouterError
            When `confidence` is given and nothing is known of the predictor's errors.
        ValueError, TypeError
            For an argument that is not as described above.
        """
        texts = check_prompts(prompts)
        maybe_callable("progress", progress)
        check_callback(callback)
        core_settings(rel_gap, time_limit, threads, seed)
        if confidence is not None:
            check_confidence(confidence, budget, min_accuracy)
            self._known("confidence")
        limits = self._caps(caps)
        # Limits, too, are refused before the long work of embedding; the matrices are not known yet, only their shape.
        blank = np.zeros((len(texts), len(self.models)), dtype=np.float32)
        Problem(
            blank,
            blank,
            limits,
            budget,
            min_accuracy=min_accuracy,
            resources=resources,
            allowed=allowed,
            objective=objective,
        )
        prediction = self.predictor.predict(texts, progress=progress)
        start = time.monotonic()

        def solved(budget: float | None, min_accuracy: float | None) -> Solution:
            return solve(
                prediction.acc,
                prediction.cost,
                limits,
                budget,
                min_accuracy=min_accuracy,
                resources=resources,
                allowed=allowed,
                objective=objective,
                rel_gap=rel_gap,
                time_limit=time_limit and max(start + time_limit - time.monotonic(), min(time_limit, TICK)),
                threads=threads,
                seed=seed,
                callback=callback,
                verbose=verbose,
            )

        assurance: Assurance | None = None
        if confidence is None or self.reliability is None:
            solution = solved(budget, min_accuracy)
        else:
            expect = self.reliability.record.expect
            solution, assurance = solve_confidently(solved, expect, budget, min_accuracy, confidence)
        expected = None
        if self.reliability is not None and solution.assignment is not None:
            expected = self.reliability.record.expect(solution) if assurance is None else assurance.expectation
        if solution.assignment is not None:
            self.prices = BatchPrices.of(solution)
        return Routing(texts, prediction, solution, expected, assurance)

    def route_one(self, prompt: str) -> str:
        """Name of the model for one more prompt, at the prices of the last batch.

        Raises
        ------
        RouterError
            When no batch got a plan yet, or its plan paid a price for a resource whose usage is given per query or per
            group, so that the use by one more prompt is not known.
        """
        prices = self.prices
        if prices is None:
            raise RouterError("there are no prices to route one prompt by; route a batch first")
        if prices.unknown:
            raise RouterError(
                f"the last batch was limited by the resource {prices.unknown[0]!r}, whose use by one more prompt is "
                "unknown, as it is given per query or per group; route prompts in batches, or route a batch without it first"
            )
        prediction = self.predictor.predict([prompt])
        return self.models[prices.best_model(prediction.acc[0], prediction.cost[0])]

    def save(self, folder: str | Path) -> None:
        """Write the router as one folder, whole or not at all.

        The folder holds everything that `load` needs, with no pickles. A router folder that is already there
        is replaced.

        Raises
        ------
        FileExistsError
            When something other than a router is in the way.
        """

        def write(fresh: Path) -> dict[str, Any]:
            if self.learned_from is not None:
                np.save(fresh / LEARNED_FROM, self.learned_from)
            return {
                "format": FORMAT,
                "omnirouter": __version__,
                "models": list(self.models),
                "pool": None if self.pool is None else self.pool.to_dict(),
                "prices": None if self.prices is None else self.prices.to_dict(),
                "predictor": self.predictor.save(fresh),
                "reliability": None if self.reliability is None else self.reliability.save(fresh),
            }

        write_folder(folder, MANIFEST, write)

    @classmethod
    def load(cls, folder: str | Path, *, threads: int = 0) -> Router:
        """Open a saved router; needs onnxruntime, tokenizers and numpy only, and faiss for a large history.

        Parameters
        ----------
        folder : str or Path
            What `save` wrote. Arrays are memory-mapped.
        threads : int, default 0
            Threads of the encoder; 0 uses all cores, and so does a number above theirs.

        Raises
        ------
        ValueError
            For a negative number of threads.
        RouterError
            When this is not a router folder, a version of OmniRouter with another format wrote it, or a file
            is missing or has changed.
        """
        if isinstance(threads, bool) or not isinstance(threads, (int, np.integer)):
            raise TypeError(f"threads is {threads!r}, expected 0 (all) or more")
        if threads < 0:
            raise ValueError(f"threads is {threads}, expected 0 (all) or more")
        manifest = read_folder(folder, MANIFEST, "router", FORMAT)
        if manifest["format"] < FORMAT:
            raise RouterError(
                f"{folder} has router format {manifest['format']}, written by omnirouter {manifest['omnirouter']}; "
                f"this version reads format {FORMAT}: fit the router again"
            )
        try:
            pool = None if manifest["pool"] is None else Pool.from_dict(manifest["pool"])
            saved = manifest["reliability"]
            reliability = None if saved is None else Reliability.load(Path(folder), saved)
            router = cls(load_predictor(folder, manifest["predictor"], pool, threads=threads), pool, reliability)
            if LEARNED_FROM in manifest["files"]:
                router.learned_from = np.load(Path(folder) / LEARNED_FROM)
            prices = manifest["prices"]
            router.prices = None if prices is None else BatchPrices.from_dict(prices)
        except ImportError:
            raise
        except (OmniRouterError, KeyError, TypeError, ValueError) as error:
            raise RouterError(f"{Path(folder) / MANIFEST} is damaged: {error!r}") from error
        return router

    def _known(self, asked: str) -> Reliability:
        if self.reliability is None:
            raise RouterError(
                f"{asked} needs out-of-fold predictions of the history, and this router has none; "
                "fit it on outcomes of at least two different prompts"
            )
        return self.reliability

    def _caps(self, caps: Mapping[str, float | None] | ArrayLike | None) -> NDArray[np.float64]:
        """Caps to solve with: the lower of the pool's and the given."""
        m = len(self.models)
        limits = np.full(m, np.inf) if self.pool is None else self.pool.caps()
        if caps is None:
            return limits
        if isinstance(caps, Mapping):
            unknown = [name for name in caps if name not in self.models]
            if unknown:
                raise ValueError(f"caps names the model {unknown[0]!r}; known are {', '.join(self.models)}")
            given = [caps.get(name) for name in self.models]
        else:
            entries = np.asarray(unmasked("caps", caps), dtype=object)
            if entries.ndim == 0:
                raise TypeError(
                    f"caps is {caps!r}, expected a mapping from models to numbers, or one number per model ({m})"
                )
            given = list(entries.ravel())
            if len(given) != m:
                raise ValueError(f"caps has {len(given)} entries, expected n_models = {m}")
        numbers = [_cap(name, cap) for name, cap in zip(self.models, given, strict=True)]
        return np.minimum(limits, numbers)


def _cap(name: str, cap: Any) -> float:
    """Most queries of one model; infinity for None."""
    try:
        number = math.inf if cap is None else float(cap) if is_number(cap) else math.nan
    except OverflowError:
        number = math.nan
    if not (number == math.inf or (number >= 0 and number == math.floor(number))):
        raise ValueError(f"caps has {cap!r} for the model {name!r}, expected a whole number of at least 0 or None")
    return number
