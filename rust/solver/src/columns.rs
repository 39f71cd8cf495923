//! What pairs use, resource by resource, so that long stretches of pairs are priced by wide instructions.

use std::ops::Range;

use crate::lanes::{add_gathered, add_gathered_times, add_scaled_f64};
use crate::rows::Rows;

/// The usage of each resource as one column over all pairs.
pub(crate) struct Columns {
    columns: Vec<Column>,
}

struct Column {
    /// `None` where every pair uses 1.
    usage: Option<Vec<f64>>,
    limit: Limit,
}

enum Limit {
    /// Every pair counts under the same limit.
    Same(usize),
    /// The limit of each pair; at most the number of limits.
    Each(Vec<u32>),
}

impl Columns {
    pub(crate) fn new(rows: &Rows) -> Self {
        let width = rows.n_resources;
        let column = |r: usize| {
            let usage = rows.usage.iter().skip(r).step_by(width);
            let limit = rows.limit.iter().skip(r).step_by(width);
            let first = limit.clone().next().copied().unwrap_or(0);
            let same = limit.clone().all(|&k| k == first);
            Column {
                usage: if usage.clone().all(|&u| u == 1.0) { None } else { Some(usage.copied().collect()) },
                limit: if same { Limit::Same(first as usize) } else { Limit::Each(limit.copied().collect()) },
            }
        };
        Self { columns: (0..width).map(column).collect() }
    }

    /// Adds `sum_k values_k * usage_k` of each pair of a stretch; `values` has one entry more than there are limits, a zero.
    pub(crate) fn add(&self, pairs: &Range<usize>, values: &[f64], out: &mut [f64]) {
        for Column { usage, limit } in &self.columns {
            match (usage, limit) {
                (None, Limit::Same(k)) => out.iter_mut().for_each(|x| *x += values[*k]),
                (Some(usage), Limit::Same(k)) => add_scaled_f64::run(out, values[*k], &usage[pairs.clone()]),
                (None, Limit::Each(limit)) => add_gathered::run(out, values, &limit[pairs.clone()]),
                (Some(usage), Limit::Each(limit)) => {
                    add_gathered_times::run(out, &usage[pairs.clone()], values, &limit[pairs.clone()]);
                }
            }
        }
    }
}
