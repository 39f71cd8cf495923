//! `_core.Shard` and `_core.solve_shards`: parts of the rows in other places, which get and give messages as bytes.

use numpy::IntoPyArray;
use omnirouter_solver::{
    Chunked, Described, Facts, Goal, Interrupted, Kept, OrderedSum, Part, Parts, PlanSums, Point, Prices, Screen, Watch,
};
use postcard::{from_bytes, to_stdvec};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use serde::de::DeserializeOwned;
use serde::Serialize;

use crate::door;
use crate::oracle::{raised, PySource};
use crate::solver::{refused, to_dict, to_settings, PyProblem, PySettings};

/// Some consecutive rows, held where this object lives.
#[pyclass(module = "omnirouter._core")]
pub(crate) struct Shard {
    state: State,
}

enum State {
    /// The other shards are not known yet.
    Described(Described<PySource>),
    Agreed(Part<Chunked<PySource>>),
    /// A call failed half way.
    Broken,
}

#[pymethods]
impl Shard {
    /// Reads and checks the rows; raises `ValueError` for bad numbers.
    #[new]
    fn new(py: Python<'_>, form: PyProblem<'_>, rows: Py<PyAny>, threads: usize) -> PyResult<Self> {
        let described = form.with(|form| {
            let source = PySource::new(rows, form, false);
            door::enter(py, None, |watch| Described::new(source, form, threads, watch))
        })?;
        Ok(Self { state: State::Described(described.map_err(|failure| raised(py, failure))?) })
    }

    /// What the other shards must know of these rows: their number, and a message.
    fn facts<'py>(&self, py: Python<'py>) -> PyResult<(usize, Bound<'py, PyBytes>)> {
        let State::Described(described) = &self.state else { return Err(out_of_turn("facts")) };
        let facts = described.facts();
        Ok((facts.n_queries, PyBytes::new(py, &packed(facts))))
    }

    /// Takes the facts of all rows; these begin with query `first`.
    fn agree(&mut self, facts: &[u8], first: usize) -> PyResult<()> {
        let State::Described(described) = std::mem::replace(&mut self.state, State::Broken) else {
            return Err(out_of_turn("agree"));
        };
        self.state = State::Agreed(described.agree(unpacked(facts)?, first));
        Ok(())
    }

    /// Answers a question of `solve_shards`.
    fn answer<'py>(&mut self, py: Python<'py>, question: &str, message: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
        let State::Agreed(part) = &mut self.state else { return Err(out_of_turn(question)) };
        let answer = match door::enter(py, None, |watch| answer(part, question, message, watch)) {
            Ok(answer) => answer?,
            Err(error) => {
                self.state = State::Broken;
                return Err(error);
            }
        };
        match (answer, part.failure()) {
            (_, Some(failure)) => Err(raised(py, failure)),
            (Ok(bytes), None) => Ok(PyBytes::new(py, &bytes)),
            (Err(_), None) => Err(PyValueError::new_err("the pass was stopped")),
        }
    }

    /// The models of the plan that is held, (n,) int32; asked once, at the end.
    fn assignment<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let State::Agreed(part) = &mut self.state else { return Err(out_of_turn("assignment")) };
        Ok(py.detach(|| part.assignment()).into_pyarray(py).into_any())
    }
}

fn out_of_turn(question: &str) -> PyErr {
    PyValueError::new_err(format!("the shard was asked for {question} out of turn"))
}

/// The outer result is about the message, the inner one about the pass.
fn answer(
    part: &mut Part<Chunked<PySource>>,
    question: &str,
    message: &[u8],
    watch: &dyn Watch,
) -> PyResult<Result<Vec<u8>, Interrupted>> {
    Ok(match question {
        "evaluate" => {
            let (goal, prices): (Goal, Vec<f64>) = unpacked(message)?;
            part.evaluate(goal, &prices, watch).map(|point| packed(&point))
        }
        "screen" => {
            let (goal, screen): (Goal, Screen) = unpacked(message)?;
            part.screen(goal, &screen, watch).map(|kept| packed(&kept))
        }
        "tally" => {
            let changed: Vec<(usize, i32)> = unpacked(message)?;
            part.tally(&changed, watch).map(|sums| packed(&sums))
        }
        "add_up" => {
            let mut sums: Vec<OrderedSum> = unpacked(message)?;
            part.add_up(&mut sums, watch).map(|()| packed(&sums))
        }
        "keep" => {
            part.keep();
            Ok(Vec::new())
        }
        "blocking" => part.blocking(unpacked(message)?, watch).map(|limits| packed(&limits)),
        other => return Err(PyValueError::new_err(format!("question is {other:?}, which a shard does not know"))),
    })
}

