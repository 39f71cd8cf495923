//! What a pass does with a block of rows in memory.

use std::ops::Range;

use crate::grid::GridSum;
use crate::kernel::{tile_rows, Pricing};
use crate::lanes::{behind, count_near, less_reach_f32, less_reach_f64, minima};
use crate::oracle::{Goal, Prices, Screen};
use crate::problem::{Limits, Magnitudes, Matrix, Problem, Scope, Usage};
use crate::rows::Rows;
use crate::sums::{exact, pairwise};

/// The rows, as all threads see them.
pub(crate) struct Data<'a> {
    pub(crate) problem: &'a Problem<'a>,
    pub(crate) limits: Limits,
    pub(crate) magnitudes: Magnitudes,
    /// Allowed pairs that no limit rules out by itself; `None` where that forbids nothing more.
    pub(crate) open: Option<Vec<bool>>,
}

/// What chosen pairs use, summed so that the order does not matter.
#[derive(Clone)]
pub(crate) struct Used {
    /// Under each limit.
    pub(crate) usage: Vec<GridSum>,
    /// Pairs per model.
    pub(crate) load: Vec<u64>,
}

/// What one block adds to a point of the dual.
pub(crate) struct Point {
    pub(crate) value: GridSum,
    pub(crate) used: Used,
    pub(crate) stranded: Option<usize>,
}

/// A tile of priced rows, the best of each, and how many pairs are near it.
#[derive(Default)]
struct Tile {
    priced: Vec<f64>,
    least: Vec<f64>,
    at: Vec<u32>,
    near: Vec<u32>,
}

/// What screening one block gives, and its working memory.
pub(crate) struct Screened {
    pub(crate) rows: Rows,
    pub(crate) choices: Vec<u16>,
    fixed: Used,
    tile: Tile,
}

