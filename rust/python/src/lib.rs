//! `omnirouter._core`: converts between Python and `omnirouter-solver`, releases the interpreter, and nothing more.

mod arrays;
mod door;
mod oracle;
mod reader;
mod shard;
mod solver;

use pyo3::prelude::*;

#[pymodule(gil_used = false)]
fn _core(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add_function(wrap_pyfunction!(solver::solve, module)?)?;
    module.add_function(wrap_pyfunction!(solver::defaults, module)?)?;
    module.add_function(wrap_pyfunction!(solver::price_ranges, module)?)?;
    module.add_function(wrap_pyfunction!(solver::curve, module)?)?;
    module.add_function(wrap_pyfunction!(oracle::solve_source, module)?)?;
    module.add_function(wrap_pyfunction!(shard::solve_shards, module)?)?;
    module.add_function(wrap_pyfunction!(shard::merge_facts, module)?)?;
    module.add_class::<shard::Shard>()?;
    reader::register(module)
}
