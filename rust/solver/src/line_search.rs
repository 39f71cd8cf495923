//! A step of the ascent along an edge, as far as the dual rises.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::ascent::{Ascent, TINY};
use crate::basis::Basic;

/// Rates below this are rounding.
const FLAT: f64 = 1e-11;
/// Where a step goes farther than expected, it looks so many times as far ahead.
const FARTHER: f64 = 3.0;

/// Where along the edge a row gets another cheapest pair.
struct Crossing {
    at: f64,
    row: usize,
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
                let (at, margin) = self.next_crossing(row, &moving, 0.0);
                visited.push((row, margin));
                if at < stop_at {
                    later.push(Crossing { at, row });
                }
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
            let Reverse(Crossing { at, row }) = heap.pop()?;
            let pair = self.pair_at(row, moving, at);
            *slope -= self.priced(self.key[row], moving)[1] - self.priced(pair, moving)[1];
            if *slope <= TINY || shared.binary_search(&row).is_ok() {
                return Some((Basic::Pair { row, pair }, at));
            }
            self.set_key(row, pair);
            let (at, _) = self.next_crossing(row, moving, at);
            if at < f64::INFINITY {
                heap.push(Reverse(Crossing { at, row }));
            }
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
        let own = self.rows.objective[pair] + self.nudge(pair);
        add_terms(own, &self.rows.usage[terms.clone()], &self.rows.limit[terms], moving)
    }

    /// Where a row's key changes next, not before `from`, and how far behind its second choice is now. Without branches: most
    /// rows that are looked at do not change.
    fn next_crossing(&self, row: usize, moving: &[[f64; 2]], from: f64) -> (f64, f64) {
        let key = self.key[row];
        let [key_now, key_rate] = self.priced(key, moving);
        let (mut at, mut margin) = (f64::INFINITY, f64::INFINITY);
        self.rows.each_pair(row, |pair, objective, usage, limit| {
            let [now, rate] = add_terms(objective + self.nudge(pair), usage, limit, moving);
            let behind = if (pair == key) | self.banned[pair] { f64::INFINITY } else { now - key_now };
            let closing = key_rate - rate;
            let crossing = if closing > FLAT { behind / closing } else { f64::INFINITY };
            margin = if behind < margin { behind } else { margin };
            at = if crossing < at { crossing } else { at };
        });
        (at.max(from), margin)
    }

    /// The pair that becomes the cheapest of its row at a crossing; of several the one that falls fastest.
    fn pair_at(&self, row: usize, moving: &[[f64; 2]], at: f64) -> usize {
        let key = self.key[row];
        let [key_now, key_rate] = self.priced(key, moving);
        let (mut fastest, mut found) = (0.0, key);
        self.rows.each_pair(row, |pair, objective, usage, limit| {
            let [now, rate] = add_terms(objective + self.nudge(pair), usage, limit, moving);
            let closing = key_rate - rate;
            let due = closing > FLAT && (now - key_now) / closing <= at;
            if due && closing > fastest && pair != key && !self.banned[pair] {
                (fastest, found) = (closing, pair);
            }
        });
        found
    }
}

/// `own + sum usage * [price, rate]`, the rate without `own`.
#[inline]
fn add_terms(own: f64, usage: &[f64], limit: &[u32], moving: &[[f64; 2]]) -> [f64; 2] {
    let mut sum = [own, 0.0];
    for (usage, &limit) in usage.iter().zip(limit) {
        let [price, rate] = moving[limit as usize];
        sum[0] += usage * price;
        sum[1] += usage * rate;
    }
    sum
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
