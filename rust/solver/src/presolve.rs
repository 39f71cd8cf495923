//! What no plan can do: use a pair that alone passes a limit, or meet a limit that the least numbers miss.

use crate::oracle::{DualOracle, Goal, Interrupted, Screen};
use crate::problem::{Magnitudes, Problem, Relation, Usage};
use crate::relax::{left_over, Relaxed};

/// Sums nearer to a limit than this, relative to it, are added up exactly.
const NEAR: f64 = 1e-9;

/// (n, m), C order: false where the pair is forbidden or passes a limit by itself; `None` where no limit can do that.
///
/// Where nothing that counts under a limit is negative, a sum is never below any of its terms, in float64 too.
pub(crate) fn open_pairs(problem: &Problem<'_>, magnitudes: &Magnitudes) -> Option<Vec<bool>> {
    let blocking: Vec<usize> = (0..problem.resources.len()).filter(|&r| can_block(problem, magnitudes, r)).collect();
    if blocking.is_empty() {
        return None;
    }
    let (n, m) = (problem.n_queries, problem.n_models);
    let fits = |i: usize, j: usize| blocking.iter().all(|&r| !passes(problem, r, i, j));
    Some((0..n * m).map(|at| problem.allows(at / m, at % m) && fits(at / m, at % m)).collect())
}

/// The limits, as (resource, member), that the pairs of a query pass by themselves.
pub(crate) fn blocking(problem: &Problem<'_>, magnitudes: &Magnitudes, i: usize) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    for r in (0..problem.resources.len()).filter(|&r| can_block(problem, magnitudes, r)) {
        for j in (0..problem.n_models).filter(|&j| problem.allows(i, j) && passes(problem, r, i, j)) {
            let limit = (r, problem.member(r, i, j));
            if !out.contains(&limit) {
                out.push(limit);
            }
        }
    }
    out
}

fn passes(problem: &Problem<'_>, r: usize, i: usize, j: usize) -> bool {
    problem.usage(r, i, j) > problem.resources[r].limits[problem.member(r, i, j)]
}

/// Usage that is the same for all queries is left to the multipliers, which say what is reachable instead.
fn can_block(problem: &Problem<'_>, magnitudes: &Magnitudes, r: usize) -> bool {
    let resource = &problem.resources[r];
    if resource.relation == Relation::AtLeast {
        return false;
    }
    let least = resource.limits.iter().copied().fold(f64::INFINITY, f64::min);
    match resource.usage {
        Usage::One(_) | Usage::PerModel(_) => false,
        Usage::PerQuery(_) | Usage::Dense(_) => !magnitudes.negative[r] && magnitudes.usage[r] > least,
    }
}

/// Whether every plan breaks a limit, if only by rounding, because the plan that uses least of it does.
///
/// Where the same queries count under a limit whatever the plan, neither the exact sum, rounded once, nor numpy's ever falls when a
/// number rises. So what the least numbers miss is missed by all; a search among plans that differ by nothing would not end.
pub(crate) fn missed_by_all<O: DualOracle>(oracle: &mut O, goal: Goal, relaxed: &Relaxed) -> Result<bool, Interrupted> {
    if !relaxed.whole {
        return Ok(false);
    }
    let limit = left_over(oracle, goal, &relaxed.rows, &relaxed.scale);
    let (least, moving) = (relaxed.rows.least_usage(), relaxed.rows.moving_limits());
    let touches = |k: usize| (least[k] - limit[k]).abs() <= NEAR * (1.0 + limit[k].abs());
    let near: Vec<usize> = (0..limit.len()).filter(|&k| !moving[k] && touches(k)).collect();
    let everything = Screen::everything(limit.len(), 0, 0);
    for &k in &near {
        let least = Screen { half_width: vec![0.0; limit.len()], ..everything.clone() };
        oracle.screen(Goal::Usage(k), &least)?;
        if oracle.tally(&[])?.broken.contains(&k) {
            return Ok(true);
        }
    }
    if !near.is_empty() {
        // Plans are made from the choices of the last screening.
        oracle.screen(goal, &everything)?;
    }
    Ok(false)
}
