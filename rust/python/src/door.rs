//! The one door for long calls: the interpreter is released, Ctrl-C and callbacks are served from the calling thread.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use omnirouter_solver::{Interrupted, Progress, Watch};
use pyo3::prelude::*;

/// Time between two looks at Python's signals.
const LOOK_EVERY: Duration = Duration::from_millis(30);

/// Runs `work` without the interpreter; what Python raised meanwhile is raised as it was.
pub(crate) fn enter<T: Send>(
    py: Python<'_>,
    callback: Option<Py<PyAny>>,
    work: impl FnOnce(&dyn Watch) -> T + Send,
) -> PyResult<T> {
    let (result, raised) = py.detach(|| {
        let watch = PythonWatch { callback, looked: Cell::new(Instant::now()), raised: RefCell::new(None) };
        let result = work(&watch);
        (result, watch.raised.into_inner())
    });
    match raised {
        Some(error) => Err(error),
        None => Ok(result),
    }
}

struct PythonWatch {
    callback: Option<Py<PyAny>>,
    looked: Cell<Instant>,
    raised: RefCell<Option<PyErr>>,
}

impl PythonWatch {
    fn stop(&self, error: PyErr) -> Result<(), Interrupted> {
        *self.raised.borrow_mut() = Some(error);
        Err(Interrupted::Abandoned)
    }
}

impl Watch for PythonWatch {
    fn poll(&self) -> Result<(), Interrupted> {
        if self.raised.borrow().is_some() {
            return Err(Interrupted::Abandoned);
        }
        if self.looked.get().elapsed() < LOOK_EVERY {
            return Ok(());
        }
        self.looked.set(Instant::now());
        Python::attach(|py| py.check_signals()).or_else(|error| self.stop(error))
    }

    fn report(&self, progress: &Progress) -> Result<(), Interrupted> {
        self.poll()?;
        let Some(callback) = &self.callback else { return Ok(()) };
        let arguments = (progress.phase, progress.queries, progress.bound, progress.objective);
        let answer = Python::attach(|py| callback.bind(py).call1(arguments)?.is_truthy());
        match answer {
            Ok(false) => Ok(()),
            Ok(true) => Err(Interrupted::Stopped),
            Err(error) => self.stop(error),
        }
    }
}
