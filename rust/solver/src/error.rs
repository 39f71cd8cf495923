//! What can be wrong with a call. How a solve ends is [`crate::Status`]; the two lists never mix.

use thiserror::Error;

/// A refused input: names the argument, what came and what was expected.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum InputError {
    /// No queries or no models.
    #[error("the problem has {n_queries} queries and {n_models} models, expected at least 1 of each")]
    Empty {
        /// Rows that came.
        n_queries: usize,
        /// Columns that came.
        n_models: usize,
    },
    /// More models than a plan can name.
    #[error("the problem has {n_models} models, expected at most {most}")]
    TooManyModels {
        /// Columns that came.
        n_models: usize,
        /// The most that are taken.
        most: usize,
    },
    /// An array of the wrong length.
    #[error("{name} has {got} entries, expected {expected} = {meaning}")]
    Length {
        /// Argument.
        name: String,
        /// Entries that came.
        got: usize,
        /// Entries expected.
        expected: usize,
        /// What the expected number stands for, such as `n_models`.
        meaning: &'static str,
    },
    /// NaN or an infinity in a matrix.
    #[error("{name}[{query}, {model}] is {value}, expected a finite number")]
    NotFinite {
        /// Argument.
        name: String,
        /// Row of the first bad entry.
        query: usize,
        /// Column of the first bad entry.
        model: usize,
        /// The bad entry.
        value: f64,
    },
    /// A negative number where money or another amount is expected.
    #[error("{name}[{query}, {model}] is {value}, expected a number >= 0")]
    Negative {
        /// Argument.
        name: String,
        /// Row of the first bad entry.
        query: usize,
        /// Column of the first bad entry.
        model: usize,
        /// The bad entry.
        value: f64,
    },
    /// A number above the range of its matrix.
    #[error("{name}[{query}, {model}] is {value}, expected a number in [0, {most}]")]
    TooLarge {
        /// Argument.
        name: String,
        /// Row of the first bad entry.
        query: usize,
        /// Column of the first bad entry.
        model: usize,
        /// The bad entry.
        value: f64,
        /// The end of the range.
        most: f64,
    },
    /// A number so large that sums of such numbers could overflow.
    #[error("{name}[{query}, {model}] is {value:e}, expected a number within ±{most:e}; use larger units")]
    OutOfRange {
        /// Argument.
        name: String,
        /// Row of the first bad entry.
        query: usize,
        /// Column of the first bad entry.
        model: usize,
        /// The bad entry.
        value: f64,
        /// The largest magnitude.
        most: f64,
    },
    /// Nothing but numbers so small that float64 loses digits.
    #[error("the largest magnitude in {name} is {largest:e}, expected 0 or at least {least:e}; use smaller units")]
    TooSmall {
        /// Argument.
        name: String,
        /// Largest magnitude that came.
        largest: f64,
        /// The least that is taken.
        least: f64,
    },
    /// A bad number in a vector.
    #[error("{name}[{index}] is {value}, expected {expected}")]
    Entry {
        /// Argument.
        name: String,
        /// Position of the first bad entry.
        index: usize,
        /// The bad entry.
        value: f64,
        /// What was expected.
        expected: &'static str,
    },
    /// A setting outside its range.
    #[error("{name} is {value}, expected {expected}")]
    Setting {
        /// Argument.
        name: &'static str,
        /// What came.
        value: f64,
        /// The range.
        expected: &'static str,
    },
}
