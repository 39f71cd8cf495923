//! One budget of a curve: a bound, and a plan from the few rows in which the choice is closest.

use crate::ascent::{Ascended, Ascent};
use crate::curve::Ground;
use crate::grid::GridSum;
use crate::many::{Close, Seen};
use crate::newton::{dual_value, Place};
use crate::oracle::Goal;
use crate::pass::{Data, Used};
use crate::plan::NEAR;
use crate::problem::LARGEST;
use crate::repair::repair;
use crate::rows::{Rows, Scale};
use crate::watch::Unwatched;

/// Newton steps on the rows that are near, the lengths that are tried, and the rows per limit that the ascent gets.
const SETTLING: usize = 4;
const LENGTHS: [f64; 2] = [1.0, 0.4];
const NEAREST: usize = 16;
/// The part of the gap that may be spent on room below the limits, and the most room relative to a limit.
const ROOM: f64 = 0.3;
const MOST_ROOM: f64 = 1e-3;
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
    /// Nothing, with room for what is close among so many rows.
    pub(crate) fn none(data: &Data<'_>, rows: usize) -> Self {
        let most = MOST_CLOSE * data.limits.ids.len();
        let room = (most * rows).div_ceil(data.problem.n_queries);
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

/// A plan within some limits, the cheapest pairs but for the rows that are near, and the best prices these rows know.
///
/// First Newton steps on these rows alone, which hold all that answers to small moves of the prices; then the ascent on the
/// nearest of them, or where that is too few on all.
pub(crate) fn finish(
    ground: &Ground<'_>,
    (line, near): &(Line, Near),
    slack: f64,
    limits: &[f64],
) -> (Option<Plan>, Vec<f64>) {
    let mut rows = near.rows.clone();
    let scale = Scale::of(&rows);
    rows.rescale(&scale);
    let task = Task::new(ground, &scale, line, limits);
    let left = task.left(&rows, &task.aims);
    let width = slack * scale.objective;
    let (mut place, mut keys) = Place::of_rows(&rows, scale.to_rows(&line.prices), width);
    let mut first = None;
    for _ in 0..SETTLING {
        let over: Vec<f64> = place.used.iter().zip(&left).map(|(used, left)| used - left).collect();
        let step = place.step(&over, None);
        let moved = |length: f64| -> Vec<f64> {
            place.prices.iter().zip(&step).map(|(price, step)| (price + length * step).max(0.0)).collect()
        };
        // Farther than one step these rows do not reach, unless they suffice.
        first.get_or_insert_with(|| moved(1.0));
        let risen = LENGTHS.iter().find_map(|length| {
            let (next, keys) = Place::of_rows(&rows, moved(*length), -1.0);
            (next.value(&left) > place.value(&left)).then(|| (next.answering_as(&place), keys))
        });
        match risen {
            Some(next) => (place, keys) = next,
            None => break,
        }
    }
    let mut margins: Vec<f64> = keys.iter().map(|(_, margin)| *margin).collect();
    let wanted = NEAREST * limits.len();
    let narrow = (wanted < margins.len()).then(|| {
        let (_, &mut reach, _) = margins.select_nth_unstable_by(wanted, f64::total_cmp);
        let padded: Vec<f64> = place.prices.iter().copied().chain([0.0]).collect();
        let priced = |pair: usize| rows.objective[pair] + rows.dot(pair, &padded);
        rows.filtered(|row, pair| pair == keys[row].0 || priced(pair) - priced(keys[row].0) <= reach)
    });
    let found = narrow.and_then(|narrow| task.solve(&narrow, &place.prices));
    let found = found.or_else(|| task.solve(&rows, &place.prices));
    let plan = found.map(|(objective, used, chosen)| {
        // What the narrowing has fixed changes as well.
        let fixed = keys.iter().enumerate().map(|(row, (key, _))| (rows.query[row], rows.model[*key] as u16));
        Plan { objective, used, prices: line.prices.clone(), changed: fixed.chain(chosen).collect() }
    });
    (plan, scale.to_problem(&first.unwrap_or(place.prices)))
}

/// Objective of a plan, use of the budget, and the models of the queries that were not fixed.
type Found = (f64, f64, Vec<(usize, u16)>);

/// Limits that a plan must meet.
struct Task<'t> {
    ground: &'t Ground<'t>,
    scale: &'t Scale,
    limits: &'t [f64],
    /// A little less than the limits, so that a vertex can be rounded; as much as a small part of the gap is worth.
    aims: Vec<f64>,
}

