//! The solve, on one page: multipliers, plan, proof; or the limits that conflict.

use std::time::Instant;

use crate::diagnose::{conflicts, rounded_ray, tidy};
use crate::oracle::{DualOracle, Goal, Interrupted, Watch};
use crate::plan::{plan, Planned};
use crate::relax::{relax, Relaxation};
use crate::settings::Settings;
use crate::solution::{relative_gap, Certificate, Info, Solution, Status};

/// Differences in the objective, in rounding errors of its largest number, that count as none.
const HIDDEN: f64 = 6e3;

/// Finds the best plan for the rows of an oracle, with a proof.
///
/// `start` are multipliers of an earlier, similar problem, one per limit. Same input and settings, same answer, bit for bit,
/// for any number of threads (unless time runs out).
pub fn solve<O: DualOracle>(oracle: &mut O, settings: &Settings, start: Option<&[f64]>, watch: &dyn Watch) -> Solution {
    let clock = Instant::now();
    let mut solution = Solution::empty(oracle.limits().ids.clone());
    match relax(oracle, Goal::Objective, settings, start, watch) {
        Ok(Relaxation::Solved(relaxed)) => {
            solution.info.relax_time = clock.elapsed().as_secs_f64();
            solution.duals = relaxed.scale.to_problem(&relaxed.prices);
            solution.dual_bound = oracle.sign() * relaxed.bound;
            let planned = plan(oracle, Goal::Objective, &relaxed, settings, watch);
            let all: Vec<usize> = (0..solution.limits.len()).collect();
            if planned.impossible {
                solution.info.nodes = planned.nodes;
                let certificate = match rounded_ray(oracle, watch) {
                    Some(prices) => Certificate::Ray { prices, rounded: true },
                    None => Certificate::Search,
                };
                explain(oracle, &mut solution, certificate, &all, settings, watch);
            } else {
                conclude(oracle, &mut solution, planned, settings);
            }
        }
        Ok(Relaxation::Conflict(ray)) => {
            let prices = tidy(oracle, ray, watch);
            let involved: Vec<usize> = (0..prices.len()).filter(|&k| prices[k] > 0.0).collect();
            let certificate = Certificate::Ray { prices, rounded: false };
            explain(oracle, &mut solution, certificate, &involved, settings, watch);
        }
        Ok(Relaxation::Stranded(query)) => {
            let blocking = oracle.blocking(query).unwrap_or_default();
            explain(oracle, &mut solution, Certificate::Query(query), &blocking, settings, watch);
        }
        Ok(Relaxation::Undecided) => solution.status = Status::IterationLimit,
        Err(stop) => solution.status = stop.into(),
    }
    solution.info.passes = oracle.passes();
    solution.info.total_time = clock.elapsed().as_secs_f64();
    solution.info.search_time = solution.info.total_time - solution.info.relax_time;
    solution
}

/// Writes the plan and its proof in the sign of the problem.
fn conclude<O: DualOracle>(oracle: &mut O, solution: &mut Solution, mut planned: Planned, settings: &Settings) {
    let sign = oracle.sign();
    solution.info.nodes = planned.nodes;
    solution.bound = sign * planned.bound;
    let assignment = planned.plan.as_ref().and_then(|_| match oracle.assignment() {
        Ok(assignment) => Some(assignment),
        Err(stop) => {
            planned.interrupted = Some(stop);
            None
        }
    });
    if let (Some(assignment), Some(tally)) = (assignment, planned.plan) {
        solution.objective = sign * planned.objective;
        solution.gap = relative_gap(solution.objective, solution.bound);
        let rounding = 4.0 * f64::EPSILON * planned.objective.abs();
        // Multipliers so large that they hide more than float64 hides in the objective itself prove less than "none".
        let unpriced = oracle.rounding(Goal::Objective, &vec![0.0; solution.limits.len()]);
        let most = HIDDEN * unpriced + 4e-12 * planned.objective.abs().min(planned.bound.abs());
        if planned.objective - planned.bound <= (planned.resolution + rounding).min(most.max(rounding)) {
            solution.gap = 0.0;
        }
        if solution.gap == 0.0 && planned.bound > planned.objective {
            solution.bound = solution.objective;
        }
        solution.assignment = Some(assignment);
        solution.tally = Some(tally);
    }
    solution.status = match planned.interrupted {
        _ if solution.assignment.is_some() && solution.gap <= settings.rel_gap => Status::Optimal,
        Some(stop) => stop.into(),
        None if solution.assignment.is_some() => Status::Feasible,
        None => Status::IterationLimit,
    };
}

/// Writes why there is no plan: for each limit involved, the nearest value that the others leave within reach.
fn explain<O: DualOracle>(
    oracle: &mut O,
    solution: &mut Solution,
    certificate: Certificate,
    involved: &[usize],
    settings: &Settings,
    watch: &dyn Watch,
) {
    let ray = match &certificate {
        Certificate::Ray { prices, rounded: false } => Some(prices.as_slice()),
        _ => None,
    };
    solution.status = Status::Infeasible;
    solution.conflicts = conflicts(oracle, involved, ray, settings, watch);
    solution.certificate = Some(certificate);
}

impl From<Interrupted> for Status {
    fn from(stop: Interrupted) -> Self {
        match stop {
            Interrupted::TimeLimit => Self::TimeLimit,
            Interrupted::Stopped | Interrupted::Abandoned => Self::Stopped,
        }
    }
}

impl Solution {
    /// Stopped before there was anything.
    pub(crate) fn stopped(limits: Vec<crate::problem::LimitId>, stop: Interrupted) -> Self {
        Self { status: stop.into(), ..Self::empty(limits) }
    }

    fn empty(limits: Vec<crate::problem::LimitId>) -> Self {
        Self {
            status: Status::IterationLimit,
            assignment: None,
            tally: None,
            objective: f64::NAN,
            bound: f64::NAN,
            dual_bound: f64::NAN,
            gap: f64::INFINITY,
            duals: vec![0.0; limits.len()],
            limits,
            conflicts: Vec::new(),
            certificate: None,
            info: Info::default(),
        }
    }
}
