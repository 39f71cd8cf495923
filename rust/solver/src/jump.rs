//! From a plan that passes some limits to one that meets them all, where single repairs do not get there.
//!
//! Each step draws a limit that is passed and some rows that can use less of it, and takes the move of one of them, or its change
//! of places with another row, that lowers the weighted overuse most: where limits per model are met exactly, only changes of
//! places keep them. Where nothing lowers it, the limits that are passed weigh more from then on (breakout: Morris 1993;
//! feasibility jump: Luteberget and Sartor 2023), and all weights go some way back to their mean.

use crate::oracle::{Interrupted, Watch};
use crate::repair::{State, SLACK};
use crate::rows::Rows;
use crate::sample::mix;

/// Numbers that a search from the rounded vertex may touch: less than a tenth of a second.
pub(crate) const MOST_WORK: usize = 40_000_000;
/// Rows that a step looks at, and rows that each of them may change places with.
const ROWS: usize = 24;
const PARTNERS: usize = 1_000;
/// What the weight of a limit that stays passed is multiplied by, and how far weights then go to their mean.
const RISE: f64 = 1.3;
const BACK: f64 = 0.1;
/// A row that has moved stays for so many steps, and up to as many more.
const STAYS: usize = 4;
/// What the priced objective counts beside a unit of overuse.
const OBJECTIVE: f64 = 1e-3;

/// Changes `plan` (one pair per row) until every limit holds; false when the work is used up before.
///
/// Equal seeds draw equally.
pub(crate) fn meet(
    rows: &Rows,
    limit: &[f64],
    prices: &[f64],
    plan: &mut [usize],
    (most_work, seed): (usize, u64),
    watch: &dyn Watch,
) -> Result<bool, Interrupted> {
    let mut jump = Jump::new(rows, limit, prices, plan, seed);
    while jump.work < most_work {
        watch.poll()?;
        let passed: Vec<usize> = (0..limit.len()).filter(|&k| jump.over[k].0 > 0.0).collect();
        if passed.is_empty() {
            return Ok(true);
        }
        jump.step(&passed);
    }
    Ok(false)
}

/// A row and the pair it goes to; and another row with its pair where the two change places.
type Step = ((usize, usize), Option<(usize, usize)>);

struct Jump<'j, 'r> {
    state: State<'r>,
    plan: &'j mut [usize],
    n_models: usize,
    /// What the priced objective of each pair counts.
    priced: Vec<f64>,
    /// How far each limit is passed (below zero: what is left of it), and its weight; at the end those of "no limit".
    over: Vec<(f64, f64)>,
    /// The step up to which each row stays.
    stays: Vec<usize>,
    steps: usize,
    /// Numbers touched.
    work: usize,
    drawn: u64,
}

impl<'j, 'r> Jump<'j, 'r> {
    fn new(rows: &'r Rows, limit: &'r [f64], prices: &[f64], plan: &'j mut [usize], seed: u64) -> Self {
        let state = State::new(rows, limit, prices, plan);
        let mut jump = Self {
            plan,
            n_models: rows.model.iter().max().map_or(0, |&last| last as usize + 1),
            priced: (0..rows.model.len()).map(|pair| OBJECTIVE * state.priced(pair)).collect(),
            over: vec![(f64::NEG_INFINITY, 1.0); limit.len() + 1],
            stays: vec![0; rows.len()],
            steps: 0,
            work: 0,
            drawn: seed << 32,
            state,
        };
        jump.look();
        jump
    }

    /// Takes note of what is used.
    fn look(&mut self) {
        let State { limit, ref used, .. } = self.state;
        for ((over, used), limit) in self.over.iter_mut().zip(used).zip(limit) {
            over.0 = used - limit - SLACK * (1.0 + limit.abs());
        }
    }

    /// A number below `n`.
    fn draw(&mut self, n: usize) -> usize {
        self.drawn += 1;
        (mix(self.drawn) % n as u64) as usize
    }

    fn step(&mut self, passed: &[usize]) {
        self.steps += 1;
        let weighted = |&k: &usize| self.over[k].0 * self.over[k].1;
        let heaviest = passed.iter().copied().max_by(|a, b| weighted(a).total_cmp(&weighted(b))).unwrap_or(passed[0]);
        let k = if self.draw(2) == 0 { passed[self.draw(passed.len())] } else { heaviest };
        let mut rows = self.rows_that_can_use_less(k);
        let mut best: Option<(f64, Step)> = None;
        for _ in 0..ROWS.min(rows.len()) {
            let row = rows.swap_remove(self.draw(rows.len()));
            self.best_of(row, &mut best);
        }
        if best.is_none_or(|(change, _)| change >= 0.0) {
            self.weigh(passed);
        }
        if let Some((_, (one, other))) = best {
            for (row, to) in [one].into_iter().chain(other) {
                self.state.change(row, to, self.plan);
                self.stays[row] = self.steps + 1 + STAYS + self.draw(STAYS);
            }
            self.look();
        }
    }

