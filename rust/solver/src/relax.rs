//! The multipliers: sample, screen, ascend, verify.
//!
//! The dual of a small sample is climbed to its top. Its multipliers carry a sampling error, which four quarters of the
//! sample measure; that gives a box. One pass over a larger set then keeps the pairs that can be chosen somewhere in the box
//! (a few per cent) and sums up the rest, and the dual of what is kept is climbed in memory. A last pass evaluates the dual
//! at the result: its value is a true bound, whatever the box was; where it falls short, the box was too small and is widened.

use crate::ascent::{Ascended, Ascent};
use crate::oracle::{DualOracle, DualPoint, Goal, Interrupted, Progress, Screen, Watch};
use crate::rows::{Rows, Scale};
use crate::settings::Settings;

/// Problems of at most this many pairs are taken whole.
const WHOLE_PAIRS: usize = 40_000;
/// Queries in the first sample, and the least number per limit.
const FIRST_SAMPLE: usize = 2_048;
const SAMPLE_PER_LIMIT: usize = 16;
/// From one level to the next.
const GROWTH: usize = 16;
/// Half width of the box in standard errors.
const DEVIATIONS: f64 = 4.0;
/// Boxes tried before everything is taken.
const BOXES: usize = 4;
/// Limits that do not count under a goal: far away, but finite for the arithmetic.
const LIFTED: f64 = 1e30;

/// The relaxation, solved: multipliers with their bound, and the rows in which a plan has a choice.
pub(crate) struct Relaxed {
    pub(crate) rows: Rows,
    pub(crate) scale: Scale,
    /// In the units of the rows.
    pub(crate) prices: Vec<f64>,
    /// The cheapest pair of each row at the vertex, and the rows that the vertex divides.
    pub(crate) key: Vec<usize>,
    pub(crate) divided: Vec<usize>,
    /// In the units of the problem: where the queries outside `rows` chose.
    pub(crate) centre: Vec<f64>,
    /// No plan is below this (the goal minimised).
    pub(crate) bound: f64,
    /// Whether `rows` hold every allowed pair.
    pub(crate) whole: bool,
}

/// How the relaxation ended.
pub(crate) enum Relaxation {
    Solved(Box<Relaxed>),
    /// These prices prove that the limits conflict.
    Conflict(Vec<f64>),
    /// This query has no allowed model.
    Stranded(usize),
    /// Limits conflict within rounding errors; nothing is proven.
    Undecided,
}

/// Maximises the dual.
pub(crate) fn relax<O: DualOracle>(
    oracle: &mut O,
    goal: Goal,
    settings: &Settings,
    start: Option<&[f64]>,
    watch: &dyn Watch,
) -> Result<Relaxation, Interrupted> {
    let n_limits = oracle.limits().ids.len();
    let mut screen = Screen {
        prices: start.map_or_else(|| vec![0.0; n_limits], <[f64]>::to_vec),
        half_width: vec![f64::INFINITY; n_limits],
        slack: 0.0,
        sample: 0,
        seed: settings.seed,
    };
    let mut scale = None;
    let sizes = levels(oracle.n_queries(), oracle.n_models(), n_limits);
    let mut level = 0;
    let mut boxes = 0;
    loop {
        screen.sample = sizes[level];
        let mut rows = oracle.screen(goal, &screen)?;
        if let Some(query) = rows.stranded {
            return Ok(Relaxation::Stranded(query));
        }
        let whole = screen.sample == 0 && screen.half_width.iter().all(|&width| width == f64::INFINITY);
        let scale: &Scale = scale.get_or_insert_with(|| Scale::of(&rows));
        rows.rescale(scale);
        watch.report(&Progress { phase: "ascent", queries: rows.len(), bound: f64::NAN, objective: f64::NAN })?;
        let limit = left_over(oracle, goal, &rows, scale);
        let mut ascent = Ascent::new(&rows, limit.clone(), &scale.to_rows(&screen.prices));
        let ended = ascent.run(f64::INFINITY, watch)?;
        let prices = scale.to_problem(ascent.prices());
        if let Ascended::Unbounded(ray) = ended {
            let ray = scale.to_problem(&ray).into_iter().map(|price| price.max(0.0)).collect::<Vec<f64>>();
            if conflicts(oracle, &ray)? {
                return Ok(Relaxation::Conflict(ray));
            }
            if whole {
                return Ok(Relaxation::Undecided);
            }
            // The sample or the box was too narrow for a plan.
            screen.half_width.fill(f64::INFINITY);
            screen.prices = prices;
            level = (level + 1).min(sizes.len() - 1);
            continue;
        }
        let size = sizes[level];
        if size != 0 {
            let next = if level + 1 < sizes.len() && sizes[level + 1] != 0 { sizes[level + 1] } else { 0 };
            if level == 0 || screen.half_width[..].contains(&f64::INFINITY) {
                screen.half_width = spread(&rows, &limit, ascent.prices(), scale, watch)?;
            } else {
                let shrink = (sizes[level - 1] as f64 / size as f64).sqrt();
                screen.half_width.iter_mut().for_each(|width| *width *= shrink);
            }
            screen.prices = prices;
            level = if next == 0 { sizes.len() - 1 } else { level + 1 };
            continue;
        }
        let point = oracle.evaluate(goal, &prices)?;
        let bound = dual_value(oracle, goal, &point, &prices);
        let restricted = (ascent.value() + rows.fixed_objective.value()) / scale.objective;
        let missing = restricted - bound;
        if !whole && missing > (0.1 * settings.rel_gap).max(1e-9) * bound.abs().max(restricted.abs()) && boxes < BOXES {
            boxes += 1;
            screen.half_width.iter_mut().for_each(|width| *width *= 4.0);
            if boxes == BOXES {
                screen.half_width.fill(f64::INFINITY);
            }
            screen.prices = prices;
            continue;
        }
        let mut divided: Vec<usize> = ascent.fractions().into_iter().map(|(row, _, _)| row).collect();
        divided.dedup();
        let (key, row_prices) = (ascent.key.clone(), ascent.prices().to_vec());
        return Ok(Relaxation::Solved(Box::new(Relaxed {
            scale: scale.clone(),
            prices: row_prices,
            key,
            divided,
            centre: screen.prices,
            bound,
            whole,
            rows,
        })));
    }
}

