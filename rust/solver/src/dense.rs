//! [`DenseOracle`]: rows in memory (or memory-mapped), passes in parallel over blocks.
//!
//! Sums do not depend on the order of their terms, so the answer has the same bits for any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::InputError;
use crate::grid::GRID_LARGEST;
use crate::oracle::{DualOracle, DualPoint, Goal, Interrupted, Prices, Screen, Tally, Watch};
use crate::pass::{Data, Reach};
use crate::presolve::{blocking, open_pairs};
use crate::problem::{Limits, Problem, Sense, SERIAL_PAIRS};
use crate::rows::Rows;

/// Pairs per block.
const BLOCK_PAIRS: usize = 1 << 15;
/// Pairs between two looks at the watch: some milliseconds of work.
const PAIRS_PER_POLL: usize = 1 << 23;

/// The rows of a [`Problem`], for the outer algorithm.
pub struct DenseOracle<'a> {
    data: Data<'a>,
    watch: &'a dyn Watch,
    pool: Option<rayon::ThreadPool>,
    passes: usize,
    /// The cheapest model of each query in the last pass over all rows that screened, block by block.
    choices: Vec<Vec<u16>>,
}

impl<'a> DenseOracle<'a> {
    /// Checks the problem and starts the threads (0: all of the machine).
    pub fn new(problem: &'a Problem<'a>, threads: usize, watch: &'a dyn Watch) -> Result<Self, InputError> {
        let pairs = problem.n_queries.saturating_mul(problem.n_models);
        // A pool of its own for each solve: a global one would not survive a fork.
        let pool =
            if pairs > SERIAL_PAIRS { rayon::ThreadPoolBuilder::new().num_threads(threads).build().ok() } else { None };
        let magnitudes = match &pool {
            Some(pool) => pool.install(|| problem.validate())?,
            None => problem.validate()?,
        };
        let open = open_pairs(problem, &magnitudes);
        let data = Data { problem, limits: problem.limits(), magnitudes, open };
        Ok(Self { data, watch, pool, passes: 0, choices: Vec::new() })
    }

    /// Applies `work` to blocks of rows and returns the results in row order.
    fn each_block<T: Send>(&self, rows: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Result<Vec<T>, Interrupted> {
        self.each_batch(rows, work, || self.watch.poll())
    }

    /// The same, with a question between batches of blocks.
    fn each_batch<T: Send>(
        &self,
        rows: usize,
        work: impl Fn(Range<usize>) -> T + Sync,
        go_on: impl Fn() -> Result<(), Interrupted>,
    ) -> Result<Vec<T>, Interrupted> {
        let size = (BLOCK_PAIRS / self.data.problem.n_models).max(64);
        let blocks = rows.div_ceil(size);
        let batch = (PAIRS_PER_POLL / (size * self.data.problem.n_models)).max(1);
        let block = |b: usize| work(b * size..rows.min((b + 1) * size));
        let mut out = Vec::with_capacity(blocks);
        for from in (0..blocks).step_by(batch) {
            go_on()?;
            let to = blocks.min(from + batch);
            match &self.pool {
                Some(pool) => out.extend(pool.install(|| (from..to).into_par_iter().map(block).collect::<Vec<T>>())),
                None => out.extend((from..to).map(block)),
            }
        }
        Ok(out)
    }
}

impl DualOracle for DenseOracle<'_> {
    fn n_queries(&self) -> usize {
        self.data.problem.n_queries
    }

    fn n_models(&self) -> usize {
        self.data.problem.n_models
    }

    fn limits(&self) -> &Limits {
        &self.data.limits
    }

    fn sign(&self) -> f64 {
        match self.data.problem.sense {
            Sense::Minimise => 1.0,
            Sense::Maximise => -1.0,
        }
    }

    fn goal_of(&self, goal: Goal, tally: &Tally) -> f64 {
        match goal {
            Goal::Objective => self.sign() * tally.inputs[self.data.problem.objective],
            Goal::Usage(k) => self.data.limits.sign[self.data.limits.ids[k].resource] * tally.usage[k],
            Goal::Feasibility => 0.0,
        }
    }

    fn blocking(&self, query: usize) -> Vec<usize> {
        let limits = blocking(self.data.problem, &self.data.magnitudes, query);
        limits.into_iter().map(|(r, member)| self.data.limits.position[r][member] as usize).collect()
    }

    fn rounding(&self, goal: Goal, prices: &Prices) -> f64 {
        self.data.pricing(goal, prices).rounding(&self.data.magnitudes.largest)
    }