    fn rows_that_can_use_less(&mut self, k: usize) -> Vec<usize> {
        let rows = self.state.rows;
        self.work += rows.model.len() * rows.n_resources;
        let amount = |pair: usize| -> f64 {
            rows.uses(pair).filter(|&(_, own)| own as usize == k).map(|(amount, _)| amount).sum()
        };
        let can = |&row: &usize| {
            let own = amount(self.plan[row]);
            self.stays[row] <= self.steps && rows.pairs(row).any(|pair| amount(pair) < own)
        };
        (0..rows.len()).filter(can).collect()
    }

    /// The best step that begins with a row, where it is better than the best so far.
    fn best_of(&mut self, row: usize, best: &mut Option<(f64, Step)>) {
        let (rows, from) = (self.state.rows, self.plan[row]);
        let mut take = |change: f64, step: Step| {
            if best.is_none_or(|(least, _)| change < least) {
                *best = Some((change, step));
            }
        };
        let first = self.draw(rows.len());
        for to in rows.pairs(row).filter(|&to| to != from) {
            take(self.change_of_move(from, to), ((row, to), None));
        }
        let mut swaps = 0;
        for other in (first..rows.len()).chain(0..first).take(PARTNERS) {
            let theirs = self.plan[other];
            if self.stays[other] > self.steps || rows.model[theirs] == rows.model[from] {
                continue;
            }
            let pairs = (self.pair(row, rows.model[theirs]), self.pair(other, rows.model[from]));
            if let (Some(to), Some(back)) = pairs {
                take(self.change_of_swap((from, to), (theirs, back)), ((row, to), Some((other, back))));
                swaps += 1;
            }
        }
        self.work += rows.n_resources * (2 * rows.pairs(row).len() + 8 * swaps);
    }

    /// The pair of a row with a model.
    fn pair(&self, row: usize, model: u32) -> Option<usize> {
        let pairs = self.state.rows.pairs(row);
        if pairs.len() == self.n_models {
            return Some(pairs.start + model as usize);
        }
        self.state.rows.model[pairs.clone()].binary_search(&model).ok().map(|at| pairs.start + at)
    }

    fn weigh(&mut self, passed: &[usize]) {
        passed.iter().for_each(|&k| self.over[k].1 *= RISE);
        let limits = &mut self.over[..self.state.limit.len()];
        let mean = limits.iter().map(|(_, weight)| weight).sum::<f64>() / limits.len() as f64;
        limits.iter_mut().for_each(|(_, weight)| *weight = (1.0 - BACK) * *weight / mean + BACK);
    }

    /// Change of the weighted overuse and of the priced objective when a row goes from one pair to another.
    fn change_of_move(&self, from: usize, to: usize) -> f64 {
        let mut sum = self.priced[to] - self.priced[from];
        for ((a, k), (b, l)) in self.state.rows.uses(from).zip(self.state.rows.uses(to)) {
            sum += if k == l { self.rise(k, b - a) } else { self.rise(k, -a) + self.rise(l, b) };
        }
        sum
    }

    /// The same when two rows do, (from, to) each.
    fn change_of_swap(&self, one: (usize, usize), other: (usize, usize)) -> f64 {
        let uses = |pair| self.state.rows.uses(pair);
        let mut sum = self.priced[one.1] - self.priced[one.0] + self.priced[other.1] - self.priced[other.0];
        let both = uses(one.0).zip(uses(one.1)).zip(uses(other.0).zip(uses(other.1)));
        for (((a, ka), (b, kb)), ((c, kc), (d, kd))) in both {
            // Mostly a limit follows the row (all, tenants) or the model, which the two exchange.
            sum += if ka == kb && kc == kd && ka == kc {
                self.rise(ka, b - a + d - c)
            } else if ka == kb && kc == kd {
                self.rise(ka, b - a) + self.rise(kc, d - c)
            } else if ka == kd && kb == kc {
                self.rise(ka, d - a) + self.rise(kb, b - c)
            } else {
                self.rise_of_all([(ka, -a), (kb, b), (kc, -c), (kd, d)])
            };
        }
        sum
    }

    fn rise_of_all(&self, mut changes: [(u32, f64); 4]) -> f64 {
        changes.sort_by_key(|&(k, _)| k);
        let same = changes.chunk_by(|a, b| a.0 == b.0);
        same.map(|same| self.rise(same[0].0, same.iter().map(|(_, change)| change).sum())).sum()
    }

