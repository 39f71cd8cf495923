//! [`ChunkedOracle`]: rows that are larger than memory, read once per pass.
//!
//! The first reading checks the numbers and copies the rows of all samples, so that only passes over all rows read again.

use std::sync::Arc;

use crate::error::InputError;
use crate::facts::Facts;
use crate::oracle::{Interrupted, Watch};
use crate::owned::OwnedProblem;
use crate::part::{Lender, Part, Visit, VisitSome};
use crate::pass::{Data, Names};
use crate::pool::Pool;
use crate::problem::{Limits, Problem};
use crate::relax::levels;
use crate::sample::{own_rows, sample};
use crate::settings::Settings;
use crate::sharded::{Local, ShardedOracle};
use crate::source::{Failure, Readings, Source};

/// Pairs of sampled rows that are held; larger samples are read again.
const SAMPLE_PAIRS: usize = 1 << 24;

/// All rows, behind a [`Source`].
pub type ChunkedOracle<'f, S> = ShardedOracle<'f, Local<'f, Chunked<S>>>;

impl<'f, S: Source> ChunkedOracle<'f, S> {
    /// Reads and checks all rows. `form` is the problem without its rows.
    ///
    /// # Errors
    /// Bad numbers, another number of rows, a failing source, or an interruption.
    pub fn read(
        source: S,
        form: Problem<'f>,
        n_queries: usize,
        settings: &Settings,
        watch: &'f dyn Watch,
    ) -> Result<Self, Failure<S::Error>> {
        let wanted = sampled(n_queries, form.n_models, form.limits().ids.len(), settings.seed);
        let described = Described::read(source, &form, wanted, settings.threads, watch)?;
        let facts = described.facts.clone();
        if facts.n_queries != n_queries {
            let (name, got) = ("the source".to_owned(), facts.n_queries);
            return Err(Failure::Input(InputError::Length { name, got, expected: n_queries, meaning: "n_queries" }));
        }
        let parts = vec![described.agree(facts.clone(), 0)];
        Self::new(form, facts, Local { parts, watch }).map_err(Failure::Input)
    }

    /// Why the source could not be read to its end, if that happened: then the solution of a solve means nothing.
    pub fn failure(&mut self) -> Option<Failure<S::Error>> {
        self.parts_mut().parts[0].failure()
    }

    /// Complete readings of the source.
    pub fn readings(&self) -> usize {
        self.parts().parts[0].lender().readings.complete
    }
}

/// Rows of a source after their first reading; the other parts of the rows are not known yet.
pub struct Described<S: Source> {
    readings: Readings<S>,
    samples: Samples,
    limits: Arc<Limits>,
    facts: Facts,
}

impl<S: Source> Described<S> {
    /// Reads a part of the rows for the first time, with threads of its own (0: all of the machine).
    ///
    /// # Errors
    /// Bad numbers, a failing source, or an interruption.
    pub fn new(source: S, form: &Problem<'_>, threads: usize, watch: &dyn Watch) -> Result<Self, Failure<S::Error>> {
        Self::read(source, form, Vec::new(), threads, watch)
    }

    fn read(
        source: S,
        form: &Problem<'_>,
        wanted: Vec<usize>,
        threads: usize,
        watch: &dyn Watch,
    ) -> Result<Self, Failure<S::Error>> {
        let pool = Pool::new(threads, usize::MAX);
        let mut readings = Readings::new(source, pool.clone());
        let mut samples = Samples { wanted, rows: OwnedProblem::without_rows(form) };
        let mut facts = Facts::of(form, 0).map_err(Failure::Input)?;
        readings.read(watch, &mut |problem, first| {
            facts.merge(&pool.install(|| Facts::of(problem, first))?);
            samples.take(problem, first);
            Ok(())
        })?;
        Ok(Self { readings, samples, limits: Arc::new(form.limits()), facts })
    }

    /// What this part knows of its rows.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The part of all rows that begins with query `first`, once those are known.
    pub fn agree(self, facts: Facts, first: usize) -> Part<Chunked<S>> {
        let Self { readings, samples, limits, facts: own } = self;
        let (pool, n_all) = (readings.pool.clone(), facts.n_queries);
        let lender = Chunked { readings, limits, facts: Arc::new(facts), first, samples, failure: None };
        Part::new(lender, first..first + own.n_queries, n_all, pool)
    }
}

/// The queries of all samples that are held, sorted.
fn sampled(n_queries: usize, n_models: usize, n_limits: usize, seed: u64) -> Vec<usize> {
    let sizes = levels(n_queries, n_models, n_limits).into_iter().filter(|size| size * n_models <= SAMPLE_PAIRS);
    let mut queries: Vec<usize> = sizes.filter_map(|size| sample(n_queries, size, seed)).flatten().collect();
    queries.sort_unstable();
    queries.dedup();
    queries
}

/// Copies of sampled rows.
struct Samples {
    wanted: Vec<usize>,
    rows: OwnedProblem,
}

impl Samples {
    fn take(&mut self, problem: &Problem<'_>, first: usize) {
        own_rows(&self.wanted, first..first + problem.n_queries)
            .into_iter()
            .for_each(|row| self.rows.push(problem, row));
    }

    /// Where the rows of some queries (sorted) are, if all are held.
    fn find(&self, queries: &[usize]) -> Option<Vec<usize>> {
        queries.iter().map(|query| self.wanted.binary_search(query).ok()).collect()
    }
}

/// Rows behind a source.
pub struct Chunked<S: Source> {
    readings: Readings<S>,
    limits: Arc<Limits>,
    facts: Arc<Facts>,
    /// Its first query among all.
    first: usize,
    samples: Samples,
    failure: Option<Failure<S::Error>>,
}

impl<S: Source> Part<Chunked<S>> {
    /// Why the source could not be read to its end, if that happened.
    pub fn failure(&mut self) -> Option<Failure<S::Error>> {
        self.lender_mut().failure.take()
    }
}

impl<S: Source> Chunked<S> {
    fn read(&mut self, watch: &dyn Watch, visit: &mut (dyn FnMut(&Data<'_>, usize) + Send)) -> Result<(), Interrupted> {
        let (limits, facts, own) = (&self.limits, &self.facts, self.first);
        let read = self.readings.read(watch, &mut |problem, first| {
            visit(&Data::new(problem.clone(), limits, facts, Names::From(own + first)), own + first);
            Ok(())
        });
        read.map_err(|failure| match failure {
            Failure::Interrupted(stop) => stop,
            other => {
                self.failure = Some(other);
                Interrupted::Abandoned
            }
        })
    }
}

impl<S: Source> Lender for Chunked<S> {
    fn all(&mut self, watch: &dyn Watch, visit: &mut Visit<'_>) -> Result<(), Interrupted> {
        self.read(watch, &mut |data, _| visit(data, 0..data.problem.n_queries))
    }

    fn some(&mut self, queries: &[usize], watch: &dyn Watch, visit: &mut VisitSome<'_>) -> Result<(), Interrupted> {
        if let Some(rows) = self.samples.find(queries) {
            let names = Names::Listed(&self.samples.wanted);
            visit(&Data::new(self.samples.rows.view(), &self.limits, &self.facts, names), &rows);
            return watch.poll();
        }
        self.read(watch, &mut |data, first| {
            let rows = own_rows(queries, first..first + data.problem.n_queries);
            if !rows.is_empty() {
                visit(data, &rows);
            }
        })
    }
}
