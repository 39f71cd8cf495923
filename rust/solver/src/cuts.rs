//! Covers: sets of rows that cannot all take a large share of the same limit.
//!
//! What a row uses of a limit, less the least it can use, is a weight; the choices of different rows must fit together into
//! what the leasts leave. If rows `C` with thresholds `t` have `sum t > room`, not all of them can choose a pair of weight
//! `>= t`. Rows outside `C` join in by lifting (Balas 1975): with `mu_h` the sum of the `h` largest thresholds, a pair of weight
//! `>= mu_h` counts `h` times. Why this holds: rows of `C` counted once and others counted `h_1, h_2, ...` times, together
//! `|C|` times, weigh at least `sum t`, since the `mu` of a sum is at most the sum of the `mu`.

use crate::ascent::{Ascended, Ascent};
use crate::oracle::{Interrupted, Watch};
use crate::rows::Rows;
use crate::space::Space;

/// Relative distance by which a cover must pass its limit: more than the check of a plan forgives.
const SAFE: f64 = 1e-8;
/// Least violation, relative to the length of the cut, worth a further limit.
const DEEP: f64 = 0.02;

/// Rounds of cuts in a space, cuts kept in all, and pairs up to which there are any.
const CUT_ROUNDS: usize = 12;
const MOST_CUTS: usize = 40;
const CUT_PAIRS: usize = 20_000;
/// Cuts are worth having when they bring the bound so much nearer to the cutoff.
const WORTH: f64 = 0.05;

/// `sum coefficient * x <= most`, met by every plan.
#[derive(Debug, Clone)]
struct Cut {
    terms: Vec<(usize, f64)>,
    most: f64,
    depth: f64,
}

/// A pair's weight under one limit.
#[derive(Debug, Clone, Copy)]
struct Weight {
    row: usize,
    pair: usize,
    weight: f64,
}

/// Adds covers of the first `n_limits` limits that the vertex breaks while they lift its value; returns the prices reached. Cuts that bring the bound
/// no nearer to the cutoff would only make every node dearer, and are left out.
pub(crate) fn tighten(
    space: &mut Space,
    n_limits: usize,
    prices: &[f64],
    cutoff: f64,
    watch: &dyn Watch,
) -> Result<Vec<f64>, Interrupted> {
    if space.rows.model.len() > CUT_PAIRS {
        return Ok(prices.to_vec());
    }
    let (plain, limit) = (space.rows.clone(), space.limit.clone());
    let mut cuts: Vec<Cut> = Vec::new();
    let (mut prices, mut values) = (prices.to_vec(), Vec::new());
    loop {
        let mut node = Ascent::new(&space.rows, space.limit.clone(), &prices);
        if node.run(cutoff, watch)? != Ascended::Optimal {
            break;
        }
        prices = node.prices().to_vec();
        values.push(node.value());
        let gained = |from: usize| node.value() - values[from] >= WORTH * (cutoff - values[from]);
        let rounds = values.len() - 1;
        if rounds > 0 && !(gained(0) || cutoff == f64::INFINITY) {
            prices.truncate(plain.n_limits);
            (space.rows, space.limit) = (plain, limit);
            break;
        }
        let stalled = rounds > 2 && !gained(rounds - 2) && cutoff < f64::INFINITY;
        let mut found = if stalled || rounds >= CUT_ROUNDS { vec![] } else { covers(&space.rows, n_limits, &node) };
        // What costs nothing here is dropped.
        let mut at = plain.n_limits;
        let mut kept = prices[..at].to_vec();
        cuts.retain(|_| {
            at += 1;
            let keep = prices[at - 1] > 0.0;
            kept.extend(keep.then_some(prices[at - 1]));
            keep
        });
        found.truncate(MOST_CUTS.saturating_sub(cuts.len()));
        kept.extend(vec![0.0; found.len()]);
        let done = found.is_empty();
        cuts.extend(found);
        prices = kept;
        space.limit = limit.iter().copied().chain(cuts.iter().map(|cut| cut.most)).collect();
        space.rows = with_cuts(&plain, &cuts);
        if done {
            break;
        }
    }
    Ok(prices)
}

/// Cuts that the vertex of a node breaks, deepest first; one per limit at most, from the first `n_limits`.
fn covers(rows: &Rows, n_limits: usize, node: &Ascent<'_>) -> Vec<Cut> {
    let mut amount = vec![0.0; rows.model.len()];
    node.key.iter().for_each(|&pair| amount[pair] = 1.0);
    node.fractions().into_iter().for_each(|(_, pair, fraction)| amount[pair] = fraction.clamp(0.0, 1.0));
    let mut cuts: Vec<Cut> = weights(rows, n_limits, node)
        .iter()
        .filter_map(|(weights, room)| deepest(weights, *room, &amount))
        .filter(|cut| cut.depth > DEEP)
        .collect();
    cuts.sort_by(|a, b| b.depth.total_cmp(&a.depth));
    cuts
}

