//! A step of the ascent along an edge, as far as the dual rises.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::ascent::{Ascent, TINY};
use crate::basis::Basic;

/// Rates below this are rounding.
const FLAT: f64 = 1e-11;
/// Where a step goes farther than expected, it looks so many times as far ahead.
const FARTHER: f64 = 3.0;

/// The next pair of a row to become its cheapest, at distance `at` along the edge.
struct Crossing {
    at: f64,
    row: usize,
    pair: usize,
}

impl Ascent<'_> {
    /// The exact maximum along an edge: the variable that enters, and the distance; keys change on the way. `None` where the
    /// dual never stops rising.
    pub(crate) fn line_search(&mut self, leaving: usize, direction: &[f64], slope: f64) -> Option<(Basic, f64)> {
        let (stop_at, stop) = self.nearest_stop(leaving, direction);
        // A row with basic pairs cannot change its key without breaking their ties: it ends the step.
        let mut shared: Vec<usize> = (0..self.prices().len())
            .filter(|&p| p != leaving)
            .filter_map(|p| match self.basis.at(p) {
                Basic::Pair { row, .. } => Some(row),
                _ => None,
            })
            .collect();
        shared.sort_unstable();
        let speed = direction.iter().fold(0.0, |most: f64, rate| most.max(rate.abs()));
        // Price and rate side by side: a look at a pair touches both.
        let moving: Vec<[f64; 2]> =
            self.all_prices().iter().zip(direction).map(|(&price, &rate)| [price, rate]).collect();
        let mut horizon = self.calendar.horizon(speed).min(stop_at);
        let (mut slope, mut due, mut visited) = (slope, Vec::new(), Vec::new());
        let (mut heap, mut later) = (BinaryHeap::new(), Vec::new());
        let found = loop {
            self.calendar.take_due(speed, horizon, &mut due);
            for &row in &due {
                let (crossing, margin) = self.next_crossing(row, &moving, 0.0);
                visited.push((row, margin));
                later.extend(crossing.filter(|crossing| crossing.at < stop_at));
            }
            let near: Vec<_> =
                later.extract_if(.., |crossing: &mut Crossing| crossing.at <= horizon).map(Reverse).collect();
            heap.append(&mut near.into());
            match self.pass_crossings(&mut heap, horizon, &moving, &mut slope, &shared) {
                Some(found) => break Some(found),
                None if horizon >= stop_at => break stop.map(|k| (Basic::Slack(k), stop_at)),
                None if visited.len() == self.rows.len() => horizon = stop_at,
                None => horizon = (FARTHER * horizon).min(stop_at),
            }
        };
        // These margins are older than the step, so a row that has changed its key on the way is due at once.
        visited.into_iter().for_each(|(row, margin)| self.calendar.enter(row, margin));
        found
    }

    /// Lets rows change their keys in the order of their crossings, up to the horizon, until the dual no longer rises.
    fn pass_crossings(
        &mut self,
        heap: &mut BinaryHeap<Reverse<Crossing>>,
        horizon: f64,
        moving: &[[f64; 2]],
        slope: &mut f64,
        shared: &[usize],
    ) -> Option<(Basic, f64)> {
        while heap.peek().is_some_and(|Reverse(next)| next.at <= horizon) {
            let Reverse(Crossing { at, row, pair }) = heap.pop()?;
            *slope -= self.priced(self.key[row], moving)[1] - self.priced(pair, moving)[1];
            if *slope <= TINY || shared.binary_search(&row).is_ok() {
                return Some((Basic::Pair { row, pair }, at));
            }
            self.set_key(row, pair);
            heap.extend(self.next_crossing(row, moving, at).0.map(Reverse));
        }
        None
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

    /// The reduced objective of a pair, and how fast it rises.
    #[inline]
    fn priced(&self, pair: usize, moving: &[[f64; 2]]) -> [f64; 2] {
        let terms = pair * self.rows.n_resources..(pair + 1) * self.rows.n_resources;
        let mut sum = [self.objective(pair), 0.0];
        for (usage, &limit) in self.rows.usage[terms.clone()].iter().zip(&self.rows.limit[terms]) {
            let [price, rate] = moving[limit as usize];
            sum[0] += usage * price;
            sum[1] += usage * rate;
        }
        sum
    }

    /// The next change of a row's key, not before `from`, and how far behind its second choice is now.
    fn next_crossing(&self, row: usize, moving: &[[f64; 2]], from: f64) -> (Option<Crossing>, f64) {
        let key = self.key[row];
        let [key_now, key_rate] = self.priced(key, moving);
        let (mut at, mut best_rate, mut best) = (f64::INFINITY, 0.0, None);
        let mut margin = f64::INFINITY;
        for pair in self.rows.pairs(row) {
            if pair == key || self.banned[pair] {
                continue;
            }
            let [now, rate] = self.priced(pair, moving);
            let (behind, closing) = (now - key_now, key_rate - rate);
            margin = margin.min(behind);
            if closing > FLAT && behind <= at * closing {
                let crossing = (behind / closing).max(from);
                if crossing < at || (crossing == at && closing > best_rate) {
                    (at, best_rate, best) = (crossing, closing, Some(pair));
                }
            }
        }
        (best.map(|pair| Crossing { at, row, pair }), margin)
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