/// Sizes of the samples, then 0 for all.
fn levels(n_queries: usize, n_models: usize, n_limits: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    if n_queries * n_models > WHOLE_PAIRS && n_limits > 0 {
        let mut size = FIRST_SAMPLE.max(SAMPLE_PER_LIMIT * n_limits);
        while size <= n_queries / 4 {
            sizes.push(size);
            size *= GROWTH;
        }
    }
    sizes.push(0);
    sizes
}

/// What the fixed queries leave of each limit, in the units of the rows.
pub(crate) fn left_over<O: DualOracle>(oracle: &O, goal: Goal, rows: &Rows, scale: &Scale) -> Vec<f64> {
    let limits = &oracle.limits().values;
    (0..limits.len())
        .map(|k| match goal {
            Goal::Usage(lifted) if lifted == k => LIFTED,
            // A limit that overflows in the units of the rows is as good as none.
            _ => (limits[k] * rows.share[k] * scale.usage[k]).min(LIFTED) - rows.fixed_usage[k].value(),
        })
        .collect()
}

/// Half widths of the box around the multipliers of a sample, in the units of the problem: standard errors seen between
/// its quarters. A multiplier that is 0 in every quarter gets half the median of the others, since it may still move.
fn spread(
    rows: &Rows,
    limit: &[f64],
    prices: &[f64],
    scale: &Scale,
    watch: &dyn Watch,
) -> Result<Vec<f64>, Interrupted> {
    let mut squares = vec![0.0; limit.len()];
    for first in 0..4 {
        let part = rows.quarter(first);
        let part_limit = limit.iter().map(|x| x / 4.0).collect();
        let mut ascent = Ascent::new(&part, part_limit, prices);
        if !matches!(ascent.run(f64::INFINITY, watch)?, Ascended::Optimal) {
            return Ok(vec![f64::INFINITY; limit.len()]);
        }
        squares.iter_mut().zip(ascent.prices().iter().zip(prices)).for_each(|(sum, (a, b))| *sum += (a - b).powi(2));
    }
    // The mean of four has half the deviation of one.
    let mut widths: Vec<f64> = squares.iter().map(|sum: &f64| DEVIATIONS * (sum / 3.0).sqrt() / 2.0).collect();
    let mut seen: Vec<f64> = widths.iter().copied().filter(|&width| width > 0.0).collect();
    seen.sort_by(f64::total_cmp);
    let floor = seen.get(seen.len() / 2).map_or(0.0, |median| median / 2.0);
    widths.iter_mut().for_each(|width| *width = width.max(floor));
    Ok(scale.to_problem(&widths))
}

/// `q(p) = sum_i min_j r_ij(p) - p . limit`, less what rounding may have added.
fn dual_value<O: DualOracle>(oracle: &O, goal: Goal, point: &DualPoint, prices: &[f64]) -> f64 {
    let mut value = crate::sums::Sum::default();
    value.add(point.value);
    let mut magnitude = 0.0;
    for (k, (price, limit)) in prices.iter().zip(&oracle.limits().values).enumerate() {
        if goal != Goal::Usage(k) {
            value.add(-price * limit);
            magnitude += (price * limit).abs();
        }
    }
    value.value() - point.error - 2.0 * f64::EPSILON * (magnitude + point.value.abs())
}

/// Whether a ray proves that no plan meets the limits: at these prices every plan costs more than the limits pay.
fn conflicts<O: DualOracle>(oracle: &mut O, ray: &[f64]) -> Result<bool, Interrupted> {
    let point = oracle.evaluate(Goal::Feasibility, ray)?;
    Ok(dual_value(oracle, Goal::Feasibility, &point, ray) > 0.0)
}
