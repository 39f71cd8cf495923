//! What a solve returns.

use crate::oracle::Tally;
use crate::problem::LimitId;

/// How a solve ended. New values go at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// The gap is proven to be at most `rel_gap`.
    Optimal,
    /// A plan that meets every limit, with a larger proven gap.
    Feasible,
    /// Proven: no plan meets every limit.
    Infeasible,
    /// The search gave up without a plan and without a proof that there is none.
    IterationLimit,
    /// The time limit came first; the best plan so far, if any, is kept.
    TimeLimit,
    /// The caller stopped it; the best plan so far, if any, is kept.
    Stopped,
}

/// A limit that cannot be met together with the others.
#[derive(Debug, Clone, PartialEq)]
pub struct Conflict {
    /// Which limit.
    pub limit: LimitId,
    /// Its value, as the user gave it.
    pub asked: f64,
    /// The nearest value some plan reaches within all other limits; `None` where none was found: the others
    /// conflict too, or it was not computed.
    pub reachable: Option<f64>,
    /// No plan within all other limits comes nearer than this.
    pub bound: Option<f64>,
    /// Which of the others hold it there: those with a price at the nearest value.
    pub held_by: Vec<LimitId>,
}

/// Why no plan meets every limit, in a form that others can check.
#[derive(Debug, Clone, PartialEq)]
pub enum Certificate {
    /// Prices at which every plan costs more than the limits pay (Farkas).
    Ray {
        /// One per limit, >= 0, in the units of the problem.
        prices: Vec<f64>,
        /// Whether the limits must first be rounded to the grain of what is used under them.
        rounded: bool,
    },
    /// This query has no allowed model, or passes a limit alone on every one.
    Query(usize),
    /// A search has tried everything.
    Search,
}

/// Counts of the work done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Info {
    /// Reads of all rows.
    pub passes: usize,
    /// Nodes of the search.
    pub nodes: usize,
    /// Seconds until the multipliers were found.
    pub relax_time: f64,
    /// Seconds spent on the plan and its proof.
    pub search_time: f64,
    /// Seconds in all.
    pub total_time: f64,
}

/// A plan with its proof, in the units and signs of the problem.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// How it ended.
    pub status: Status,
    /// The model of each query, or nothing; never half a plan.
    pub assignment: Option<Vec<i32>>,
    /// Sums over the plan.
    pub tally: Option<Tally>,
    /// Objective of the plan; NaN without one.
    pub objective: f64,
    /// No plan is better than this.
    pub bound: f64,
    /// What the multipliers alone prove: the part of the bound that anybody can recompute from [`Solution::duals`].
    pub dual_bound: f64,
    /// `|bound - objective| / max(|bound|, |objective|)`; infinity without a plan.
    pub gap: f64,
    /// One multiplier per limit, >= 0: gain in the objective per unit of the limit.
    pub duals: Vec<f64>,
    /// The limits the multipliers belong to.
    pub limits: Vec<LimitId>,
    /// Of an infeasible problem: the limits that cannot hold together.
    pub conflicts: Vec<Conflict>,
    /// Of an infeasible problem: why there is no plan.
    pub certificate: Option<Certificate>,
    /// Counts and times.
    pub info: Info,
}

/// `|bound - objective|` relative to the larger of both; what float64 sums cannot tell apart is 0.
pub fn relative_gap(objective: f64, bound: f64) -> f64 {
    let scale = objective.abs().max(bound.abs());
    if scale == 0.0 {
        return 0.0;
    }
    let gap = (bound - objective).abs() / scale;
    if gap.is_nan() {
        f64::INFINITY
    } else if gap < 1e-12 {
        0.0
    } else {
        gap
    }
}