    /// How much the weighted overuse of a limit rises.
    #[inline]
    fn rise(&self, k: u32, change: f64) -> f64 {
        let (over, weight) = self.over[k as usize];
        weight * ((over + change).max(0.0) - over.max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::repair;
    use crate::watch::Unwatched;

    #[test]
    fn limits_are_met_that_single_repairs_do_not_meet() {
        let (mut met, mut repaired) = (0, 0);
        for seed in 0..40_u64 {
            let number = |at: u64, levels: u64| (mix(seed * 10_000 + at) % levels) as f64;
            let mut rows = Rows::new(2, 5);
            for i in 0..24 {
                let size = 1.0 + number(i, 20);
                for j in 0..4 {
                    let usage = [(size, j), (number(100 + 4 * i + u64::from(j), 30), 4)];
                    rows.push_pair(j, number(300 + 4 * i + u64::from(j), 16) / 16.0, usage.into_iter());
                }
                rows.end_row(i as usize);
            }
            // What a hidden plan uses, and next to nothing more.
            let mut limit = vec![0.0; 6];
            (0..24).for_each(|row| rows.add_usage(4 * row + mix(seed + 77 * row as u64) as usize % 4, 1.0, &mut limit));
            limit.truncate(5);
            limit[4] += 4.0;
            let start: Vec<usize> = (0..24).map(|row| 4 * row).collect();
            let mut plan = start.clone();
            repaired += usize::from(repair(&rows, &limit, &[0.0; 5], &|_| true, &mut plan));
            plan = start;
            if meet(&rows, &limit, &[0.0; 5], &mut plan, (MOST_WORK, seed), &Unwatched).unwrap() {
                let mut used = vec![0.0; 6];
                plan.iter().for_each(|&pair| rows.add_usage(pair, 1.0, &mut used));
                assert!(used.iter().zip(&limit).all(|(used, limit)| *used <= limit + 1e-6), "seed {seed}");
                met += 1;
            }
        }
        assert!(met > 30 && repaired < 10, "{met} {repaired}");
    }

    #[test]
    fn rows_change_places_where_every_model_is_full() {
        // Two models with room for half of the rows each, and tokens on the first up to what its lighter half uses.
        let mut rows = Rows::new(2, 3);
        for i in 0..40 {
            let tokens = 1.0 + (i * 7 % 40) as f64;
            rows.push_pair(0, 0.0, [(1.0, 0), (tokens, 2)].into_iter());
            rows.push_pair(1, 0.0, [(1.0, 1), (0.0, 2)].into_iter());
            rows.end_row(i);
        }
        let mut plan: Vec<usize> = (0..40).map(|row| 2 * row + row % 2).collect();
        assert!(meet(&rows, &[20.0, 20.0, 210.0], &[0.0; 3], &mut plan, (MOST_WORK, 0), &Unwatched).unwrap());
        assert!(plan.iter().enumerate().all(|(row, &pair)| (row * 7 % 40 < 20) == (pair % 2 == 0)));
    }

    #[test]
    fn changes_of_places_count_every_limit_once() {
        // One resource whose limits follow neither rows nor models, one whose limits follow rows.
        let mut rows = Rows::new(2, 5);
        for i in 0..6_u32 {
            (0..3).for_each(|j| {
                let usage = [(f64::from(1 + i * j), (i * i + j) % 3), (f64::from(i + 2 * j), 3 + i % 2)];
                rows.push_pair(j, 0.0, usage.into_iter());
            });
            rows.end_row(i as usize);
        }
        let limit = [1.0, 2.0, 3.0, 4.0, 5.0];
        for (a, b, c, d) in (0..81).map(|x| (x / 27 % 3, x / 9 % 3, x / 3 % 3, x % 3)) {
            let mut plan: Vec<usize> = (0..6).map(|row| 3 * row).collect();
            (plan[1], plan[4]) = (3 + a, 12 + c);
            let sum = |jump: &Jump<'_, '_>| -> f64 { jump.over[..5].iter().map(|(over, _)| over.max(0.0)).sum() };
            let mut jump = Jump::new(&rows, &limit, &[0.0; 5], &mut plan, 0);
            let (before, change) = (sum(&jump), jump.change_of_swap((3 + a, 3 + b), (12 + c, 12 + d)));
            jump.state.change(1, 3 + b, jump.plan);
            jump.state.change(4, 12 + d, jump.plan);
            jump.look();
            assert!((sum(&jump) - before - change).abs() < 1e-9, "{a} {b} {c} {d}");
        }
    }
}
