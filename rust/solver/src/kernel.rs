//! The hot loops: price the pairs of a tile of rows, and find each row's best.
//!
//! For prices `p >= 0` the priced objective of a pair is `r_ij = w * objective_ij + sum_k p_k * sign_k * usage^k_ij`.

use std::ops::Range;

use crate::oracle::{Goal, Prices};
use crate::problem::{Limits, Matrix, Problem, Scope, Sense, Usage};

/// Rows priced at once: the tile of 64 rows stays in the first-level cache up to some 60 models.
pub(crate) const TILE: usize = 64;

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
    base: Vec<f64>,
    terms: Vec<(&'a Usage<'a>, Price<'a>)>,
    allowed: Option<&'a [bool]>,
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
        let mut base = vec![0.0; problem.n_models];
        let mut terms = Vec::new();
        let at = |resource: usize, member: usize| {
            let k = limits.position[resource][member] as usize;
            let fixed = f64::from(u8::from(goal == Goal::Usage(k)));
            limits.sign[resource] * (prices.get(k).copied().unwrap_or(0.0) + fixed)
        };
        for (r, resource) in problem.resources.iter().enumerate() {
            let members: Vec<f64> = (0..resource.limits.len()).map(|member| at(r, member)).collect();
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
                _ => terms.push((&resource.usage, price)),
            }
        }
        Self { problem, weight: goal_weight(problem, goal), base, terms, allowed }
    }

    /// Writes `r_ij` of the given rows, C order; forbidden pairs get infinity.
    pub(crate) fn fill(&self, rows: Range<usize>, out: &mut [f64]) {
        let m = self.problem.n_models;
        for row in out.chunks_exact_mut(m) {
            row.copy_from_slice(&self.base);
        }
        if self.weight != 0.0 {
            add_scaled(out, self.weight, self.problem.inputs[self.problem.objective].data, rows.start * m);
        }
        for (usage, price) in &self.terms {
            self.add_term(usage, price, rows.clone(), out);
        }
        if let Some(allowed) = self.allowed {
            for (r, &open) in out.iter_mut().zip(&allowed[rows.start * m..rows.end * m]) {
                if !open {
                    *r = f64::INFINITY;
                }
            }
        }
    }

    fn add_term(&self, usage: &Usage<'_>, price: &Price<'_>, rows: Range<usize>, out: &mut [f64]) {
        let m = self.problem.n_models;
        if let (Usage::Dense(input), Price::All(p)) = (usage, price) {
            return add_scaled(out, *p, self.problem.inputs[*input].data, rows.start * m);
        }
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

    /// A bound of the rounding error in any one `r_ij`, given the largest magnitude in each input.
    pub(crate) fn rounding(&self, largest: &[f64]) -> f64 {
        let most = |values: &[f64]| values.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        let mut magnitude = most(&self.base) + self.weight.abs() * largest[self.problem.objective];
        for (usage, price) in &self.terms {
            let price = match price {
                Price::All(p) => p.abs(),
                Price::Model(p) | Price::Group(p, _) => most(p),
            };
            magnitude += price
                * match usage {
                    Usage::One(value) => value.abs(),
                    Usage::PerModel(values) | Usage::PerQuery(values) => most(values),
                    Usage::Dense(input) => largest[*input],
                };
        }
        (self.problem.resources.len() + 3) as f64 * f64::EPSILON * magnitude
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

/// +1 or -1 on the objective, or 0 where the goal is another one.
fn goal_weight(problem: &Problem<'_>, goal: Goal) -> f64 {
    match (goal, problem.sense) {
        (Goal::Objective, Sense::Minimise) => 1.0,
        (Goal::Objective, Sense::Maximise) => -1.0,
        (Goal::Usage(_) | Goal::Feasibility, _) => 0.0,
    }
}

fn add_scaled(out: &mut [f64], weight: f64, data: Matrix<'_>, from: usize) {
    match data {
        Matrix::F32(data) => {
            for (r, &x) in out.iter_mut().zip(&data[from..]) {
                *r += weight * f64::from(x);
            }
        }
        Matrix::F64(data) => {
            for (r, &x) in out.iter_mut().zip(&data[from..]) {
                *r += weight * x;
            }
        }
    }
}

/// Position and value of the least entry; the first of equals.
#[inline]
pub(crate) fn least(row: &[f64]) -> (usize, f64) {
    let mut best = (0, row[0]);
    for (j, &r) in row.iter().enumerate().skip(1) {
        if r < best.1 {
            best = (j, r);
        }
    }
    best
}
