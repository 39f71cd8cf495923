//! The outer algorithm: ascent of the dual along its edges, on rows in memory, to an exact vertex.
//!
//! The dual `q(p) = sum_i min_j (objective_ij + p . usage_ij) - p . limit` is concave and piecewise linear. The ascent
//! stands at a point given by a *basis*: one key pair per row (its cheapest) and one more basic variable per limit, either a
//! pair tied with its row's key, the slack of the limit, or the limit *pinned* at a starting price. Each step follows the
//! edge on which one basic variable leaves, as far as `q` rises: rows change their key on the way (an exact line search).
//! This is the dual simplex method with generalised upper bounds (Dantzig and Van Slyke 1967) and the long-step ratio test
//! (Maros 2003); at the end the basis is a vertex of the relaxation with at most one fractional query per limit.

use std::ops::Range;
use std::sync::Arc;

use crate::basis::{Basic, Basis};
use crate::calendar::Calendar;
use crate::columns::Columns;
use crate::kernel::least_two;
use crate::oracle::{Interrupted, Watch};
use crate::rows::Rows;
use crate::sample::mix;
use crate::sums::Sum;

/// Smallest rate or violation that counts, on data scaled to order one.
pub(crate) const TINY: f64 = 1e-9;
/// Size of the perturbation that breaks ties when the ascent stalls.
const NUDGE: f64 = 1e-10;
/// Pairs that are priced at once.
pub(crate) const STRETCH: usize = 1024;
/// How far a key may be behind its row's cheapest pair through rounding.
const KEY_TOLERANCE: f64 = 1e-12;

/// How an ascent ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ascended {
    /// At the maximum of the dual.
    Optimal,
    /// The dual has passed the cutoff: no plan here is better.
    Cutoff,
    /// The dual rises for ever along this ray: no plan meets the limits.
    Unbounded(Vec<f64>),
    /// Numerical trouble.
    Stalled,
}

/// A point of the dual over some rows, with its basis. Cloning it saves a node of the search.
#[derive(Clone)]
pub(crate) struct Ascent<'r> {
    pub(crate) rows: &'r Rows,
    limit: Vec<f64>,
    /// The cheapest pair of each row; changed by `set_key` only.
    pub(crate) key: Vec<usize>,
    /// What the keys leave of each limit, with one more entry for "no limit".
    residual: Vec<f64>,
    /// Prices, with a zero at the end for "no limit".
    prices: Vec<f64>,
    pub(crate) basis: Basis,
    pub(crate) banned: Vec<bool>,
    /// Whether any pair is banned.
    bans: bool,
    pub(crate) calendar: Calendar,
    pub(crate) columns: Arc<Columns>,
    nudged: bool,
    /// Whether pinned prices that may be lower at the top are lowered.
    lowers: bool,
}

impl<'r> Ascent<'r> {
    /// Starts at the given prices; those above zero are pinned until the ascent moves them.
    pub(crate) fn new(rows: &'r Rows, limit: Vec<f64>, prices: &[f64]) -> Self {
        Self::with_columns(rows, limit, prices, Columns::new(rows))
    }

    /// The same where the rows' columns are at hand.
    pub(crate) fn with_columns(rows: &'r Rows, limit: Vec<f64>, prices: &[f64], columns: Columns) -> Self {
        let mut ascent = Self {
            rows,
            limit,
            key: rows.start[..rows.len()].to_vec(),
            residual: Vec::new(),
            prices: prices.iter().copied().chain([0.0]).collect(),
            basis: Basis::pinned(prices),
            banned: vec![false; rows.model.len()],
            bans: false,
            calendar: Calendar::new(rows),
            columns: Arc::new(columns),
            nudged: false,
            lowers: false,
        };
        ascent.choose_keys(0.0, &[]);
        ascent
    }

    /// From now on pinned prices are lowered at the top as far as the dual does not fall: where whole queries meet a limit exactly its
    /// price is free between two values, and the lower one is what a little more of it is worth.
    pub(crate) fn lower_prices(&mut self) {
        self.lowers = true;
    }

    /// The limits, as left to these rows.
    pub(crate) fn limits(&self) -> &[f64] {
        &self.limit
    }

