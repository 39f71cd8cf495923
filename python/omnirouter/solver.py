"""`solve`: from acc and cost to an assignment, with a proof."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from omnirouter import _core
from omnirouter.checks import maybe_callable, real, whole
from omnirouter.duals import Duals
from omnirouter.form import Form
from omnirouter.problem import Caps, Objective, Problem
from omnirouter.resources import Resource
from omnirouter.solution import Certificate, Conflict, Info, Progress, Solution, Status
from omnirouter.words import why_infeasible

__all__ = [
    "CoreSettings",
    "check_callback",
    "core_problem",
    "core_settings",
    "finite_limits",
    "run",
    "solve",
    "solve_problem",
    "start_prices",
    "to_core",
]

_LOG = logging.getLogger("omnirouter")
_DEFAULTS = _core.defaults()
SETTINGS = ("rel_gap", "time_limit", "threads", "seed", "node_limit")
GAP, SECONDS = "a number in [0, 1)", "a number of seconds > 0"

_ENDINGS = {Status.OPTIMAL: "optimal", Status.TIME_LIMIT: "time limit", Status.STOPPED: "stopped by the callback"}

Callback = Callable[[Progress], "bool | None"]


def solve(
    acc: ArrayLike,
    cost: ArrayLike,
    caps: Caps | None = None,
    budget: float | None = None,
    *,
    min_accuracy: float | None = None,
    resources: Sequence[Resource] = (),
    allowed: ArrayLike | None = None,
    objective: Objective | None = None,
    rel_gap: float = 1e-4,
    time_limit: float | None = None,
    threads: int = 0,
    seed: int = 0,
    warm_start: Duals | None = None,
    callback: Callback | None = None,
    verbose: bool = False,
) -> Solution:
    r"""Assign each query to one model so that the whole set is best within all limits.

    With :math:`x_{ij} = 1` where query i goes to model j:

    .. math::
        \max \sum_{ij} a_{ij} x_{ij} \quad\text{or}\quad \min \sum_{ij} c_{ij} x_{ij}, \qquad \sum_j x_{ij} = 1,

    subject to ``sum cost*x <= budget``, ``mean acc >= min_accuracy``, ``sum_i x[i, j] <= caps[j]`` and every further
    resource. `budget` alone maximises accuracy; `min_accuracy` alone minimises cost; with both, `objective` decides
    (default "accuracy").

    Parameters
    ----------
    acc : (n, m) array_like
        Expected quality of each model on each query. float32 and float64 in C order are used without a copy
        (read-only and memory-mapped arrays too) and never written; other layouts, float16 and integers cost one
        copy. All arithmetic is float64. Other threads must not write to the array meanwhile.
    cost : (n, m) array_like
        Expected money, >= 0; as `acc`.
    caps : (m,) array_like of int, optional
        Most queries per model; None or infinity in an entry is no limit.
    budget : float, optional
        Most money for the batch, in the money of `cost`.
    min_accuracy : float in [0, 1], optional
        Least mean of `acc` over the plan; `acc` must then be in [0, 1] too.
    resources : sequence of Resource, optional
        Further limits: tokens per model, budgets of tenants, reserved minima, ...
    allowed : (n, m) array_like of bool, optional
        False forbids the pair.
    objective : {"accuracy", "cost"}, optional
        What is optimised.
    rel_gap : float in [0, 1)
        Stop when the plan is proven to be this near to the best. 0 asks for the proven optimum.
    time_limit : float, optional
        Seconds.
    threads : int
        Threads for reading the matrices; 0 takes all. The answer has the same bits for any number.
    seed : int >= 0
        Seed of the sample that starts large problems.
    warm_start : Duals, optional
        Prices of an earlier solution with the same models and limits.
    callback : callable, optional
        Gets a `Progress` now and then; returning True stops the solve. Its exceptions are raised as they are.
    verbose : bool
        Print a line of progress per phase and plan. The logger "omnirouter" gets the same lines at level INFO.

    Returns
    -------
    Solution
        An infeasible or unfinished problem is a status, not an exception.

    Raises
    ------
    ValueError, TypeError
        Bad input: names the argument, what came and what was expected.
    KeyboardInterrupt
        Ctrl-C ends a solve within 0.1 s.

    Notes
    -----
    Lagrangian dual decomposition [1]_: prices of the limits turn the problem into one choice per query; the prices that
    maximise the dual are found on a sample, certified by a pass over all rows, and give a bound on every plan. A
    search over the queries whose choice is close gives the plan. See docs/method.md.

    Deterministic: same input and settings, same answer, for any number of threads, unless time runs out.

    References
    ----------
    .. [1] OmniRouter: Budget and Performance Controllable Multi-LLM Routing. arXiv:2502.20576.

    Examples
    --------
    >>> import omnirouter
    >>> acc = [[0.9, 0.6], [0.8, 0.7], [0.9, 0.2]]
    >>> cost = [[3.0, 1.0], [3.0, 1.0], [3.0, 1.0]]
    >>> solution = omnirouter.solve(acc, cost, budget=5.0)
    >>> solution.assignment
    array([1, 1, 0], dtype=int32)
    >>> solution.status.value, solution.spend, round(solution.accuracy, 4)
    ('optimal', 5.0, 0.7333)

    The whole set is optimised: the one expensive call goes where it gains most, not to the first query.
    """
    problem = Problem(
        acc, cost, caps, budget, min_accuracy=min_accuracy, resources=resources, allowed=allowed, objective=objective
    )
    return solve_problem(
        problem,
        rel_gap=rel_gap,
        time_limit=time_limit,
        threads=threads,
        seed=seed,
        warm_start=warm_start,
        callback=callback,
        verbose=verbose,
    )


def solve_problem(
    problem: Problem,
    *,
    rel_gap: float = 1e-4,
    time_limit: float | None = None,
    threads: int = 0,
    seed: int = 0,
    warm_start: Duals | None = None,
    callback: Callback | None = None,
    verbose: bool = False,
) -> Solution:
    """Solve a `Problem`; see `solve` for the keywords."""
    rows = (core_problem(problem),)
    settings = core_settings(rel_gap, time_limit, threads, seed)
    return run(problem, _core.solve, rows, settings, warm_start, callback, verbose)


class CoreProblem(NamedTuple):
    """A problem in the form that the native core takes."""

    shape: tuple[int, int]
    inputs: list[tuple[str, NDArray[Any], bool, float]]
    objective: int
    maximise: bool
    resources: list[tuple[str, Any, Any, bool, list[float]]]
    allowed: NDArray[np.bool_] | None


def core_problem(problem: Problem) -> CoreProblem:
    """The form that the native core takes, with the rows in memory."""
    return to_core(problem, problem.acc, problem.cost, problem.allowed)


def to_core(
    problem: Problem | Form, acc: NDArray[Any], cost: NDArray[Any], allowed: NDArray[np.bool_] | None
) -> CoreProblem:
    """The form that the native core takes, with these rows."""
    # A floor on the mean is meant for scores in [0, 1]; percents would meet it unseen.
    floored = problem.min_accuracy is not None
    inputs = [("acc", acc, floored, 1.0 if floored else math.inf), ("cost", cost, True, math.inf)]
    resources = [resource.to_core(inputs) for resource in problem.resources]
    cheapest = problem.objective == "cost"
    return CoreProblem(acc.shape, inputs, 1 if cheapest else 0, not cheapest, resources, allowed)


CoreSettings: TypeAlias = "tuple[float, float, int, int, int]"


def core_settings(rel_gap: float = 1e-4, time_limit: float | None = None, threads: int = 0, seed: int = 0) -> CoreSettings:
    """The settings of the native core, in the order of `SETTINGS`, checked."""
    gap = real("rel_gap", rel_gap, GAP)
    if not 0 <= gap < 1:
        raise ValueError(f"rel_gap is {gap:g}, expected {GAP}")
    seconds = math.inf if time_limit is None else real("time_limit", time_limit, SECONDS)
    if not seconds > 0:
        raise ValueError(f"time_limit is {seconds:g}, expected {SECONDS}")
    return (
        gap,
        seconds,
        whole("threads", threads),
        whole("seed", seed),
        _DEFAULTS["node_limit"],
    )


def check_callback(callback: Any) -> None:
    """Refuse what no solve could call."""
    maybe_callable("callback", callback, "a callable that takes a Progress")


def run(
    problem: Problem | Form,
    solve: Callable[..., dict[str, Any]],
    rows: tuple[Any, ...],
    settings: CoreSettings,
    warm_start: Duals | None,
    callback: Callback | None,
    verbose: bool,
) -> Solution:
    """Call a solve of the native core on some rows, and put its answer into words."""
    start = None if warm_start is None else start_prices(problem, warm_start)
    log = _Log(problem, callback, verbose)
    raw = solve(*rows, settings, start, log if log.wanted else None)
    solution = _solution(problem, raw, dict(zip(SETTINGS, settings, strict=True)))
    log.finish(solution)
    return solution


def finite_limits(problem: Problem | Form) -> list[tuple[int, int]]:
    """(resource, member) of every finite limit, in the order of the multipliers."""
    return [
        (r, member)
        for r, resource in enumerate(problem.resources)
        for member in range(len(resource.limit))
        if math.isfinite(resource.limit[member])
    ]


def start_prices(problem: Problem | Form, duals: Duals) -> list[float]:
    """Prices in the order of `finite_limits`, in the units of the core."""
    if not isinstance(duals, Duals):
        raise TypeError(f"warm_start is {type(duals).__name__}, expected Duals of an earlier solution")
    if duals.caps.shape != (problem.n_models,):
        raise ValueError(f"warm_start has {len(duals.caps)} models, expected {problem.n_models}")
    start = []
    for r, member in finite_limits(problem):
        resource = problem.resources[r]
        if resource.name == "budget":
            price = duals.budget
        elif resource.name == "min_accuracy":
            price = duals.min_accuracy / problem.n_queries
        elif resource.name == "caps":
            price = float(duals.caps[member])
        else:
            prices = duals.resources.get(resource.name)
            if prices is None or len(prices) != len(resource.limit):
                raise ValueError(f"warm_start has no prices for the {len(resource.limit)} limits of {resource.name!r}")
            price = float(prices[member])
        if not (math.isfinite(price) and price >= 0):
            raise ValueError(f"warm_start has the price {price} for {resource.name}, expected a finite number >= 0")
        start.append(price)
    return start


def _duals(problem: Problem | Form, prices: Sequence[float]) -> Duals:
    priced, at, named = np.array(prices, dtype=np.float64), 0, {}
    priced.setflags(write=False)
    all_finite = len(priced) == sum(len(resource.limit) for resource in problem.resources)
    for resource in problem.resources:
        if all_finite:
            own = priced[at : at + len(resource.limit)]
            at += len(own)
        else:
            finite = np.isfinite(resource.limit)
            own = np.zeros(len(finite))
            own[finite] = priced[at : at + np.count_nonzero(finite)]
            own.setflags(write=False)
            at += np.count_nonzero(finite)
        named[resource.name] = own
    budget, floor, caps = (named.pop(name, None) for name in ("budget", "min_accuracy", "caps"))
    if caps is None:
        caps = np.zeros(problem.n_models)
        caps.setflags(write=False)
    return Duals(
        0.0 if budget is None else float(budget[0]),
        0.0 if floor is None else float(floor[0]) * problem.n_queries,
        caps,
        named,
    )


def _solution(problem: Problem | Form, raw: dict[str, Any], settings: dict[str, Any]) -> Solution:
    status = Status(raw["status"])
    n, m = problem.n_queries, problem.n_models
    assignment: NDArray[np.int32] | None = raw["assignment"]
    if assignment is None:
        spend, accuracy, load = math.nan, math.nan, np.zeros(m, dtype=np.int64)
    else:
        sums, loads, _ = raw["tally"]
        spend, accuracy, load = sums[1], sums[0] / n, np.array(loads, dtype=np.int64)
        assignment.setflags(write=False)
    load.setflags(write=False)
    conflicts = tuple(_conflict(problem, *entry) for entry in raw["conflicts"])
    relax_time, search_time, total_time = raw["times"]
    certificate = _certificate(problem, raw["certificate"])
    used = {name: value for name, value in settings.items() if value != math.inf}
    return Solution(
        status=status,
        message=_message(problem, status, raw, conflicts, certificate),
        assignment=assignment,
        objective=raw["objective"],
        bound=raw["bound"],
        dual_bound=raw["dual_bound"],
        gap=raw["gap"],
        spend=spend,
        accuracy=accuracy,
        load=load,
        duals=_duals(problem, raw["duals"]),
        conflicts=conflicts,
        certificate=certificate,
        info=Info(
            raw["passes"],
            raw["nodes"],
            relax_time,
            search_time,
            total_time,
            used,
            _core.__version__,
            raw.get("readings", 0),
            raw.get("rounds", 0),
            raw.get("message_bytes", 0),
        ),
        problem=problem,
    )


def _certificate(problem: Problem | Form, raw: tuple[Any, Any, bool, int | None] | None) -> Certificate | None:
    if raw is None:
        return None
    kind, prices, rounded, query = raw
    return Certificate(kind, None if prices is None else _duals(problem, prices), rounded, query)


def _conflict(
    problem: Problem | Form,
    r: int,
    member: int,
    asked: float,
    reachable: float | None,
    bound: float | None,
    held_by: list[tuple[int, int]],
) -> Conflict:
    resource = problem.resources[r]
    name, unit = resource.describe(member), 1
    if resource.name == "min_accuracy":
        assert problem.min_accuracy is not None
        asked, unit = problem.min_accuracy, problem.n_queries
    nearest, least = (math.nan if value is None else value / unit for value in (reachable, bound))
    return Conflict(name, asked, nearest, least, (r, member), tuple(held_by))


def _message(
    problem: Problem | Form,
    status: Status,
    raw: dict[str, Any],
    conflicts: Sequence[Conflict],
    certificate: Certificate | None,
) -> str:
    if certificate is not None:
        return why_infeasible(problem, conflicts, certificate)
    plan = f"gap {raw['gap']:.2g} proven" if raw["assignment"] is not None else "no plan found"
    if status is Status.FEASIBLE:
        return f"feasible: {plan}, more than asked for; the search gave up"
    if status is Status.ITERATION_LIMIT:
        return "the search gave up without a plan and without a proof that there is none"
    return f"{_ENDINGS[status]}: {plan}"


class _Log:
    """Turns reports of the core into log lines and calls of the user's callback."""

    def __init__(self, problem: Problem | Form, callback: Callback | None, verbose: bool) -> None:
        check_callback(callback)
        self.callback, self.verbose, self.start = callback, verbose, time.perf_counter()
        self.logs = verbose or _LOG.isEnabledFor(logging.INFO)
        self.wanted = self.logs or callback is not None
        if self.logs:
            n, m = problem.n_queries, problem.n_models
            self._line(f"omnirouter {_core.__version__}: {n} queries, {m} models, {len(finite_limits(problem))} limits")
            self._line(f"{'phase':<8} {'queries':>10} {'bound':>14} {'objective':>14} {'gap':>9} {'time':>8}")

    def __call__(self, phase: str, queries: int, bound: float, objective: float) -> bool:
        scale = max(abs(bound), abs(objective))
        gap = abs(bound - objective) / scale if scale > 0 else (0.0 if scale == 0 else math.inf)
        elapsed = time.perf_counter() - self.start
        if self.logs:
            self._line(f"{phase:<8} {queries:>10} {bound:>14.8g} {objective:>14.8g} {gap:>9.1e} {elapsed:>7.3f}s")
        if self.callback is None:
            return False
        return self.callback(Progress(phase, queries, bound, objective, gap, elapsed)) is True

    def finish(self, solution: Solution) -> None:
        if self.logs:
            self._line(f"{solution.message}; {solution.info.passes} passes, {solution.info.total_time:.3f}s")

    def _line(self, text: str) -> None:
        _LOG.info(text)
        if self.verbose:
            print(text)