/// Per limit the weights above zero of all open pairs, row by row, and the room for them.
fn weights(rows: &Rows, n_limits: usize, node: &Ascent<'_>) -> Vec<(Vec<Weight>, f64)> {
    let mut out: Vec<(Vec<Weight>, f64)> = node.limits()[..n_limits].iter().map(|&room| (Vec::new(), room)).collect();
    let mut uses = vec![0.0; rows.n_limits + 1];
    for row in 0..rows.len() {
        let open: Vec<usize> = rows.pairs(row).filter(|&pair| !node.is_banned(pair)).collect();
        let touched = |pair: usize| pair * rows.n_resources..(pair + 1) * rows.n_resources;
        let mut limits: Vec<usize> = open
            .iter()
            .flat_map(|&pair| touched(pair))
            .map(|at| rows.limit[at] as usize)
            .filter(|&k| k < n_limits)
            .collect();
        limits.sort_unstable();
        limits.dedup();
        for k in limits {
            let mut use_of = |pair: usize| {
                uses[k] = 0.0;
                touched(pair).filter(|&at| rows.limit[at] as usize == k).for_each(|at| uses[k] += rows.usage[at]);
                uses[k]
            };
            let amounts: Vec<f64> = open.iter().map(|&pair| use_of(pair)).collect();
            let least = amounts.iter().copied().fold(f64::INFINITY, f64::min);
            out[k].1 -= least;
            let heavy = open.iter().zip(&amounts).filter(|(_, &amount)| amount > least);
            out[k].0.extend(heavy.map(|(&pair, &amount)| Weight { row, pair, weight: amount - least }));
        }
    }
    out
}

/// The deepest of the covers tried.
fn deepest(weights: &[Weight], room: f64, amount: &[f64]) -> Option<Cut> {
    let first = weights.first()?.weight;
    if weights.iter().all(|w| w.weight == first) || room <= 0.0 {
        return None;
    }
    let chosen = cover(weights, room, amount)?;
    let tried = [false, true].map(|largest_first| lift(weights, &shrink(chosen.clone(), room, largest_first), amount));
    tried.into_iter().max_by(|a, b| a.depth.total_cmp(&b.depth))
}

/// A member of a cover: a row that takes a pair of at least this weight, and how much of it the vertex does not.
#[derive(Debug, Clone, Copy)]
struct Member {
    row: usize,
    least: f64,
    missing: f64,
}

fn passes(sum: f64, room: f64) -> bool {
    sum > room + SAFE * (1.0 + room.abs())
}

/// Rows that together pass the room, those that the vertex has there first.
fn cover(weights: &[Weight], room: f64, amount: &[f64]) -> Option<Vec<Member>> {
    let mut members: Vec<Member> = Vec::new();
    for of_row in weights.chunk_by(|a, b| a.row == b.row) {
        let best = of_row.iter().filter(|w| amount[w.pair] > 0.0).map(|w| {
            let share: f64 = of_row.iter().filter(|v| v.weight >= w.weight).map(|v| amount[v.pair]).sum();
            Member { row: w.row, least: w.weight, missing: (1.0 - share).max(0.0) }
        });
        members.extend(best.min_by(cheaper));
    }
    members.sort_by(|a, b| cheaper(a, b).then(a.row.cmp(&b.row)));
    let mut sum = 0.0;
    let enough = members.iter().position(|member| {
        sum += member.least;
        passes(sum, room)
    })?;
    members.truncate(enough + 1);
    Some(members)
}

/// By what is missing per weight, then the heavier. Quotients: products of small numbers vanish, and then this is no order.
fn cheaper(a: &Member, b: &Member) -> std::cmp::Ordering {
    (a.missing / a.least).total_cmp(&(b.missing / b.least)).then(b.least.total_cmp(&a.least))
}

/// Takes out members while the rest still passes.
fn shrink(mut members: Vec<Member>, room: f64, largest_first: bool) -> Vec<Member> {
    let order = |a: &Member, b: &Member| {
        let by_weight = a.least.total_cmp(&b.least);
        b.missing.total_cmp(&a.missing).then(if largest_first { by_weight.reverse() } else { by_weight })
    };
    members.sort_by(order);
    let mut sum: f64 = members.iter().map(|member| member.least).sum();
    members.retain(|member| {
        let keep = !passes(sum - member.least, room);
        if !keep {
            sum -= member.least;
        }
        keep
    });
    members
}