impl Data<'_> {
    pub(crate) fn pricing(&self, goal: Goal, prices: &Prices) -> Pricing<'_> {
        // Where one limit is lifted, what it rules out comes back.
        let open = match goal {
            Goal::Usage(_) => None,
            Goal::Objective | Goal::Feasibility => self.open.as_deref(),
        };
        Pricing::new(self.problem, &self.limits, open.or(self.problem.allowed), goal, prices)
    }

    /// Nothing used yet.
    pub(crate) fn unused(&self) -> Used {
        let of_limit = |id: &crate::problem::LimitId| {
            GridSum::of(self.problem.resources[id.resource].usage.largest(&self.magnitudes.largest))
        };
        Used { usage: self.limits.ids.iter().map(of_limit).collect(), load: vec![0; self.problem.n_models] }
    }

    /// Empty rows whose sums have the grids of this problem.
    pub(crate) fn no_rows(&self, goal: Goal) -> Rows {
        let mut rows = Rows::new(self.problem.resources.len(), self.limits.ids.len());
        rows.fixed_usage = self.unused().usage;
        rows.fixed_objective = GridSum::of(self.largest_own(goal));
        rows
    }

    /// The largest magnitude of what the goal counts.
    fn largest_own(&self, goal: Goal) -> f64 {
        match goal {
            Goal::Objective => self.magnitudes.largest[self.problem.objective],
            Goal::Usage(k) => {
                self.problem.resources[self.limits.ids[k].resource].usage.largest(&self.magnitudes.largest)
            }
            Goal::Feasibility => 0.0,
        }
    }

    fn each_tile(
        &self,
        pricing: &Pricing<'_>,
        rows: Range<usize>,
        tile: &mut Tile,
        mut visit: impl FnMut(Range<usize>, &mut Tile),
    ) {
        let m = self.problem.n_models;
        let size = tile_rows(m);
        for from in rows.clone().step_by(size) {
            let to = rows.end.min(from + size);
            tile.priced.resize((to - from) * m, 0.0);
            tile.least.resize(to - from, 0.0);
            tile.at.resize(to - from, 0);
            pricing.fill(from..to, &mut tile.priced);
            minima::run(&tile.priced, m, &mut tile.least, &mut tile.at);
            visit(from..to, tile);
        }
    }

    /// The dual value of a block, and what its cheapest pairs use.
    pub(crate) fn evaluate(&self, pricing: &Pricing<'_>, rows: Range<usize>) -> Point {
        let value = GridSum::of(pricing.magnitude(&self.magnitudes.largest));
        let mut point = Point { value, used: self.unused(), stranded: None };
        self.each_tile(pricing, rows, &mut Tile::default(), |rows, tile| {
            for ((i, &least), &at) in rows.zip(&tile.least).zip(&tile.at) {
                if least == f64::INFINITY {
                    point.stranded = point.stranded.or(Some(i));
                } else {
                    point.value.add(least);
                    self.count(&mut point.used, i, at as usize);
                }
            }
        });
        self.count_loads(&mut point.used);
        point
    }

    /// Adds a pair to what is used; [`Data::count_loads`] adds what depends on the model alone.
    fn count(&self, used: &mut Used, i: usize, j: usize) {
        used.load[j] += 1;
        for (r, resource) in self.problem.resources.iter().enumerate() {
            if !is_per_load(&resource.usage, resource.scope) {
                let k = self.limits.position[r][self.problem.member(r, i, j)] as usize;
                if let Some(sum) = used.usage.get_mut(k) {
                    sum.add(self.limits.sign[r] * self.problem.usage(r, i, j));
                }
            }
        }
    }

    fn count_loads(&self, used: &mut Used) {
        for (r, resource) in self.problem.resources.iter().enumerate() {
            if is_per_load(&resource.usage, resource.scope) {
                for j in 0..self.problem.n_models {
                    let k = self.limits.position[r][self.problem.member(r, 0, j)] as usize;
                    if let Some(sum) = used.usage.get_mut(k) {
                        sum.add_times(self.limits.sign[r] * self.problem.usage(r, 0, j), used.load[j]);
                    }
                }
            }
        }
    }

    fn usage_of(&self, i: usize, j: usize) -> impl Iterator<Item = (f64, u32)> + '_ {
        (0..self.problem.resources.len()).map(move |r| {
            let limit = self.limits.position[r][self.problem.member(r, i, j)];
            (self.limits.sign[r] * self.problem.usage(r, i, j), limit)
        })
    }

    /// A screening to be filled.
    pub(crate) fn unscreened(&self, goal: Goal, capacity: usize) -> Screened {
        let (rows, fixed) = (self.no_rows(goal), self.unused());
        Screened { rows, choices: Vec::with_capacity(capacity), fixed, tile: Tile::default() }
    }

    /// Adds the rows in which more than one pair is in reach, sums of the others, and each query's cheapest model.
    pub(crate) fn screen(
        &self,
        pricing: &Pricing<'_>,
        reach: &Reach<'_>,
        goal: Goal,
        rows: Range<usize>,
        into: &mut Screened,
    ) {
        let m = self.problem.n_models;
        let Screened { rows: out, choices, fixed, tile } = into;
        self.each_tile(pricing, rows, tile, |rows, tile| {
            reach.subtract(self, rows.clone(), tile);
            tile.near.resize(rows.len(), 0);
            count_near::run(&tile.priced, m, &mut tile.near);
            for (row, i) in rows.enumerate() {
                let at = tile.at[row] as usize;
                choices.push(at as u16);
                if tile.least[row] == f64::INFINITY {
                    out.end_row(i);
                } else if tile.near[row] <= 1 {
                    out.fixed_objective.add(pricing.own(&self.limits, goal, i, at));
                    self.count(fixed, i, at);
                } else {
                    let far = &tile.priced[row * m..(row + 1) * m];
                    for j in (0..m).filter(|&j| far[j] <= 0.0) {
                        out.push_pair(j as u32, pricing.own(&self.limits, goal, i, j), self.usage_of(i, j));
                    }
                    out.end_row(i);
                }
            }
        });
    }

    /// The rows of a finished screening.
    pub(crate) fn finish(&self, screened: Screened) -> (Rows, Vec<u16>) {
        let Screened { mut rows, choices, mut fixed, .. } = screened;
        self.count_loads(&mut fixed);
        rows.fixed_usage.iter_mut().zip(&fixed.usage).for_each(|(sum, part)| sum.merge(*part));
        (rows, choices)
    }

    /// The share of each limit that a sample stands for.
    pub(crate) fn shares(&self, sampled: &[usize]) -> Vec<f64> {
        let all = sampled.len() as f64 / self.problem.n_queries as f64;
        let mut share = vec![all; self.limits.ids.len()];
        for (r, resource) in self.problem.resources.iter().enumerate() {
            let Scope::Group(groups) = resource.scope else { continue };
            let mut seen = vec![(0.0, 0.0); resource.limits.len()];
            groups.iter().for_each(|&g| seen[g as usize].1 += 1.0);
            sampled.iter().for_each(|&i| seen[groups[i] as usize].0 += 1.0);
            for (member, (part, whole)) in seen.into_iter().enumerate() {
                if let Some(share) = share.get_mut(self.limits.position[r][member] as usize) {
                    *share = if whole > 0.0 { part / whole } else { 1.0 };
                }
            }
        }
        share
    }

    /// What a block of a plan uses, the sum of each input over it, and whether it takes a forbidden pair.
    pub(crate) fn tally(&self, rows: Range<usize>, plan: &[i32]) -> (Used, Vec<GridSum>, bool) {
        let mut inputs: Vec<GridSum> = self.magnitudes.largest.iter().map(|&largest| GridSum::of(largest)).collect();
        let (mut used, mut forbidden) = (self.unused(), false);
        for (i, &j) in rows.zip(plan) {
            let j = j as usize;
            forbidden |= !self.problem.allows(i, j);
            self.count(&mut used, i, j);
            for (sum, input) in inputs.iter_mut().zip(&self.problem.inputs) {
                sum.add(input.data.get(i * self.problem.n_models + j));
            }
        }
        self.count_loads(&mut used);
        (used, inputs, forbidden)
    }

    /// The sum of an input over a plan. Where the chosen numbers are so much smaller than the largest that its grid is coarse
    /// for them, they are added again exactly, which does not depend on the order of the rows either.
    pub(crate) fn input_sum(&self, input: usize, sum: &GridSum, assignment: &[i32]) -> f64 {
        let value = sum.value();
        if self.magnitudes.largest[input] == 0.0 || sum.error(assignment.len()) <= f64::EPSILON * value.abs() {
            return value;
        }
        let data = &self.problem.inputs[input].data;
        exact(assignment.iter().enumerate().map(|(i, &j)| data.get(i * self.problem.n_models + j as usize)))
    }

    /// Whether a sum passes its limit. Near the limit the numbers are added again, exactly and as numpy adds them, and
    /// either sum may meet it: so the verdict does not depend on the order of the rows, and a limit computed with numpy
    /// from a plan accepts that plan. Returns the deciding sum too.
    pub(crate) fn compare(&self, k: usize, sum: &GridSum, assignment: &[i32]) -> (bool, f64) {
        let limit = self.limits.values[k];
        let (used, error) = (sum.value(), sum.error(assignment.len()));
        if (used - limit).abs() > 1e-11 * (used.abs() + limit.abs()) + error {
            return (used <= limit, used);
        }
        let id = self.limits.ids[k];
        let numbers: Vec<f64> = assignment
            .iter()
            .enumerate()
            .filter(|&(i, &j)| self.problem.member(id.resource, i, j as usize) == id.member)
            .map(|(i, &j)| self.limits.sign[id.resource] * self.problem.usage(id.resource, i, j as usize))
            .collect();
        let once = exact(numbers.iter().copied());
        let numpy = pairwise(&numbers);
        (once.min(numpy) <= limit, if once <= limit || numpy > limit { once } else { numpy })
    }
}

