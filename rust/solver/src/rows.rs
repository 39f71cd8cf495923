//! Queries held in memory with the pairs that are still open: what a screening pass returns and the ascent works on.

use serde::{Deserialize, Serialize};

use crate::grid::GridSum;

/// The open pairs of some queries, row after row, with what the other queries already use.
///
/// Each pair has one objective and one usage per resource, in the form "minimise, `usage <= limit`".
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rows {
    /// First pair of each row; one more entry than rows.
    pub start: Vec<usize>,
    /// The query of each row.
    pub query: Vec<usize>,
    /// The model of each pair.
    pub model: Vec<u32>,
    /// The objective of each pair.
    pub objective: Vec<f64>,
    /// Number of resources.
    pub n_resources: usize,
    /// Usage of each pair, `n_resources` numbers each.
    pub usage: Vec<f64>,
    /// The limit each of those numbers counts under, or `n_limits` for none.
    pub limit: Vec<u32>,
    /// Number of limits.
    pub n_limits: usize,
    /// Objective of the queries that have one open pair only.
    pub fixed_objective: GridSum,
    /// What those queries use under each limit.
    pub fixed_usage: Vec<GridSum>,
    /// The share of each limit that these queries (with the fixed ones) are given: 1 unless they are a sample.
    pub share: Vec<f64>,
    /// First query without an open pair.
    pub stranded: Option<usize>,
}

/// Powers of two that bring objective and usage to order one.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Scale {
    pub(crate) objective: f64,
    /// One per limit.
    pub(crate) usage: Vec<f64>,
}

impl Scale {
    /// From the mean magnitudes of what differs.
    pub(crate) fn of(rows: &Rows) -> Self {
        let mut sums = vec![(0.0, 0.0); rows.n_limits + 1];
        for (usage, &limit) in rows.usage.iter().zip(&rows.limit) {
            let (sum, count) = &mut sums[limit as usize];
            *sum += usage.abs();
            *count += f64::from(u8::from(*usage != 0.0));
        }
        let mut objective = (0.0, 0.0);
        for x in &rows.objective {
            objective = (objective.0 + x.abs(), objective.1 + f64::from(u8::from(*x != 0.0)));
        }
        // Of a limit that no row uses there is what the fixed queries use: a rounding error of it must not look large.
        let usage = |(&(sum, count), fixed): (&(f64, f64), &GridSum)| {
            inverse_power(if count > 0.0 { sum / count } else { fixed.value().abs() })
        };
        let usage = sums.iter().zip(&rows.fixed_usage).map(usage).collect();
        Self { objective: inverse_power(objective.0 / objective.1), usage }
    }

    /// Prices of the scaled rows in the units of the problem.
    pub(crate) fn to_problem(&self, prices: &[f64]) -> Vec<f64> {
        prices.iter().zip(&self.usage).map(|(price, usage)| price * usage / self.objective).collect()
    }

    /// Prices of the problem in the units of the scaled rows.
    pub(crate) fn to_rows(&self, prices: &[f64]) -> Vec<f64> {
        prices.iter().zip(&self.usage).map(|(price, usage)| price / usage * self.objective).collect()
    }
}

/// The power of two nearest to `1 / mean`; 1 where there is no mean.
fn inverse_power(mean: f64) -> f64 {
    if mean > 0.0 && mean.is_finite() {
        f64::powi(2.0, -(mean.log2().round() as i32).clamp(-1000, 1000))
    } else {
        1.0
    }
}

impl Rows {
    /// No rows.
    pub fn new(n_resources: usize, n_limits: usize) -> Self {
        Self {
            start: vec![0],
            n_resources,
            n_limits,
            fixed_usage: vec![GridSum::default(); n_limits],
            share: vec![1.0; n_limits],
            ..Self::default()
        }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.query.len()
    }

    /// Whether every query is fixed.
    pub fn is_empty(&self) -> bool {
        self.query.is_empty()
    }

    /// The pairs of a row.
    #[inline]
    pub fn pairs(&self, row: usize) -> std::ops::Range<usize> {
        self.start[row]..self.start[row + 1]
    }

