//! Which pairs of a row prices in a box can make the cheapest.

use std::ops::Range;

use crate::lanes::{behind, behind_with_reach_f32, count_near, less_reach_f32, less_reach_f64};
use crate::oracle::Screen;
use crate::pass::{Data, Tile};
use crate::problem::{Matrix, Scope, Usage};

/// How far prices in a box can bring two pairs of a row together.
pub(crate) struct Reach<'s> {
    screen: &'s Screen,
    /// The box holds all prices.
    pub(crate) unbounded: bool,
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
                (Usage::Dense(input), Scope::All) => scaled.extend((width(0) > 0.0).then(|| (width(0), *input))),
                _ => others.push(r),
            }
        }
        let unbounded = screen.half_width.contains(&f64::INFINITY);
        Self { screen, unbounded, slack: screen.slack + 4.0 * rounding, of_model, scaled, others }
    }

    /// Turns priced pairs into how far each is out of reach, none where it is at most 0, and counts those in reach.
    pub(crate) fn subtract(&self, data: &Data<'_>, rows: Range<usize>, tile: &mut Tile) {
        let m = data.problem.n_models;
        let Tile { priced, least, at, near } = tile;
        near.resize(rows.len(), 0);
        let pairs = rows.start * m..rows.end * m;
        if self.unbounded {
            // Every pair that is not forbidden.
            priced.iter_mut().for_each(|r| *r = if *r < f64::INFINITY { 0.0 } else { *r });
            return count_near::run(priced, m, near);
        }
        if let ([(width, input)], true) = (&self.scaled[..], self.others.is_empty()) {
            if let Matrix::F32(data) = data.problem.inputs[*input].data {
                let data = &data[pairs];
                return behind_with_reach_f32::run(
                    priced,
                    m,
                    least,
                    at,
                    &self.of_model,
                    self.slack,
                    *width,
                    data,
                    near,
                );
            }
        }
        behind::run(priced, m, least, at, &self.of_model, self.slack, near);
        if self.scaled.is_empty() && self.others.is_empty() {
            return;
        }
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
        count_near::run(priced, m, near);
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
