//! [`DenseOracle`]: rows in memory (or memory-mapped), passes in parallel over fixed blocks.
//!
//! Blocks are summed in row order and added in block order, never in the order threads finish, so the answer has the same
//! bits for any number of threads.

use std::ops::Range;

use rayon::prelude::*;

use crate::error::InputError;
use crate::kernel::{least, Pricing, TILE};
use crate::oracle::{DualOracle, DualPoint, Goal, Interrupted, Prices, Screen, Tally, Watch};
use crate::presolve::{blocking, open_pairs};
use crate::problem::{Limits, Magnitudes, Problem, Scope, Sense, SERIAL_PAIRS};
use crate::rows::Rows;
use crate::sums::{exact, pairwise, Sum};

/// Rows per block.
const BLOCK: usize = 1024;
/// Pairs between two looks at the watch: some milliseconds of work.
const PAIRS_PER_POLL: usize = 1 << 22;

/// The rows of a [`Problem`], for the outer algorithm.
pub struct DenseOracle<'a> {
    data: Data<'a>,
    watch: &'a dyn Watch,
    pool: Option<rayon::ThreadPool>,
    passes: usize,
}

/// What the threads share.
struct Data<'a> {
    problem: &'a Problem<'a>,
    limits: Limits,
    magnitudes: Magnitudes,
    /// Allowed pairs that no limit rules out by itself; `None` where that forbids nothing more.
    open: Option<Vec<bool>>,
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
        Ok(Self { data: Data { problem, limits: problem.limits(), magnitudes, open }, watch, pool, passes: 0 })
    }

    /// Applies `work` to blocks of rows and returns the results in row order.
    fn each_block<T: Send>(&self, rows: usize, work: impl Fn(Range<usize>) -> T + Sync) -> Result<Vec<T>, Interrupted> {
        let blocks = rows.div_ceil(BLOCK);
        let batch = (PAIRS_PER_POLL / (BLOCK * self.data.problem.n_models)).max(1);
        let block = |b: usize| work(b * BLOCK..rows.min((b + 1) * BLOCK));
        let mut out = Vec::with_capacity(blocks);
        for from in (0..blocks).step_by(batch) {
            self.watch.poll()?;
            let to = blocks.min(from + batch);
            match &self.pool {
                Some(pool) => out.extend(pool.install(|| (from..to).into_par_iter().map(block).collect::<Vec<T>>())),
                None => out.extend((from..to).map(block)),
            }
        }
        Ok(out)
    }
}

