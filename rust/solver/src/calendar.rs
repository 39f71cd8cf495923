//! When each row must be looked at again, so that a step of the ascent visits few rows.
//!
//! A row keeps its cheapest pair while the prices move by less than its margin, the distance to its second choice. If the
//! prices of a resource's limits travel a path of length `t` (largest coordinate), that shrinks the margin by at most
//! `t * weight`: the weight is the spread of what the row's pairs use where all count under one limit, else twice the most
//! that one uses. A row is *due* when the paths of all resources could have used up its margin.

use std::sync::Arc;

use crate::lanes::add_scaled_f64;
use crate::rows::Rows;

/// Of the rows, the share that the first step looks at at once; later steps look as far as the step before went.
const FIRST_SHARE: usize = 16;
/// Rows that are compared together.
const TOGETHER: usize = 256;

/// The length of the paths so far, and where on them each row is due.
#[derive(Clone)]
pub(crate) struct Calendar {
    fixed: Arc<Weights>,
    /// Per resource.
    travelled: Vec<f64>,
    /// Per row, the sum over resources of `weight * travelled` at which it is due.
    due: Vec<f64>,
    /// How far the last step went, by its speed.
    last: Option<f64>,
}

/// What does not change while the prices travel.
struct Weights {
    /// The resource of each limit.
    resource: Vec<usize>,
    /// Per resource, of each row.
    weight: Vec<Vec<f64>>,
}

impl Calendar {
    /// Every row is due at once.
    pub(crate) fn new(rows: &Rows) -> Self {
        let width = rows.n_resources;
        let mut resource = vec![0; rows.n_limits + 1];
        for of_pair in rows.limit.chunks_exact(width.max(1)) {
            of_pair.iter().enumerate().for_each(|(r, &k)| resource[k as usize] = r);
        }
        let weight = (0..width).map(|r| weights_of(rows, r)).collect();
        let fixed = Arc::new(Weights { resource, weight });
        Self { fixed, travelled: vec![0.0; width], due: vec![0.0; rows.len()], last: None }
    }

    /// How fast the prices of each resource move along an edge.
    fn speeds(&self, direction: &[f64]) -> Vec<f64> {
        let mut speeds = vec![0.0; self.travelled.len()];
        for (rate, &r) in direction.iter().zip(&self.fixed.resource) {
            if rate.abs() > 0.0 {
                speeds[r] = rate.abs().max(speeds[r]);
            }
        }
        speeds
    }

    /// A first guess of how far a step along an edge goes.
    pub(crate) fn horizon(&self, direction: &[f64]) -> f64 {
        let speed = direction.iter().fold(0.0, |most: f64, rate| most.max(rate.abs()));
        let ahead = self.last.map_or_else(|| self.first_horizon(direction), |last| last / speed);
        ahead.max(1e-12 / speed)
    }

    /// The distance at which the first rows are due.
    fn first_horizon(&self, direction: &[f64]) -> f64 {
        let speeds = self.speeds(direction);
        let ahead = |row: usize| {
            let rate = self.spent(row, &speeds);
            if rate > 0.0 {
                (self.due[row] - self.spent(row, &self.travelled)) / rate
            } else {
                f64::MAX
            }
        };
        let mut ahead: Vec<f64> = (0..self.due.len()).map(ahead).collect();
        if ahead.is_empty() {
            return 0.0;
        }
        let at = ahead.len() / FIRST_SHARE;
        *ahead.select_nth_unstable_by(at, f64::total_cmp).1
    }

    /// What paths of some lengths take from the margin of a row.
    #[inline]
    fn spent(&self, row: usize, lengths: &[f64]) -> f64 {
        self.fixed.weight.iter().zip(lengths).map(|(weight, length)| weight[row] * length).sum()
    }

    /// Takes the rows that are due by the time the prices have moved along an edge for `distance`; they are not due again
    /// until [`Calendar::enter`].
    pub(crate) fn take_due(&mut self, direction: &[f64], distance: f64, out: &mut Vec<usize>) {
        let moved =
            |(path, speed): (&f64, f64)| (path + if speed > 0.0 { speed * distance } else { 0.0 }).min(f64::MAX);
        // Rounding must not make a row late.
        let until = self.travelled.iter().zip(self.speeds(direction)).map(moved).map(|until| until * (1.0 + 1e-12));
        let until: Vec<f64> = until.collect();
        let mut spent = [0.0; TOGETHER];
        out.clear();
        for from in (0..self.due.len()).step_by(TOGETHER) {
            let due = &mut self.due[from..];
            let due = if due.len() > TOGETHER { &mut due[..TOGETHER] } else { due };
            let spent = &mut spent[..due.len()];
            spent.fill(0.0);
            for (weight, &until) in self.fixed.weight.iter().zip(&until) {
                add_scaled_f64::run(spent, until, &weight[from..]);
            }
            for ((row, due), spent) in (from..).zip(due).zip(spent) {
                if *due <= spent.min(f64::MAX) {
                    out.push(row);
                    *due = f64::INFINITY;
                }
            }
        }
    }

    /// Enters the margin of a row at the present prices.
    #[inline]
    pub(crate) fn enter(&mut self, row: usize, margin: f64) {
        self.due[row] = self.spent(row, &self.travelled) + margin.max(0.0);
    }

    /// Moves on; margins entered before still hold from where they were entered.
    pub(crate) fn travel(&mut self, direction: &[f64], distance: f64) {
        let speeds = self.speeds(direction);
        self.travelled.iter_mut().zip(&speeds).for_each(|(path, speed)| *path += speed * distance);
        self.last = Some(distance * speeds.iter().fold(0.0, |most: f64, speed| most.max(*speed)));
    }
}

/// By how much a path of length 1 of the prices of a resource can bring two pairs of each row together.
fn weights_of(rows: &Rows, r: usize) -> Vec<f64> {
    let width = rows.n_resources;
    let of_row = |row: usize| {
        let at = rows.start[row] * width..rows.start[row + 1] * width;
        let (usage, limit) = (&rows.usage[at.clone()], &rows.limit[at]);
        let first = limit[r];
        let (mut low, mut high, mut most, mut same) = (f64::INFINITY, f64::NEG_INFINITY, 0.0_f64, true);
        for (usage, limit) in usage.chunks_exact(width).zip(limit.chunks_exact(width)) {
            let (x, k) = (usage[r], limit[r]);
            low = if x < low { x } else { low };
            high = if x > high { x } else { high };
            let counted = if (k as usize) < rows.n_limits { x.abs() } else { 0.0 };
            most = if counted > most { counted } else { most };
            same &= k == first;
        }
        match (same, first as usize == rows.n_limits) {
            (true, true) => 0.0,
            (true, false) => high - low,
            (false, _) => 2.0 * most,
        }
    };
    (0..rows.len()).map(of_row).collect()
}
