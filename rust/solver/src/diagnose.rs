//! Infeasible: a certificate, which limits conflict, and how near each can be met while all others hold.

use crate::ascent::{Ascended, Ascent};
use crate::eased::Eased;
use crate::oracle::{DualOracle, Goal, Screen, Watch};
use crate::plan::plan;
use crate::problem::LimitId;
use crate::relax::{self, left_over, relax, Relaxation};
use crate::rows::Scale;
use crate::searched::round_to_grain;
use crate::settings::Settings;
use crate::solution::Conflict;

/// Limits for which the nearest value is computed; each costs about one solve. As a goal of its own it may cost many, so of more
/// pairs than this in all only the first few are.
const MOST_LIMITS: usize = 12;
const MOST_PAIRS: usize = 1 << 21;
const FEW_LIMITS: usize = 2;
/// Pairs priced in all for the bounds of further limits, a pass for each: much less than a second.
const BOUND_PAIRS: usize = 1 << 27;
/// Gap of these solves, and the share of the nodes they may visit: the proof that there is no plan stands already.
const NEAREST_GAP: f64 = 1e-6;
const NODE_SHARE: usize = 500;
/// Prices below this, beside the largest, are taken for rounding errors where the others do without them.
const NOISE: f64 = 1e-9;
/// The gap with which any plan will do.
const ANY_PLAN: f64 = 0.5;
/// A value nearer to a whole number than this, relative to it, is one; larger ones are no counts.
const WHOLE: f64 = 1e-9;
const LARGEST_COUNT: f64 = 1e8;
/// Prices of limits above which a limit holds another, in the units of the rows.
const HOLDS: f64 = 1e-7;

/// For each limit involved, the nearest value that some plan reaches within all the others. `ray` proves the conflict, where one
/// does.
pub(crate) fn conflicts<O: DualOracle>(
    oracle: &mut O,
    involved: &[usize],
    ray: Option<&[f64]>,
    settings: &Settings,
    watch: &dyn Watch,
) -> Vec<Conflict> {
    let brief = Settings { rel_gap: NEAREST_GAP, node_limit: settings.node_limit / NODE_SHARE, ..settings.clone() };
    let pairs = oracle.n_queries() * oracle.n_models();
    let (mut alone, bounded) = ((MOST_PAIRS / pairs).max(FEW_LIMITS), MOST_LIMITS + BOUND_PAIRS / pairs);
    let mut out = Vec::with_capacity(involved.len());
    for (at, &k) in involved.iter().enumerate() {
        let limit = oracle.limits().ids[k];
        let sign = oracle.limits().sign[limit.resource];
        let of_ray = ray.filter(|_| at < bounded).and_then(|ray| least(oracle, k, ray, watch));
        let mut found = None;
        if at < MOST_LIMITS {
            found = of_ray.and_then(|least| reached(oracle, k, least, &brief, watch));
            if found.is_none() && alone > 0 {
                alone -= 1;
                found = Some(counted_alone(oracle, k, &brief, watch));
            }
        }
        let found = found.unwrap_or(Nearest::Unknown);
        let idle = found == Nearest::NeverMet;
        let held = || ray.map_or_else(Vec::new, |ray| holders(oracle, k, |l| ray[l] > 0.0));
        let (reachable, bound, held_by) = match found {
            Nearest::Alone(usage, bound, holders) => (Some(usage), Some(bound), holders),
            Nearest::Reached(usage) => (Some(usage), of_ray, held()),
            Nearest::Unknown => (None, of_ray, held()),
            Nearest::NeverMet => (None, None, Vec::new()),
        };
        let (asked, bound) = (sign * oracle.limits().values[k], bound.map(|bound| sign * bound));
        out.push((Conflict { limit, asked, reachable, bound, held_by }, idle));
    }
    // A limit without which the others still conflict is no part of the reason, where there is another.
    let reason = out.iter().any(|(conflict, _)| conflict.reachable.is_some());
    out.into_iter().filter(|(_, idle)| !(reason && *idle)).map(|(conflict, _)| conflict).collect()
}

/// What a ray says of one of its limits: no plan within the others uses less of it, in the sign of `sign * usage <= value`. It takes
/// a pass: pairs that pass this limit alone count again.
fn least<O: DualOracle>(oracle: &mut O, k: usize, ray: &[f64], watch: &dyn Watch) -> Option<f64> {
    if ray[k] <= 0.0 {
        return None;
    }
    let per_unit = |(l, price): (usize, &f64)| if l == k { 0.0 } else { price / ray[k] };
    let prices: Vec<f64> = ray.iter().enumerate().map(per_unit).collect();
    relax::proven_at(oracle, Goal::Usage(k), &prices, watch).ok().filter(|least| least.is_finite())
}

