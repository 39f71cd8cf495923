//! Rows of many pairs are climbed on few of them: those that are near the cheapest of their row at some prices on the way.
//!
//! Of 500 models a query has use for a dozen. A climb over the few pairs ends at prices where others are cheaper; those join,
//! and the climb goes on from its basis (column generation; where the few cannot meet the limits, the pairs that use least
//! along the ray join). At the end the basis is handed to the ascent over all pairs, which finds it at the top or climbs on.

use crate::ascent::{Ascended, Ascent};
use crate::oracle::{Interrupted, Watch};
use crate::rows::Rows;

/// Pairs per row, on average, and pairs in all from which on a climb starts on few of them.
const WIDE: usize = 48;
const MANY: usize = 1 << 17;
/// Pairs per row that join in a round, the cheapest, and in one that looks for less usage.
const NEAREST: usize = 12;
const LEAST_USE: usize = 4;
/// Rounds after which all pairs are taken.
const ROUNDS: usize = 50;

/// Climbs to the top, or along a ray, as [`Ascent::run`] does without a cutoff.
pub(crate) fn climb(ascent: &mut Ascent<'_>, watch: &dyn Watch) -> Result<Ascended, Interrupted> {
    if ascent.rows.model.len() > MANY.max(WIDE * ascent.rows.len()) {
        climb_on_few(ascent, watch)?;
    }
    ascent.run(f64::INFINITY, watch)
}

fn climb_on_few(all: &mut Ascent<'_>, watch: &dyn Watch) -> Result<(), Interrupted> {
    let mut joined = vec![false; all.rows.model.len()];
    all.key.iter().for_each(|&pair| joined[pair] = true);
    nearest(all, &mut joined);
    for _ in 0..ROUNDS {
        let few = Few::of(all.rows, &joined);
        let mut ascent = Ascent::new(&few.rows, all.limits().to_vec(), all.prices());
        ascent.adopt(all, |row| row, |pair| few.position(pair));
        let ended = ascent.run(f64::INFINITY, watch)?;
        all.adopt(&ascent, |row| row, |pair| few.origin[pair]);
        let more = match ended {
            Ascended::Unbounded(ray) => least_use(all, &ray, &mut joined),
            Ascended::Stalled => false,
            Ascended::Optimal | Ascended::Cutoff => nearest(all, &mut joined),
        };
        if !more {
            break;
        }
    }
    Ok(())
}

/// Some pairs of every row, at least two of each.
struct Few {
    rows: Rows,
    /// The pair of all rows behind each pair, ascending.
    origin: Vec<usize>,
}

impl Few {
    fn of(rows: &Rows, joined: &[bool]) -> Self {
        let origin = (0..joined.len()).filter(|&pair| joined[pair]).collect();
        Self { rows: rows.filtered(|_, pair| joined[pair]), origin }
    }

    fn position(&self, pair: usize) -> usize {
        self.origin.partition_point(|&origin| origin < pair)
    }
}

/// Lets the cheapest pairs of each row join; whether the cheapest of any row had not.
fn nearest(all: &Ascent<'_>, joined: &mut [bool]) -> bool {
    let mut missing = false;
    let mut order = Vec::new();
    all.each_priced(true, |row, priced| {
        let first = all.rows.start[row];
        let own = all.key[row] - first;
        missing |= !joined[all.key[row]] || (0..priced.len()).any(|j| priced[j] < priced[own] && !joined[first + j]);
        join(priced, NEAREST, &mut order, &mut joined[first..first + priced.len()]);
    });
    missing
}

/// Lets the pairs of each row join that use least along a ray; whether the least of any row had not.
fn least_use(all: &Ascent<'_>, ray: &[f64], joined: &mut [bool]) -> bool {
    let direction: Vec<f64> = ray.iter().copied().chain([0.0]).collect();
    let (mut more, mut used, mut order) = (false, Vec::new(), Vec::new());
    for row in 0..all.rows.len() {
        let pairs = all.rows.pairs(row);
        used.clear();
        used.extend(pairs.clone().map(|pair| all.rows.dot(pair, &direction)));
        more |= join(&used, LEAST_USE, &mut order, &mut joined[pairs]);
    }
    more
}

/// Lets the least of some values join; whether any had not.
fn join(values: &[f64], count: usize, order: &mut Vec<usize>, joined: &mut [bool]) -> bool {
    order.clear();
    order.extend(0..values.len());
    let by_value = |a: &usize, b: &usize| values[*a].total_cmp(&values[*b]).then(a.cmp(b));
    let few = count.min(order.len());
    order.select_nth_unstable_by(few - 1, by_value);
    order[..few].iter().filter(|&&at| !std::mem::replace(&mut joined[at], true)).count() > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::mix;
    use crate::watch::Unwatched;

    /// Rows of 64 pairs with ties, a cap each, and one limit on what differs by pair; `room` scales the caps.
    fn wide(seed: u64, n: usize, room: f64) -> (Rows, Vec<f64>) {
        let number = |at: usize| (mix(seed * 1_000_000 + at as u64) % 1024) as f64 / 1024.0;
        let mut rows = Rows::new(2, 65);
        for i in 0..n {
            for j in 0..64 {
                let at = 2 * (64 * i + j);
                let usage = [(1.0, j as u32), (0.1 + number(at), 64)];
                rows.push_pair(j as u32, (16.0 * number(at + 1)).round() / 16.0, usage.into_iter());
            }
            rows.end_row(i);
        }
        let caps = (0..64).map(|j| (room * number(900_000 + j) * n as f64 / 16.0).ceil());
        (rows, caps.chain([0.3 * n as f64]).collect())
    }

    #[test]
    fn few_pairs_lead_to_the_same_top() {
        for (seed, start) in (0..6).flat_map(|seed| [(seed, 0.0), (seed, 0.5)]) {
            let (rows, limit) = wide(seed, 70 + 20 * seed as usize, 1.0);
            let [mut all, mut few] = [(); 2].map(|()| Ascent::new(&rows, limit.clone(), &[start; 65]));
            assert_eq!(all.run(f64::INFINITY, &Unwatched), Ok(Ascended::Optimal));
            climb_on_few(&mut few, &Unwatched).unwrap();
            let near = few.value();
            assert_eq!(few.run(f64::INFINITY, &Unwatched), Ok(Ascended::Optimal));
            assert!((all.value() - few.value()).abs() < 1e-7 * (1.0 + all.value().abs()), "seed {seed}");
            assert!(few.value() - near < 1e-9 * (1.0 + all.value().abs()), "seed {seed}: nothing is left to climb");
        }
    }

    #[test]
    fn limits_that_few_pairs_cannot_meet_are_met_or_conflict() {
        let (rows, mut limit) = wide(7, 90, 1.0);
        limit[64] = rows.least_usage()[64] + 1.0;
        let mut tight = Ascent::new(&rows, limit.clone(), &[0.0; 65]);
        let ended = climb(&mut tight, &Unwatched).unwrap();
        assert_eq!(ended, Ascent::new(&rows, limit.clone(), &[0.0; 65]).run(f64::INFINITY, &Unwatched).unwrap());
        limit[64] -= 2.0;
        let ended = climb(&mut Ascent::new(&rows, limit.clone(), &[0.0; 65]), &Unwatched);
        assert!(matches!(ended, Ok(Ascended::Unbounded(_))));
    }
}
