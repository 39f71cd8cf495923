//! One part of the rows: answers what the outer algorithm asks, about its own rows only.
//!
//! Sums do not depend on the order of their terms, so it does not matter how the rows are cut into parts, chunks and blocks.

use std::ops::Range;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::oracle::{Goal, Interrupted, Prices, Screen, Watch};
use crate::pass::{Data, PlanSums, Point};
use crate::pool::Pool;
use crate::presolve::blocking;
use crate::reach::Reach;
use crate::rows::Rows;
use crate::sample::sample;
use crate::sums::OrderedSum;

/// Pairs between two looks at the watch: about a millisecond of work. What a pass keeps of them is held twice for a moment.
pub(crate) const PAIRS_PER_POLL: usize = 1 << 20;

/// A screening pass that leaves more than one query in so many open has settled too little for tallies to build on.
const LEAST_SETTLED: usize = 2;

/// Gets some rows of a stretch.
pub type Visit<'v> = dyn FnMut(&Data<'_>, Range<usize>) + Send + 'v;
/// Gets single rows of a stretch.
pub type VisitSome<'v> = dyn FnMut(&Data<'_>, &[usize]) + Send + 'v;

/// Where the rows of a part are; it looks at the watch between stretches.
pub trait Lender {
    /// Lends all rows, in order.
    fn all(&mut self, watch: &dyn Watch, visit: &mut Visit<'_>) -> Result<(), Interrupted>;
    /// Lends those of some queries (sorted, counted among all) that this part has, in order.
    fn some(&mut self, queries: &[usize], watch: &dyn Watch, visit: &mut VisitSome<'_>) -> Result<(), Interrupted>;
}

/// Consecutive rows, and the plans made for them.
pub struct Part<L> {
    lender: L,
    /// Its queries among all.
    queries: Range<usize>,
    n_all: usize,
    pool: Pool,
    /// The cheapest model of each query in the last pass over all rows that screened.
    choices: Arc<Vec<i32>>,
    /// What that pass has settled of any plan.
    settled: Option<Settled>,
    tallied: Plan,
    kept: Plan,
}

/// The queries of which a screening pass left one pair only: every plan that follows takes it.
struct Settled {
    sums: PlanSums,
    /// The other queries.
    open: Vec<usize>,
}

/// Choices of a screening pass, but for some rows.
#[derive(Clone, Default)]
struct Plan {
    choices: Arc<Vec<i32>>,
    /// By row; of several entries for a row the last counts.
    changed: Vec<(usize, i32)>,
}

/// What a part keeps of a screening pass.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub(crate) rows: Rows,
    /// Sampled queries in each group, per resource.
    pub(crate) group_counts: Vec<Vec<u64>>,
}

impl<L: Lender> Part<L> {
    pub(crate) fn new(lender: L, queries: Range<usize>, n_all: usize, pool: Pool) -> Self {
        let (choices, plan) = (Arc::default(), Plan::default());
        Self { lender, queries, n_all, pool, choices, settled: None, tallied: plan.clone(), kept: plan }
    }