    /// Moves a limit; the prices stay a valid point.
    pub(crate) fn set_limit(&mut self, k: usize, limit: f64) {
        self.residual[k] += limit - self.limit[k];
        self.limit[k] = limit;
    }

    /// Moves the limits so that the fractional plan found leaves this much of each, as far as the rows can meet them.
    pub(crate) fn leave(&mut self, left: &[f64]) {
        let least = self.rows.least_usage();
        let amounts = self.basis.amounts(self.residual());
        let mut leaves = vec![0.0; left.len()];
        for (position, amount) in amounts.into_iter().enumerate() {
            if let Basic::Slack(k) | Basic::Pinned(k) = self.basis.at(position) {
                leaves[k] = amount;
            }
        }
        (0..left.len()).for_each(|k| self.set_limit(k, (self.limit[k] + left[k] - leaves[k]).max(least[k])));
    }

    /// Starts again from other prices.
    pub(crate) fn go_to(&mut self, prices: &[f64]) {
        self.prices[..prices.len()].copy_from_slice(prices);
        self.restart();
    }

    /// Goes on from the basis of an ascent over the same rows with more or fewer pairs, or over some of them where the keys of the
    /// others count, under the same limits; `row_of` and `pair_of` say where its rows and pairs are. Rows in which a pair that
    /// it does not have is cheaper give up their ties, and pin prices instead.
    pub(crate) fn adopt(
        &mut self,
        other: &Ascent<'_>,
        row_of: impl Fn(usize) -> usize,
        pair_of: impl Fn(usize) -> usize,
    ) {
        self.prices.clone_from(&other.prices);
        other.key.iter().enumerate().for_each(|(row, &pair)| self.key[row_of(row)] = pair_of(pair));
        self.basis = other.basis.renamed(row_of, pair_of);
        for of_row in self.basis.shared_rows().chunk_by(|a, b| a.0 == b.0) {
            let row = of_row[0].0;
            if self.reduced(self.cheapest(row)) < self.reduced(self.key[row]) - KEY_TOLERANCE {
                of_row.iter().for_each(|&(_, position)| self.basis.untie(position, &self.prices));
            }
        }
        self.choose_keys(KEY_TOLERANCE, &self.tied_rows());
    }

    /// The prices, one per limit.
    pub(crate) fn prices(&self) -> &[f64] {
        &self.prices[..self.limit.len()]
    }

    /// What is added to the objective of a pair where ties are being broken.
    fn nudge(&self, pair: usize) -> f64 {
        if self.nudged {
            NUDGE * (mix(pair as u64) >> 11) as f64 / (1_u64 << 53) as f64
        } else {
            0.0
        }
    }

    fn objective(&self, pair: usize) -> f64 {
        self.rows.objective[pair] + self.nudge(pair)
    }

    pub(crate) fn reduced(&self, pair: usize) -> f64 {
        self.objective(pair) + self.rows.dot(pair, &self.prices)
    }

    /// The priced objective of each pair of a stretch, infinity where it is banned; nudged or the true one.
    pub(crate) fn price(&self, pairs: &Range<usize>, nudged: bool, out: &mut Vec<f64>) {
        out.clear();
        out.extend_from_slice(&self.rows.objective[pairs.clone()]);
        self.columns.add(pairs, &self.prices, out);
        if nudged && self.nudged {
            out.iter_mut().zip(pairs.clone()).for_each(|(x, pair)| *x += self.nudge(pair));
        }
        if self.bans {
            for (x, &banned) in out.iter_mut().zip(&self.banned[pairs.clone()]) {
                *x = if banned { f64::INFINITY } else { *x };
            }
        }
    }

    /// Calls `visit(row, priced pairs)` for every row.
    pub(crate) fn each_priced(&self, nudged: bool, mut visit: impl FnMut(usize, &[f64])) {
        let mut priced = Vec::new();
        for stretch in self.rows.stretches(STRETCH) {
            let first = self.rows.start[stretch.start];
            self.price(&(first..self.rows.start[stretch.end]), nudged, &mut priced);
            for row in stretch {
                visit(row, &priced[self.rows.start[row] - first..self.rows.start[row + 1] - first]);
            }
        }
    }