/// Looks for a plan that uses just what a ray says is needed, where that is a number of queries, by the problem's own objective:
/// counting them alone, as a goal, ties nearly all pairs.
fn reached<O: DualOracle>(
    oracle: &mut O,
    k: usize,
    least: f64,
    brief: &Settings,
    watch: &dyn Watch,
) -> Option<Nearest> {
    let whole = |x: f64| (x - x.round()).abs() <= WHOLE * x.abs();
    if !(whole(oracle.limits().values[k]) && whole(least)) || least.abs() > LARGEST_COUNT {
        return None;
    }
    let any = Settings { rel_gap: ANY_PLAN, ..brief.clone() };
    let mut eased = Eased::new(oracle, k, least.round());
    let Ok(Relaxation::Solved(relaxed)) = relax(&mut eased, Goal::Objective, &any, None, watch) else { return None };
    // Where amounts differ, to meet them to the last one is a puzzle of its own.
    let mut used = relaxed.rows.usage.iter().zip(&relaxed.rows.limit).filter(|(_, &limit)| limit as usize == k);
    let first = used.next().map(|(usage, _)| *usage);
    if used.any(|(usage, _)| Some(*usage) != first) {
        return None;
    }
    let planned = plan(&mut eased, Goal::Objective, &relaxed, &any, watch);
    planned.plan.map(|tally| Nearest::Reached(tally.usage[k]))
}

/// Lifts a limit and optimises what it measures under all the others.
fn counted_alone<O: DualOracle>(oracle: &mut O, k: usize, brief: &Settings, watch: &dyn Watch) -> Nearest {
    let goal = Goal::Usage(k);
    match relax(oracle, goal, brief, None, watch) {
        Ok(Relaxation::Solved(relaxed)) => {
            let planned = plan(oracle, goal, &relaxed, brief, watch);
            match planned.plan {
                Some(tally) => {
                    let holders = holders(oracle, k, |l| relaxed.prices[l] > HOLDS);
                    Nearest::Alone(tally.usage[k], planned.bound, holders)
                }
                None if planned.impossible => Nearest::NeverMet,
                None => Nearest::Unknown,
            }
        }
        Ok(Relaxation::Conflict(_) | Relaxation::Stranded(_)) => Nearest::NeverMet,
        _ => Nearest::Unknown,
    }
}

/// The limits other than `k` that hold it where it is.
fn holders<O: DualOracle>(oracle: &O, k: usize, holds: impl Fn(usize) -> bool) -> Vec<LimitId> {
    let ids = oracle.limits().ids.iter().enumerate();
    ids.filter(|&(l, _)| l != k && holds(l)).map(|(_, id)| *id).collect()
}

/// The same ray in prices that are easier to read, where these prove as much: without noise, the least price 1.
pub(crate) fn tidy<O: DualOracle>(oracle: &mut O, ray: Vec<f64>, watch: &dyn Watch) -> Vec<f64> {
    let largest = ray.iter().fold(0.0, |most: f64, price| most.max(*price));
    let kept = ray.iter().map(|&price| if price > NOISE * largest { price } else { 0.0 });
    let kept: Vec<f64> = kept.collect();
    let least = kept.iter().copied().filter(|&price| price > 0.0).fold(f64::INFINITY, f64::min);
    let whole = |ratio: f64| if (ratio - ratio.round()).abs() < NOISE * ratio { ratio.round() } else { ratio };
    let tidied: Vec<f64> = kept.into_iter().map(|price| whole(price / least)).collect();
    match relax::proven_at(oracle, Goal::Feasibility, &tidied, watch) {
        Ok(missing) if missing > 0.0 => tidied,
        _ => ray.into_iter().map(|price| price.max(0.0)).collect(),
    }
}

/// A ray for limits that are rounded to the grain of what is used under them: it exists for many problems whose relaxation has a
/// plan, although none is whole.
pub(crate) fn rounded_ray<O: DualOracle>(oracle: &mut O, watch: &dyn Watch) -> Option<Vec<f64>> {
    let n_limits = oracle.limits().ids.len();
    let mut rows = oracle.screen(Goal::Feasibility, &Screen::everything(n_limits, 0, 0)).ok()?;
    let scale = Scale::of(&rows);
    rows.rescale(&scale);
    let given = left_over(oracle, Goal::Feasibility, &rows, &scale);
    let mut limit = given.clone();
    round_to_grain(&rows, &mut limit);
    if limit == given {
        return None;
    }
    let Ok(Ascended::Unbounded(ray)) =
        Ascent::new(&rows, limit.clone(), &vec![0.0; n_limits]).run(f64::INFINITY, watch)
    else {
        return None;
    };
    let priced: Vec<f64> = ray.iter().map(|price| price.max(0.0)).chain([0.0]).collect();
    let least = |row: usize| rows.pairs(row).map(|pair| rows.dot(pair, &priced)).fold(f64::INFINITY, f64::min);
    let needed: f64 = (0..rows.len()).map(least).sum();
    let (mut paid, mut size, mut gained) = (0.0, 0.0, false);
    for ((price, limit), given) in priced.iter().zip(&limit).zip(&given) {
        paid += price * limit;
        size += (price * limit).abs();
        gained |= *price > 0.0 && limit != given;
    }
    // Without a rounded limit the relaxation had shown as much, but for rounding errors.
    (gained && needed - paid > NOISE * (needed.abs() + size)).then(|| scale.to_problem(&priced[..n_limits]))
}

/// What lifting a limit gives.
#[derive(Clone, PartialEq)]
enum Nearest {
    /// A plan with this usage, in the user's sign, the bound on it, and the limits that hold it there.
    Alone(f64, f64, Vec<LimitId>),
    /// A plan with this usage, as near as a ray lets it come.
    Reached(f64),
    /// The others cannot be met either.
    NeverMet,
    /// Not found out.
    Unknown,
}
