//! Infeasible: which limits conflict, and how near each can be met while all others hold.

use crate::oracle::{DualOracle, Goal, Watch};
use crate::plan::plan;
use crate::relax::{relax, Relaxation};
use crate::settings::Settings;
use crate::solution::Conflict;

/// Limits for which the nearest value is computed; each costs about one solve.
const MOST_LIMITS: usize = 12;
/// Gap of these solves, and the share of the nodes they may visit: the proof that there is no plan stands already.
const NEAREST_GAP: f64 = 1e-6;
const NODE_SHARE: usize = 100;

/// For each limit involved, lifts it and optimises what it measures under all the others.
pub(crate) fn conflicts<O: DualOracle>(
    oracle: &mut O,
    involved: &[usize],
    settings: &Settings,
    watch: &dyn Watch,
) -> Vec<Conflict> {
    let brief = Settings { rel_gap: NEAREST_GAP, node_limit: settings.node_limit / NODE_SHARE, ..settings.clone() };
    let nearest = |oracle: &mut O, k: usize| {
        let goal = Goal::Usage(k);
        match relax(oracle, goal, &brief, None, watch) {
            Ok(Relaxation::Solved(relaxed)) => {
                let planned = plan(oracle, goal, &relaxed, &brief, watch);
                (planned.plan.map(|(_, tally)| tally.usage[k]), Some(planned.bound))
            }
            _ => (None, None),
        }
    };
    let mut out = Vec::with_capacity(involved.len());
    for (at, &k) in involved.iter().enumerate() {
        let limit = oracle.limits().ids[k];
        let sign = oracle.limits().sign[limit.resource];
        let (reachable, bound) = if at < MOST_LIMITS { nearest(oracle, k) } else { (None, None) };
        let (asked, bound) = (sign * oracle.limits().values[k], bound.map(|bound| sign * bound));
        out.push(Conflict { limit, asked, reachable, bound });
    }
    out
}
