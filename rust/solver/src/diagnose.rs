//! Infeasible: which limits conflict, and how near each can be met while all others hold.

use crate::oracle::{DualOracle, Goal, Watch};
use crate::plan::plan;
use crate::relax::{relax, Relaxation};
use crate::settings::Settings;
use crate::solution::Conflict;

/// Limits for which the nearest value is computed; each costs about one solve.
const MOST_LIMITS: usize = 12;

/// For each limit involved, lifts it and optimises what it measures under all the others.
pub(crate) fn conflicts<O: DualOracle>(
    oracle: &mut O,
    involved: &[usize],
    settings: &Settings,
    watch: &dyn Watch,
) -> Vec<Conflict> {
    let nearest = |oracle: &mut O, k: usize| {
        let goal = Goal::Usage(k);
        match relax(oracle, goal, settings, None, watch) {
            Ok(Relaxation::Solved(relaxed)) => {
                plan(oracle, goal, &relaxed, settings, watch).plan.map(|(_, tally)| tally.usage[k])
            }
            _ => None,
        }
    };
    let mut out = Vec::with_capacity(involved.len());
    for (at, &k) in involved.iter().enumerate() {
        let limit = oracle.limits().ids[k];
        let asked = oracle.limits().sign[limit.resource] * oracle.limits().values[k];
        let reachable = if at < MOST_LIMITS { nearest(oracle, k) } else { None };
        out.push(Conflict { limit, asked, reachable });
    }
    out
}
