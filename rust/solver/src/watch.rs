//! The usual entry: rows in memory, a time limit, somebody watching.

use std::time::{Duration, Instant};

use crate::chunked::ChunkedOracle;
use crate::dense::DenseOracle;
use crate::error::InputError;
use crate::facts::Facts;
use crate::oracle::{Interrupted, Progress, Watch};
use crate::problem::Problem;
use crate::settings::Settings;
use crate::sharded::{Parts, ShardedOracle};
use crate::solution::Solution;
use crate::solve::solve;
use crate::source::{Failure, Source};

/// Solves a problem whose matrices are in memory (or memory-mapped).
///
/// # Errors
/// Bad input, named; nothing is computed then.
pub fn solve_problem(
    problem: &Problem<'_>,
    settings: &Settings,
    start: Option<&[f64]>,
    watch: &dyn Watch,
) -> Result<Solution, InputError> {
    settings.validate()?;
    let timed = Timed { inner: watch, until: deadline(settings.time_limit) };
    let mut oracle = DenseOracle::in_memory(problem, settings.threads, &timed)?;
    Ok(solve(&mut oracle, settings, start, &timed))
}

/// Solves a problem whose rows are read from a source, once per pass; see [`ChunkedOracle::read`]. Also returns how often the
/// source was read.
///
/// # Errors
/// Bad input, or a source that fails or changes.
pub fn solve_source<S: Source>(
    source: S,
    form: Problem<'_>,
    n_queries: usize,
    settings: &Settings,
    start: Option<&[f64]>,
    watch: &dyn Watch,
) -> Result<(Solution, usize), Failure<S::Error>> {
    settings.validate().map_err(Failure::Input)?;
    let timed = Timed { inner: watch, until: deadline(settings.time_limit) };
    let ids = form.limits().ids;
    let mut oracle = match ChunkedOracle::read(source, form, n_queries, settings, &timed) {
        Err(Failure::Interrupted(stop)) => return Ok((Solution::stopped(ids, stop), 0)),
        read => read?,
    };
    let solution = solve(&mut oracle, settings, start, &timed);
    match oracle.failure() {
        Some(failure) => Err(failure),
        None => Ok((solution, oracle.readings())),
    }
}

/// Solves a problem whose rows are in parts elsewhere, given the facts of all rows; `form` is the problem without them.
///
/// # Errors
/// Bad input.
pub fn solve_shards(
    parts: impl Parts,
    form: Problem<'_>,
    facts: Facts,
    settings: &Settings,
    start: Option<&[f64]>,
    watch: &dyn Watch,
) -> Result<Solution, InputError> {
    settings.validate()?;
    let timed = Timed { inner: watch, until: deadline(settings.time_limit) };
    Ok(solve(&mut ShardedOracle::new(form, facts, parts)?, settings, start, &timed))
}

/// Nobody watches: never stops, reports nowhere.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn poll(&self) -> Result<(), Interrupted> {
        Ok(())
    }

    fn report(&self, _: &Progress) -> Result<(), Interrupted> {
        Ok(())
    }
}

/// Stops only where nobody wants a result any more.
pub(crate) struct Finishing<'w>(pub(crate) &'w dyn Watch);

impl Watch for Finishing<'_> {
    fn poll(&self) -> Result<(), Interrupted> {
        match self.0.poll() {
            Err(Interrupted::Abandoned) => Err(Interrupted::Abandoned),
            _ => Ok(()),
        }
    }

    fn report(&self, _: &Progress) -> Result<(), Interrupted> {
        self.poll()
    }
}

/// Another watch, and a deadline.
struct Timed<'w> {
    inner: &'w dyn Watch,
    until: Option<Instant>,
}

impl Watch for Timed<'_> {
    fn poll(&self) -> Result<(), Interrupted> {
        if self.until.is_some_and(|until| Instant::now() >= until) {
            return Err(Interrupted::TimeLimit);
        }
        self.inner.poll()
    }

    fn report(&self, progress: &Progress) -> Result<(), Interrupted> {
        self.inner.report(progress)
    }
}

fn deadline(seconds: f64) -> Option<Instant> {
    Duration::try_from_secs_f64(seconds).ok().and_then(|limit| Instant::now().checked_add(limit))
}