impl Data<'_> {
    fn pricing(&self, goal: Goal, prices: &Prices) -> Pricing<'_> {
        // Where one limit is lifted, what it rules out comes back.
        let open = match goal {
            Goal::Usage(_) => None,
            Goal::Objective | Goal::Feasibility => self.open.as_deref(),
        };
        Pricing::new(self.problem, &self.limits, open.or(self.problem.allowed), goal, prices)
    }

    /// Calls `visit(query, priced row)` for each row of a block.
    fn priced_rows(&self, pricing: &Pricing<'_>, rows: Range<usize>, mut visit: impl FnMut(usize, &[f64])) {
        let m = self.problem.n_models;
        let mut tile = vec![0.0; TILE.min(rows.len()) * m];
        for from in rows.clone().step_by(TILE) {
            let to = rows.end.min(from + TILE);
            let priced = &mut tile[..(to - from) * m];
            pricing.fill(from..to, priced);
            for (i, row) in (from..to).zip(priced.chunks_exact(m)) {
                visit(i, row);
            }
        }
    }

    fn usage_of(&self, i: usize, j: usize) -> impl Iterator<Item = (f64, u32)> + '_ {
        (0..self.problem.resources.len()).map(move |r| {
            let limit = self.limits.position[r][self.problem.member(r, i, j)];
            (self.limits.sign[r] * self.problem.usage(r, i, j), limit)
        })
    }

    fn screen_row(&self, pricing: &Pricing<'_>, goal: Goal, screen: &Screen, i: usize, row: &[f64], out: &mut Rows) {
        let (best, least) = least(row);
        for (j, &r) in row.iter().enumerate() {
            let open = r < f64::INFINITY;
            if open && (j == best || r - least <= screen.slack + self.reach(screen, i, best, j)) {
                out.push_pair(j as u32, pricing.own(&self.limits, goal, i, j), self.usage_of(i, j));
            }
        }
        out.end_row(i);
    }

    /// How much the distance between two pairs of a row can shrink inside the box.
    fn reach(&self, screen: &Screen, i: usize, best: usize, j: usize) -> f64 {
        let mut reach = 0.0;
        for r in 0..self.problem.resources.len() {
            let position = &self.limits.position[r];
            let (at_best, at_j) = (self.problem.member(r, i, best), self.problem.member(r, i, j));
            let width = |member: usize| screen.half_width.get(position[member] as usize).copied().unwrap_or(0.0);
            let (usage_best, usage_j) = (self.problem.usage(r, i, best), self.problem.usage(r, i, j));
            reach += if at_best == at_j {
                times(width(at_j), (usage_j - usage_best).abs())
            } else {
                times(width(at_j), usage_j.abs()) + times(width(at_best), usage_best.abs())
            };
        }
        reach
    }

    /// The share of each limit that a sample stands for.
    fn shares(&self, sampled: &[usize]) -> Vec<f64> {
        let all = sampled.len() as f64 / self.problem.n_queries as f64;
        let mut share = vec![all; self.limits.ids.len()];
        for (r, resource) in self.problem.resources.iter().enumerate() {
            let Scope::Group(groups) = resource.scope else { continue };
            let mut seen = vec![(0.0, 0.0); resource.limits.len()];
            groups.iter().for_each(|&g| seen[g as usize].1 += 1.0);
            sampled.iter().for_each(|&i| seen[groups[i] as usize].0 += 1.0);
            for (member, (part, whole)) in seen.into_iter().enumerate() {
                if let Some(share) = share.get_mut(self.limits.position[r][member] as usize) {
                    *share = if whole > 0.0 { part / whole } else { 1.0 };
                }
            }
        }
        share
    }

    /// Whether a sum passes its limit. Near the limit the numbers are added again, exactly and as numpy adds them, and
    /// either sum may meet it: so the verdict does not depend on the order of the rows, and a limit computed with numpy
    /// from a plan accepts that plan. Returns the deciding sum too.
    fn compare(&self, k: usize, sum: f64, assignment: &[i32]) -> (bool, f64) {
        let limit = self.limits.values[k];
        if (sum - limit).abs() > 1e-11 * (sum.abs() + limit.abs()) {
            return (sum <= limit, sum);
        }
        let id = self.limits.ids[k];
        let numbers: Vec<f64> = assignment
            .iter()
            .enumerate()
            .filter(|&(i, &j)| self.problem.member(id.resource, i, j as usize) == id.member)
            .map(|(i, &j)| self.limits.sign[id.resource] * self.problem.usage(id.resource, i, j as usize))
            .collect();
        let once = exact(numbers.iter().copied());
        let numpy = pairwise(&numbers);
        (once.min(numpy) <= limit, if once <= limit || numpy > limit { once } else { numpy })
    }
}

