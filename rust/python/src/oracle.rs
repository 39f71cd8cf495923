//! `_core.solve_source`: rows that a Python object gives chunk by chunk, read by a thread while a pass works.

use std::sync::Arc;

use numpy::PyReadonlyArrayDyn;
use omnirouter_solver::{Chunk, Failure, OwnedProblem, Problem, Scope, Source, Usage};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyIterator};

use crate::arrays::{slice, Borrowed};
use crate::door;
use crate::reader;
use crate::solver::{refused, to_dict, to_settings, PyProblem, PySettings};

/// A Python object whose `__iter__` gives the same chunks each time.
pub(crate) struct PySource {
    rows: Py<PyAny>,
    form: Arc<OwnedProblem>,
    may_change: bool,
    iterator: Option<Py<PyIterator>>,
}

/// Arrays of one chunk: those of the inputs, of each resource's usage and groups where they are per query, and of `allowed`.
#[derive(FromPyObject)]
struct PyArrays {
    n_queries: usize,
    inputs: Vec<Py<PyAny>>,
    usage: Vec<Option<Py<PyAny>>>,
    groups: Vec<Option<Py<PyAny>>>,
    allowed: Option<Py<PyAny>>,
}

/// Some rows in numpy arrays, which nobody may change while the chunk is alive.
pub(crate) struct PyChunk {
    form: Arc<OwnedProblem>,
    /// Taken when dropped.
    arrays: Option<PyArrays>,
}

impl PySource {
    pub(crate) fn new(rows: Py<PyAny>, form: &Problem<'_>, may_change: bool) -> Self {
        Self { rows, form: Arc::new(OwnedProblem::without_rows(form)), may_change, iterator: None }
    }
}

impl Source for PySource {
    type Chunk = PyChunk;
    type Error = PyErr;

    fn rewind(&mut self) -> PyResult<()> {
        reader::attached(|py| {
            self.iterator = Some(self.rows.bind(py).try_iter()?.unbind());
            Ok(())
        })
    }

    fn next_chunk(&mut self) -> PyResult<Option<PyChunk>> {
        reader::attached(|py| {
            let Some(iterator) = &self.iterator else { return Ok(None) };
            let Some(next) = iterator.bind(py).clone().next() else { return Ok(None) };
            Ok(Some(PyChunk { form: self.form.clone(), arrays: Some(next?.extract()?) }))
        })
    }

    fn may_change(&self) -> bool {
        self.may_change
    }
}

impl Chunk for PyChunk {
    type Error = PyErr;

    fn lend(&self, visit: &mut (dyn FnMut(&Problem<'_>) + Send)) -> PyResult<()> {
        let Some(arrays) = &self.arrays else { return Ok(()) };
        Python::attach(|py| {
            let mut problem = self.form.view();
            problem.n_queries = arrays.n_queries;
            let named = arrays.inputs.iter().zip(&problem.inputs);
            let inputs = named.map(|(array, input)| Borrowed::new(&input.name, array.bind(py)));
            let inputs: Vec<Borrowed<'_>> = inputs.collect::<PyResult<_>>()?;
            let usage = borrow_all::<f64>(py, &arrays.usage)?;
            let groups = borrow_all::<u32>(py, &arrays.groups)?;
            let allowed: Option<PyReadonlyArrayDyn<'_, bool>> =
                arrays.allowed.as_ref().map(|array| array.extract(py)).transpose()?;
            for (input, array) in problem.inputs.iter_mut().zip(&inputs) {
                input.data = array.matrix(&input.name)?;
            }
            for ((resource, usage), groups) in problem.resources.iter_mut().zip(&usage).zip(&groups) {
                if let Some(array) = usage {
                    resource.usage = Usage::PerQuery(slice(&resource.name, array)?);
                }
                if let Some(array) = groups {
                    resource.scope = Scope::Group(slice(&resource.name, array)?);
                }
            }
            problem.allowed = allowed.as_ref().map(|array| slice("allowed", array)).transpose()?;
            py.detach(|| visit(&problem));
            Ok(())
        })
    }
}

type BorrowedArray<'py, T> = Option<PyReadonlyArrayDyn<'py, T>>;

fn borrow_all<'py, T: numpy::Element>(
    py: Python<'py>,
    arrays: &[Option<Py<PyAny>>],
) -> PyResult<Vec<BorrowedArray<'py, T>>> {
    arrays.iter().map(|array| Ok(array.as_ref().map(|array| array.extract(py)).transpose()?)).collect()
}

impl Drop for PyChunk {
    /// Arrays are let go at once, since the next chunk needs the memory.
    fn drop(&mut self) {
        let arrays = self.arrays.take();
        // Refused, they wait among the references that PyO3 releases later: the interpreter is ending.
        let _ = reader::attached(|_| {
            drop(arrays);
            Ok(())
        });
    }
}

/// Solves a problem without rows over the rows of `source`; raises what the source raised. See `omnirouter.solve_oracle`.
#[pyfunction]
pub(crate) fn solve_source<'py>(
    py: Python<'py>,
    form: PyProblem<'py>,
    source: Py<PyAny>,
    n_queries: usize,
    settings: PySettings,
    start: Option<Vec<f64>>,
    callback: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let settings = to_settings(settings);
    let solved = form.with(|form| {
        let source = PySource::new(source, form, true);
        door::enter(py, callback, |watch| {
            omnirouter_solver::solve_source(source, form.clone(), n_queries, &settings, start.as_deref(), watch)
        })
    })?;
    let (solution, readings) = solved.map_err(|failure| raised(py, failure))?;
    let out = to_dict(py, solution)?;
    out.set_item("readings", readings)?;
    Ok(out)
}

/// What a failed reading raises.
pub(crate) fn raised(py: Python<'_>, failure: Failure<PyErr>) -> PyErr {
    let words = match failure {
        Failure::Input(error) => return refused(error),
        Failure::Source(error) => return error,
        Failure::Changed(chunk) => format!("chunk {chunk} of the oracle is not what it was in the first reading"),
        Failure::Lost => "the thread that reads the oracle has died".to_owned(),
        Failure::Interrupted(_) => "reading the oracle was stopped".to_owned(),
    };
    match py.import("omnirouter.errors").and_then(|errors| errors.getattr("OracleError")?.call1((words,))) {
        Ok(error) => PyErr::from_value(error),
        Err(error) => error,
    }
}
