//! The same rows with one limit moved: what a diagnosis asks for to show how near a limit can be met.

use crate::oracle::{DualOracle, DualPoint, Goal, Interrupted, Prices, Screen, Tally};
use crate::problem::Limits;
use crate::rows::Rows;

/// An oracle in which one limit has another value.
pub(crate) struct Eased<'o, O> {
    oracle: &'o mut O,
    limits: Limits,
    moved: usize,
}

impl<'o, O: DualOracle> Eased<'o, O> {
    /// Limit `moved` becomes `value`, in the sign of `sign * usage <= value`.
    pub(crate) fn new(oracle: &'o mut O, moved: usize, value: f64) -> Self {
        let mut limits = oracle.limits().clone();
        limits.values[moved] = value;
        Self { oracle, limits, moved }
    }
}

impl<O: DualOracle> DualOracle for Eased<'_, O> {
    fn n_queries(&self) -> usize {
        self.oracle.n_queries()
    }

    fn n_models(&self) -> usize {
        self.oracle.n_models()
    }

    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn sign(&self) -> f64 {
        self.oracle.sign()
    }

    fn goal_of(&self, goal: Goal, tally: &Tally) -> f64 {
        self.oracle.goal_of(goal, tally)
    }

    fn rounding(&self, goal: Goal, prices: &Prices) -> f64 {
        self.oracle.rounding(goal, prices)
    }

    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<DualPoint, Interrupted> {
        self.oracle.evaluate(goal, prices)
    }

    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Rows, Interrupted> {
        self.oracle.screen(goal, screen)
    }

    fn tally(&mut self, changed: &[(usize, i32)]) -> Result<Tally, Interrupted> {
        let mut tally = self.oracle.tally(changed)?;
        let k = self.moved;
        tally.broken.retain(|&broken| broken != k);
        if self.limits.sign[self.limits.ids[k].resource] * tally.usage[k] > self.limits.values[k] {
            tally.broken.push(k);
        }
        Ok(tally)
    }

    fn keep(&mut self) -> Result<(), Interrupted> {
        self.oracle.keep()
    }

    fn assignment(&mut self) -> Result<Vec<i32>, Interrupted> {
        self.oracle.assignment()
    }

    fn blocking(&mut self, query: usize) -> Result<Vec<usize>, Interrupted> {
        self.oracle.blocking(query)
    }

    fn passes(&self) -> usize {
        self.oracle.passes()
    }
}
