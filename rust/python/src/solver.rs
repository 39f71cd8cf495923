//! `_core.solve`: builds a [`Problem`] from borrowed arrays, enters the door, returns plain values and arrays.

use numpy::{IntoPyArray, PyReadonlyArrayDyn};
use omnirouter_solver::{
    curve_plan, solve_problem, Certificate, Curve, CurvePoint, Input, InputError, Problem, Relation, Resource, Scope,
    Sense, Settings, Solution, Status, Usage, Wanted, Watch,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::arrays::{slice, Borrowed};
use crate::door;

/// An input matrix: name, array, whether negative entries are refused, and the largest that is not.
type PyInput<'py> = (String, Bound<'py, PyAny>, bool, f64);

/// What a pair uses: one number, a vector over models or over queries, or the position of an input.
#[derive(FromPyObject)]
pub(crate) enum PyUsage<'py> {
    One(f64),
    Vector(String, PyReadonlyArrayDyn<'py, f64>),
    Dense(String, usize),
}

/// Over what limits add up: "all", "model", or the group of each query.
#[derive(FromPyObject)]
pub(crate) enum PyScope<'py> {
    Named(String),
    Groups(PyReadonlyArrayDyn<'py, u32>),
}

/// A resource: name, usage, scope, whether the limit is a minimum, limits.
type PyResource<'py> = (String, PyUsage<'py>, PyScope<'py>, bool, Vec<f64>);

/// A problem as the Python face hands it over; an oracle's has arrays without rows.
#[derive(FromPyObject)]
pub(crate) struct PyProblem<'py> {
    shape: (usize, usize),
    inputs: Vec<PyInput<'py>>,
    objective: usize,
    maximise: bool,
    resources: Vec<PyResource<'py>>,
    allowed: Option<PyReadonlyArrayDyn<'py, bool>>,
}

/// rel_gap, time_limit, threads, seed, node_limit.
pub(crate) type PySettings = (f64, f64, usize, u64, usize);

/// Defaults of the settings, so that Python never states them twice.
#[pyfunction]
pub(crate) fn defaults(py: Python<'_>) -> PyResult<Bound<'_, PyDict>> {
    let settings = Settings::default();
    let out = PyDict::new(py);
    out.set_item("rel_gap", settings.rel_gap)?;
    out.set_item("threads", settings.threads)?;
    out.set_item("seed", settings.seed)?;
    out.set_item("node_limit", settings.node_limit)?;
    Ok(out)
}

/// Solves; raises `ValueError` for bad numbers. See `omnirouter.solve`.
#[pyfunction]
pub(crate) fn solve<'py>(
    py: Python<'py>,
    problem: PyProblem<'py>,
    settings: PySettings,
    start: Option<Vec<f64>>,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let settings = to_settings(settings);
    let solved = problem.with(|problem| {
        door::enter(py, callback, |watch| solve_problem(problem, &settings, start.as_deref(), watch))
    })?;
    to_dict(py, solved.map_err(refused)?)
}

/// For each finite limit, from where to where its price holds. See `omnirouter.price_ranges`.
#[pyfunction]
pub(crate) fn price_ranges<'py>(
    py: Python<'py>,
    problem: PyProblem<'py>,
    settings: PySettings,
    prices: Vec<f64>,
    tolerance: f64,
) -> PyResult<Vec<(f64, f64)>> {
    let settings = to_settings(settings);
    let found = problem.with(|problem| {
        let work = |watch: &dyn Watch| omnirouter_solver::price_ranges(problem, &settings, &prices, tolerance, watch);
        door::enter(py, None, work)
    })?;
    // Only Ctrl-C stops it, and that has been raised at the door.
    Ok(found.map_err(refused)?.unwrap_or_default())
}

/// Objective, bound, use of the budget, prices, and where asked for the plan.
type PyPoint<'py> = (f64, f64, f64, Vec<f64>, Option<Bound<'py, PyAny>>);

/// Points of a curve over budgets of one resource: those given, or so many in equal ratios. Also the budgets, empty where no
/// spread was found, and the number of passes; points that single solves are better at are None. See `omnirouter.frontier`.
#[pyfunction]
#[pyo3(signature = (problem, settings, resource, budgets, count, plans, callback))]
#[allow(clippy::too_many_arguments, clippy::type_complexity)] // what Python hands over, and what it gets
pub(crate) fn curve<'py>(
    py: Python<'py>,
    problem: PyProblem<'py>,
    settings: PySettings,
    resource: usize,
    budgets: Option<Vec<f64>>,
    count: usize,
    plans: bool,
    callback: Option<Py<PyAny>>,
) -> PyResult<(Vec<f64>, Vec<Option<PyPoint<'py>>>, usize)> {
    let settings = to_settings(settings);
    problem.with(|problem| {
        let wanted = budgets.as_deref().map_or(Wanted::Spread(count), Wanted::Budgets);
        let drawn =
            door::enter(py, callback, |watch| omnirouter_solver::curve(problem, &settings, resource, wanted, watch))?;
        // Only Ctrl-C and exceptions stop it, and those have been raised at the door.
        let Ok(Curve { budgets, points, passes }) = drawn.map_err(refused)? else {
            return Ok((Vec::new(), Vec::new(), 0));
        };
        let shown = |point: CurvePoint| {
            let work = |watch: &dyn Watch| curve_plan(problem, &settings, resource, &point, watch);
            let plan = if plans { door::enter(py, None, work)?.map_err(refused)?.ok() } else { None };
            let plan = plan.map(|plan| plan.into_pyarray(py).into_any());
            Ok((point.objective, point.bound, point.used, point.prices, plan))
        };
        let points = points.into_iter().map(|point| point.map(shown).transpose());
        Ok((budgets, points.collect::<PyResult<_>>()?, passes))
    })
}