    /// The cheapest open pair of a row, its first where none is open.
    fn cheapest(&self, row: usize) -> usize {
        let mut priced = Vec::new();
        self.price(&self.rows.pairs(row), true, &mut priced);
        self.rows.start[row] + least_two(&priced).0
    }

    /// Makes the cheapest pair of each row its key, where it is ahead by more than `ahead`; rows in `tied` (sorted) keep
    /// theirs. Adds up afresh what the keys leave. Whether any key has changed.
    fn choose_keys(&mut self, ahead: f64, tied: &[usize]) -> bool {
        let (mut key, mut margins) = (std::mem::take(&mut self.key), Vec::with_capacity(self.rows.len()));
        let mut changed = false;
        self.each_priced(true, |row, priced| {
            let own = key[row] - self.rows.start[row];
            let (best, least, second) = least_two(priced);
            let better = best != own && (ahead == 0.0 || least < priced[own] - ahead);
            if tied.binary_search(&row).is_ok() || (best != own && !better) {
                margins.push(0.0);
                return;
            }
            margins.push(second - least);
            key[row] += best;
            key[row] -= own;
            changed |= better;
        });
        self.key = key;
        margins.into_iter().enumerate().for_each(|(row, margin)| self.calendar.enter(row, margin));
        self.residual = self.limit.iter().copied().chain([0.0]).collect();
        self.key.iter().for_each(|&pair| self.rows.add_usage(pair, -1.0, &mut self.residual));
        changed
    }

    pub(crate) fn set_key(&mut self, row: usize, pair: usize) {
        self.rows.add_usage(self.key[row], 1.0, &mut self.residual);
        self.rows.add_usage(pair, -1.0, &mut self.residual);
        self.key[row] = pair;
    }

    /// The dual value at the current prices, with the true objective: a bound for the rows under the current bans.
    pub(crate) fn value(&self) -> f64 {
        let mut value = Sum::default();
        self.each_priced(false, |_, priced| value.add(least_two(priced).1));
        self.prices().iter().zip(&self.limit).for_each(|(price, limit)| value.add(-price * limit));
        value.value()
    }

    /// The dual value where the keys have just been chosen.
    pub(crate) fn value_of_keys(&self) -> f64 {
        let own: f64 = self.key.iter().map(|&pair| self.rows.objective[pair]).sum();
        own - self.prices.iter().zip(&self.residual).map(|(price, left)| price * left).sum::<f64>()
    }

    /// The pairs that share a row in the relaxation's vertex: `(row, pair, fraction)`, keys included.
    pub(crate) fn fractions(&self) -> Vec<(usize, usize, f64)> {
        let amounts = self.basis.amounts(self.residual());
        let mut out = Vec::new();
        for of_row in self.basis.shared_rows().chunk_by(|a, b| a.0 == b.0) {
            let (row, mut left) = (of_row[0].0, 1.0);
            for &(_, position) in of_row {
                if let Basic::Pair { pair, .. } = self.basis.at(position) {
                    out.push((row, pair, amounts[position]));
                    left -= amounts[position];
                }
            }
            out.push((row, self.key[row], left));
        }
        out
    }

    /// What the keys leave of each limit.
    pub(crate) fn residual(&self) -> &[f64] {
        &self.residual[..self.limit.len()]
    }

    /// Forbids a pair. False when its row has no other left.
    pub(crate) fn ban(&mut self, row: usize, pair: usize) -> bool {
        (self.banned[pair], self.bans) = (true, true);
        if self.rows.pairs(row).all(|other| self.banned[other]) {
            return false;
        }
        if self.key[row] == pair {
            let partner = self.basis.positions_of(row).find(|&p| match self.basis.at(p) {
                Basic::Pair { pair, .. } => !self.banned[pair],
                _ => false,
            });
            match partner {
                Some(position) => {
                    let key = self.basis.swap_key(position, pair);
                    self.set_key(row, key);
                }
                None if self.basis.positions_of(row).next().is_none() => self.set_key(row, self.cheapest(row)),
                // All that is tied here is banned: give the row a fresh start and pin the prices where they are.
                None => self.restart(),
            }
            self.calendar.enter(row, 0.0);
        }
        true
    }