impl<'t> Task<'t> {
    fn new(ground: &'t Ground<'_>, scale: &'t Scale, line: &Line, limits: &'t [f64]) -> Task<'t> {
        let priced = line.prices.iter().filter(|price| **price > 0.0).count() as f64;
        let worth = ROOM * ground.rel_gap * line.bound(limits).abs() / priced.max(1.0);
        let aim = |k: usize| match (line.prices[k] > 0.0, ground.data.is_count(k)) {
            (false, _) => limits[k],
            (true, true) => limits[k] - (worth / line.prices[k]).floor().min(1.0),
            (true, false) => limits[k] - (worth / line.prices[k]).min(MOST_ROOM * limits[k].abs()),
        };
        Task { ground, scale, limits, aims: (0..limits.len()).map(aim).collect() }
    }

    /// What the fixed queries leave of limits, in the units of the rows.
    fn left(&self, rows: &Rows, limits: &[f64]) -> Vec<f64> {
        let near = |k: usize| if self.ground.data.is_count(k) { 0.0 } else { 4.0 * NEAR * limits[k].abs() };
        let left = |k: usize| (limits[k] - near(k)) * self.scale.usage[k] - rows.fixed_usage[k].value();
        (0..limits.len()).map(left).collect()
    }

    /// A plan for some rows, where the others are fixed: objective, use of the budget, and the model of each query. `None` where
    /// the ascent finds none, or where its sums come too near a limit.
    fn solve(&self, rows: &Rows, prices: &[f64]) -> Option<Found> {
        let mut ascent = Ascent::new(rows, self.left(rows, &self.aims), prices);
        if ascent.run(f64::INFINITY, &Unwatched) != Ok(Ascended::Optimal) {
            return None;
        }
        let mut plan = ascent.key.clone();
        for shares in ascent.fractions().chunk_by(|a, b| a.0 == b.0) {
            let largest = shares.iter().max_by(|a, b| a.2.total_cmp(&b.2)).unwrap_or(&shares[0]);
            plan[largest.0] = largest.1;
        }
        if !repair(rows, &self.left(rows, self.limits), ascent.prices(), &|_| true, &mut plan) {
            return None;
        }
        let (mut own, mut usage) = (rows.fixed_objective, rows.fixed_usage.clone());
        for &pair in &plan {
            own.add(rows.objective[pair]);
            for (amount, k) in rows.uses(pair) {
                if let Some(sum) = usage.get_mut(k as usize) {
                    sum.add(amount);
                }
            }
        }
        let (data, limits) = (self.ground.data, self.limits);
        let used: Vec<f64> = usage.iter().zip(&self.scale.usage).map(|(sum, scale)| sum.value() / scale).collect();
        // Counts are exact; other sums are trusted where they keep away from the limit.
        let error = |k: usize| {
            if data.is_count(k) {
                0.0
            } else {
                NEAR * limits[k].abs() + usage[k].error(data.problem.n_queries) / self.scale.usage[k]
            }
        };
        let fits = (0..limits.len()).all(|k| used[k] <= limits[k] - error(k));
        let chosen = rows.query.iter().zip(&plan).map(|(&query, &pair)| (query, rows.model[pair] as u16));
        fits.then(|| (own.value() / self.scale.objective, used[self.ground.at], chosen.collect()))
    }
}
