//! When each row must be looked at again, so that a step of the ascent visits few rows.
//!
//! A row keeps its cheapest pair while the prices move by less than its margin, the distance to its second choice. If the
//! prices travel a path of length `t` (largest coordinate), the margin shrinks by at most `t * weight`, with `weight` twice the
//! most that a pair of the row uses in all. So the row is *due* no earlier than `margin / weight` further along.

use std::sync::Arc;

use crate::rows::Rows;

/// Of the rows, the share that the first step looks at at once; later steps look as far as the step before went.
const FIRST_SHARE: usize = 16;

/// The length of the path so far, and where on it each row is due.
#[derive(Clone)]
pub(crate) struct Calendar {
    travelled: f64,
    due: Vec<f64>,
    weight: Arc<[f64]>,
    /// How far the last step went.
    last: Option<f64>,
}

impl Calendar {
    /// Every row is due at once.
    pub(crate) fn new(rows: &Rows) -> Self {
        let used = |pair: usize| {
            let terms = pair * rows.n_resources..(pair + 1) * rows.n_resources;
            let counts = rows.usage[terms.clone()].iter().zip(&rows.limit[terms]);
            counts.filter(|(_, &limit)| (limit as usize) < rows.n_limits).map(|(usage, _)| usage.abs()).sum::<f64>()
        };
        let weight = (0..rows.len()).map(|row| 2.0 * rows.pairs(row).map(used).fold(f64::MIN_POSITIVE, f64::max));
        Self { travelled: 0.0, due: vec![0.0; rows.len()], weight: weight.collect(), last: None }
    }

    /// A first guess of how far a step at this speed goes.
    pub(crate) fn horizon(&self, speed: f64) -> f64 {
        let ahead = self.last.unwrap_or_else(|| {
            let mut due = self.due.clone();
            let at = due.len() / FIRST_SHARE;
            if due.is_empty() {
                0.0
            } else {
                *due.select_nth_unstable_by(at, f64::total_cmp).1 - self.travelled
            }
        });
        ahead.max(1e-12) / speed
    }

    /// Takes the rows that are due by the time the prices have moved at `speed` for `distance`; they are not due again until
    /// [`Calendar::enter`].
    pub(crate) fn take_due(&mut self, speed: f64, distance: f64, out: &mut Vec<usize>) {
        let until = (self.travelled + speed * distance).min(f64::MAX);
        out.clear();
        out.extend((0..self.due.len()).filter(|&row| self.due[row] <= until));
        out.iter().for_each(|&row| self.due[row] = f64::INFINITY);
    }

    /// Enters the margin of a row at the present prices.
    #[inline]
    pub(crate) fn enter(&mut self, row: usize, margin: f64) {
        self.due[row] = self.travelled + margin.max(0.0) / self.weight[row];
    }

    /// Moves on; margins entered before still hold from where they were entered.
    pub(crate) fn travel(&mut self, length: f64) {
        self.travelled += length;
        self.last = Some(length);
    }
}
