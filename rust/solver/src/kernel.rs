//! What the passes compute for tiles of rows: the priced objective of every pair.
//!
//! For prices `p >= 0` the priced objective of a pair is `r_ij = w * objective_ij + sum_k p_k * sign_k * usage^k_ij`.

use std::ops::Range;

use crate::lanes::{add_scaled_f32, add_scaled_f64, add_two_scaled_f32, least_of_two_scaled_f32, minima, LANES};
use crate::oracle::{Goal, Prices};
use crate::problem::{Limits, Magnitudes, Matrix, Problem, Scope, Sense, Usage};

/// Pairs priced at once: a tile stays in the first-level cache.
const TILE_PAIRS: usize = 2048;

/// Rows of a tile.
pub(crate) fn tile_rows(n_models: usize) -> usize {
    (TILE_PAIRS / n_models).clamp(1, 256).next_multiple_of(LANES)
}

/// Position and value of the least entry (the first of equals), and the second least value.
pub(crate) fn least_two(priced: &[f64]) -> (usize, f64, f64) {
    let (mut at, mut least, mut second) = (0, f64::INFINITY, f64::INFINITY);
    for (j, &x) in priced.iter().enumerate() {
        let better = x < least;
        let behind = if better { least } else { x };
        second = if behind < second { behind } else { second };
        at = if better { j } else { at };
        least = if better { x } else { least };
    }
    (at, least, second)
}

/// The price of a resource, looked up per pair.
enum Price<'a> {
    All(f64),
    Model(Vec<f64>),
    Group(Vec<f64>, &'a [u32]),
}

