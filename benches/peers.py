"""Other solvers on a budget and caps: each gets the matrix of the problem ready made, and only its run is timed.

All are asked for a relative gap (or tolerance) of `GAP` and may use `THREADS` threads. SCIP stands for OR-Tools' integer
solvers: CP-SAT takes whole coefficients only, so that costs would have to be rounded and the problem would be another one.
PDLP's tolerance is relative to the norm of all right-hand sides together, so that single limits may be passed by more.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import highspy
import numpy as np
import pulp
from numpy.typing import NDArray
from ortools.linear_solver.python import model_builder_helper as ortools_models
from ortools.pdlp import solve_log_pb2, solvers_pb2
from ortools.pdlp.python import pdlp
from scipy import sparse

from batches import Batch

GAP, THREADS = 1e-6, 2
CBC_CLOCK = re.compile(r"Total time \(CPU seconds\):.*\(Wallclock seconds\):\s*([\d.]+)")


@dataclass
class Answer:
    """What a peer says: seconds of its run, whether it ended by itself, and x (n, m), if any."""

    seconds: float
    done: bool
    x: NDArray[np.float64] | None

    def value(self, batch: Batch) -> float:
        """Sum of acc, recomputed; NaN without an answer."""
        return float("nan") if self.x is None else float((batch.acc * self.x).sum(dtype=np.float64))

    def excess(self, batch: Batch) -> float:
        """By how much the worst limit is passed, as a share of it; NaN without an answer."""
        if self.x is None:
            return float("nan")
        spend = float((batch.cost * self.x).sum(dtype=np.float64))
        load = self.x.sum(axis=0)
        rows = np.abs(self.x.sum(axis=1) - 1).max()
        return float(max(spend / batch.budget - 1, (load / np.maximum(batch.caps, 1) - 1).max(), rows, -self.x.min(), 0.0))


Peer = Callable[[Batch, float], Answer]


def rows(batch: Batch) -> tuple[sparse.csc_matrix, NDArray[np.float64], NDArray[np.float64]]:
    """Matrix, least and greatest values of the rows: one per query, one per cap, the budget.

    The budget's row is in units in which the budget is n, as a careful user would write it: tolerances of 1e-7 mean
    little for a budget of a cent.
    """
    n, m = batch.acc.shape
    query, model = np.divmod(np.arange(n * m), m)
    index = np.stack([query, n + model, np.full(n * m, n + m)], axis=1).ravel()
    values = np.ones((n * m, 3))
    values[:, 2] = batch.cost.ravel() * (n / batch.budget)
    matrix = sparse.csc_matrix((values.ravel(), index, np.arange(0, 3 * n * m + 1, 3)), shape=(n + m + 1, n * m))
    least = np.concatenate([np.ones(n), np.full(m + 1, -np.inf)])
    return matrix, least, np.concatenate([np.ones(n), batch.caps, [n]])


def highs(batch: Batch, limit: float, solver: str, integer: bool = False) -> Answer:
    """HiGHS' simplex, its interior point without crossover, or its branch and cut."""
    n, m = batch.acc.shape
    matrix, least, most = rows(batch)
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n * m, n + m + 1
    lp.sense_ = highspy.ObjSense.kMaximize
    lp.col_cost_ = batch.acc.astype(np.float64).ravel()
    lp.col_lower_, lp.col_upper_ = np.zeros(n * m), np.ones(n * m)
    lp.row_lower_, lp.row_upper_ = least, most
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = matrix.indptr, matrix.indices, matrix.data
    if integer:
        lp.integrality_ = [highspy.HighsVarType.kInteger] * (n * m)
    solve = highspy.Highs()
    solve.silent()
    options = {"threads": THREADS, "solver": solver, "run_crossover": "off", "mip_rel_gap": GAP, "time_limit": limit}
    for name, value in options.items():
        solve.setOptionValue(name, value)
    solve.passModel(lp)
    start = time.perf_counter()
    solve.run()
    seconds = time.perf_counter() - start
    done = solve.getModelStatus() == highspy.HighsModelStatus.kOptimal
    found = solve.getInfo().primal_solution_status == highspy.SolutionStatus.kSolutionStatusFeasible
    x = np.asarray(solve.getSolution().col_value).reshape(n, m) if done or found else None
    return Answer(seconds, done, x)


