//! One read of the rows for many prices at once.
//!
//! A tile of rows is turned into columns once, and priced at one vector of prices after the other while it is in the first-level
//! cache: eight rows side by side, everything in registers. That is several times cheaper than a pass per vector, which
//! reads the matrices from memory and has to turn them each time. Sums are exact, as in any pass.

use std::ops::Range;

use crate::grid::GridSum;
use crate::kernel::{least_two, Pricing};
use crate::lanes::{least_of_columns, LANES};
use crate::oracle::{Goal, Interrupted, Watch};
use crate::pass::{Counted, Data, Used};
use crate::pool::Pool;
use crate::problem::Matrix;

/// Pairs priced between two looks at the watch, some tens of milliseconds of work, and the pieces of that for threads to share:
/// what each gathers has to be joined.
const PRICED_PER_POLL: usize = 1 << 26;
const PIECES: usize = 16;
/// Pairs of a tile: two columns of numbers for each stay in the first-level cache.
const TILE_PAIRS: usize = 1_280;

/// Prices at which the rows are looked at.
pub(crate) struct Look {
    pub(crate) prices: Vec<f64>,
    /// Rows whose second choice is at most this far behind the first are shown; negative for none.
    pub(crate) slack: f64,
}

/// What the cheapest pairs of some rows add up to.
#[derive(Clone)]
pub(crate) struct Seen {
    /// Their objective, minimised.
    pub(crate) own: GridSum,
    pub(crate) used: Used,
    pub(crate) stranded: bool,
}

/// A row in which the choice is close.
pub(crate) struct Close<'t> {
    pub(crate) row: usize,
    /// The cheapest model.
    pub(crate) at: usize,
    /// Pairs up to here are close.
    pub(crate) reach: f64,
    /// The factor of the objective.
    pub(crate) weight: f64,
    /// All pairs.
    pub(crate) priced: &'t [f64],
}

/// A tile in columns.
#[derive(Default)]
pub(crate) struct Turned {
    objective: Vec<f64>,
    used: Vec<f64>,
}

/// What pricing a tile gives.
#[derive(Default)]
struct Priced {
    least: Vec<f64>,
    second: Vec<f64>,
    at: Vec<f64>,
    at_before: Vec<f64>,
    own: Vec<f64>,
    uses: Vec<f64>,
    row: Vec<f64>,
    close: Vec<usize>,
}

/// What the columns hold beside the objective: usage in one matrix under one limit.
#[derive(Clone, Copy)]
struct Column<'a> {
    limit: usize,
    sign: f64,
    data: Matrix<'a>,
}