impl Used {
    pub(crate) fn merge(&mut self, part: &Self) {
        self.usage.iter_mut().zip(&part.usage).for_each(|(sum, part)| sum.merge(*part));
        self.load.iter_mut().zip(&part.load).for_each(|(sum, part)| *sum += part);
    }
}

/// Whether what a pair uses follows from its model, so that loads say all.
fn is_per_load(usage: &Usage<'_>, scope: Scope<'_>) -> bool {
    matches!(usage, Usage::One(_) | Usage::PerModel(_)) && !matches!(scope, Scope::Group(_))
}

/// How far prices in a box can bring two pairs of a row together.
pub(crate) struct Reach<'s> {
    screen: &'s Screen,
    /// The box holds all prices.
    unbounded: bool,
    slack: f64,
    /// From limits of which a pair uses the same for every query, per model.
    of_model: Vec<f64>,
    /// From limits over everything, per matrix.
    scaled: Vec<(f64, usize)>,
    /// Resources that need a look at each pair.
    others: Vec<usize>,
}

impl<'s> Reach<'s> {
    /// `rounding` is a bound of the error of a priced pair.
    pub(crate) fn new(data: &Data<'_>, screen: &'s Screen, rounding: f64) -> Self {
        let mut of_model = vec![0.0; data.problem.n_models];
        let (mut scaled, mut others) = (Vec::new(), Vec::new());
        for (r, resource) in data.problem.resources.iter().enumerate() {
            let width = |member: usize| width(data, screen, r, member);
            match (&resource.usage, resource.scope) {
                (Usage::One(_) | Usage::PerModel(_), Scope::Model) => {
                    for (j, reach) in of_model.iter_mut().enumerate() {
                        *reach += times(width(j), data.problem.usage(r, 0, j).abs());
                    }
                }
                // The same for all models of a row: no choice depends on its price.
                (Usage::One(_) | Usage::PerQuery(_), Scope::All | Scope::Group(_)) => {}
                (Usage::Dense(input), Scope::All) => scaled.push((width(0), *input)),
                _ => others.push(r),
            }
        }
        let unbounded = screen.half_width.contains(&f64::INFINITY);
        Self { screen, unbounded, slack: screen.slack + 4.0 * rounding, of_model, scaled, others }
    }

