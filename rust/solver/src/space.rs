//! The part of a search below a node: the rows that still have a choice, small enough to be read fast.

use crate::ascent::Ascent;
use crate::rows::Rows;

/// A problem by itself: rows, limits, and what the rows outside have been settled to.
pub(crate) struct Space {
    /// Their `query` is the row of the whole search, their fixed objective what the settled rows cost.
    pub(crate) rows: Rows,
    pub(crate) limit: Vec<f64>,
    /// The pair of the whole search behind each pair.
    pub(crate) origin: Vec<usize>,
    /// The kind of each pair, where loads are split on; see [`crate::branching`].
    pub(crate) kind: Vec<u32>,
    /// A pair of the whole search for each of its rows: right for the settled ones.
    settled: Vec<usize>,
}

impl Space {
    /// The whole search.
    pub(crate) fn whole(mut rows: Rows, limit: Vec<f64>, kind: Vec<u32>) -> Self {
        let settled = rows.start[..rows.len()].to_vec();
        rows.query = (0..rows.len()).collect();
        rows.fixed_objective = rows.fixed_objective.emptied();
        Self { origin: (0..rows.model.len()).collect(), rows, limit, kind, settled }
    }

    /// What a node leaves open.
    pub(crate) fn below(&self, node: &Ascent<'_>) -> Self {
        let all = &self.rows;
        let mut rows = Rows::new(all.n_resources, all.n_limits);
        rows.fixed_objective = all.fixed_objective;
        rows.fixed_usage = all.fixed_usage.iter().map(|sum| sum.emptied()).collect();
        let (mut origin, mut kind, mut settled) = (Vec::new(), Vec::new(), self.settled.clone());
        for row in 0..all.len() {
            let first = origin.len();
            for pair in all.pairs(row).filter(|&pair| !node.is_banned(pair)) {
                all.copy_pair(pair, &mut rows);
                origin.push(self.origin[pair]);
                kind.extend(self.kind.get(pair));
            }
            if origin.len() == first + 1 {
                settled[all.query[row]] = origin[first];
                origin.truncate(first);
                kind.truncate(first);
            }
            rows.end_row(all.query[row]);
        }
        let left = node.limits().iter().zip(&rows.fixed_usage).map(|(limit, used)| limit - used.value());
        Self { limit: left.collect(), rows, origin, kind, settled }
    }

    /// What the settled rows cost.
    pub(crate) fn offset(&self) -> f64 {
        self.rows.fixed_objective.value()
    }

    /// One pair of the whole search per row of it, from one pair per row of this space.
    pub(crate) fn plan(&self, choice: &[usize]) -> Vec<usize> {
        let mut plan = self.settled.clone();
        choice.iter().zip(&self.rows.query).for_each(|(&pair, &row)| plan[row] = self.origin[pair]);
        plan
    }
}
