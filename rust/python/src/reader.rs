//! Threads that read a source, and the end of the interpreter.
//!
//! A thread that waits for the interpreter when it ends is ended there and then (up to Python 3.13), and with Rust's frames on its
//! stack that aborts the process. So the end waits until readers are out of Python, and lets none in any more: a handler of
//! `atexit` that is older than the import of this module cannot read a source. A solve on a daemon thread is not waited for.

use std::process;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Readers in Python's code, or about to let a chunk go there; the process that counts them; and whether its interpreter is
/// about to end.
static READING: AtomicUsize = AtomicUsize::new(0);
static PROCESS: AtomicU32 = AtomicU32::new(0);
static ENDING: AtomicBool = AtomicBool::new(false);
/// How long the end waits: a source may block for ever.
const PATIENCE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// Has the end of the interpreter wait for readers.
pub(crate) fn register(module: &Bound<'_, PyModule>) -> PyResult<()> {
    PROCESS.store(process::id(), Ordering::SeqCst);
    let wait = wrap_pyfunction!(wait_for_readers, module)?;
    module.py().import("atexit")?.call_method1("register", (wait,))?;
    Ok(())
}

/// Does something in Python on a thread that reads.
pub(crate) fn attached<T>(work: impl FnOnce(Python<'_>) -> PyResult<T>) -> PyResult<T> {
    let _inside = Inside::new();
    if ENDING.load(Ordering::SeqCst) {
        return Err(PyRuntimeError::new_err("the interpreter is ending"));
    }
    Python::attach(work)
}

/// To be called before the interpreter ends.
#[pyfunction]
fn wait_for_readers(py: Python<'_>) {
    ENDING.store(true, Ordering::SeqCst);
    if PROCESS.load(Ordering::SeqCst) != process::id() {
        // A fork has the count of its parent, but none of its threads.
        return;
    }
    py.detach(|| {
        let start = Instant::now();
        while READING.load(Ordering::SeqCst) > 0 && start.elapsed() < PATIENCE {
            std::thread::sleep(LOOK_EVERY);
        }
    });
}

struct Inside;

impl Inside {
    fn new() -> Self {
        READING.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        READING.fetch_sub(1, Ordering::SeqCst);
    }
}
