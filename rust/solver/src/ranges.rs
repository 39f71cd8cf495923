//! How far each limit can move until its price changes.
//!
//! The value of the relaxation is a concave, piecewise linear function of a limit, and the price is its slope. So the question
//! is turned round: at a price a little higher or lower, how much is used? With limit `k` priced at `p` into the objective
//! and lifted, the multipliers of the other limits are found anew; what the vertex then uses of `k` is the limit at which
//! the price is `p`.

use crate::ascent::{Ascended, Ascent};
use crate::dense::DenseOracle;
use crate::error::InputError;
use crate::oracle::{DualOracle, Goal, Interrupted, Screen, Watch};
use crate::problem::Problem;
use crate::relax::{left_over, LIFTED, WHOLE_PAIRS};
use crate::rows::{Rows, Scale};
use crate::settings::Settings;

/// The least relative change of a price that counts as one.
const LEAST_CHANGE: f64 = 1e-7;
/// Queries of the sample that says where the other prices go, and the least number per limit.
const SAMPLE: usize = 2_048;
const SAMPLE_PER_LIMIT: usize = 16;
/// First half width of the box around them: a share of the way they go, and some changes of the one. Moves of prices below
/// `SEEN` are not seen in a sample, so that only the latter counts.
const OF_WAY: f64 = 0.25;
const OF_CHANGE: f64 = 4.0;
const SEEN: f64 = 0.005;
/// A price of 0 counts as this, in the units of the rows, where a share of it is taken.
const LEAST_PRICE: f64 = 0.1;
/// How often the box is widened, and by how much.
const BOXES: usize = 6;
const WIDER: f64 = 6.0;

/// For each finite limit, in the units and sign of the problem: from where to where its price changes by less than a share.
///
/// `prices` are the multipliers of a solution; `tolerance` is that share (0: any change). Infinite ends are open; NaN says that an
/// end was not found.
///
/// # Errors
/// Bad input, named. The inner error says that the watch asked to stop.
pub fn price_ranges(
    problem: &Problem<'_>,
    settings: &Settings,
    prices: &[f64],
    tolerance: f64,
    watch: &dyn Watch,
) -> Result<Result<Vec<(f64, f64)>, Interrupted>, InputError> {
    settings.validate()?;
    let mut oracle = DenseOracle::in_memory(problem, settings.threads, watch)?;
    Ok(ranges(&mut oracle, settings, prices, tolerance.max(LEAST_CHANGE), watch))
}

fn ranges<O: DualOracle>(
    oracle: &mut O,
    settings: &Settings,
    prices: &[f64],
    change: f64,
    watch: &dyn Watch,
) -> Result<Vec<(f64, f64)>, Interrupted> {
    let whole = oracle.n_queries() * oracle.n_models() <= WHOLE_PAIRS;
    let size = if whole { 0 } else { SAMPLE.max(SAMPLE_PER_LIMIT * prices.len()) };
    let wide = vec![f64::INFINITY; prices.len()];
    let screen = Screen { prices: prices.to_vec(), half_width: wide, slack: 0.0, sample: size, seed: settings.seed };
    let mut sample = oracle.screen(Goal::Objective, &screen)?;
    let scale = Scale::of(&sample);
    sample.rescale(&scale);
    let mut finder = Finder { oracle, sample, whole, prices, change, scale, watch };
    (0..prices.len()).map(|k| finder.range(k)).collect()
}

struct Finder<'f, O: DualOracle> {
    oracle: &'f mut O,
    sample: Rows,
    /// Whether the sample is all there is.
    whole: bool,
    prices: &'f [f64],
    change: f64,
    scale: Scale,
    watch: &'f dyn Watch,
}

/// A vertex with one limit priced and lifted: the prices of the others, and what is used of the one, in the units of the problem.
type Vertex = (Vec<f64>, f64);