/// The priced objective as a function of the pair, prepared for one pass.
pub(crate) struct Pricing<'a> {
    problem: &'a Problem<'a>,
    weight: f64,
    /// What does not depend on the query, per model.
    base: Vec<f64>,
    /// Whole matrices with one weight each, the objective first.
    scaled: Vec<(f64, Matrix<'a>)>,
    /// All else.
    terms: Vec<(&'a Usage<'a>, Price<'a>)>,
    allowed: Option<&'a [bool]>,
    /// The largest price of each resource.
    dearest: Vec<f64>,
}

impl<'a> Pricing<'a> {
    /// `allowed` forbids pairs, here also those that a limit rules out.
    pub(crate) fn new(
        problem: &'a Problem<'a>,
        limits: &Limits,
        allowed: Option<&'a [bool]>,
        goal: Goal,
        prices: &Prices,
    ) -> Self {
        let weight = goal_weight(problem, goal);
        let mut base = vec![0.0; problem.n_models];
        let (mut scaled, mut terms) = (Vec::new(), Vec::new());
        if weight != 0.0 {
            scaled.push((weight, problem.inputs[problem.objective].data));
        }
        let at = |resource: usize, member: usize| {
            let k = limits.position[resource][member] as usize;
            let fixed = f64::from(u8::from(goal == Goal::Usage(k)));
            limits.sign[resource] * (prices.get(k).copied().unwrap_or(0.0) + fixed)
        };
        let mut dearest = Vec::with_capacity(problem.resources.len());
        for (r, resource) in problem.resources.iter().enumerate() {
            let members: Vec<f64> = (0..resource.limits.len()).map(|member| at(r, member)).collect();
            dearest.push(most(&members));
            if members.iter().all(|&price| price == 0.0) {
                continue;
            }
            let price = match resource.scope {
                Scope::All => Price::All(members[0]),
                Scope::Model => Price::Model(members),
                Scope::Group(groups) => Price::Group(members, groups),
            };
            // What does not depend on the query is added once.
            let of_model: Option<Box<dyn Fn(usize) -> f64>> = match resource.usage {
                Usage::One(usage) => Some(Box::new(move |_| usage)),
                Usage::PerModel(usage) => Some(Box::new(move |j| usage[j])),
                _ => None,
            };
            match (&price, of_model) {
                (Price::All(p), Some(usage)) => base.iter_mut().enumerate().for_each(|(j, b)| *b += p * usage(j)),
                (Price::Model(p), Some(usage)) => base.iter_mut().enumerate().for_each(|(j, b)| *b += p[j] * usage(j)),
                _ => match (&resource.usage, &price) {
                    (Usage::Dense(input), Price::All(p)) => scaled.push((*p, problem.inputs[*input].data)),
                    _ => terms.push((&resource.usage, price)),
                },
            }
        }
        Self { problem, weight, base, scaled, terms, allowed, dearest }
    }

    /// The factor of the objective.
    pub(crate) fn weight(&self) -> f64 {
        self.weight
    }

    /// What does not depend on the query, per model.
    pub(crate) fn base(&self) -> &[f64] {
        &self.base
    }

    /// Whether a pair may be chosen.
    pub(crate) fn allows(&self, pair: usize) -> bool {
        self.allowed.is_none_or(|allowed| allowed[pair])
    }

    /// Writes `r_ij` of the given rows, C order; forbidden pairs get infinity.
    pub(crate) fn fill(&self, rows: Range<usize>, out: &mut [f64]) {
        let m = self.problem.n_models;
        for row in out.chunks_exact_mut(m) {
            row.copy_from_slice(&self.base);
        }
        let pairs = rows.start * m..rows.end * m;
        match self.scaled[..] {
            [(v, Matrix::F32(a)), (w, Matrix::F32(b))] => {
                add_two_scaled_f32::run(out, v, &a[pairs.clone()], w, &b[pairs.clone()]);
            }
            _ => self.scaled.iter().for_each(|&(weight, data)| match data {
                Matrix::F32(data) => add_scaled_f32::run(out, weight, &data[pairs.clone()]),
                Matrix::F64(data) => add_scaled_f64::run(out, weight, &data[pairs.clone()]),
            }),
        }
        for (usage, price) in &self.terms {
            self.add_term(usage, price, rows.clone(), out);
        }
        if let Some(allowed) = self.allowed {
            for (r, &open) in out.iter_mut().zip(&allowed[pairs]) {
                if !open {
                    *r = f64::INFINITY;
                }
            }
        }
    }

    /// [`Pricing::fill`], with the least of each row and its position, the first of equals.
    pub(crate) fn fill_and_compare(&self, rows: Range<usize>, out: &mut [f64], least: &mut [f64], at: &mut [u32]) {
        let m = self.problem.n_models;
        match self.scaled[..] {
            [(v, Matrix::F32(a)), (w, Matrix::F32(b))]
                if m >= 2 * LANES && self.terms.is_empty() && self.allowed.is_none() =>
            {
                let pairs = rows.start * m..rows.end * m;
                let (a, b) = (&a[pairs.clone()], &b[pairs]);
                least_of_two_scaled_f32::run(out, &self.base, v, a, w, b, least, at);
            }
            _ => {
                self.fill(rows, out);
                minima::run(out, m, least, at);
            }
        }
    }

    fn add_term(&self, usage: &Usage<'_>, price: &Price<'_>, rows: Range<usize>, out: &mut [f64]) {
        let m = self.problem.n_models;
        for (i, row) in rows.zip(out.chunks_exact_mut(m)) {
            let scalar = match price {
                Price::All(p) => Some(*p),
                Price::Group(p, groups) => Some(p[groups[i] as usize]),
                Price::Model(_) => None,
            };
            for (j, r) in row.iter_mut().enumerate() {
                let p = match (scalar, price) {
                    (Some(p), _) => p,
                    (None, Price::Model(p)) => p[j],
                    (None, _) => 0.0,
                };
                *r += p * match usage {
                    Usage::One(value) => *value,
                    Usage::PerModel(values) => values[j],
                    Usage::PerQuery(values) => values[i],
                    Usage::Dense(input) => self.problem.inputs[*input].data.get(i * m + j),
                };
            }
        }
    }

    /// A bound of the magnitude of any one `r_ij`, given the largest magnitudes in all rows.
    pub(crate) fn magnitude(&self, magnitudes: &Magnitudes) -> f64 {
        let mut magnitude = self.weight.abs() * magnitudes.largest[self.problem.objective];
        for (usage, price) in magnitudes.usage.iter().zip(&self.dearest).filter(|(_, price)| **price > 0.0) {
            magnitude += price * usage;
        }
        magnitude
    }

    /// A bound of the rounding error in any one `r_ij`.
    pub(crate) fn rounding(&self, magnitudes: &Magnitudes) -> f64 {
        (self.problem.resources.len() + 3) as f64 * f64::EPSILON * self.magnitude(magnitudes)
    }

    /// Appends what the goal itself counts for some models of a row, without prices.
    pub(crate) fn own_of_row(&self, limits: &Limits, goal: Goal, i: usize, models: &[u32], out: &mut Vec<f64>) {
        let row = i * self.problem.n_models..(i + 1) * self.problem.n_models;
        match (goal, self.problem.inputs[self.problem.objective].data.slice(row)) {
            (Goal::Objective, Matrix::F32(data)) => {
                out.extend(models.iter().map(|&j| self.weight * f64::from(data[j as usize])));
            }
            (Goal::Objective, Matrix::F64(data)) => out.extend(models.iter().map(|&j| self.weight * data[j as usize])),
            _ => out.extend(models.iter().map(|&j| self.own(limits, goal, i, j as usize))),
        }
    }

    /// What the goal itself counts for one pair, without prices.
    pub(crate) fn own(&self, limits: &Limits, goal: Goal, i: usize, j: usize) -> f64 {
        match goal {
            Goal::Objective => {
                self.weight * self.problem.inputs[self.problem.objective].data.get(i * self.problem.n_models + j)
            }
            Goal::Usage(k) => {
                let id = limits.ids[k];
                let counts = self.problem.member(id.resource, i, j) == id.member;
                f64::from(u8::from(counts)) * limits.sign[id.resource] * self.problem.usage(id.resource, i, j)
            }
            Goal::Feasibility => 0.0,
        }
    }
}

fn most(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most: f64, x| most.max(x.abs()))
}

/// +1 or -1 on the objective, or 0 where the goal is another one.
fn goal_weight(problem: &Problem<'_>, goal: Goal) -> f64 {
    match (goal, problem.sense) {
        (Goal::Objective, Sense::Minimise) => 1.0,
        (Goal::Objective, Sense::Maximise) => -1.0,
        (Goal::Usage(_) | Goal::Feasibility, _) => 0.0,
    }
}