    pub(crate) fn lender(&self) -> &L {
        &self.lender
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn lender_mut(&mut self) -> &mut L {
        &mut self.lender
    }

    /// The dual value of these rows; `None` without rows.
    pub fn evaluate(&mut self, goal: Goal, prices: &Prices, watch: &dyn Watch) -> Result<Option<Point>, Interrupted> {
        let (pool, mut sum) = (&self.pool, None);
        self.lender.all(watch, &mut |data, rows| {
            let pricing = data.pricing(goal, prices);
            let blocks = pool.blocks(rows, data.problem.n_models, |rows| data.evaluate(&pricing, rows));
            blocks.into_iter().for_each(|block| merge(&mut sum, block, Point::merge));
        })?;
        Ok(sum)
    }

    /// The rows in which more than one pair can be the choice, and sums of the others; `None` without rows.
    pub fn screen(&mut self, goal: Goal, screen: &Screen, watch: &dyn Watch) -> Result<Option<Kept>, Interrupted> {
        match sample(self.n_all, screen.sample, screen.seed) {
            None => self.screen_all(goal, screen, watch),
            Some(sampled) => self.screen_some(goal, screen, &sampled, watch),
        }
    }

    fn screen_all(&mut self, goal: Goal, screen: &Screen, watch: &dyn Watch) -> Result<Option<Kept>, Interrupted> {
        let (pool, mut kept, mut settled) = (&self.pool, None, None);
        // The old choices make room, unless the plan that is held needs them.
        (self.choices, self.settled, self.tallied) = (Arc::default(), None, Plan::default());
        let mut choices = Vec::with_capacity(self.queries.len());
        self.lender.all(watch, &mut |data, rows| {
            let pricing = data.pricing(goal, &screen.prices);
            let reach = Reach::new(data, screen, pricing.rounding(&data.facts.magnitudes));
            let blocks = pool.blocks(rows, data.problem.n_models, |rows| {
                let mut screened = data.unscreened(goal, &reach, rows.len());
                data.screen(&pricing, &reach, goal, rows, &mut screened);
                data.finish(screened)
            });
            let mut rows = Vec::with_capacity(blocks.len());
            for (block, chosen, sums) in blocks {
                rows.push(block);
                choices.extend(chosen);
                merge(&mut settled, sums, PlanSums::merge);
            }
            match (&mut kept, &mut rows[..]) {
                (None, [only]) => kept = Some(std::mem::take(only)),
                (kept, rows) => kept.get_or_insert_with(|| data.no_rows(goal)).append(rows),
            }
        })?;
        self.choices = Arc::new(choices);
        self.settled = settled.zip(kept.as_ref()).and_then(|(sums, rows)| Settled::new(sums, rows, self.queries.len()));
        Ok(kept.map(|rows| Kept { rows, group_counts: Vec::new() }))
    }

    fn screen_some(
        &mut self,
        goal: Goal,
        screen: &Screen,
        sampled: &[usize],
        watch: &dyn Watch,
    ) -> Result<Option<Kept>, Interrupted> {
        let (pool, mut kept) = (&self.pool, None);
        self.lender.some(sampled, watch, &mut |data, rows| {
            let pricing = data.pricing(goal, &screen.prices);
            let reach = Reach::new(data, screen, pricing.rounding(&data.facts.magnitudes));
            let blocks = pool.blocks(0..rows.len(), data.problem.n_models, |some| {
                let mut screened = data.unscreened(goal, &reach, some.len());
                rows[some].iter().for_each(|&i| data.screen(&pricing, &reach, goal, i..i + 1, &mut screened));
                data.finish(screened).0
            });
            let mut next = Kept { rows: data.no_rows(goal), group_counts: data.group_counts(rows) };
            next.rows.append(&blocks);
            merge(&mut kept, next, Kept::merge);
        })?;
        Ok(kept)
    }

    /// Sums over a plan: the cheapest models of the last screening pass, but for some queries, of which those elsewhere are
    /// passed over; `None` without rows.
    pub fn tally(&mut self, changed: &[(usize, i32)], watch: &dyn Watch) -> Result<Option<PlanSums>, Interrupted> {
        let own = changed.iter().filter(|(query, _)| self.queries.contains(query));
        let mut changed: Vec<(usize, i32)> = own.map(|&(i, j)| (i - self.queries.start, j)).collect();
        changed.sort_by_key(|&(row, _)| row);
        self.tallied = Plan { choices: self.choices.clone(), changed };
        let (pool, plan, first) = (&self.pool, &self.tallied, self.queries.start);
        if let Some(settled) = self.settled.as_ref().filter(|settled| settled.leaves(&plan.changed, first)) {
            let (mut sums, mut open) = (settled.sums.clone(), &settled.open[..]);
            self.lender.some(open, watch, &mut |data, rows| {
                let own;
                (own, open) = open.split_at(rows.len());
                let blocks = pool.blocks(0..rows.len(), data.problem.n_models, |some| {
                    let models = plan.models_of(own[some.clone()].iter().map(|query| query - first));
                    data.tally(rows[some].iter().copied(), &models)
                });
                blocks.iter().for_each(|block| sums.merge(block));
            })?;
            return Ok(Some(sums));
        }
        let mut sums = None;
        self.lender.all(watch, &mut |data, rows| {
            let blocks = pool.blocks(rows, data.problem.n_models, |rows| {
                let plan = plan.models(data.query(rows.start) - first, rows.len());
                data.tally(rows, &plan)
            });
            blocks.into_iter().for_each(|block| merge(&mut sums, block, PlanSums::merge));
        })?;
        Ok(sums)
    }

    /// Goes on with sums over the plan that was tallied last.
    pub fn add_up(&mut self, sums: &mut [OrderedSum], watch: &dyn Watch) -> Result<(), Interrupted> {
        let (plan, first) = (&self.tallied, self.queries.start);
        self.lender.all(watch, &mut |data, rows| {
            let plan = plan.models(data.query(rows.start) - first, rows.len());
            data.add_up(rows, &plan, sums);
        })
    }

    /// Holds on to the plan that was tallied last.
    pub fn keep(&mut self) {
        self.kept = self.tallied.clone();
    }

    /// The models of the plan that is held; all other plans are dropped.
    pub fn assignment(&mut self) -> Vec<i32> {
        (self.choices, self.settled, self.tallied) = (Arc::default(), None, Plan::default());
        let Plan { choices, changed } = std::mem::take(&mut self.kept);
        let mut plan = Arc::unwrap_or_clone(choices);
        changed.iter().for_each(|&(row, j)| plan[row] = j);
        plan
    }

    /// The limits, as (resource, member), that the pairs of a query pass by themselves; empty for a query elsewhere.
    pub fn blocking(&mut self, query: usize, watch: &dyn Watch) -> Result<Vec<(usize, usize)>, Interrupted> {
        let mut out = Vec::new();
        self.lender.some(&[query], watch, &mut |data, rows| {
            rows.iter().for_each(|&row| out.extend(blocking(&data.problem, &data.facts.magnitudes, row)));
        })?;
        Ok(out)
    }
}

impl Kept {
    /// Adds the rows that follow.
    pub(crate) fn merge(&mut self, next: &Self) {
        self.rows.append(std::slice::from_ref(&next.rows));
        for (counts, next) in self.group_counts.iter_mut().zip(&next.group_counts) {
            counts.iter_mut().zip(next).for_each(|(count, next)| *count += next);
        }
    }
}

impl Settled {
    /// `None` where it would leave too much open to be of use.
    fn new(sums: PlanSums, kept: &Rows, n_queries: usize) -> Option<Self> {
        (kept.stranded.is_none() && kept.len() <= n_queries / LEAST_SETTLED)
            .then(|| Self { sums, open: kept.query.clone() })
    }

