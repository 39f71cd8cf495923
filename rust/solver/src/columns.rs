//! What pairs use, resource by resource, so that long stretches of pairs are priced by wide instructions.

use std::ops::Range;

use crate::lanes::{add_gathered, add_gathered_times, add_scaled_f64};
use crate::rows::Rows;

/// Rows of more pairs are not looked at for a cycle.
const LONGEST_CYCLE: usize = 64;

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
    /// The limits of one row, the same for all rows: consecutive ones, or any.
    Run(Range<usize>),
    Cycle(Vec<u32>),
    /// The limit of each pair; at most the number of limits.
    Each(Vec<u32>),
}

impl Columns {
    pub(crate) fn new(rows: &Rows) -> Self {
        let width = rows.n_resources;
        let column = |r: usize| {
            let usage = || rows.usage.chunks_exact(width).map(move |of_pair| of_pair[r]);
            let limit = || rows.limit.chunks_exact(width).map(move |of_pair| of_pair[r]);
            let first = limit().next().unwrap_or(0);
            let same = limit().all(|k| k == first);
            Column {
                usage: if usage().all(|u| u == 1.0) { None } else { Some(usage().collect()) },
                limit: if same { Limit::Same(first as usize) } else { limits(rows, limit().collect()) },
            }
        };
        Self { columns: (0..width).map(column).collect() }
    }

    /// Adds `sum_k values_k * usage_k` of each pair of a stretch of whole rows; `values` has one entry more than there are limits, a zero.
    pub(crate) fn add(&self, pairs: &Range<usize>, values: &[f64], out: &mut [f64]) {
        for Column { usage, limit } in &self.columns {
            match (usage, limit) {
                (None, Limit::Same(k)) => out.iter_mut().for_each(|x| *x += values[*k]),
                (Some(usage), Limit::Same(k)) => add_scaled_f64::run(out, values[*k], &usage[pairs.clone()]),
                (usage, Limit::Run(run)) => {
                    add_cycle(out, &values[run.clone()], usage.as_ref().map(|u| &u[pairs.clone()]))
                }
                (usage, Limit::Cycle(limit)) => with_values(values, limit, |values| {
                    add_cycle(out, values, usage.as_ref().map(|u| &u[pairs.clone()]));
                }),
                (None, Limit::Each(limit)) => add_gathered::run(out, values, &limit[pairs.clone()]),
                (Some(usage), Limit::Each(limit)) => {
                    add_gathered_times::run(out, &usage[pairs.clone()], values, &limit[pairs.clone()]);
                }
            }
        }
    }
}

/// The limits of the pairs of rows: a cycle where they are the same for all rows.
fn limits(rows: &Rows, each: Vec<u32>) -> Limit {
    let length = rows.start[1];
    let equal = rows.start.windows(2).all(|ends| ends[1] - ends[0] == length);
    if length <= LONGEST_CYCLE && equal && each.chunks_exact(length).all(|row| row == &each[..length]) {
        let first = each[0] as usize;
        let run = first..first + length;
        if each.iter().zip(run.clone()).all(|(&k, at)| k as usize == at) {
            Limit::Run(run)
        } else {
            Limit::Cycle(each[..length].to_vec())
        }
    } else {
        Limit::Each(each)
    }
}

/// Adds the same values to every row, or so many times them.
fn add_cycle(out: &mut [f64], values: &[f64], usage: Option<&[f64]>) {
    let rows = out.chunks_exact_mut(values.len());
    match usage {
        None => rows.for_each(|row| row.iter_mut().zip(values).for_each(|(x, value)| *x += value)),
        Some(usage) => {
            for (row, usage) in rows.zip(usage.chunks_exact(values.len())) {
                row.iter_mut().zip(values).zip(usage).for_each(|((x, value), usage)| *x += usage * value);
            }
        }
    }
}

/// Looks up the values of some limits once.
fn with_values(values: &[f64], limit: &[u32], work: impl FnOnce(&[f64])) {
    let mut own = [0.0; LONGEST_CYCLE];
    let own = &mut own[..limit.len()];
    own.iter_mut().zip(limit).for_each(|(own, &k)| *own = values[k as usize]);
    work(own);
}