    /// Whether a pair is forbidden.
    pub(crate) fn is_banned(&self, pair: usize) -> bool {
        self.banned[pair]
    }

    /// Drops the basis and pins the prices: always a valid point to go on from.
    fn restart(&mut self) {
        self.basis = Basis::pinned(self.prices());
        self.choose_keys(0.0, &[]);
    }

    /// Climbs to the top, or until the dual value reaches `cutoff`.
    pub(crate) fn run(&mut self, cutoff: f64, watch: &dyn Watch) -> Result<Ascended, Interrupted> {
        self.run_for(cutoff, watch, 50_000 + 200 * self.limit.len())
    }

    /// The same within a number of steps; stalled when they are used up, at a point whose value is a bound as well.
    pub(crate) fn run_for(
        &mut self,
        cutoff: f64,
        watch: &dyn Watch,
        most_steps: usize,
    ) -> Result<Ascended, Interrupted> {
        let n_limits = self.limit.len();
        let (mut still, mut restarts) = (0, 0);
        for step in 0..most_steps {
            watch.poll()?;
            if step % 16 == 0 && cutoff.is_finite() && self.value() >= cutoff {
                return Ok(Ascended::Cutoff);
            }
            let Some((position, up, slope)) = self.leaving().or_else(|| self.idle()) else {
                if self.nudged {
                    self.nudged = false;
                    self.settle();
                } else if self.choose_keys(KEY_TOLERANCE, &self.tied_rows()) {
                    // Rounding had left a row behind.
                    continue;
                }
                let beyond = cutoff.is_finite() && self.value() >= cutoff;
                return Ok(if beyond { Ascended::Cutoff } else { Ascended::Optimal });
            };
            let direction = self.basis.edge(position, up);
            let Some((entering, distance)) = self.line_search(position, &direction, slope) else {
                return Ok(Ascended::Unbounded(direction[..n_limits].to_vec()));
            };
            self.move_along(&direction, distance);
            if !self.basis.exchange(position, entering, &self.column(entering)) {
                restarts += 1;
                if restarts > 20 {
                    return Ok(Ascended::Stalled);
                }
                self.restart();
            } else if self.basis.is_stale() {
                self.refresh();
            }
            still = if distance > 1e-13 { 0 } else { still + 1 };
            if still > 3 * n_limits + 20 && !self.nudged {
                self.nudged = true;
                self.restart();
            }
        }
        Ok(Ascended::Stalled)
    }

    /// A key that would be negative changes places with the largest pair of its row. Whether there was one.
    fn swap_negative_key(&mut self, amounts: &[f64]) -> bool {
        for of_row in self.basis.shared_rows().chunk_by(|a, b| a.0 == b.0) {
            let positions = of_row.iter().map(|&(_, position)| position);
            if 1.0 - positions.clone().map(|p| amounts[p]).sum::<f64>() < -TINY {
                let largest = positions.filter(|&p| !self.is_banned_at(p) && amounts[p] > TINY);
                if let Some(position) = largest.max_by(|&a, &b| amounts[a].total_cmp(&amounts[b])) {
                    let row = of_row[0].0;
                    let key = self.basis.swap_key(position, self.key[row]);
                    self.set_key(row, key);
                    return true;
                }
            }
        }
        false
    }

    /// The basic variable whose leaving helps most: position, direction, and the slope of the dual along its edge.
    fn leaving(&mut self) -> Option<(usize, f64, f64)> {
        let mut amounts = self.basis.amounts(self.residual());
        // As often as there are variables: rounding can make keys change places for ever.
        for _ in 0..amounts.len() {
            if !self.swap_negative_key(&amounts) {
                break;
            }
            amounts = self.basis.amounts(self.residual());
        }
        let mut best: Option<(usize, f64, f64)> = None;
        let mut most = 0.0;
        for (position, &amount) in amounts.iter().enumerate() {
            let (below, above) = match self.basis.at(position) {
                Basic::Slack(k) => (amount < -self.tolerance(k), false),
                Basic::Pinned(k) => (amount < -self.tolerance(k), amount > self.tolerance(k)),
                // A pair that differs little from its key magnifies what rounding leaves of a limit.
                Basic::Pair { pair, .. } => {
                    (amount < -TINY && amount < -self.noise(position), self.banned[pair] && amount > TINY)
                }
            };
            if !(below || above) {
                continue;
            }
            let weight = amount * amount / self.basis.edge_norm(position);
            if weight > most {
                most = weight;
                best = Some((position, if below { 1.0 } else { -1.0 }, amount.abs()));
            }
        }
        best
    }

