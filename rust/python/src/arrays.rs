//! numpy arrays as borrowed slices. The Python face has made them C-ordered; nothing is copied or written here.

use numpy::{Element, PyReadonlyArrayDyn};
use omnirouter_solver::Matrix;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

/// An (n, m) array kept borrowed while its slice is in use.
pub(crate) enum Borrowed<'py> {
    F32(PyReadonlyArrayDyn<'py, f32>),
    F64(PyReadonlyArrayDyn<'py, f64>),
}

impl<'py> Borrowed<'py> {
    pub(crate) fn new(name: &str, array: &Bound<'py, PyAny>) -> PyResult<Self> {
        if let Ok(array) = array.extract::<PyReadonlyArrayDyn<'py, f32>>() {
            return Ok(Self::F32(array));
        }
        match array.extract::<PyReadonlyArrayDyn<'py, f64>>() {
            Ok(array) => Ok(Self::F64(array)),
            Err(_) => Err(PyTypeError::new_err(format!("{name} must be a float32 or float64 array"))),
        }
    }

    pub(crate) fn matrix(&self, name: &str) -> PyResult<Matrix<'_>> {
        match self {
            Self::F32(array) => Ok(Matrix::F32(slice(name, array)?)),
            Self::F64(array) => Ok(Matrix::F64(slice(name, array)?)),
        }
    }
}

/// The entries of a C-ordered array.
pub(crate) fn slice<'a, T: Element>(name: &str, array: &'a PyReadonlyArrayDyn<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| PyTypeError::new_err(format!("{name} must be C-ordered and aligned")))
}
