//! What a pass does with a block of rows in memory.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::facts::Facts;
use crate::grid::GridSum;
use crate::kernel::{tile_rows, Pricing};
use crate::oracle::{Goal, Prices};
use crate::presolve::open_pairs;
use crate::problem::{Limits, Matrix, Problem, Resource, Scope, Usage};
use crate::reach::Reach;
use crate::rows::Rows;
use crate::sums::{OrderedSum, Summed};

/// A stretch of rows, as all threads see it.
pub struct Data<'a> {
    pub(crate) problem: Problem<'a>,
    pub(crate) limits: Arc<Limits>,
    /// Of all rows, wherever they are.
    pub(crate) facts: Arc<Facts>,
    /// Allowed pairs that no limit rules out by itself; `None` where that forbids nothing more.
    pub(crate) open: Option<Vec<bool>>,
    pub(crate) names: Names<'a>,
    /// Nothing used yet, on the grid of each limit.
    pub(crate) unused: Used,
    /// What [`Data::count`] adds up pair by pair.
    pub(crate) counted: Vec<Counted<'a>>,
}

/// A resource of which pairs of one model use different amounts.
pub(crate) enum Counted<'a> {
    /// One matrix under one limit: position of the limit, sign, numbers.
    Matrix(usize, f64, Matrix<'a>),
    /// Position of any other.
    Other(usize),
}

/// Which query each row of a stretch is, among all.
#[derive(Clone, Copy)]
pub(crate) enum Names<'a> {
    /// Consecutive ones from this on.
    From(usize),
    Listed(&'a [usize]),
}

/// What chosen pairs use, summed so that the order does not matter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Used {
    /// Under each limit.
    pub(crate) usage: Vec<GridSum>,
    /// Pairs per model.
    pub(crate) load: Vec<u64>,
}

/// What some rows add to a point of the dual.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Point {
    pub(crate) value: GridSum,
    pub(crate) used: Used,
    pub(crate) stranded: Option<usize>,
}

/// A tile of priced rows, the best of each, and how many pairs are near it.
#[derive(Default)]
pub(crate) struct Tile {
    pub(crate) priced: Vec<f64>,
    pub(crate) least: Vec<f64>,
    pub(crate) at: Vec<u32>,
    pub(crate) near: Vec<u32>,
}

/// Chosen pairs, to be added to sums together: that is several times cheaper than one by one.
#[derive(Default)]
pub(crate) struct Chosen {
    rows: Vec<usize>,
    models: Vec<u32>,
    /// Of each pair, the numbers that are being summed.
    values: Vec<f64>,
}

/// What screening one block gives, and its working memory.
pub(crate) struct Screened {
    pub(crate) rows: Rows,
    pub(crate) choices: Vec<i32>,
    /// Sums over the queries with one pair in reach.
    fixed: PlanSums,
    tile: Tile,
    chosen: Chosen,
    /// Models of the row under construction.
    models: Vec<u32>,
}

/// What some rows add to the sums of a plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanSums {
    pub(crate) used: Used,
    /// Of each input.
    pub(crate) inputs: Vec<GridSum>,
    /// Whether the plan takes a forbidden pair.
    pub(crate) forbidden: bool,
}

impl<'a> Data<'a> {
    /// Rows with checked numbers.
    pub(crate) fn new(problem: Problem<'a>, limits: &Arc<Limits>, facts: &Arc<Facts>, names: Names<'a>) -> Self {
        let open = open_pairs(&problem, &facts.magnitudes);
        let usage = limits.ids.iter().map(|id| GridSum::of(facts.magnitudes.usage[id.resource]));
        let unused = Used { usage: usage.collect(), load: vec![0; problem.n_models] };
        let differing = problem.resources.iter().enumerate().filter(|(_, r)| !is_per_load(&r.usage, r.scope));
        let counted = differing.map(|(r, resource)| match (&resource.usage, resource.scope) {
            (Usage::Dense(input), Scope::All) => {
                Counted::Matrix(limits.position[r][0] as usize, limits.sign[r], problem.inputs[*input].data)
            }
            _ => Counted::Other(r),
        });
        let counted = counted.collect();
        Self { problem, limits: limits.clone(), facts: facts.clone(), open, names, unused, counted }
    }

    /// Which query a row is, among all.
    pub(crate) fn query(&self, row: usize) -> usize {
        match self.names {
            Names::From(first) => first + row,
            Names::Listed(queries) => queries[row],
        }
    }
}