    /// The rows in stretches of about so many pairs.
    pub(crate) fn stretches(&self, pairs: usize) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        let mut from = 0;
        std::iter::from_fn(move || {
            let first = *self.start[..self.len()].get(from)?;
            let to = from + self.start[from + 1..].partition_point(|&end| end <= first + pairs).max(1);
            Some(std::mem::replace(&mut from, to)..to)
        })
    }

    /// `sum_k values_k * usage_k` of a pair; `values` has one entry more than there are limits, a zero.
    #[inline]
    pub(crate) fn dot(&self, pair: usize, values: &[f64]) -> f64 {
        let at = pair * self.n_resources;
        let mut sum = 0.0;
        for (usage, &limit) in self.usage[at..at + self.n_resources].iter().zip(&self.limit[at..]) {
            sum += usage * values[limit as usize];
        }
        sum
    }

    /// Adds `factor * usage` of a pair to a vector over limits (one entry more than limits).
    #[inline]
    pub(crate) fn add_usage(&self, pair: usize, factor: f64, to: &mut [f64]) {
        let at = pair * self.n_resources;
        for (usage, &limit) in self.usage[at..at + self.n_resources].iter().zip(&self.limit[at..]) {
            to[limit as usize] += factor * usage;
        }
    }

    /// What a pair uses, and the limit it counts under, per resource.
    pub(crate) fn uses(&self, pair: usize) -> impl Iterator<Item = (f64, u32)> + '_ {
        let at = pair * self.n_resources..(pair + 1) * self.n_resources;
        self.usage[at.clone()].iter().copied().zip(self.limit[at].iter().copied())
    }

    /// Appends a pair to the row under construction.
    pub(crate) fn push_pair(&mut self, model: u32, objective: f64, usage: impl Iterator<Item = (f64, u32)>) {
        self.model.push(model);
        self.objective.push(objective);
        for (amount, limit) in usage {
            self.usage.push(amount);
            self.limit.push(limit);
        }
    }

    /// Ends the row under construction; a row of one pair becomes a fixed query.
    pub(crate) fn end_row(&mut self, query: usize) {
        let first = *self.start.last().unwrap_or(&0);
        match self.model.len() - first {
            0 => self.stranded = self.stranded.or(Some(query)),
            1 => {
                self.fix(first);
                self.model.truncate(first);
                self.objective.truncate(first);
                self.usage.truncate(first * self.n_resources);
                self.limit.truncate(first * self.n_resources);
            }
            _ => {
                // Only differences within a row decide; without the common part they keep all their digits.
                let least = self.objective[first..].iter().copied().fold(f64::INFINITY, f64::min);
                self.fixed_objective.add(least);
                self.objective[first..].iter_mut().for_each(|x| *x -= least);
                self.query.push(query);
                self.start.push(self.model.len());
            }
        }
    }

    fn fix(&mut self, pair: usize) {
        self.fixed_objective.add(self.objective[pair]);
        for at in pair * self.n_resources..(pair + 1) * self.n_resources {
            if let Some(sum) = self.fixed_usage.get_mut(self.limit[at] as usize) {
                sum.add(self.usage[at]);
            }
        }
    }

    /// Makes room for more rows with so many pairs in all.
    pub(crate) fn reserve(&mut self, rows: usize, pairs: usize) {
        self.start.reserve(rows);
        self.query.reserve(rows);
        self.model.reserve(pairs);
        self.objective.reserve(pairs);
        self.usage.reserve(pairs * self.n_resources);
        self.limit.reserve(pairs * self.n_resources);
    }

    /// Appends the rows of the next blocks.
    pub(crate) fn append(&mut self, next: &[Self]) {
        let pairs = next.iter().map(|rows| rows.model.len()).sum::<usize>();
        let rows = next.iter().map(Self::len).sum::<usize>();
        self.reserve(rows, pairs);
        for next in next {
            let offset = self.model.len();
            self.start.extend(next.start[1..].iter().map(|at| at + offset));
            self.query.extend_from_slice(&next.query);
            self.model.extend_from_slice(&next.model);
            self.objective.extend_from_slice(&next.objective);
            self.usage.extend_from_slice(&next.usage);
            self.limit.extend_from_slice(&next.limit);
            self.fixed_objective.merge(next.fixed_objective);
            self.fixed_usage.iter_mut().zip(&next.fixed_usage).for_each(|(sum, part)| sum.merge(*part));
            self.stranded = self.stranded.or(next.stranded);
        }
    }

    /// Multiplies objective and usage by powers of two, which is exact.
    pub(crate) fn rescale(&mut self, scale: &Scale) {
        self.objective.iter_mut().for_each(|x| *x *= scale.objective);
        self.fixed_objective = self.fixed_objective.times(scale.objective);
        for (usage, &limit) in self.usage.iter_mut().zip(&self.limit) {
            *usage *= scale.usage.get(limit as usize).copied().unwrap_or(0.0);
        }
        for (sum, factor) in self.fixed_usage.iter_mut().zip(&scale.usage) {
            *sum = sum.times(*factor);
        }
    }

    /// Under each limit, what the rows use if each uses as little of that limit as it can.
    pub(crate) fn least_usage(&self) -> Vec<f64> {
        let mut least = vec![0.0; self.n_limits + 1];
        for row in 0..self.len() {
            for r in 0..self.n_resources {
                let at = |pair: usize| pair * self.n_resources + r;
                let first = self.limit[at(self.start[row])];
                if self.pairs(row).all(|pair| self.limit[at(pair)] == first) {
                    least[first as usize] += self.pairs(row).map(|p| self.usage[at(p)]).fold(f64::INFINITY, f64::min);
                } else {
                    // The row may as well choose a pair that does not count.
                    let below = self.pairs(row).filter(|&pair| self.usage[at(pair)] < 0.0);
                    below.for_each(|pair| least[self.limit[at(pair)] as usize] += self.usage[at(pair)]);
                }
            }
        }
        least
    }

    /// What the rows use at least along a direction.
    pub(crate) fn least_along(&self, direction: &[f64]) -> f64 {
        let padded: Vec<f64> = direction.iter().copied().chain([0.0]).collect();
        let least = |row: usize| self.pairs(row).map(|pair| self.dot(pair, &padded)).fold(f64::INFINITY, f64::min);
        (0..self.len()).map(least).sum()
    }

    /// Whether it depends on the plan which rows count under a limit.
    pub(crate) fn moving_limits(&self) -> Vec<bool> {
        let mut moving = vec![false; self.n_limits + 1];
        for row in 0..self.len() {
            for r in 0..self.n_resources {
                let limit = |pair: usize| self.limit[pair * self.n_resources + r];
                let first = limit(self.start[row]);
                if self.pairs(row).any(|pair| limit(pair) != first) {
                    self.pairs(row).for_each(|pair| moving[limit(pair) as usize] = true);
                }
            }
        }
        moving
    }

    /// How much nearer a pair can come to another of its row when each price moves by at most its width (one entry more than
    /// there are limits, a zero).
    pub(crate) fn reach(&self, pair: usize, other: usize, width: &[f64]) -> f64 {
        let terms = |pair: usize| {
            let at = pair * self.n_resources..(pair + 1) * self.n_resources;
            self.usage[at.clone()].iter().zip(&self.limit[at])
        };
        let both = terms(pair).zip(terms(other));
        both.map(|((a, &k), (b, &l))| {
            if k == l {
                width[k as usize] * (a - b).abs()
            } else {
                width[k as usize] * a.abs() + width[l as usize] * b.abs()
            }
        })
        .sum()
    }

    pub(crate) fn copy_pair(&self, pair: usize, out: &mut Self) {
        let at = pair * self.n_resources..(pair + 1) * self.n_resources;
        out.model.push(self.model[pair]);
        out.objective.push(self.objective[pair]);
        out.usage.extend_from_slice(&self.usage[at.clone()]);
        out.limit.extend_from_slice(&self.limit[at]);
    }

    /// The same pairs with two more resources: how many chosen pairs are of a kind, counted up and counted down, so that a
    /// search can limit loads from both sides. Their limits follow the others: `n_kinds` for "at most", then `n_kinds` for "at
    /// least".
    pub(crate) fn with_loads(&self, kind: &[u32], n_kinds: usize) -> Self {
        if n_kinds == 0 {
            return self.clone();
        }
        let first = self.n_limits as u32;
        let up = kind.iter().map(|&kind| (1.0, first + kind)).collect();
        let down = kind.iter().map(|&kind| (-1.0, first + n_kinds as u32 + kind)).collect();
        self.with_columns(&[up, down], 2 * n_kinds)
    }

    /// The same pairs with further resources, (amount, limit) per pair, and further limits after the others.
    pub(crate) fn with_columns(&self, columns: &[Vec<(f64, u32)>], n_more: usize) -> Self {
        let first = self.n_limits as u32;
        let none = |limit: u32| if limit == first { first + n_more as u32 } else { limit };
        let mut out = Self::new(self.n_resources + columns.len(), self.n_limits + n_more);
        out.fixed_objective = self.fixed_objective;
        let largest = columns.iter().flatten().fold(0.0, |most: f64, (amount, _)| most.max(amount.abs()));
        out.fixed_usage[self.n_limits..].fill(GridSum::of(largest));
        out.fixed_usage.iter_mut().zip(&self.fixed_usage).for_each(|(sum, own)| *sum = own.emptied());
        for row in 0..self.len() {
            for pair in self.pairs(row) {
                let at = pair * self.n_resources..(pair + 1) * self.n_resources;
                let own = self.usage[at.clone()].iter().copied().zip(self.limit[at].iter().map(|&k| none(k)));
                let more = columns.iter().map(|column| column[pair]);
                out.push_pair(self.model[pair], self.objective[pair], own.chain(more));
            }
            out.end_row(self.query[row]);
        }
        out
    }

    /// The same problem with only the pairs that `keep` accepts; rows left with one pair become fixed.
    pub(crate) fn filtered(&self, keep: impl Fn(usize, usize) -> bool) -> Self {
        let mut out = Self::new(self.n_resources, self.n_limits);
        out.fixed_objective = self.fixed_objective;
        out.fixed_usage.clone_from(&self.fixed_usage);
        out.share.clone_from(&self.share);
        for row in 0..self.len() {
            self.pairs(row).filter(|&pair| keep(row, pair)).for_each(|pair| self.copy_pair(pair, &mut out));
            out.end_row(self.query[row]);
        }
        out
    }
}