    fn passes(&self) -> usize {
        self.passes
    }

    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<DualPoint, Interrupted> {
        self.passes += 1;
        let (data, n) = (&self.data, self.data.problem.n_queries);
        let pricing = data.pricing(goal, prices);
        if pricing.magnitude(&data.magnitudes.largest) > GRID_LARGEST {
            return Ok(DualPoint::nothing(data.limits.ids.len()));
        }
        let mut blocks = self.each_block(n, |rows| data.evaluate(&pricing, rows))?.into_iter();
        let mut sum = blocks.next().unwrap_or_else(|| data.evaluate(&pricing, 0..0));
        for part in blocks {
            sum.value.merge(part.value);
            sum.used.merge(&part.used);
            sum.stranded = sum.stranded.or(part.stranded);
        }
        let error = n as f64 * pricing.rounding(&data.magnitudes.largest) + sum.value.error(n);
        let usage = sum.used.usage.iter().map(crate::grid::GridSum::value).collect();
        Ok(DualPoint { value: sum.value.value(), error, usage, stranded: sum.stranded })
    }

    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Rows, Interrupted> {
        let data = &self.data;
        let n = data.problem.n_queries;
        let unusable = data.pricing(goal, &screen.prices).magnitude(&data.magnitudes.largest) > GRID_LARGEST;
        let everything = Screen::everything(screen.prices.len(), screen.sample, screen.seed);
        let screen = if unusable { &everything } else { screen };
        let pricing = data.pricing(goal, &screen.prices);
        let reach = Reach::new(data, screen, pricing.rounding(&data.magnitudes.largest));
        let sampled = sample(n, screen.sample, screen.seed);
        let blocks = self.each_block(sampled.as_ref().map_or(n, Vec::len), |rows| {
            let mut screened = data.unscreened(goal, rows.len());
            let mut screen = |rows| data.screen(&pricing, &reach, goal, rows, &mut screened);
            match &sampled {
                None => screen(rows),
                Some(queries) => queries[rows].iter().for_each(|&i| screen(i..i + 1)),
            }
            data.finish(screened)
        })?;
        let mut out = data.no_rows(goal);
        let (rows, choices): (Vec<Rows>, Vec<Vec<u16>>) = blocks.into_iter().unzip();
        out.append(&rows);
        match sampled {
            Some(queries) => out.share = data.shares(&queries),
            None => {
                self.passes += 1;
                self.choices = choices;
            }
        }
        Ok(out)
    }

    fn assignment(&self, changed: &[(usize, i32)]) -> Vec<i32> {
        let mut out: Vec<i32> = Vec::with_capacity(self.data.problem.n_queries);
        self.choices.iter().for_each(|block| out.extend(block.iter().map(|&j| i32::from(j))));
        changed.iter().for_each(|&(query, model)| out[query] = model);
        out
    }

    fn tally(&mut self, assignment: &[i32]) -> Result<Tally, Interrupted> {
        self.passes += 1;
        let data = &self.data;
        let n = data.problem.n_queries;
        // A plan at hand is added up even after a stop.
        let sum = |rows: Range<usize>| data.tally(rows.clone(), &assignment[rows]);
        let mut blocks = self.each_batch(n, sum, || Ok(()))?.into_iter();
        let (mut used, mut inputs, mut forbidden) = blocks.next().unwrap_or_else(|| data.tally(0..0, &[]));
        for (used_part, inputs_part, forbidden_part) in blocks {
            used.merge(&used_part);
            inputs.iter_mut().zip(inputs_part).for_each(|(sum, part)| sum.merge(part));
            forbidden |= forbidden_part;
        }
        let mut broken = Vec::new();
        let mut usage = Vec::with_capacity(used.usage.len());
        for (k, sum) in used.usage.iter().enumerate() {
            let (fits, amount) = data.compare(k, sum, assignment);
            if !fits {
                broken.push(k);
            }
            usage.push(data.limits.sign[data.limits.ids[k].resource] * amount);
        }
        let inputs = inputs.iter().enumerate().map(|(input, sum)| data.input_sum(input, sum, assignment)).collect();
        Ok(Tally { inputs, load: used.load, usage, broken, forbidden })
    }
}

/// One query from each of `size` equal stretches of `0..n`, chosen by a hash of the stretch; `None` takes all.
fn sample(n: usize, size: usize, seed: u64) -> Option<Vec<usize>> {
    if size == 0 || size >= n {
        return None;
    }
    let bound = |s: usize| (s as u128 * n as u128 / size as u128) as usize;
    Some(
        (0..size).map(|s| bound(s) + (mix(seed ^ mix(s as u64)) % (bound(s + 1) - bound(s)) as u64) as usize).collect(),
    )
}

/// SplitMix64 (Steele, Lea and Flood 2014): a hash good enough to sample with.
pub(crate) fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