fn packed(message: &impl Serialize) -> Vec<u8> {
    // Writing numbers and lists of known length to memory cannot fail.
    to_stdvec(message).unwrap_or_default()
}

fn unpacked<T: DeserializeOwned>(bytes: &[u8]) -> PyResult<T> {
    from_bytes(bytes).map_err(|error| PyValueError::new_err(format!("a message between shards is broken: {error}")))
}

/// Shards behind a Python callable that asks all of them, and another that asks them in turn.
struct Remote {
    ask: Py<PyAny>,
    in_turn: Py<PyAny>,
    raised: Option<PyErr>,
}

impl Remote {
    fn call<T>(&mut self, call: impl FnOnce(Python<'_>, &Self) -> PyResult<T>) -> Result<T, Interrupted> {
        Python::attach(|py| call(py, self)).map_err(|error| {
            self.raised = Some(error);
            Interrupted::Abandoned
        })
    }

    /// The answers of all shards, in order.
    fn ask<T: DeserializeOwned>(&mut self, question: &str, message: &impl Serialize) -> Result<Vec<T>, Interrupted> {
        let message = packed(message);
        self.call(|py, own| {
            let answers: Vec<Vec<u8>> = own.ask.call1(py, (question, PyBytes::new(py, &message)))?.extract(py)?;
            answers.iter().map(|answer| unpacked(answer)).collect()
        })
    }
}

impl Parts for &mut Remote {
    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<Vec<Point>, Interrupted> {
        Ok(self.ask::<Option<Point>>("evaluate", &(goal, prices))?.into_iter().flatten().collect())
    }

    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Vec<Kept>, Interrupted> {
        Ok(self.ask::<Option<Kept>>("screen", &(goal, screen))?.into_iter().flatten().collect())
    }

    fn tally(&mut self, changed: &[(usize, i32)]) -> Result<Vec<PlanSums>, Interrupted> {
        Ok(self.ask::<Option<PlanSums>>("tally", &changed)?.into_iter().flatten().collect())
    }

    fn add_up(&mut self, sums: Vec<OrderedSum>) -> Result<Vec<OrderedSum>, Interrupted> {
        let message = packed(&sums);
        self.call(|py, own| {
            let last: Vec<u8> = own.in_turn.call1(py, ("add_up", PyBytes::new(py, &message)))?.extract(py)?;
            unpacked(&last)
        })
    }

    fn keep(&mut self) -> Result<(), Interrupted> {
        self.call(|py, own| own.ask.call1(py, ("keep", PyBytes::new(py, &[]))).map(drop))
    }

    /// Nothing: plans stay with the shards until the Python face collects them.
    fn assignment(&mut self) -> Result<Vec<i32>, Interrupted> {
        Ok(Vec::new())
    }

    fn blocking(&mut self, query: usize) -> Result<Vec<(usize, usize)>, Interrupted> {
        Ok(self.ask::<Vec<(usize, usize)>>("blocking", &query)?.concat())
    }
}

/// Solves over shards that have agreed; `facts` are their messages. See `omnirouter.solve_oracle`.
#[pyfunction]
#[pyo3(signature = (form, ask, in_turn, facts, settings, start, callback))]
#[allow(clippy::too_many_arguments)] // one argument per part of the call; the Python face names them
pub(crate) fn solve_shards<'py>(
    py: Python<'py>,
    form: PyProblem<'py>,
    ask: Py<PyAny>,
    in_turn: Py<PyAny>,
    facts: &[u8],
    settings: PySettings,
    start: Option<Vec<f64>>,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let (settings, facts) = (to_settings(settings), unpacked::<Facts>(facts)?);
    let mut remote = Remote { ask, in_turn, raised: None };
    let solved = form.with(|form| {
        door::enter(py, callback, |watch| {
            omnirouter_solver::solve_shards(&mut remote, form.clone(), facts, &settings, start.as_deref(), watch)
        })
    })?;
    match remote.raised {
        Some(error) => Err(error),
        None => to_dict(py, solved.map_err(refused)?),
    }
}

/// The facts of all rows from those of all shards, in any order.
#[pyfunction]
pub(crate) fn merge_facts<'py>(py: Python<'py>, facts: Vec<Vec<u8>>) -> PyResult<Bound<'py, PyBytes>> {
    let mut all: Vec<Facts> = facts.iter().map(|facts| unpacked(facts)).collect::<PyResult<_>>()?;
    let mut merged = all.pop().ok_or_else(|| PyValueError::new_err("there are no shards"))?;
    all.iter().for_each(|facts| merged.merge(facts));
    Ok(PyBytes::new(py, &packed(&merged)))
}
