//! The outer algorithm: ascent of the dual along its edges, on rows in memory, to an exact vertex.
//!
//! The dual `q(p) = sum_i min_j (objective_ij + p . usage_ij) - p . limit` is concave and piecewise linear. The ascent
//! stands at a point given by a *basis*: one key pair per row (its cheapest) and one more basic variable per limit, either a
//! pair tied with its row's key, the slack of the limit, or the limit *pinned* at a starting price. Each step follows the
//! edge on which one basic variable leaves, as far as `q` rises: rows change their key on the way (an exact line search).
//! This is the dual simplex method with generalised upper bounds (Dantzig and Van Slyke 1967) and the long-step ratio test
//! (Maros 2003); at the end the basis is a vertex of the relaxation with at most one fractional query per limit.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeSet, BinaryHeap};

use crate::basis::{Basic, Basis};
use crate::dense::mix;
use crate::oracle::{Interrupted, Watch};
use crate::rows::Rows;

/// Smallest rate or violation that counts, on data scaled to order one.
const TINY: f64 = 1e-9;
/// Size of the perturbation that breaks ties when the ascent stalls.
const NUDGE: f64 = 1e-10;

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
    rows: &'r Rows,
    limit: Vec<f64>,
    /// The cheapest pair of each row.
    pub(crate) key: Vec<usize>,
    /// Prices, with a zero at the end for "no limit".
    prices: Vec<f64>,
    basis: Basis,
    banned: Vec<bool>,
    nudged: bool,
}

/// The next pair of a row to become its cheapest, at distance `at` along the edge.
struct Crossing {
    at: f64,
    row: usize,
    pair: usize,
}

impl<'r> Ascent<'r> {
    /// Starts at the given prices; those above zero are pinned until the ascent moves them.
    pub(crate) fn new(rows: &'r Rows, limit: Vec<f64>, prices: &[f64]) -> Self {
        let banned = vec![false; rows.model.len()];
        let mut start = prices.to_vec();
        start.push(0.0);
        let basis = Basis::pinned(prices);
        let mut ascent = Self { rows, limit, key: vec![0; rows.len()], prices: start, basis, banned, nudged: false };
        (0..rows.len()).for_each(|row| ascent.key[row] = ascent.cheapest(row));
        ascent
    }

    /// The limits, as left to these rows.
    pub(crate) fn limits(&self) -> &[f64] {
        &self.limit
    }

    /// Moves a limit; the prices stay a valid point.
    pub(crate) fn set_limit(&mut self, k: usize, limit: f64) {
        self.limit[k] = limit;
    }

    /// The prices, one per limit.
    pub(crate) fn prices(&self) -> &[f64] {
        &self.prices[..self.limit.len()]
    }

    /// Objective of a pair, with the nudge where ties are being broken.
    fn objective(&self, pair: usize) -> f64 {
        let nudge = if self.nudged { NUDGE * (mix(pair as u64) >> 11) as f64 / (1_u64 << 53) as f64 } else { 0.0 };
        self.rows.objective[pair] + nudge
    }

    fn reduced(&self, pair: usize) -> f64 {
        self.objective(pair) + self.rows.dot(pair, &self.prices)
    }

    fn cheapest(&self, row: usize) -> usize {
        let open = self.rows.pairs(row).filter(|&pair| !self.banned[pair]);
        let priced = open.map(|pair| (self.reduced(pair), pair));
        priced.min_by(|a, b| a.0.total_cmp(&b.0)).map_or(self.rows.start[row], |(_, pair)| pair)
    }

    /// The dual value at the current prices, with the true objective: a bound for the rows under the current bans.
    pub(crate) fn value(&self) -> f64 {
        let mut value = crate::sums::Sum::default();
        for row in 0..self.rows.len() {
            let open = self.rows.pairs(row).filter(|&pair| !self.banned[pair]);
            let priced = open.map(|pair| self.rows.objective[pair] + self.rows.dot(pair, &self.prices));
            value.add(priced.fold(f64::INFINITY, f64::min));
        }
        self.prices().iter().zip(&self.limit).for_each(|(price, limit)| value.add(-price * limit));
        value.value()
    }

