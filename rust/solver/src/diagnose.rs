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
                match planned.plan {
                    Some(tally) => Nearest::Reached(tally.usage[k], planned.bound),
                    None if planned.impossible => Nearest::NeverMet,
                    None => Nearest::Unknown,
                }
            }
            Ok(Relaxation::Conflict(_) | Relaxation::Stranded(_)) => Nearest::NeverMet,
            _ => Nearest::Unknown,
        }
    };
    let mut out = Vec::with_capacity(involved.len());
    for (at, &k) in involved.iter().enumerate() {
        let limit = oracle.limits().ids[k];
        let sign = oracle.limits().sign[limit.resource];
        let found = if at < MOST_LIMITS { nearest(oracle, k) } else { Nearest::Unknown };
        let (reachable, bound) = match found {
            Nearest::Reached(usage, bound) => (Some(usage), Some(sign * bound)),
            Nearest::NeverMet | Nearest::Unknown => (None, None),
        };
        let asked = sign * oracle.limits().values[k];
        out.push((Conflict { limit, asked, reachable, bound }, found == Nearest::NeverMet));
    }
    // A limit without which the others still conflict is no part of the reason, where there is another.
    let reason = out.iter().any(|(conflict, _)| conflict.reachable.is_some());
    out.into_iter().filter(|(_, idle)| !(reason && *idle)).map(|(conflict, _)| conflict).collect()
}

/// What lifting a limit gives.
#[derive(Clone, Copy, PartialEq)]
enum Nearest {
    /// A plan with this usage, in the user's sign, and the bound on it.
    Reached(f64, f64),
    /// The others cannot be met either.
    NeverMet,
    /// Not found out.
    Unknown,
}