def ortools_pdlp(batch: Batch, limit: float) -> Answer:
    """OR-Tools' first-order solver of relaxations, through its own Python interface."""
    program = pdlp.QuadraticProgram()
    program.constraint_matrix, program.constraint_lower_bounds, program.constraint_upper_bounds = rows(batch)
    program.objective_vector = -batch.acc.astype(np.float64).ravel()
    program.variable_lower_bounds, program.variable_upper_bounds = np.zeros(batch.acc.size), np.ones(batch.acc.size)
    settings = solvers_pb2.PrimalDualHybridGradientParams(num_threads=THREADS, num_shards=4 * THREADS)
    criteria = settings.termination_criteria
    criteria.simple_optimality_criteria.eps_optimal_relative = GAP
    criteria.simple_optimality_criteria.eps_optimal_absolute = GAP
    criteria.time_sec_limit = limit
    start = time.perf_counter()
    result = pdlp.primal_dual_hybrid_gradient(program, settings)
    seconds = time.perf_counter() - start
    done = result.solve_log.termination_reason == solve_log_pb2.TERMINATION_REASON_OPTIMAL
    return Answer(seconds, done, np.asarray(result.primal_solution).reshape(batch.acc.shape))


def ortools_scip(batch: Batch, limit: float) -> Answer:
    """SCIP, as OR-Tools ships it. Its tree search uses one thread."""
    matrix, least, most = rows(batch)
    size = batch.acc.size
    model = ortools_models.ModelBuilderHelper()
    objective = batch.acc.astype(np.float64).ravel()
    model.fill_model_from_sparse_data(np.zeros(size), np.ones(size), objective, least, most, matrix.tocsr())
    model.set_maximize(True)
    for index in range(size):
        model.set_var_integrality(index, True)
    solver = ortools_models.ModelSolverHelper("scip")
    solver.set_time_limit_in_seconds(limit)
    solver.set_solver_specific_parameters(f"limits/gap = {GAP}")
    start = time.perf_counter()
    solver.solve(model)
    seconds = time.perf_counter() - start
    done = solver.status() == ortools_models.SolveStatus.OPTIMAL
    x = np.asarray(solver.variable_values()).reshape(batch.acc.shape) if solver.has_solution() else None
    return Answer(seconds, done, x)


def pulp_cbc(batch: Batch, limit: float) -> Answer:
    """CBC through PuLP, which hands the model over in a file; the time is CBC's own, from its log."""
    n, m = batch.acc.shape
    acc, cost = batch.acc.astype(np.float64), batch.cost.astype(np.float64) * (n / batch.budget)
    x = [[pulp.LpVariable(f"x{i}_{j}", cat="Binary") for j in range(m)] for i in range(n)]
    problem = pulp.LpProblem("routing", pulp.LpMaximize)
    problem += pulp.LpAffineExpression((x[i][j], acc[i, j]) for i in range(n) for j in range(m))
    for row in x:
        problem += pulp.lpSum(row) == 1
    for j in range(m):
        problem += pulp.lpSum(row[j] for row in x) <= batch.caps[j]
    problem += pulp.LpAffineExpression((x[i][j], cost[i, j]) for i in range(n) for j in range(m)) <= n
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        cbc = pulp.PULP_CBC_CMD(msg=False, timeLimit=limit, gapRel=GAP, threads=THREADS, logPath=str(log))
        problem.solve(cbc)
        clock = CBC_CLOCK.search(log.read_text())
    # PuLP calls a run that ended at the limit with a plan optimal as well; its solution status tells.
    done = problem.sol_status == pulp.LpSolutionOptimal
    found = problem.sol_status in (pulp.LpSolutionOptimal, pulp.LpSolutionIntegerFeasible)
    values = np.array([[variable.varValue for variable in row] for row in x], dtype=np.float64) if found else None
    return Answer(float(clock.group(1)) if clock else problem.solutionTime, done, values)


RELAXATIONS: dict[str, Peer] = {
    "HiGHS interior point, no crossover": lambda batch, limit: highs(batch, limit, "ipm"),
    "HiGHS simplex": lambda batch, limit: highs(batch, limit, "simplex"),
    "OR-Tools PDLP": ortools_pdlp,
}
INTEGERS: dict[str, Peer] = {
    "HiGHS branch and cut": lambda batch, limit: highs(batch, limit, "choose", integer=True),
    "OR-Tools SCIP": ortools_scip,
    "CBC through PuLP": pulp_cbc,
}
