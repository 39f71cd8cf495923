//! What the outer algorithm may ask about the rows, wherever they live.

use serde::{Deserialize, Serialize};

use crate::problem::Limits;
use crate::rows::Rows;

/// What is minimised: the objective of the problem, or what one limit uses (to find the nearest reachable value).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// The problem's own objective, negated where it is maximised.
    Objective,
    /// The usage under one limit, given by its position; that limit itself is lifted.
    Usage(usize),
    /// Nothing: only the limits count, so a positive dual value proves that they conflict.
    Feasibility,
}

/// A point of the dual: prices of all limits, each >= 0, in the units of the problem, for `sign * usage <= limit`.
pub type Prices = [f64];

/// Sums of one pass at given prices. Points of disjoint sets of rows add up.
#[derive(Debug, Clone, PartialEq)]
pub struct DualPoint {
    /// Sum over queries of the least priced objective.
    pub value: f64,
    /// A bound of the rounding error of `value`.
    pub error: f64,
    /// What the cheapest pairs use under each limit, in the sign of `sign * usage <= limit`.
    pub usage: Vec<f64>,
    /// First query without an allowed model.
    pub stranded: Option<usize>,
}

impl DualPoint {
    /// What prices too large for the arithmetic prove.
    pub(crate) fn nothing(n_limits: usize) -> Self {
        Self { value: f64::NEG_INFINITY, error: 0.0, usage: vec![0.0; n_limits], stranded: None }
    }
}

/// Which pairs a screening pass keeps: those that can be the choice of their query somewhere in the box
/// `prices ± half_width`, or whose priced objective is within `slack` of the best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Screen {
    /// Centre of the box.
    pub prices: Vec<f64>,
    /// Half width per limit; infinity keeps every allowed pair.
    pub half_width: Vec<f64>,
    /// Extra distance.
    pub slack: f64,
    /// Number of sampled queries, one from each of as many equal stretches; 0 takes all.
    pub sample: usize,
    /// Seed of the sample.
    pub seed: u64,
}

impl Screen {
    /// Keeps every allowed pair of the sampled queries.
    pub(crate) fn everything(n_limits: usize, sample: usize, seed: u64) -> Self {
        Self { prices: vec![0.0; n_limits], half_width: vec![f64::INFINITY; n_limits], slack: 0.0, sample, seed }
    }
}

/// What a plan adds up to, summed so that the order of the rows does not matter.
#[derive(Debug, Clone, PartialEq)]
pub struct Tally {
    /// Sum of each input matrix over the plan.
    pub inputs: Vec<f64>,
    /// Queries per model.
    pub load: Vec<u64>,
    /// Usage under each limit, in the user's sign.
    pub usage: Vec<f64>,
    /// Positions of limits that the plan breaks, compared in float64.
    pub broken: Vec<usize>,
    /// Whether the plan takes a forbidden pair.
    pub forbidden: bool,
}

/// Rows of the problem, seen only through sums. See `docs/method.md`.
pub trait DualOracle {
    /// Number of queries.
    fn n_queries(&self) -> usize;
    /// Number of models.
    fn n_models(&self) -> usize;
    /// The finite limits.
    fn limits(&self) -> &Limits;
    /// +1 where the problem's objective is minimised, -1 where it is maximised.
    fn sign(&self) -> f64;
    /// The goal's value for a plan with these sums, minimised.
    fn goal_of(&self, goal: Goal, tally: &Tally) -> f64;
    /// A bound of the rounding error of one query's priced objective.
    fn rounding(&self, goal: Goal, prices: &Prices) -> f64;
    /// One pass: the dual value at `prices`.
    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<DualPoint, Interrupted>;
    /// One pass: the rows in which more than one pair can be the choice, and sums of the others.
    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Rows, Interrupted>;
    /// Sums over a plan, and the limits it breaks. The plan gives each query its cheapest model in the last screening pass
    /// over all rows, but for the queries that are listed; of several entries for a query the last counts.
    fn tally(&mut self, changed: &[(usize, i32)]) -> Result<Tally, Interrupted>;
    /// Holds on to the plan that was added up last.
    fn keep(&mut self) -> Result<(), Interrupted>;
    /// The model of each query in the plan that is held; no further pass is asked for after this.
    fn assignment(&mut self) -> Result<Vec<i32>, Interrupted>;
    /// The limits that each pass alone keeps a query from some model; empty where only forbidden pairs do.
    fn blocking(&mut self, query: usize) -> Result<Vec<usize>, Interrupted>;
    /// Passes over all rows so far.
    fn passes(&self) -> usize;
}

/// Why a pass or a search ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupted {
    /// The time limit is over.
    TimeLimit,
    /// The caller asked to stop.
    Stopped,
    /// The caller wants no result any more.
    Abandoned,
}

/// Where a solve stands, for logs, progress bars and callbacks. Values are in the units and sign of the problem.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What is being done.
    pub phase: &'static str,
    /// Queries this phase works on.
    pub queries: usize,
    /// Best proven bound, NaN before there is one.
    pub bound: f64,
    /// Objective of the best plan, NaN before there is one.
    pub objective: f64,
}

/// Asked and told often, from the thread that called.
pub trait Watch {
    /// Whether to go on; `Err` ends the solve, and the best plan so far is kept.
    fn poll(&self) -> Result<(), Interrupted>;
    /// Takes note of progress; `Err` as for `poll`.
    fn report(&self, progress: &Progress) -> Result<(), Interrupted>;
}
