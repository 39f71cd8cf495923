//! A step of the ascent along an edge, as far as the dual rises.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::ascent::{Ascent, TINY};
use crate::basis::Basic;
use crate::lanes::crossings;

/// Rates below this are rounding.
const FLAT: f64 = 1e-11;
/// Pairs priced together: they stay in the first-level cache.
const TOGETHER: usize = 1024;
/// Fewer pairs than this are looked at one by one.
const SHORT: usize = 16;
/// Due rows that are looked at together.
const AT_ONCE: usize = 1024;
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
        if stop_at == 0.0 {
            return stop.map(|k| (Basic::Slack(k), stop_at));
        }
        // A row with basic pairs cannot change its key without breaking their ties: it ends the step.
        let mut shared: Vec<usize> = (0..self.prices().len())
            .filter(|&p| p != leaving)
            .filter_map(|p| match self.basis.at(p) {
                Basic::Pair { row, .. } => Some(row),
                _ => None,
            })
            .collect();
        shared.sort_unstable();
        let mut horizon = self.calendar.horizon(direction).min(stop_at);
        let (mut slope, mut due, mut visited) = (slope, Vec::new(), Vec::new());
        let (mut heap, mut later) = (BinaryHeap::new(), Vec::new());
        let found = 'search: loop {
            self.calendar.take_due(direction, horizon, &mut due);
            // Of rows that are tied, a step that ends where it begins looks at as few as it takes.
            let mut left = due.as_slice();
            while !left.is_empty() {
                let (some, others) = left.split_at(AT_ONCE.min(left.len()));
                self.look_at(some, direction, |row, at, margin| {
                    visited.push((row, margin));
                    let crossing = Crossing { at, row };
                    if at == 0.0 {
                        heap.push(Reverse(crossing));
                    } else if at < stop_at {
                        later.push(crossing);
                    }
                });
                left = others;
                if let Some(found) = self.pass_crossings(&mut heap, 0.0, direction, &mut slope, &shared) {
                    left.iter().for_each(|&row| self.calendar.enter(row, 0.0));
                    break 'search Some(found);
                }
            }
            let near: Vec<_> =
                later.extract_if(.., |crossing: &mut Crossing| crossing.at <= horizon).map(Reverse).collect();
            heap.append(&mut near.into());
            match self.pass_crossings(&mut heap, horizon, direction, &mut slope, &shared) {
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
        direction: &[f64],
        slope: &mut f64,
        shared: &[usize],
    ) -> Option<(Basic, f64)> {
        while heap.peek().is_some_and(|Reverse(next)| next.at <= horizon) {
            let Reverse(Crossing { at, row }) = heap.pop()?;
            let (pair, next) = self.overtaking(row, direction, at);
            *slope -= self.rows.dot(self.key[row], direction) - self.rows.dot(pair, direction);
            if *slope <= TINY || shared.binary_search(&row).is_ok() {
                return Some((Basic::Pair { row, pair }, at));
            }
            self.set_key(row, pair);
            if next < f64::INFINITY {
                heap.push(Reverse(Crossing { at: next, row }));
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

    /// Calls `visit(row, crossing, margin)` for rows in ascending order: where the key changes next along an edge, and how far
    /// behind the second choice is now. Neighbours are priced together.
    fn look_at(&self, rows: &[usize], direction: &[f64], mut visit: impl FnMut(usize, f64, f64)) {
        let (mut now, mut rate) = (Vec::new(), Vec::new());
        let (mut start, mut key, mut at, mut margin) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut from = 0;
        while from < rows.len() {
            let first = rows[from];
            let together =
                |at: usize| rows[at] == first + (at - from) && self.rows.start[rows[at]] < self.end_of(first);
            let to = (from + 1..rows.len()).take_while(|&at| together(at)).last().map_or(from + 1, |last| last + 1);
            let stretch = first..first + (to - from);
            let pairs = self.rows.start[stretch.start]..self.rows.start[stretch.end];
            if pairs.len() < SHORT {
                for row in stretch {
                    let (at, margin) = self.look_at_one(row, direction);
                    visit(row, at, margin);
                }
                from = to;
                continue;
            }
            self.price(&pairs, true, &mut now);
            rate.clear();
            rate.resize(pairs.len(), 0.0);
            self.columns.add(&pairs, direction, &mut rate);
            start.clear();
            start.extend(self.rows.start[stretch.start..=stretch.end].iter().map(|pair| pair - pairs.start));
            key.clear();
            key.extend(self.key[stretch.clone()].iter().map(|pair| pair - pairs.start));
            at.resize(to - from, 0.0);
            margin.resize(to - from, 0.0);
            crossings::run(&start, &key, &mut now, &rate, FLAT, &mut at, &mut margin);
            stretch.zip(at.iter().zip(&margin)).for_each(|(row, (&at, &margin))| visit(row, at.max(0.0), margin));
            from = to;
        }
    }

    /// The same for one row.
    fn look_at_one(&self, row: usize, direction: &[f64]) -> (f64, f64) {
        let key = self.key[row];
        let (key_now, key_rate) = (self.reduced(key), self.rows.dot(key, direction));
        let (mut at, mut margin) = (f64::INFINITY, f64::INFINITY);
        for pair in self.rows.pairs(row) {
            let out = (pair == key) | self.banned[pair];
            let behind = if out { f64::INFINITY } else { self.reduced(pair) - key_now };
            let closing = key_rate - self.rows.dot(pair, direction);
            let crossing = if closing > FLAT { behind / closing } else { f64::INFINITY };
            margin = if behind < margin { behind } else { margin };
            at = if crossing < at { crossing } else { at };
        }
        (at.max(0.0), margin)
    }

    /// Rows that start before this pair are priced together with a row.
    fn end_of(&self, row: usize) -> usize {
        self.rows.start[row] + TOGETHER
    }

    /// The pair that overtakes a row's key at a crossing, of several the one that falls fastest, and where that pair is
    /// overtaken in turn.
    fn overtaking(&self, row: usize, direction: &[f64], at: f64) -> (usize, f64) {
        let key = self.key[row];
        let priced = |pair: usize| (self.reduced(pair), self.rows.dot(pair, direction));
        let (key_now, key_rate) = priced(key);
        let open = self.rows.pairs(row).filter(|&pair| pair != key && !self.banned[pair]);
        let others: Vec<(usize, f64, f64)> =
            open.map(|pair| (pair, priced(pair))).map(|(p, (n, r))| (p, n, r)).collect();
        let (mut best, mut soonest, mut fastest) = (key, f64::INFINITY, 0.0);
        for &(pair, now, rate) in &others {
            let closing = key_rate - rate;
            if closing > FLAT {
                let crossing = ((now - key_now) / closing).max(at);
                if crossing < soonest || (crossing == soonest && closing > fastest) {
                    (best, soonest, fastest) = (pair, crossing, closing);
                }
            }
        }
        let (best_now, best_rate) = priced(best);
        let overtakes = |&(pair, now, rate): &(usize, f64, f64)| {
            let closing = best_rate - rate;
            (pair != best && closing > FLAT).then(|| ((now - best_now) / closing).max(at))
        };
        (best, others.iter().filter_map(overtakes).fold(f64::INFINITY, f64::min))
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
