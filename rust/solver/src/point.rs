//! One budget of a curve: a bound, and a plan from the few rows in which the choice is closest.

use crate::ascent::{Ascended, Ascent};
use crate::curve::Ground;
use crate::grid::GridSum;
use crate::many::{Close, Seen};
use crate::newton::dual_value;
use crate::oracle::Goal;
use crate::pass::{Data, Used};
use crate::plan::NEAR;
use crate::pool::block_rows;
use crate::problem::LARGEST;
use crate::repair::repair;
use crate::rows::{Rows, Scale};
use crate::watch::Unwatched;

/// Rows per limit that are taken at most, where ties would make it all of them.
const MOST_CLOSE: usize = 400;

/// The dual at some prices, as all rows have it: a bound for any limits.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) prices: Vec<f64>,
    /// Objective of the cheapest pairs, minimised, and what they use.
    pub(crate) own: f64,
    pub(crate) used: Vec<f64>,
    /// Of rounding.
    error: f64,
}

/// The rows in which the choice is close, and what their cheapest pairs add up to.
pub(crate) struct Near {
    /// Rows that one block may add.
    room: usize,
    rows: Rows,
    own: GridSum,
    used: Used,
}

/// A plan that meets every limit, in the sign that minimises.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    pub(crate) objective: f64,
    pub(crate) used: f64,
    /// The cheapest pairs at these prices,
    pub(crate) prices: Vec<f64>,
    /// but for some queries.
    pub(crate) changed: Vec<(usize, u16)>,
}

impl Line {
    pub(crate) fn new(data: &Data<'_>, prices: Vec<f64>, seen: &Seen) -> Self {
        let n = data.problem.n_queries;
        let own = seen.own.value();
        let used: Vec<f64> = seen.used.usage.iter().map(GridSum::value).collect();
        // The pair that was taken for the cheapest may be behind another by the errors of both.
        let mut error = 2.0 * n as f64 * data.pricing(Goal::Objective, &prices).rounding(&data.facts.magnitudes);
        error += seen.own.error(n);
        for ((price, sum), used) in prices.iter().zip(&seen.used.usage).zip(&used) {
            error += price * sum.error(n) + 8.0 * f64::EPSILON * (price * used).abs();
        }
        if seen.stranded || prices.iter().any(|price| *price > LARGEST) {
            error = f64::INFINITY;
        }
        error += 8.0 * f64::EPSILON * own.abs();
        Self { prices, own, used, error }
    }

    /// No plan within these limits has less.
    pub(crate) fn bound(&self, limits: &[f64]) -> f64 {
        let paid = self.prices.iter().zip(limits).map(|(price, limit)| (price * limit).abs()).sum::<f64>();
        let value = dual_value(self.own, &self.prices, &self.used, limits) - self.error - 8.0 * f64::EPSILON * paid;
        if value.is_finite() {
            value
        } else {
            f64::NEG_INFINITY
        }
    }
}

impl Near {
    pub(crate) fn none(data: &Data<'_>) -> Self {
        let most = MOST_CLOSE * data.limits.ids.len();
        let room = (most * block_rows(data.problem.n_models)).div_ceil(data.problem.n_queries);
        Self { room, rows: data.no_rows(Goal::Objective), own: data.no_own(), used: data.unused.clone() }
    }

    /// Takes a row with its close pairs, unless there are so many that they tell nothing apart.
    pub(crate) fn take(&mut self, data: &Data<'_>, close: &Close<'_>) {
        let (row, m) = (close.row, data.problem.n_models);
        if self.rows.len() >= self.room {
            return;
        }
        let own = |j: usize| close.weight * data.problem.inputs[data.problem.objective].data.get(row * m + j);
        for j in (0..m).filter(|&j| close.priced[j] <= close.reach) {
            self.rows.push_pair(j as u32, own(j), data.usage_of(row, j));
        }
        self.rows.end_row(data.query(row));
        self.own.add(own(close.at));
        data.count(&mut self.used, row, close.at);
    }

    pub(crate) fn append(&mut self, next: Self) {
        self.rows.append(std::slice::from_ref(&next.rows));
        self.own.merge(next.own);
        self.used.merge(&next.used);
    }

    /// With what the other rows add up to, given the sums of all.
    pub(crate) fn counted(mut self, data: &Data<'_>, seen: &Seen) -> Self {
        data.count_loads(&mut self.used);
        self.rows.fixed_objective.merge(seen.own);
        self.rows.fixed_objective.take(self.own);
        for ((fixed, all), own) in self.rows.fixed_usage.iter_mut().zip(&seen.used.usage).zip(&self.used.usage) {
            fixed.merge(*all);
            fixed.take(*own);
        }
        self
    }
}

/// A plan within some limits: the cheapest pairs, and among the rows that are near what the ascent makes of them.
pub(crate) fn finish(ground: &Ground<'_>, (line, near): &(Line, Near), limits: &[f64]) -> Option<Plan> {
    let (data, mut rows) = (ground.data, near.rows.clone());
    let scale = Scale::of(&rows);
    rows.rescale(&scale);
    let n_limits = limits.len();
    let room = |k: usize| if data.is_count(k) { 0.0 } else { 4.0 * NEAR * limits[k].abs() };
    let left = |k: usize| (limits[k] - room(k)) * scale.usage[k] - rows.fixed_usage[k].value();
    let left: Vec<f64> = (0..n_limits).map(left).collect();
    let mut ascent = Ascent::new(&rows, left.clone(), &scale.to_rows(&line.prices));
    let ended = ascent.run(f64::INFINITY, &Unwatched);
    if ended != Ok(Ascended::Optimal) {
        return None;
    }
    let mut plan = ascent.key.clone();
    for shares in ascent.fractions().chunk_by(|a, b| a.0 == b.0) {
        let largest = shares.iter().max_by(|a, b| a.2.total_cmp(&b.2)).unwrap_or(&shares[0]);
        plan[largest.0] = largest.1;
    }
    if !repair(&rows, &left, ascent.prices(), &|_| true, &mut plan) {
        return None;
    }
    let (mut own, mut usage) = (rows.fixed_objective, rows.fixed_usage.clone());
    for &pair in &plan {
        own.add(rows.objective[pair]);
        let of_pair = pair * rows.n_resources..(pair + 1) * rows.n_resources;
        for (&amount, &k) in rows.usage[of_pair.clone()].iter().zip(&rows.limit[of_pair]) {
            if let Some(sum) = usage.get_mut(k as usize) {
                sum.add(amount);
            }
        }
    }
    let used: Vec<f64> = usage.iter().zip(&scale.usage).map(|(sum, scale)| sum.value() / scale).collect();
    // Counts are exact; other sums are trusted where they keep away from the limit.
    let error = |k: usize| {
        if data.is_count(k) {
            0.0
        } else {
            NEAR * limits[k].abs() + usage[k].error(data.problem.n_queries) / scale.usage[k]
        }
    };
    let fits = (0..n_limits).all(|k| used[k] <= limits[k] - error(k));
    fits.then(|| Plan {
        objective: own.value() / scale.objective,
        used: used[ground.at],
        prices: line.prices.clone(),
        changed: rows.query.iter().zip(&plan).map(|(&query, &pair)| (query, rows.model[pair] as u16)).collect(),
    })
}