    /// Turns priced pairs into how far each is out of reach; none where it is at most 0.
    fn subtract(&self, data: &Data<'_>, rows: Range<usize>, tile: &mut Tile) {
        let m = data.problem.n_models;
        if self.unbounded {
            // Every pair that is not forbidden.
            tile.priced.iter_mut().for_each(|r| *r = if *r < f64::INFINITY { 0.0 } else { *r });
            return;
        }
        let Tile { priced, least, at, .. } = tile;
        behind::run(priced, m, least, at, &self.of_model, self.slack);
        let pairs = rows.start * m..rows.end * m;
        for &(width, input) in &self.scaled {
            match data.problem.inputs[input].data {
                Matrix::F32(data) => less_reach_f32::run(priced, m, at, width, &data[pairs.clone()]),
                Matrix::F64(data) => less_reach_f64::run(priced, m, at, width, &data[pairs.clone()]),
            }
        }
        for &r in &self.others {
            for ((i, row), &at) in rows.clone().zip(priced.chunks_exact_mut(m)).zip(at.iter()) {
                row.iter_mut().enumerate().for_each(|(j, far)| *far -= self.between(data, r, i, at as usize, j));
            }
        }
    }

    /// From one resource, between the chosen pair and another.
    fn between(&self, data: &Data<'_>, r: usize, i: usize, chosen: usize, j: usize) -> f64 {
        let (of_chosen, of_j) = (data.problem.member(r, i, chosen), data.problem.member(r, i, j));
        let (usage_chosen, usage_j) = (data.problem.usage(r, i, chosen), data.problem.usage(r, i, j));
        let width = |member: usize| width(data, self.screen, r, member);
        if of_chosen == of_j {
            times(width(of_j), (usage_j - usage_chosen).abs())
        } else {
            times(width(of_j), usage_j.abs()) + times(width(of_chosen), usage_chosen.abs())
        }
    }
}

fn width(data: &Data<'_>, screen: &Screen, r: usize, member: usize) -> f64 {
    screen.half_width.get(data.limits.position[r][member] as usize).copied().unwrap_or(0.0)
}

/// 0 * infinity is 0 here: what is not used is not moved by its price.
fn times(width: f64, usage: f64) -> f64 {
    if usage == 0.0 {
        0.0
    } else {
        width * usage
    }
}