/// 0 * infinity is 0 here: what is not used is not moved by its price.
fn times(width: f64, usage: f64) -> f64 {
    if usage == 0.0 {
        0.0
    } else {
        width * usage
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

    fn passes(&self) -> usize {
        self.passes
    }

    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<DualPoint, Interrupted> {
        self.passes += 1;
        let data = &self.data;
        let pricing = self.data.pricing(goal, prices);
        let blocks = self.each_block(self.data.problem.n_queries, |rows| {
            let (mut value, mut stranded) = (Sum::default(), None);
            data.priced_rows(&pricing, rows, |i, row| {
                let (_, r) = least(row);
                if r == f64::INFINITY {
                    stranded = stranded.or(Some(i));
                } else {
                    value.add(r);
                }
            });
            (value, stranded)
        })?;
        let (mut value, mut stranded) = (Sum::default(), None);
        for (part, first) in blocks {
            value.merge(part);
            stranded = stranded.or(first);
        }
        let error = self.data.problem.n_queries as f64 * pricing.rounding(&self.data.magnitudes.largest);
        Ok(DualPoint { value: value.value(), error, stranded })
    }

    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Rows, Interrupted> {
        let data = &self.data;
        let n = data.problem.n_queries;
        let pricing = self.data.pricing(goal, &screen.prices);
        let (n_resources, n_limits) = (self.data.problem.resources.len(), self.data.limits.ids.len());
        let sampled = sample(n, screen.sample, screen.seed);
        let blocks = self.each_block(sampled.as_ref().map_or(n, Vec::len), |rows| {
            let mut out = Rows::new(n_resources, n_limits);
            let mut visit = |i: usize, row: &[f64]| data.screen_row(&pricing, goal, screen, i, row, &mut out);
            match &sampled {
                None => data.priced_rows(&pricing, rows, &mut visit),
                Some(queries) => {
                    queries[rows].iter().for_each(|&i| data.priced_rows(&pricing, i..i + 1, &mut visit));
                }
            }
            out
        })?;
        let mut out = Rows::new(n_resources, n_limits);
        blocks.iter().for_each(|block| out.append(block));
        match sampled {
            Some(queries) => out.share = data.shares(&queries),
            None => self.passes += 1,
        }
        Ok(out)
    }

    fn assign(&mut self, goal: Goal, prices: &Prices) -> Result<Vec<i32>, Interrupted> {
        self.passes += 1;
        let data = &self.data;
        let pricing = self.data.pricing(goal, prices);
        let blocks = self.each_block(self.data.problem.n_queries, |rows| {
            let mut out = Vec::with_capacity(rows.len());
            data.priced_rows(&pricing, rows, |_, row| out.push(least(row).0 as i32));
            out
        })?;
        Ok(blocks.concat())
    }

    fn tally(&mut self, assignment: &[i32]) -> Result<Tally, Interrupted> {
        let data = &self.data;
        let problem = data.problem;
        let n_limits = self.data.limits.ids.len();
        let blocks = self.each_block(problem.n_queries, |rows| {
            let mut inputs = vec![Sum::default(); problem.inputs.len()];
            let mut usage = vec![Sum::default(); n_limits];
            let mut load = vec![0_u64; problem.n_models];
            let mut forbidden = false;
            for i in rows {
                let j = assignment[i] as usize;
                load[j] += 1;
                forbidden |= !problem.allows(i, j);
                for (sum, input) in inputs.iter_mut().zip(&problem.inputs) {
                    sum.add(input.data.get(i * problem.n_models + j));
                }
                for (amount, limit) in data.usage_of(i, j) {
                    if let Some(sum) = usage.get_mut(limit as usize) {
                        sum.add(amount);
                    }
                }
            }
            (inputs, usage, load, forbidden)
        })?;
        let mut inputs = vec![Sum::default(); problem.inputs.len()];
        let mut usage = vec![Sum::default(); n_limits];
        let mut load = vec![0; problem.n_models];
        let mut forbidden = false;
        for (input_part, usage_part, load_part, forbidden_part) in blocks {
            inputs.iter_mut().zip(input_part).for_each(|(sum, part)| sum.merge(part));
            usage.iter_mut().zip(usage_part).for_each(|(sum, part)| sum.merge(part));
            load.iter_mut().zip(load_part).for_each(|(sum, part)| *sum += part);
            forbidden |= forbidden_part;
        }
        let mut broken = Vec::new();
        let mut used = Vec::with_capacity(n_limits);
        for (k, sum) in usage.iter().enumerate() {
            let (fits, amount) = data.compare(k, sum.value(), assignment);
            if !fits {
                broken.push(k);
            }
            used.push(self.data.limits.sign[self.data.limits.ids[k].resource] * amount);
        }
        let inputs = inputs.iter().map(Sum::value).collect();
        Ok(Tally { inputs, load, usage: used, broken, forbidden })
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