impl PyProblem<'_> {
    /// Lends the problem with its arrays borrowed.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&Problem<'_>) -> PyResult<T>) -> PyResult<T> {
        let borrowed: Vec<Borrowed<'_>> =
            self.inputs.iter().map(|(name, array, ..)| Borrowed::new(name, array)).collect::<PyResult<_>>()?;
        let inputs = borrowed.iter().zip(&self.inputs).map(|(array, (name, _, nonnegative, at_most))| {
            let (nonnegative, at_most) = (*nonnegative, *at_most);
            Ok(Input { name: name.clone(), data: array.matrix(name)?, nonnegative, at_most })
        });
        work(&Problem {
            n_queries: self.shape.0,
            n_models: self.shape.1,
            inputs: inputs.collect::<PyResult<_>>()?,
            objective: self.objective,
            sense: if self.maximise { Sense::Maximise } else { Sense::Minimise },
            resources: self.resources.iter().map(resource).collect::<PyResult<_>>()?,
            allowed: self.allowed.as_ref().map(|array| slice("allowed", array)).transpose()?,
        })
    }
}

pub(crate) fn to_settings((rel_gap, time_limit, threads, seed, node_limit): PySettings) -> Settings {
    Settings { rel_gap, time_limit, threads, seed, node_limit }
}

/// Bad input is a `ValueError`.
pub(crate) fn refused(error: InputError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

fn resource<'a>((name, usage, scope, minimum, limits): &'a PyResource<'_>) -> PyResult<Resource<'a>> {
    let usage = match usage {
        PyUsage::One(value) => Usage::One(*value),
        PyUsage::Dense(kind, input) => {
            debug_assert_eq!(kind, "input");
            Usage::Dense(*input)
        }
        PyUsage::Vector(over, values) if over == "model" => Usage::PerModel(slice(name, values)?),
        PyUsage::Vector(_, values) => Usage::PerQuery(slice(name, values)?),
    };
    let scope = match scope {
        PyScope::Named(name) if name == "model" => Scope::Model,
        PyScope::Named(_) => Scope::All,
        PyScope::Groups(groups) => Scope::Group(slice(name, groups)?),
    };
    let relation = if *minimum { Relation::AtLeast } else { Relation::AtMost };
    Ok(Resource { name: name.clone(), usage, scope, relation, limits: limits.clone() })
}

pub(crate) fn to_dict(py: Python<'_>, solution: Solution) -> PyResult<Bound<'_, PyDict>> {
    let out = PyDict::new(py);
    out.set_item("status", status_name(solution.status))?;
    out.set_item("assignment", solution.assignment.map(|plan| plan.into_pyarray(py)))?;
    out.set_item("objective", solution.objective)?;
    out.set_item("bound", solution.bound)?;
    out.set_item("dual_bound", solution.dual_bound)?;
    out.set_item("gap", solution.gap)?;
    out.set_item("duals", solution.duals)?;
    let tally = solution.tally.map(|tally| (tally.inputs, tally.load, tally.usage));
    out.set_item("tally", tally)?;
    let conflicts = solution.conflicts.iter().map(|c| {
        let held_by = c.held_by.iter().map(|id| (id.resource, id.member)).collect::<Vec<_>>();
        (c.limit.resource, c.limit.member, c.asked, c.reachable, c.bound, held_by)
    });
    out.set_item("conflicts", conflicts.collect::<Vec<_>>())?;
    out.set_item("certificate", solution.certificate.map(certificate))?;
    let info = solution.info;
    out.set_item("passes", info.passes)?;
    out.set_item("nodes", info.nodes)?;
    out.set_item("times", (info.relax_time, info.search_time, info.total_time))?;
    Ok(out)
}

/// Kind, prices, whether the limits are rounded, query.
fn certificate(certificate: Certificate) -> (&'static str, Option<Vec<f64>>, bool, Option<usize>) {
    match certificate {
        Certificate::Ray { prices, rounded } => ("ray", Some(prices), rounded, None),
        Certificate::Query(query) => ("query", None, false, Some(query)),
        Certificate::Search => ("search", None, false, None),
    }
}

fn status_name(status: Status) -> &'static str {
    match status {
        Status::Optimal => "optimal",
        Status::Feasible => "feasible",
        Status::Infeasible => "infeasible",
        Status::IterationLimit => "iteration_limit",
        Status::TimeLimit => "time_limit",
        Status::Stopped => "stopped",
    }
}