/// The cut of a cover, with every other row lifted in.
fn lift(weights: &[Weight], members: &[Member], amount: &[f64]) -> Cut {
    let mut thresholds: Vec<f64> = members.iter().map(|member| member.least).collect();
    thresholds.sort_by(|a, b| b.total_cmp(a));
    let sums: Vec<f64> = thresholds
        .iter()
        .scan(0.0, |sum, least| {
            *sum += least;
            Some(*sum)
        })
        .collect();
    let mut terms = Vec::new();
    for w in weights {
        let times = sums.partition_point(|&sum| sum * (1.0 + 1e-12) <= w.weight);
        let member = members.iter().any(|member| member.row == w.row && w.weight >= member.least);
        let times = times.max(usize::from(member));
        if times > 0 {
            terms.push((w.pair, times as f64));
        }
    }
    let most = members.len() as f64 - 1.0;
    let used: f64 = terms.iter().map(|&(pair, times)| times * amount[pair]).sum();
    let length = terms.iter().map(|(_, times)| times * times).sum::<f64>().sqrt();
    Cut { terms, most, depth: (used - most) / length.max(1.0) }
}

/// The rows with further limits, each cut in the first column where its pairs have room.
fn with_cuts(rows: &Rows, cuts: &[Cut]) -> Rows {
    let first = rows.n_limits as u32;
    let none = (f64::from(0_u8), first + cuts.len() as u32);
    let mut columns: Vec<Vec<(f64, u32)>> = Vec::new();
    for (k, cut) in cuts.iter().enumerate() {
        let free = |column: &Vec<(f64, u32)>| cut.terms.iter().all(|&(pair, _)| column[pair].1 == none.1);
        let at = columns.iter().position(free).unwrap_or_else(|| {
            columns.push(vec![none; rows.model.len()]);
            columns.len() - 1
        });
        cut.terms.iter().for_each(|&(pair, times)| columns[at][pair] = (times, first + k as u32));
    }
    rows.with_columns(&columns, cuts.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixing::{by_room, Fixed};
    use crate::sample::mix;
    use crate::watch::Unwatched;

    /// Rows of three pairs under two limits: one of all pairs, one per pair position; and the limits.
    fn tiny(seed: u64) -> (Rows, Vec<f64>) {
        let number = |at: u64, levels: u64| (mix(seed * 1000 + at) % levels) as f64;
        let n = 3 + seed % 4;
        let mut rows = Rows::new(2, 4);
        for i in 0..n {
            for j in 0..3 {
                let at = 10 * i + j;
                let usage = [(number(at, 6) - 2.0, 0), (number(at + 300, 5), 1 + j as u32)];
                rows.push_pair(j as u32, number(at + 600, 9) / 8.0, usage.into_iter());
            }
            rows.end_row(i as usize);
        }
        let limit = (0..4).map(|k| number(900 + k, 3 * n) + if k == 0 { -1.0 } else { 1.0 }).collect();
        (rows, limit)
    }

    fn plans(rows: &Rows, limit: &[f64]) -> Vec<Vec<usize>> {
        let all = (0..3_usize.pow(rows.len() as u32)).map(|code| {
            (0..rows.len()).map(|row| rows.start[row] + code / 3_usize.pow(row as u32) % 3).collect::<Vec<usize>>()
        });
        let fits = |plan: &Vec<usize>| {
            let mut used = vec![0.0; limit.len() + 1];
            plan.iter().for_each(|&pair| rows.add_usage(pair, 1.0, &mut used));
            used.iter().zip(limit).all(|(used, limit)| used <= limit)
        };
        all.filter(fits).collect()
    }

    #[test]
    fn no_cut_and_no_fixing_removes_a_plan() {
        let (mut cut, mut fixed) = (0, 0);
        for seed in 0..3_000 {
            let (rows, limit) = tiny(seed);
            let plans = plans(&rows, &limit);
            let mut node = Ascent::new(&rows, limit.clone(), &[0.0; 4]);
            if node.run(f64::INFINITY, &Unwatched) != Ok(Ascended::Optimal) {
                assert!(plans.is_empty(), "seed {seed}");
                continue;
            }
            for found in covers(&rows, 4, &node) {
                let left = |plan: &Vec<usize>| {
                    let chosen = found.terms.iter().filter(|(pair, _)| plan.contains(pair));
                    chosen.map(|(_, times)| times).sum::<f64>()
                };
                assert!(plans.iter().all(|plan| left(plan) <= found.most), "seed {seed}: {found:?}");
                cut += 1;
            }
            if by_room(&rows, &mut node) == Fixed::Empty {
                assert!(plans.is_empty(), "seed {seed}");
            } else {
                fixed += (0..rows.model.len()).filter(|&pair| node.is_banned(pair)).count();
                assert!(plans.iter().flatten().all(|&pair| !node.is_banned(pair)), "seed {seed}");
            }
        }
        assert!(cut > 500 && fixed > 1_000, "{cut} {fixed}");
    }
}
