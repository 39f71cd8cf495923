//! [`DenseOracle`]: all rows in memory (or memory-mapped), passes in parallel over blocks.

use std::ops::Range;
use std::sync::Arc;

use crate::error::InputError;
use crate::facts::Facts;
use crate::oracle::{Interrupted, Watch};
use crate::part::{Lender, Part, Visit, VisitSome, PAIRS_PER_POLL};
use crate::pass::{Data, Names};
use crate::pool::Pool;
use crate::problem::Problem;
use crate::sample::own_rows;
use crate::sharded::{Local, ShardedOracle};

/// The rows of a [`Problem`], for the outer algorithm: one part, or several for those who want to see that it is the same.
pub type DenseOracle<'a> = ShardedOracle<'a, Local<'a, Stretch<'a>>>;

impl<'a> DenseOracle<'a> {
    /// Checks the problem and starts the threads (0: all of the machine).
    ///
    /// # Errors
    /// Bad input, named.
    pub fn in_memory(problem: &Problem<'a>, threads: usize, watch: &'a dyn Watch) -> Result<Self, InputError> {
        Self::in_parts(problem, &[], threads, watch)
    }

    /// The same with the rows cut into parts before some queries (sorted).
    ///
    /// # Errors
    /// Bad input, named.
    pub fn in_parts(
        problem: &Problem<'a>,
        cuts: &[usize],
        threads: usize,
        watch: &'a dyn Watch,
    ) -> Result<Self, InputError> {
        let n = problem.n_queries;
        let pool = Pool::new(threads, n.saturating_mul(problem.n_models));
        let facts = pool.install(|| Facts::of(problem, 0))?;
        let (limits, shared) = (Arc::new(problem.limits()), Arc::new(facts.clone()));
        let part = |queries: Range<usize>| {
            let rows = problem.rows(queries.clone());
            let data = Data::new(rows, &limits, &shared, Names::From(queries.start));
            Part::new(Stretch { data, first: queries.start }, queries, n, pool.clone())
        };
        let ends = cuts.iter().copied().chain([n]);
        let parts = [0].into_iter().chain(cuts.iter().copied()).zip(ends).map(|(from, to)| part(from..to)).collect();
        Self::new(problem.rows(0..0), facts, Local { parts, watch })
    }
}

/// Consecutive rows in memory.
pub struct Stretch<'a> {
    data: Data<'a>,
    first: usize,
}

impl<'a> Stretch<'a> {
    pub(crate) fn data(&self) -> &Data<'a> {
        &self.data
    }
}

impl Lender for Stretch<'_> {
    fn all(&mut self, watch: &dyn Watch, visit: &mut Visit<'_>) -> Result<(), Interrupted> {
        let (n, m) = (self.data.problem.n_queries, self.data.problem.n_models);
        let size = (PAIRS_PER_POLL / m).max(1);
        for from in (0..n).step_by(size) {
            watch.poll()?;
            visit(&self.data, from..n.min(from + size));
        }
        Ok(())
    }

    fn some(&mut self, queries: &[usize], watch: &dyn Watch, visit: &mut VisitSome<'_>) -> Result<(), Interrupted> {
        watch.poll()?;
        let rows = own_rows(queries, self.first..self.first + self.data.problem.n_queries);
        visit(&self.data, &rows);
        Ok(())
    }
}
