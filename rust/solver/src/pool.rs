//! Threads of one solve.

use std::ops::Range;
use std::sync::Arc;

use rayon::prelude::*;

use crate::problem::SERIAL_PAIRS;

/// Pairs per block.
const BLOCK_PAIRS: usize = 1 << 15;

/// Rows of a block.
pub(crate) fn block_rows(n_models: usize) -> usize {
    (BLOCK_PAIRS / n_models).max(64)
}

/// A pool of its own for each solve, since a global one would not survive a fork; or the calling thread alone.
#[derive(Clone)]
pub(crate) struct Pool(Option<Arc<rayon::ThreadPool>>);

impl Pool {
    /// Threads (0: all of the machine) for passes over so many pairs: few are read by the calling thread.
    pub(crate) fn new(threads: usize, pairs: usize) -> Self {
        let built = (pairs > SERIAL_PAIRS).then(|| rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok());
        Self(built.flatten().map(Arc::new))
    }

    /// The results of single pieces of work, in order.
    pub(crate) fn each<T: Send>(&self, count: usize, work: impl Fn(usize) -> T + Sync + Send) -> Vec<T> {
        match &self.0 {
            Some(pool) => pool.install(|| (0..count).into_par_iter().map(work).collect()),
            None => (0..count).map(work).collect(),
        }
    }

    /// Runs parallel work on these threads.
    pub(crate) fn install<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        match &self.0 {
            Some(pool) => pool.install(work),
            None => work(),
        }
    }

    /// Applies `work` to blocks of rows and returns the results in row order.
    pub(crate) fn blocks<T: Send>(
        &self,
        rows: Range<usize>,
        n_models: usize,
        work: impl Fn(Range<usize>) -> T + Sync,
    ) -> Vec<T> {
        let size = block_rows(n_models);
        let block = |b: usize| {
            let from = rows.start + b * size;
            work(from..rows.end.min(from + size))
        };
        let count = rows.len().div_ceil(size);
        match &self.0 {
            Some(pool) => pool.install(|| (0..count).into_par_iter().map(block).collect()),
            None => (0..count).map(block).collect(),
        }
    }
}