impl Data<'_> {
    pub(crate) fn pricing(&self, goal: Goal, prices: &Prices) -> Pricing<'_> {
        // Where one limit is lifted, what it rules out comes back.
        let open = match goal {
            Goal::Usage(_) => None,
            Goal::Objective | Goal::Feasibility => self.open.as_deref(),
        };
        Pricing::new(&self.problem, &self.limits, open.or(self.problem.allowed), goal, prices)
    }

    /// Empty rows whose sums have the grids of this problem.
    pub(crate) fn no_rows(&self, goal: Goal) -> Rows {
        let mut rows = Rows::new(self.problem.resources.len(), self.limits.ids.len());
        rows.fixed_usage.clone_from(&self.unused.usage);
        rows.fixed_objective = GridSum::of(self.largest_own(goal));
        rows
    }

    /// The largest magnitude of what the goal counts.
    pub(crate) fn largest_own(&self, goal: Goal) -> f64 {
        match goal {
            Goal::Objective => self.facts.magnitudes.largest[self.problem.objective],
            Goal::Usage(k) => self.facts.magnitudes.usage[self.limits.ids[k].resource],
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
            pricing.fill_and_compare(from..to, &mut tile.priced, &mut tile.least, &mut tile.at);
            visit(from..to, tile);
        }
    }

    /// The dual value of a block, and what its cheapest pairs use.
    pub(crate) fn evaluate(&self, pricing: &Pricing<'_>, rows: Range<usize>) -> Point {
        let value = GridSum::of(pricing.magnitude(&self.facts.magnitudes));
        let mut point = Point { value, used: self.unused.clone(), stranded: None };
        let mut chosen = Chosen::default();
        self.each_tile(pricing, rows, &mut Tile::default(), |rows, tile| {
            let open = |least: &f64| *least < f64::INFINITY;
            match tile.least.iter().position(|least| !open(least)) {
                None => point.value.add_all(&tile.least),
                Some(row) => {
                    point.stranded = point.stranded.or(Some(self.query(rows.start + row)));
                    tile.least.iter().copied().filter(open).for_each(|least| point.value.add(least));
                }
            }
            chosen.clear();
            let cheapest = rows.zip(&tile.at).zip(&tile.least).filter(|(_, least)| open(least));
            cheapest.for_each(|((i, &j), _)| chosen.push(i, j));
            self.count_all(&mut point.used, &mut chosen);
        });
        self.count_loads(&mut point.used);
        point
    }

    /// Adds a pair to what is used; [`Data::count_loads`] adds what depends on the model alone.
    pub(crate) fn count(&self, used: &mut Used, i: usize, j: usize) {
        used.load[j] += 1;
        for counted in &self.counted {
            match counted {
                Counted::Matrix(k, sign, data) => {
                    if let Some(sum) = used.usage.get_mut(*k) {
                        sum.add(sign * data.get(i * self.problem.n_models + j));
                    }
                }
                Counted::Other(r) => self.count_other(used, *r, i, j),
            }
        }
    }

    /// The same for many pairs.
    fn count_all(&self, used: &mut Used, chosen: &mut Chosen) {
        chosen.models.iter().for_each(|&j| used.load[j as usize] += 1);
        for counted in &self.counted {
            match counted {
                Counted::Matrix(k, sign, data) => {
                    if let Some(sum) = used.usage.get_mut(*k) {
                        sum.add_all_times(*sign, chosen.numbers(*data, self.problem.n_models));
                    }
                }
                Counted::Other(r) => {
                    chosen.pairs().for_each(|(i, j)| self.count_other(used, *r, i, j));
                }
            }
        }
    }

    fn count_other(&self, used: &mut Used, r: usize, i: usize, j: usize) {
        let k = self.limits.position[r][self.problem.member(r, i, j)] as usize;
        if let Some(sum) = used.usage.get_mut(k) {
            sum.add(self.limits.sign[r] * self.problem.usage(r, i, j));
        }
    }

    pub(crate) fn count_loads(&self, used: &mut Used) {
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

    /// Writes what some pairs of a row use of a resource, and under which limits, among the numbers of all resources.
    fn usage_of_row(&self, r: usize, i: usize, models: &[u32], usage: &mut [f64], limit: &mut [u32]) {
        let (width, sign) = (self.problem.resources.len(), self.limits.sign[r]);
        let (resource, position) = (&self.problem.resources[r], &self.limits.position[r]);
        let row = i * self.problem.n_models..(i + 1) * self.problem.n_models;
        match resource.usage {
            Usage::One(value) => fill(usage, width, r, models, |_| sign * value),
            Usage::PerModel(values) => fill(usage, width, r, models, |j| sign * values[j]),
            Usage::PerQuery(values) => fill(usage, width, r, models, |_| sign * values[i]),
            Usage::Dense(input) => match self.problem.inputs[input].data.slice(row) {
                Matrix::F32(data) => fill(usage, width, r, models, |j| sign * f64::from(data[j])),
                Matrix::F64(data) => fill(usage, width, r, models, |j| sign * data[j]),
            },
        }
        match resource.scope {
            Scope::All => fill(limit, width, r, models, |_| position[0]),
            Scope::Model => fill(limit, width, r, models, |j| position[j]),
            Scope::Group(groups) => fill(limit, width, r, models, |_| position[groups[i] as usize]),
        }
    }

    pub(crate) fn usage_of(&self, i: usize, j: usize) -> impl Iterator<Item = (f64, u32)> + '_ {
        (0..self.problem.resources.len()).map(move |r| {
            let limit = self.limits.position[r][self.problem.member(r, i, j)];
            (self.limits.sign[r] * self.problem.usage(r, i, j), limit)
        })
    }

    /// Whether what is used under a limit is a number of queries, so that its sums are exact.
    pub(crate) fn is_count(&self, k: usize) -> bool {
        matches!(self.problem.resources[self.limits.ids[k].resource].usage, Usage::One(usage) if usage == 1.0)
    }

    /// A screening to be filled.
    pub(crate) fn unscreened(&self, goal: Goal, reach: &Reach<'_>, capacity: usize) -> Screened {
        let (mut rows, fixed) = (self.no_rows(goal), self.no_plan());
        if reach.unbounded {
            rows.reserve(capacity, capacity * self.problem.n_models);
        }
        let (tile, chosen) = (Tile::default(), Chosen::default());
        Screened { rows, choices: Vec::with_capacity(capacity), fixed, tile, chosen, models: Vec::new() }
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
        let Screened { rows: out, choices, fixed, tile, chosen, models } = into;
        self.each_tile(pricing, rows, tile, |rows, tile| {
            reach.subtract(self, rows.clone(), tile);
            chosen.clear();
            out.reserve(rows.len(), tile.near.iter().map(|&near| near as usize).filter(|&near| near > 1).sum());
            for (row, i) in rows.enumerate() {
                let at = tile.at[row] as usize;
                choices.push(at as i32);
                if tile.least[row] == f64::INFINITY {
                    out.end_row(self.query(i));
                } else if tile.near[row] <= 1 {
                    chosen.push(i, tile.at[row]);
                } else {
                    let far = &tile.priced[row * m..(row + 1) * m];
                    models.clear();
                    models.extend((0..m as u32).zip(far).filter(|(_, far)| **far <= 0.0).map(|(j, _)| j));
                    pricing.own_of_row(&self.limits, goal, i, models, &mut out.objective);
                    let first = out.usage.len();
                    out.usage.resize(first + models.len() * out.n_resources, 0.0);
                    out.limit.resize(first + models.len() * out.n_resources, 0);
                    for r in 0..out.n_resources {
                        self.usage_of_row(r, i, models, &mut out.usage[first..], &mut out.limit[first..]);
                    }
                    out.model.extend_from_slice(models);
                    out.end_row(self.query(i));
                }
            }
            let own =
                chosen.rows.iter().zip(&chosen.models).map(|(&i, &j)| pricing.own(&self.limits, goal, i, j as usize));
            chosen.values.clear();
            chosen.values.extend(own);
            out.fixed_objective.add_all(&chosen.values);
            self.take_all(fixed, chosen);
        });
    }

    /// The rows of a finished screening, the choices, and the sums over those that are settled.
    pub(crate) fn finish(&self, screened: Screened) -> (Rows, Vec<i32>, PlanSums) {
        let Screened { mut rows, choices, mut fixed, .. } = screened;
        self.count_loads(&mut fixed.used);
        rows.fixed_usage.iter_mut().zip(&fixed.used.usage).for_each(|(sum, part)| sum.merge(*part));
        (rows, choices, fixed)
    }

    /// How many of these rows are in each group, per resource.
    pub(crate) fn group_counts(&self, rows: &[usize]) -> Vec<Vec<u64>> {
        let count = |resource: &Resource<'_>| {
            let Scope::Group(groups) = resource.scope else { return Vec::new() };
            let mut counts = vec![0; resource.limits.len()];
            rows.iter().for_each(|&i| counts[groups[i] as usize] += 1);
            counts
        };
        self.problem.resources.iter().map(count).collect()
    }

    /// Sums over some rows of a plan.
    pub(crate) fn tally(&self, rows: impl Iterator<Item = usize>, plan: &[i32]) -> PlanSums {
        let (mut sums, mut chosen) = (self.no_plan(), Chosen::default());
        rows.zip(plan).for_each(|(i, &j)| chosen.push(i, j as u32));
        self.take_all(&mut sums, &mut chosen);
        self.count_loads(&mut sums.used);
        sums
    }

    /// The sums of a plan for no rows.
    fn no_plan(&self) -> PlanSums {
        let inputs = self.facts.magnitudes.largest.iter().map(|&largest| GridSum::of(largest)).collect();
        PlanSums { used: self.unused.clone(), inputs, forbidden: false }
    }

    /// Adds pairs to a plan; [`Data::count_loads`] adds what depends on the model alone.
    fn take_all(&self, sums: &mut PlanSums, chosen: &mut Chosen) {
        sums.forbidden |= !chosen.pairs().all(|(i, j)| self.problem.allows(i, j));
        self.count_all(&mut sums.used, chosen);
        for (sum, input) in sums.inputs.iter_mut().zip(&self.problem.inputs) {
            sum.add_all(chosen.numbers(input.data, self.problem.n_models));
        }
    }

    /// Adds a block of a plan to sums that go in the order of the rows.
    pub(crate) fn add_up(&self, rows: Range<usize>, plan: &[i32], sums: &mut [OrderedSum]) {
        for sum in sums {
            let pairs = rows.clone().zip(plan).map(|(i, &j)| (i, j as usize));
            match sum.of {
                Summed::Input(input) => {
                    let data = self.problem.inputs[input].data;
                    pairs.for_each(|(i, j)| sum.add(data.get(i * self.problem.n_models + j)));
                }
                Summed::Limit(k) => {
                    let id = self.limits.ids[k];
                    pairs.filter(|&(i, j)| self.problem.member(id.resource, i, j) == id.member).for_each(|(i, j)| {
                        sum.add(self.limits.sign[id.resource] * self.problem.usage(id.resource, i, j))
                    });
                }
            }
        }
    }
}

