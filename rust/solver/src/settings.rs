//! Settings of a solve, their defaults and ranges: the only place that states them.

use crate::error::InputError;

/// How hard to try. Every field is kept in the result.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Stop when the gap is proven to be at most this, in [0, 1). 0 asks for the proven optimum.
    pub rel_gap: f64,
    /// Seconds; infinity is no limit.
    pub time_limit: f64,
    /// Threads of the passes over the data; 0 takes all the machine offers. Never changes the answer.
    pub threads: usize,
    /// Seed of the sampled rows that give the first multipliers.
    pub seed: u64,
    /// Nodes that the search for a plan may visit in one problem.
    pub node_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { rel_gap: 1e-4, time_limit: f64::INFINITY, threads: 0, seed: 0, node_limit: 1_000_000 }
    }
}

impl Settings {
    /// Refuses values outside their ranges.
    pub fn validate(&self) -> Result<(), InputError> {
        if !(0.0..1.0).contains(&self.rel_gap) {
            return Err(InputError::Setting { name: "rel_gap", value: self.rel_gap, expected: "a number in [0, 1)" });
        }
        if self.time_limit.is_nan() || self.time_limit <= 0.0 {
            let expected = "a number of seconds > 0";
            return Err(InputError::Setting { name: "time_limit", value: self.time_limit, expected });
        }
        Ok(())
    }
}