    /// Whether rows, counted from a query on and sorted, are all open.
    fn leaves(&self, changed: &[(usize, i32)], first: usize) -> bool {
        changed.iter().map(|(row, _)| row + first).all(|query| self.open.binary_search(&query).is_ok())
    }
}

impl Plan {
    /// The models of rows that need not follow on each other.
    fn models_of(&self, rows: impl Iterator<Item = usize>) -> Vec<i32> {
        let model = |row: usize| {
            let after = self.changed.partition_point(|&(changed, _)| changed <= row);
            let changed = self.changed[..after].last().filter(|(changed, _)| *changed == row);
            changed.map_or(self.choices[row], |&(_, j)| j)
        };
        rows.map(model).collect()
    }

    /// The models of some rows of the part.
    fn models(&self, from: usize, count: usize) -> Vec<i32> {
        let mut models = self.choices[from..from + count].to_vec();
        let at = |row: usize| self.changed.partition_point(|&(changed, _)| changed < row);
        self.changed[at(from)..at(from + count)].iter().for_each(|&(row, j)| models[row - from] = j);
        models
    }
}

/// Adds what follows to what there is.
pub(crate) fn merge<T>(all: &mut Option<T>, next: T, add: impl Fn(&mut T, &T)) {
    match all {
        Some(all) => add(all, &next),
        None => *all = Some(next),
    }
}