    /// A price that is still pinned at the top: downwards its edge is level at first.
    fn idle(&self) -> Option<(usize, f64, f64)> {
        let pinned = |&p: &usize| matches!(self.basis.at(p), Basic::Pinned(_));
        (0..self.limit.len()).find(pinned).filter(|_| self.lowers).map(|position| (position, -1.0, 0.0))
    }

    fn is_banned_at(&self, position: usize) -> bool {
        matches!(self.basis.at(position), Basic::Pair { pair, .. } if self.banned[pair])
    }

    /// What rounding of the sums can make of the amount of a basic pair.
    fn noise(&self, position: usize) -> f64 {
        let rates = self.basis.edge(position, 1.0);
        // Errors of as many terms as there are rows, as they add up at random.
        let rounding = (8.0 + (self.rows.len() as f64).sqrt()) * f64::EPSILON;
        rates.iter().zip(&self.limit).map(|(rate, limit)| rate.abs() * rounding * (1.0 + limit.abs())).sum()
    }

    /// Violation of a limit that rounding of the sums can explain.
    fn tolerance(&self, k: usize) -> f64 {
        TINY * (1.0 + 1e-3 * self.limit[k].abs())
    }

    fn move_along(&mut self, direction: &[f64], distance: f64) {
        for (price, rate) in self.prices.iter_mut().zip(direction) {
            let moved = *price + distance * rate;
            // What rounding leaves of a price is none: where the optimum is 0, it would be all that the bound is made of.
            *price = if moved <= 4.0 * f64::EPSILON * *price { 0.0 } else { moved };
        }
        self.calendar.travel(direction, distance);
    }

    /// Usage of an entering variable relative to its row's key.
    fn column(&self, entering: Basic) -> Vec<f64> {
        let mut column = vec![0.0; self.limit.len() + 1];
        match entering {
            Basic::Pair { row, pair } => {
                self.rows.add_usage(pair, 1.0, &mut column);
                self.rows.add_usage(self.key[row], -1.0, &mut column);
            }
            Basic::Slack(k) | Basic::Pinned(k) => column[k] = 1.0,
        }
        column.truncate(self.limit.len());
        column
    }

    /// Recomputes the inverse from the basis, and the prices from the inverse.
    fn refresh(&mut self) {
        let columns: Vec<Vec<f64>> = (0..self.limit.len()).map(|p| self.column(self.basis.at(p))).collect();
        if self.basis.invert(&columns) {
            self.reprice(&self.tied_rows());
        } else {
            self.restart();
        }
    }

    /// Prices at which every basic pair is tied with its key, slacks cost nothing and pins stay; rows in `tied` keep their keys.
    fn reprice(&mut self, tied: &[usize]) {
        let n = self.limit.len();
        let ties: Vec<f64> = (0..n)
            .map(|position| match self.basis.at(position) {
                Basic::Pair { row, pair } => self.objective(self.key[row]) - self.objective(pair),
                Basic::Slack(_) => 0.0,
                Basic::Pinned(k) => self.prices[k],
            })
            .collect();
        let solved = self.basis.solve_prices(&ties);
        self.prices[..n].iter_mut().zip(solved).for_each(|(price, new)| *price = new.max(0.0));
        self.choose_keys(KEY_TOLERANCE, tied);
    }

    /// Rows with basic pairs, sorted.
    fn tied_rows(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = self.basis.shared_rows().into_iter().map(|(row, _)| row).collect();
        rows.dedup();
        rows
    }

    /// Goes from the nudged optimum to the true one: the same basis, the true objective.
    fn settle(&mut self) {
        // Keys chosen by the nudge are part of the vertex; only the prices are recomputed.
        let all: Vec<usize> = (0..self.rows.len()).collect();
        self.reprice(&all);
    }
}