impl Chosen {
    fn clear(&mut self) {
        self.rows.clear();
        self.models.clear();
    }

    fn push(&mut self, row: usize, model: u32) {
        self.rows.push(row);
        self.models.push(model);
    }

    fn pairs(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.rows.iter().zip(&self.models).map(|(&i, &j)| (i, j as usize))
    }

    /// The numbers of the pairs in a matrix of so many columns.
    fn numbers(&mut self, matrix: Matrix<'_>, n_models: usize) -> &[f64] {
        let Self { rows, models, values } = self;
        let at = rows.iter().zip(&*models).map(|(&i, &j)| i * n_models + j as usize);
        values.clear();
        match matrix {
            Matrix::F32(data) => values.extend(at.map(|at| f64::from(data[at]))),
            Matrix::F64(data) => values.extend(at.map(|at| data[at])),
        }
        values
    }
}

impl Point {
    /// Adds the rows that follow.
    pub(crate) fn merge(&mut self, next: &Self) {
        self.value.merge(next.value);
        self.used.merge(&next.used);
        self.stranded = self.stranded.or(next.stranded);
    }
}

impl PlanSums {
    /// Adds other rows.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.used.merge(&other.used);
        self.inputs.iter_mut().zip(&other.inputs).for_each(|(sum, part)| sum.merge(*part));
        self.forbidden |= other.forbidden;
    }
}

impl Used {
    pub(crate) fn merge(&mut self, part: &Self) {
        self.usage.iter_mut().zip(&part.usage).for_each(|(sum, part)| sum.merge(*part));
        self.load.iter_mut().zip(&part.load).for_each(|(sum, part)| *sum += part);
    }
}

/// Writes one number for each of some models, at a position of each `width` numbers.
#[inline]
fn fill<T>(out: &mut [T], width: usize, at: usize, models: &[u32], of_model: impl Fn(usize) -> T) {
    out.chunks_exact_mut(width).zip(models).for_each(|(out, &j)| out[at] = of_model(j as usize));
}

/// Whether what a pair uses follows from its model, so that loads say all.
pub(crate) fn is_per_load(usage: &Usage<'_>, scope: Scope<'_>) -> bool {
    matches!(usage, Usage::One(_) | Usage::PerModel(_)) && !matches!(scope, Scope::Group(_))
}