impl<O: DualOracle> Finder<'_, O> {
    fn range(&mut self, k: usize) -> Result<(f64, f64), Interrupted> {
        let limits = self.oracle.limits();
        let sign = limits.sign[limits.ids[k].resource];
        let unit = self.scale.to_problem(&vec![1.0; self.prices.len()])[k];
        let price = self.prices[k];
        let (least, most) = if price > LEAST_CHANGE * unit {
            let base = self.at_vertex(&self.sample, self.prices, k)?;
            let dearer = self.used(k, price * (1.0 + self.change), base.as_ref())?;
            (dearer, self.used(k, (price * (1.0 - self.change)).max(0.0), base.as_ref())?)
        } else {
            (self.used(k, LEAST_CHANGE * unit, None)?, f64::INFINITY)
        };
        Ok(if sign > 0.0 { (least, most) } else { (-most, -least) })
    }

    /// What the relaxation uses of a limit when it costs `price` a unit and is not limited. NaN where that is not found.
    ///
    /// `base` is the vertex of the sample at the price as it is: how the sample's other prices move from there predicts how those
    /// of all rows do.
    fn used(&mut self, k: usize, price: f64, base: Option<&Vertex>) -> Result<f64, Interrupted> {
        let mut centre = self.prices.to_vec();
        centre[k] = price;
        let moved = self.at_vertex(&self.sample, &centre, k)?;
        if self.whole {
            return Ok(moved.map_or(f64::NAN, |(_, used)| used));
        }
        let change = self.change.min(SEEN);
        let unit = self.scale.to_problem(&vec![LEAST_PRICE; centre.len()]);
        let mut width: Vec<f64> = centre.iter().zip(&unit).map(|(p, unit)| OF_CHANGE * change * (p + unit)).collect();
        if let (Some((before, _)), Some((after, _)), true) = (base, &moved, self.change > SEEN) {
            for l in (0..centre.len()).filter(|&l| l != k) {
                let way = after[l] - before[l];
                centre[l] = (centre[l] + way).max(0.0);
                width[l] += OF_WAY * way.abs();
            }
        }
        for attempt in 0..BOXES {
            if attempt + 1 == BOXES {
                width.fill(f64::INFINITY);
            }
            width[k] = 0.0;
            let screen = Screen { prices: centre.clone(), half_width: width.clone(), slack: 0.0, sample: 0, seed: 0 };
            let mut rows = self.oracle.screen(Goal::Objective, &screen)?;
            rows.rescale(&self.scale);
            // No vertex: the pairs in the box cannot meet the other limits, so it is too narrow as well.
            if let Some((found, used)) = self.at_vertex(&rows, &centre, k)? {
                let inside = |l: usize| l == k || (found[l] - centre[l]).abs() < width[l] || width[l] == f64::INFINITY;
                if (0..found.len()).all(inside) {
                    return Ok(used);
                }
                centre = found;
                centre[k] = price;
            }
            width.iter_mut().for_each(|width| *width *= WIDER);
        }
        Ok(f64::NAN)
    }

    /// The vertex of some rows with limit `k` at the price that `start` has for it.
    fn at_vertex(&self, rows: &Rows, start: &[f64], k: usize) -> Result<Option<Vertex>, Interrupted> {
        let mut rows = rows.clone();
        let mut limit = left_over(self.oracle, Goal::Objective, &rows, &self.scale);
        let mut start = self.scale.to_rows(start);
        charge(&mut rows, k, start[k]);
        limit[k] = LIFTED;
        start[k] = 0.0;
        let mut ascent = Ascent::new(&rows, limit, &start);
        if ascent.run(f64::INFINITY, self.watch)? != Ascended::Optimal {
            return Ok(None);
        }
        let used = rows.fixed_usage[k].value() + usage_at_vertex(&rows, &ascent, k);
        Ok(Some((self.scale.to_problem(ascent.prices()), used / self.scale.usage[k])))
    }
}

/// Adds what a limit charges to the objective of the pairs.
fn charge(rows: &mut Rows, k: usize, price: f64) {
    let width = rows.n_resources;
    for (at, (&usage, &limit)) in rows.usage.iter().zip(&rows.limit).enumerate() {
        if limit as usize == k {
            rows.objective[at / width] += price * usage;
        }
    }
}

fn usage_at_vertex(rows: &Rows, ascent: &Ascent<'_>, k: usize) -> f64 {
    let mut usage = vec![0.0; rows.n_limits + 1];
    let fractions = ascent.fractions();
    let mut whole = vec![true; rows.len()];
    for &(row, pair, fraction) in &fractions {
        whole[row] = false;
        rows.add_usage(pair, fraction, &mut usage);
    }
    for (row, _) in whole.iter().enumerate().filter(|(_, whole)| **whole) {
        rows.add_usage(ascent.key[row], 1.0, &mut usage);
    }
    usage[k]
}