impl Data<'_> {
    /// Looks at all rows at each of some prices: sums over the cheapest pairs, and what `show` gathers from rows in which the
    /// choice is close, stretch by stretch in the order of the rows.
    pub(crate) fn look<T: Send>(
        &self,
        pool: &Pool,
        looks: &[Look],
        watch: &dyn Watch,
        empty: impl Fn(usize) -> T + Sync,
        show: impl Fn(&mut T, &Close<'_>) + Sync,
        mut append: impl FnMut(&mut T, T),
    ) -> Result<Vec<(Seen, T)>, Interrupted> {
        let pricings = self.pricings(looks);
        let mut all: Vec<(Seen, T)> = looks.iter().map(|_| (self.nothing_seen(), empty(0))).collect();
        let (n, m) = (self.problem.n_queries, self.problem.n_models);
        let stretch = (PRICED_PER_POLL / m / looks.len().max(1)).max(TILE_PAIRS);
        for from in (0..n).step_by(stretch) {
            watch.poll()?;
            let to = n.min(from + stretch);
            let size = (to - from).div_ceil(PIECES).next_multiple_of(self.tile_rows());
            let blocks = pool.each((to - from).div_ceil(size), |at| {
                let rows = from + at * size..to.min(from + (at + 1) * size);
                let mut found: Vec<(Seen, T)> =
                    looks.iter().map(|_| (self.nothing_seen(), empty(rows.len()))).collect();
                self.look_at(rows, &[], looks, &pricings, &mut found, &show);
                found
            });
            for block in blocks {
                for ((all, gathered), (seen, next)) in all.iter_mut().zip(block) {
                    all.own.merge(seen.own);
                    all.used.merge(&seen.used);
                    all.stranded |= seen.stranded;
                    append(gathered, next);
                }
            }
        }
        all.iter_mut().for_each(|(seen, _)| self.count_loads(&mut seen.used));
        Ok(all)
    }

    pub(crate) fn pricings(&self, looks: &[Look]) -> Vec<Pricing<'_>> {
        looks.iter().map(|look| self.pricing(Goal::Objective, &look.prices)).collect()
    }

    /// The cheapest model of each row, as a look at these prices sees it.
    pub(crate) fn choices(&self, pool: &Pool, prices: Vec<f64>, watch: &dyn Watch) -> Result<Vec<i32>, Interrupted> {
        let look = [Look { prices, slack: f64::INFINITY }];
        let show = |choices: &mut Vec<i32>, row: &Close<'_>| choices.push(row.at as i32);
        let found = self.look(pool, &look, watch, Vec::with_capacity, show, |all, next| all.extend(next))?;
        Ok(found.into_iter().flat_map(|(_, choices)| choices).collect())
    }

    /// No objective yet, on its grid.
    pub(crate) fn no_own(&self) -> GridSum {
        GridSum::of(self.largest_own(Goal::Objective))
    }

    pub(crate) fn nothing_seen(&self) -> Seen {
        Seen { own: self.no_own(), used: self.unused.clone(), stranded: false }
    }

    /// All rows in columns, for those who look at few rows often; empty where that is of no use.
    pub(crate) fn turned(&self) -> Vec<Turned> {
        let Some(column) = self.column() else { return Vec::new() };
        let unpriced = vec![0.0; self.limits.ids.len()];
        let pricing = self.pricing(Goal::Objective, &unpriced);
        let tile = |rows: Range<usize>| {
            let mut tile = Turned::default();
            tile.fill(self, column, &pricing, rows);
            tile
        };
        let (n, size) = (self.problem.n_queries, self.tile_rows());
        (0..n).step_by(size).map(|from| tile(from..n.min(from + size))).collect()
    }

    fn tile_rows(&self) -> usize {
        (TILE_PAIRS / self.problem.n_models).clamp(1, 256).next_multiple_of(LANES)
    }

    /// Where pairs differ, besides their models, in the objective and in one matrix under one limit: the latter.
    fn column(&self) -> Option<Column<'_>> {
        match self.counted[..] {
            [Counted::Matrix(limit, sign, data)] => Some(Column { limit, sign, data }),
            _ => None,
        }
    }

    /// Adds some rows to what was found; `ready` are all rows in columns, where `rows` are all and somebody has turned them.
    /// What follows from loads is left to [`Data::count_loads`].
    pub(crate) fn look_at<T>(
        &self,
        rows: Range<usize>,
        ready: &[Turned],
        looks: &[Look],
        pricings: &[Pricing<'_>],
        found: &mut [(Seen, T)],
        show: &impl Fn(&mut T, &Close<'_>),
    ) {
        match self.column() {
            Some(column) => self.look_at_columns(column, ready, pricings, looks, rows, found, show),
            None => self.look_at_rows(pricings, looks, rows, found, show),
        }
    }

    #[allow(clippy::too_many_arguments)] // the inside of one loop
    fn look_at_columns<T>(
        &self,
        column: Column<'_>,
        ready: &[Turned],
        pricings: &[Pricing<'_>],
        looks: &[Look],
        rows: Range<usize>,
        found: &mut [(Seen, T)],
        show: &impl Fn(&mut T, &Close<'_>),
    ) {
        let Some(first) = pricings.first() else { return };
        let m = self.problem.n_models;
        let padded = |pricing: &Pricing<'_>| pricing.base().iter().copied().chain([0.0]).collect();
        let bases: Vec<Vec<f64>> = pricings.iter().map(padded).collect();
        let (mut own, mut priced) = (Turned::default(), Priced::default());
        for (at, from) in rows.clone().step_by(self.tile_rows()).enumerate() {
            let to = rows.end.min(from + self.tile_rows());
            let tile = match ready.get(at) {
                Some(tile) => tile,
                None => {
                    own.fill(self, column, first, from..to);
                    &own
                }
            };
            for ((base, look), (seen, gathered)) in bases.iter().zip(looks).zip(&mut *found) {
                let price = look.prices.get(column.limit).map_or(0.0, |price| column.sign * price);
                priced.fill(tile, &base[..m.next_multiple_of(2)], price, to - from);
                priced.add_to(tile, column, seen);
                priced.find_close(look.slack, to - from);
                for at in 0..priced.close.len() {
                    let row = priced.close[at];
                    priced.row(tile, row, &base[..m], price);
                    let (at, reach, row) = (model(priced.at[row]), priced.least[row] + look.slack, from + row);
                    show(gathered, &Close { row, at, reach, weight: first.weight(), priced: &priced.row });
                }
            }
        }
    }

    /// Whatever the limits are.
    fn look_at_rows<T>(
        &self,
        pricings: &[Pricing<'_>],
        looks: &[Look],
        rows: Range<usize>,
        found: &mut [(Seen, T)],
        show: &impl Fn(&mut T, &Close<'_>),
    ) {
        let m = self.problem.n_models;
        let mut priced = Vec::new();
        for from in rows.clone().step_by(self.tile_rows()) {
            let tile = from..rows.end.min(from + self.tile_rows());
            priced.resize(tile.len() * m, 0.0);
            for ((pricing, look), (seen, gathered)) in pricings.iter().zip(looks).zip(&mut *found) {
                pricing.fill(tile.clone(), &mut priced);
                for (row, priced) in tile.clone().zip(priced.chunks_exact(m)) {
                    let (at, least, second) = least_two(priced);
                    if least == f64::INFINITY {
                        seen.stranded = true;
                        continue;
                    }
                    seen.own.add(pricing.own(&self.limits, Goal::Objective, row, at));
                    self.count(&mut seen.used, row, at);
                    let reach = least + look.slack;
                    if second <= reach {
                        show(gathered, &Close { row, at, reach, weight: pricing.weight(), priced });
                    }
                }
            }
        }
    }
}

impl Turned {
    /// Turns some rows. Forbidden pairs, rows that fill up the last eight, and a column that makes their number even have an
    /// infinite objective.
    fn fill(&mut self, data: &Data<'_>, column: Column<'_>, pricing: &Pricing<'_>, rows: Range<usize>) {
        let (m, len) = (data.problem.n_models, rows.len().next_multiple_of(LANES));
        let own = data.problem.inputs[data.problem.objective].data;
        let size = m.next_multiple_of(2) * len;
        self.objective.resize(size, f64::INFINITY);
        self.used.resize(size, 0.0);
        if rows.len() < len || self.objective[m * len..].iter().any(|x| *x < f64::INFINITY) {
            self.objective.fill(f64::INFINITY);
            self.used.fill(0.0);
        }
        let pairs = rows.start * m..rows.end * m;
        turn(own.slice(pairs.clone()), pricing.weight(), m, &mut self.objective);
        turn(column.data.slice(pairs.clone()), 1.0, m, &mut self.used);
        for at in (0..pairs.len()).filter(|at| !pricing.allows(pairs.start + at)) {
            self.objective[at % m * len + at / m] = f64::INFINITY;
        }
    }
}

/// Writes rows as columns.
fn turn(rows: Matrix<'_>, weight: f64, m: usize, columns: &mut [f64]) {
    fn fill<T: Copy + Into<f64>>(rows: &[T], weight: f64, m: usize, columns: &mut [f64]) {
        let len = (rows.len() / m).next_multiple_of(LANES);
        for (row, entries) in rows.chunks_exact(m).enumerate() {
            entries.iter().enumerate().for_each(|(j, &x)| columns[j * len + row] = weight * x.into());
        }
    }
    match rows {
        Matrix::F32(rows) => fill(rows, weight, m, columns),
        Matrix::F64(rows) => fill(rows, weight, m, columns),
    }
}

impl Priced {
    fn fill(&mut self, tile: &Turned, base: &[f64], price: f64, rows: usize) {
        let Self { least, second, at, at_before, own, uses, .. } = self;
        let len = rows.next_multiple_of(LANES);
        for column in [&mut *least, second, at, at_before] {
            column.resize(len, 0.0);
        }
        own.resize(rows, 0.0);
        uses.resize(rows, 0.0);
        least_of_columns::run(&tile.objective, &tile.used, base, price, least, second, at, at_before);
    }

    /// Adds what the cheapest pairs are and use.
    fn add_to(&mut self, tile: &Turned, column: Column<'_>, seen: &mut Seen) {
        let len = self.least.len();
        let places = self.at.iter().zip(&mut self.own).zip(&mut self.uses);
        for (row, ((&at, own), uses)) in places.enumerate() {
            let pair = model(at) * len + row;
            (*own, *uses) = (tile.objective[pair], tile.used[pair]);
            seen.used.load[model(at)] += 1;
        }
        if self.own.iter().fold(false, |any, own| any | (*own == f64::INFINITY)) {
            seen.stranded = true;
            return;
        }
        seen.own.add_all(&self.own);
        if let Some(sum) = seen.used.usage.get_mut(column.limit) {
            sum.add_all_times(column.sign, &self.uses);
        }
    }

    /// Lists the rows whose second choice is at most `slack` behind the first.
    fn find_close(&mut self, slack: f64, rows: usize) {
        self.close.resize(if slack < 0.0 { 0 } else { rows }, 0);
        if slack < 0.0 {
            return;
        }
        let mut count = 0;
        for (row, (second, least)) in self.second[..rows].iter().zip(&self.least).enumerate() {
            // Without a branch: which rows are close is hard to foresee.
            self.close[count] = row;
            count += usize::from(*second <= *least + slack);
        }
        self.close.truncate(count);
    }

    /// Prices all pairs of one row.
    fn row(&mut self, tile: &Turned, row: usize, base: &[f64], price: f64) {
        let len = self.least.len();
        let pair = |(j, base): (usize, &f64)| tile.objective[j * len + row] + (price * tile.used[j * len + row] + base);
        self.row.clear();
        self.row.extend(base.iter().enumerate().map(pair));
    }
}

/// The model at a position that [`least_of_columns`] gives.
fn model(at: f64) -> usize {
    (at.to_bits() & 0xffff) as usize
}