    /// The pairs that share a row in the relaxation's vertex: `(row, pair, fraction)`, keys included.
    pub(crate) fn fractions(&self) -> Vec<(usize, usize, f64)> {
        let amounts = self.basis.amounts(&self.residual());
        let mut out = Vec::new();
        for (row, positions) in self.basis.shared_rows() {
            let mut left = 1.0;
            for position in positions {
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
    fn residual(&self) -> Vec<f64> {
        let mut used = vec![0.0; self.limit.len() + 1];
        self.key.iter().for_each(|&pair| self.rows.add_usage(pair, 1.0, &mut used));
        self.limit.iter().zip(&used).map(|(limit, used)| limit - used).collect()
    }

    /// Forbids a pair. False when its row has no other left.
    pub(crate) fn ban(&mut self, row: usize, pair: usize) -> bool {
        self.banned[pair] = true;
        if self.rows.pairs(row).all(|other| self.banned[other]) {
            return false;
        }
        if self.key[row] == pair {
            let partner = self.basis.positions_of(row).find(|&p| match self.basis.at(p) {
                Basic::Pair { pair, .. } => !self.banned[pair],
                _ => false,
            });
            match partner {
                Some(position) => self.key[row] = self.basis.swap_key(position, pair),
                None if self.basis.positions_of(row).next().is_none() => self.key[row] = self.cheapest(row),
                // All that is tied here is banned: give the row a fresh start and pin the prices where they are.
                None => self.restart(),
            }
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
        (0..self.rows.len()).for_each(|row| self.key[row] = self.cheapest(row));
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
            let residual = self.residual();
            let Some((position, up, slope)) = self.leaving(&residual) else {
                if self.nudged {
                    self.nudged = false;
                    self.settle();
                }
                return Ok(if self.value() >= cutoff { Ascended::Cutoff } else { Ascended::Optimal });
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

    /// The basic variable whose leaving helps most: position, direction, and the slope of the dual along its edge.
    fn leaving(&mut self, residual: &[f64]) -> Option<(usize, f64, f64)> {
        let amounts = self.basis.amounts(residual);
        // A key that would be negative changes places with the largest pair of its row.
        let rows: Vec<(usize, Vec<usize>)> = self.basis.shared_rows();
        for (row, positions) in rows {
            let sum: f64 = positions.iter().map(|&p| amounts[p]).sum();
            if 1.0 - sum < -TINY {
                let largest = positions.into_iter().filter(|&p| !self.is_banned_at(p) && amounts[p] > TINY);
                if let Some(position) = largest.max_by(|&a, &b| amounts[a].total_cmp(&amounts[b])) {
                    self.key[row] = self.basis.swap_key(position, self.key[row]);
                    let residual = self.residual();
                    return self.leaving(&residual);
                }
            }
        }
        let mut best: Option<(usize, f64, f64)> = None;
        let mut most = 0.0;
        for (position, &amount) in amounts.iter().enumerate() {
            let (below, above) = match self.basis.at(position) {
                Basic::Slack(k) => (amount < -self.tolerance(k), false),
                Basic::Pinned(k) => (amount < -self.tolerance(k), amount > self.tolerance(k)),
                Basic::Pair { pair, .. } => (amount < -TINY, self.banned[pair] && amount > TINY),
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

    fn is_banned_at(&self, position: usize) -> bool {
        matches!(self.basis.at(position), Basic::Pair { pair, .. } if self.banned[pair])
    }

    /// Violation of a limit that rounding of the sums can explain.
    fn tolerance(&self, k: usize) -> f64 {
        TINY * (1.0 + 1e-3 * self.limit[k].abs())
    }

    /// The exact maximum along an edge: the variable that enters, and the distance. `None` where the dual never stops rising.
    fn line_search(&mut self, leaving: usize, direction: &[f64], slope: f64) -> Option<(Basic, f64)> {
        let (stop_at, stop) = self.nearest_stop(leaving, direction);
        let mut heap: BinaryHeap<Reverse<Crossing>> = (0..self.rows.len())
            .filter_map(|row| self.next_crossing(row, direction, 0.0))
            .filter(|crossing| crossing.at < stop_at)
            .map(Reverse)
            .collect::<Vec<_>>()
            .into();
        // A row with basic pairs cannot change its key without breaking their ties: it ends the step.
        let shared: BTreeSet<usize> = (0..self.limit.len())
            .filter(|&p| p != leaving)
            .filter_map(|p| match self.basis.at(p) {
                Basic::Pair { row, .. } => Some(row),
                _ => None,
            })
            .collect();
        let mut slope = slope;
        while let Some(Reverse(Crossing { at, row, pair })) = heap.pop() {
            if at > stop_at {
                break;
            }
            slope -= self.rows.dot(self.key[row], direction) - self.rows.dot(pair, direction);
            if shared.contains(&row) || slope <= TINY {
                return Some((Basic::Pair { row, pair }, at));
            }
            self.key[row] = pair;
            if let Some(next) = self.next_crossing(row, direction, at) {
                heap.push(Reverse(next));
            }
        }
        stop.map(|k| (Basic::Slack(k), stop_at))
    }

    /// The first price that falls to zero along an edge.
    fn nearest_stop(&self, leaving: usize, direction: &[f64]) -> (f64, Option<usize>) {
        let basic_slack = self.basis.slacks(leaving);
        let mut nearest = (f64::INFINITY, None);
        for (k, (&price, &rate)) in self.prices().iter().zip(direction).enumerate() {
            if rate < -1e-12 && !basic_slack[k] && price / -rate < nearest.0 {
                nearest = ((price / -rate).max(0.0), Some(k));
            }
        }
        nearest
    }

    fn next_crossing(&self, row: usize, direction: &[f64], from: f64) -> Option<Crossing> {
        let key = self.key[row];
        let key_rate = self.rows.dot(key, direction);
        let key_now = self.reduced(key);
        let mut best: Option<Crossing> = None;
        let mut best_rate = 0.0;
        for pair in self.rows.pairs(row) {
            let rate = key_rate - self.rows.dot(pair, direction);
            if pair == key || rate <= 1e-11 || self.banned[pair] {
                continue;
            }
            let at = ((self.reduced(pair) - key_now) / rate).max(from);
            if best.as_ref().is_none_or(|b| at < b.at || (at == b.at && rate > best_rate)) {
                best_rate = rate;
                best = Some(Crossing { at, row, pair });
            }
        }
        best
    }

    fn move_along(&mut self, direction: &[f64], distance: f64) {
        for (price, rate) in self.prices.iter_mut().zip(direction) {
            *price = (*price + distance * rate).max(0.0);
        }
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
            self.reprice();
        } else {
            self.restart();
        }
    }

    /// Prices at which every basic pair is tied with its key, slacks cost nothing and pins stay.
    fn reprice(&mut self) {
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
        let shared: BTreeSet<usize> = self.basis.shared_rows().into_iter().map(|(row, _)| row).collect();
        for row in (0..self.rows.len()).filter(|row| !shared.contains(row)) {
            let cheapest = self.cheapest(row);
            if self.reduced(cheapest) < self.reduced(self.key[row]) - 1e-12 {
                self.key[row] = cheapest;
            }
        }
    }

    /// Goes from the nudged optimum to the true one: the same basis, the true objective.
    fn settle(&mut self) {
        // Keys chosen by the nudge are part of the vertex; only the prices are recomputed.
        let keys = self.key.clone();
        self.reprice();
        self.key = keys;
    }
}

impl PartialEq for Crossing {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}
impl Eq for Crossing {}
impl PartialOrd for Crossing {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Crossing {
    fn cmp(&self, other: &Self) -> Ordering {
        self.at.total_cmp(&other.at).then(self.row.cmp(&other.row))
    }
}
