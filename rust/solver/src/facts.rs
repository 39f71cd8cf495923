//! What every part must know of all rows before the first pass: sizes, magnitudes, sizes of groups.

use serde::{Deserialize, Serialize};

use crate::error::InputError;
use crate::problem::{Limits, Magnitudes, Problem, Scope};

/// Facts of some rows; those of several stretches add up to those of all.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// Number of queries.
    pub n_queries: usize,
    /// Largest numbers.
    pub magnitudes: Magnitudes,
    /// Queries in each group, per resource; empty for a resource that has none.
    pub group_sizes: Vec<Vec<u64>>,
}

impl Facts {
    /// Checks the numbers of a stretch of rows that begins with query `first`.
    ///
    /// # Errors
    /// Bad numbers, named.
    pub fn of(problem: &Problem<'_>, first: usize) -> Result<Self, InputError> {
        let magnitudes = problem.validate(first)?;
        let sizes = problem.resources.iter().map(|resource| match resource.scope {
            Scope::Group(groups) => {
                let mut sizes = vec![0; resource.limits.len()];
                groups.iter().for_each(|&group| sizes[group as usize] += 1);
                sizes
            }
            Scope::All | Scope::Model => Vec::new(),
        });
        Ok(Self { n_queries: problem.n_queries, magnitudes, group_sizes: sizes.collect() })
    }

    /// The share of each limit that so many sampled queries stand for, given how many of each group they are.
    pub(crate) fn shares(&self, limits: &Limits, sampled: usize, group_counts: &[Vec<u64>]) -> Vec<f64> {
        let mut share = vec![sampled as f64 / self.n_queries as f64; limits.ids.len()];
        for (r, (counts, sizes)) in group_counts.iter().zip(&self.group_sizes).enumerate() {
            for (member, (&part, &whole)) in counts.iter().zip(sizes).enumerate() {
                if let Some(share) = share.get_mut(limits.position[r][member] as usize) {
                    *share = if whole > 0 { part as f64 / whole as f64 } else { 1.0 };
                }
            }
        }
        share
    }

    /// Adds the facts of more rows.
    pub fn merge(&mut self, more: &Self) {
        let larger = |all: &mut Vec<f64>, more: &[f64]| all.iter_mut().zip(more).for_each(|(x, y)| *x = x.max(*y));
        self.n_queries += more.n_queries;
        larger(&mut self.magnitudes.largest, &more.magnitudes.largest);
        larger(&mut self.magnitudes.usage, &more.magnitudes.usage);
        self.magnitudes.negative.iter_mut().zip(&more.magnitudes.negative).for_each(|(any, more)| *any |= more);
        for (sizes, more) in self.group_sizes.iter_mut().zip(&more.group_sizes) {
            sizes.iter_mut().zip(more).for_each(|(size, more)| *size += more);
        }
    }
}
