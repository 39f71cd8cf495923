//! The multipliers: sample, screen, ascend, and a bound that holds.
//!
//! The dual of a small sample is climbed to its top. The next sample is some times larger, and the last level is all rows.
//! The multipliers of a sample carry a sampling error, which its quarters measure; that gives a box. From then on a level
//! keeps only the pairs that can be chosen somewhere in the box (a few per cent) and sums up the rest. Where the multipliers
//! end inside the box, the dual value of what was kept is that of all rows, so one pass over the rows is enough; where they
//! do not, a pass at the result gives a true bound all the same, and where that falls short the box is widened.

use crate::ascent::{Ascended, Ascent};
use crate::columns::Columns;
use crate::kernel::least_two;
use crate::narrow::climb;
use crate::nearing::{climb_within_reach, come_near, come_nearer, margins, narrowed, of_the_size, spread};
use crate::newton::settled;
use crate::oracle::{DualOracle, DualPoint, Goal, Interrupted, Progress, Screen, Watch};
use crate::problem::LARGEST;
use crate::rows::{Rows, Scale};
use crate::settings::Settings;
use crate::smooth::near_top;
use crate::sums::Sum;

/// Problems of at most this many pairs are taken whole.
pub(crate) const WHOLE_PAIRS: usize = 40_000;
/// Queries in the first sample, and the least number per limit.
const FIRST_SAMPLE: usize = 256;
const SAMPLE_PER_LIMIT: usize = 4;
/// Queries in the last sample: what one machine holds of rows that it cannot hold.
const LAST_SAMPLE: usize = 1 << 20;
/// From one level to the next.
const GROWTH: usize = 8;
/// No sample is a larger part of the rows than one in so many, small ones apart.
const LARGEST_PART: usize = 16;
const SMALL_SAMPLE: usize = 4_096;
/// Part of the box that is climbed in before all of it, and the same where Newton steps have come near the top.
const PART: f64 = 0.25;
const PART_SETTLED: f64 = 0.1;
/// Rows of a sample that say well enough how usage answers to prices, and the half width, in those of the box, within which
/// they are asked.
const MODEL_ROWS: usize = 20_000;
const MODEL_WIDTH: f64 = 2.0;
/// Boxes tried before everything is taken, and how much wider the next one is.
const BOXES: usize = 4;
const WIDER: f64 = 4.0;
/// Limits that do not count under a goal: far away, but finite for the arithmetic.
pub(crate) const LIFTED: f64 = 1e30;
/// More than any rows use, in their units; finite too.
const BEYOND: f64 = 1e200;

/// The relaxation, solved: multipliers with their bound, and the rows in which a plan has a choice.
pub(crate) struct Relaxed {
    pub(crate) rows: Rows,
    pub(crate) scale: Scale,
    /// In the units of the rows.
    pub(crate) prices: Vec<f64>,
    /// The pair that each row has most of at the vertex, and the rows that the vertex divides.
    pub(crate) most: Vec<usize>,
    pub(crate) divided: Vec<usize>,
    /// How far the second choice of each row is behind its first.
    pub(crate) behind: Vec<f64>,
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
    let screen = Screen {
        prices: start.map_or_else(|| vec![0.0; n_limits], |prices| prices.iter().map(|&p| usable(p)).collect()),
        half_width: vec![f64::INFINITY; n_limits],
        slack: 0.0,
        sample: 0,
        seed: settings.seed,
    };
    let sizes = levels(oracle.n_queries(), oracle.n_models(), n_limits);
    Climb { oracle, goal, rel_gap: settings.rel_gap, sizes, watch }.sample(0, screen, None)
}

/// A price to start from: any will do.
fn usable(price: f64) -> f64 {
    if (0.0..=LARGEST).contains(&price) {
        price
    } else {
        0.0
    }
}

/// Sizes of the samples.
pub(crate) fn levels(n_queries: usize, n_models: usize, n_limits: usize) -> Vec<usize> {
    let mut sizes = Vec::new();
    if n_queries * n_models > WHOLE_PAIRS && n_limits > 0 {
        let mut size = FIRST_SAMPLE.max(SAMPLE_PER_LIMIT * n_limits);
        let largest = (n_queries / LARGEST_PART).max(SMALL_SAMPLE).min(n_queries / 4);
        while size <= largest.min(LAST_SAMPLE) || (sizes.is_empty() && size <= largest) {
            sizes.push(size);
            size *= GROWTH;
        }
    }
    sizes
}

pub(crate) struct Climb<'c, O> {
    pub(crate) oracle: &'c mut O,
    pub(crate) goal: Goal,
    rel_gap: f64,
    sizes: Vec<usize>,
    pub(crate) watch: &'c dyn Watch,
}

/// The level below: its rows at the top of their dual, the queries of its sample, and the scale of all levels.
pub(crate) struct Below<'b, 'r> {
    pub(crate) ascent: &'b mut Ascent<'r>,
    pub(crate) queries: usize,
    pub(crate) scale: &'b Scale,
}

impl<O: DualOracle> Climb<'_, O> {
    /// Climbs the dual of a sample in the box of the one below, and goes on to the next level.
    fn sample(
        &mut self,
        level: usize,
        mut screen: Screen,
        mut below: Option<Below<'_, '_>>,
    ) -> Result<Relaxation, Interrupted> {
        let Some(&size) = self.sizes.get(level) else { return self.all(screen, below) };
        screen.sample = size;
        let mut rows = self.oracle.screen(self.goal, &screen)?;
        if let Some(query) = rows.stranded {
            return Ok(Relaxation::Stranded(query));
        }
        let scale = below.as_ref().map_or_else(|| Scale::of(&rows), |below| below.scale.clone());
        rows.rescale(&scale);
        let shrink = if level > 0 { (self.sizes[level - 1] as f64 / size as f64).sqrt() } else { 1.0 };
        let (mut ascent, settled) = self.start(&rows, &scale, &screen, below.as_mut())?;
        if settled {
            // Near the top is near enough, and the sample below says as well how usage answers.
            screen.prices = scale.to_problem(ascent.prices());
            screen.half_width.iter_mut().for_each(|width| *width *= shrink);
            return self.sample(level + 1, screen, below);
        }
        match self.climb_in_box(&mut ascent, &scale, &screen, PART)? {
            Ascended::Unbounded(ray) => {
                let in_problem = scale.to_problem(&ray);
                if self.conflicts(&in_problem)? {
                    return Ok(Relaxation::Conflict(in_problem));
                }
                // The sample, or what is left of it in the box, cannot meet its share of the limits: prices of limits a little
                // farther off are of the right size, but no more than that.
                let within_reach = climb_within_reach(&mut ascent, ray, self.watch)?;
                screen.half_width = if within_reach && level > 0 {
                    scale.to_problem(&of_the_size(ascent.prices()))
                } else {
                    vec![f64::INFINITY; screen.prices.len()]
                };
            }
            _ if screen.half_width.contains(&f64::INFINITY) => {
                if let Some(Below { ascent: below, .. }) = &mut below {
                    screen.half_width = scale.to_problem(&spread(&ascent, below, self.watch)?);
                }
            }
            _ => screen.half_width.iter_mut().for_each(|width| *width *= shrink),
        }
        screen.prices = scale.to_problem(ascent.prices());
        if screen.half_width.contains(&f64::INFINITY) {
            return self.sample(level + 1, screen, Some(Below { ascent: &mut ascent, queries: size, scale: &scale }));
        }
        if below.is_some() && rows.len() > MODEL_ROWS {
            // The sample below is large enough to be asked again.
            return self.sample(level + 1, screen, below);
        }
        // What the box rules out need not be looked at again.
        let widths: Vec<f64> = scale.to_rows(&screen.half_width).iter().map(|width| MODEL_WIDTH * width).collect();
        let (narrow, limit) = narrowed(&ascent, &widths);
        let mut ascent = Ascent::new(&narrow, limit, ascent.prices());
        let below = match ascent.run(f64::INFINITY, self.watch)? {
            Ascended::Optimal => Some(Below { ascent: &mut ascent, queries: size, scale: &scale }),
            _ => None,
        };
        self.sample(level + 1, screen, below)
    }

    /// Climbs the dual of all rows, in one box or another.
    fn all(&mut self, mut screen: Screen, mut below: Option<Below<'_, '_>>) -> Result<Relaxation, Interrupted> {
        screen.sample = 0;
        let mut scale = below.as_ref().map(|below| below.scale.clone());
        if let (Some(below), true) = (&mut below, is_bounded(&screen)) {
            self.approach(&mut screen, below)?;
        }
        let mut boxes = 0;
        loop {
            let mut rows = self.oracle.screen(self.goal, &screen)?;
            if let Some(query) = rows.stranded {
                return Ok(Relaxation::Stranded(query));
            }
            let whole = screen.half_width.iter().all(|&width| width == f64::INFINITY);
            let scale: &Scale = scale.get_or_insert_with(|| Scale::of(&rows));
            rows.rescale(scale);
            let (mut ascent, settled) = self.start(&rows, scale, &screen, below.as_mut())?;
            let part = if settled { PART_SETTLED } else { PART };
            let ended = self.climb_in_box(&mut ascent, scale, &screen, part)?;
            let prices = scale.to_problem(ascent.prices());
            if let Ascended::Unbounded(ray) = ended {
                let ray = scale.to_problem(&ray);
                if self.conflicts(&ray)? {
                    return Ok(Relaxation::Conflict(ray));
                }
                if whole {
                    return Ok(Relaxation::Undecided);
                }
                // The box is too narrow for a plan.
                boxes += 1;
                let centre = screen.prices.clone();
                widen(&mut screen, centre, boxes);
                continue;
            }
            let kept = self.value_of_kept(&ascent, scale, &prices);
            let trusted = contains(&screen, &prices) && !pays_for_lifted(&ascent);
            let bound = if trusted { kept } else { self.bound(self.goal, &prices)? };
            let missing = (0.1 * self.rel_gap).max(1e-9) * bound.abs().max(kept.abs());
            if (kept - bound > missing || bound == f64::NEG_INFINITY) && boxes < BOXES {
                boxes += 1;
                widen(&mut screen, prices, boxes);
                continue;
            }
            let mut behind = Vec::with_capacity(ascent.rows.len());
            ascent.each_priced(false, |_, priced| {
                let (_, least, second) = least_two(priced);
                behind.push(second - least);
            });
            let (mut most, row_prices) = (ascent.key.clone(), ascent.prices().to_vec());
            let fractions = ascent.fractions();
            let mut divided = Vec::new();
            for shares in fractions.chunk_by(|a, b| a.0 == b.0) {
                let largest = shares.iter().max_by(|a, b| a.2.total_cmp(&b.2)).unwrap_or(&shares[0]);
                divided.push(largest.0);
                most[largest.0] = largest.1;
            }
            return Ok(Relaxation::Solved(Box::new(Relaxed {
                scale: scale.clone(),
                prices: row_prices,
                most,
                divided,
                behind,
                bound,
                whole,
                rows,
            })));
        }
    }

    /// An ascent at the centre of the box, or better; and whether Newton steps have led it near the top.
    fn start<'r>(
        &self,
        rows: &'r Rows,
        scale: &Scale,
        screen: &Screen,
        below: Option<&mut Below<'_, '_>>,
    ) -> Result<(Ascent<'r>, bool), Interrupted> {
        self.watch.report(&Progress { phase: "ascent", queries: rows.len(), bound: f64::NAN, objective: f64::NAN })?;
        let limit = left_over(self.oracle, self.goal, rows, scale);
        let prices = scale.to_rows(&screen.prices);
        let Some(below) = below else {
            let columns = Columns::new(rows);
            let nowhere = prices.iter().all(|&price| price == 0.0);
            let prices = if nowhere { near_top(rows, &columns, &limit) } else { prices };
            let mut ascent = Ascent::with_columns(rows, limit, &prices, columns);
            ascent.lower_prices();
            return Ok((ascent, false));
        };
        let mut ascent = Ascent::new(rows, limit, &prices);
        let settled = is_bounded(screen).then(|| settled(rows, ascent.limits(), prices, margins(&ascent))).flatten();
        match &settled {
            Some(prices) => ascent.go_to(prices),
            None => come_near(&mut ascent, below.ascent, self.watch)?,
        }
        Ok((ascent, settled.is_some()))
    }

    /// Climbs to the top, of many rows first in a part of the box.
    fn climb_in_box(
        &self,
        ascent: &mut Ascent<'_>,
        scale: &Scale,
        screen: &Screen,
        part: f64,
    ) -> Result<Ascended, Interrupted> {
        if ascent.rows.len() > MODEL_ROWS / 2 && is_bounded(screen) {
            let widths: Vec<f64> = scale.to_rows(&screen.half_width).iter().map(|width| part * width).collect();
            come_nearer(ascent, &widths, self.watch)?;
        }
        climb(ascent, self.watch)
    }

    /// The dual value at `prices`, less what rounding may have added, from the rows that were kept: that of all rows where
    /// the prices lie in the box.
    fn value_of_kept(&self, ascent: &Ascent<'_>, scale: &Scale, prices: &[f64]) -> f64 {
        let value = (ascent.value() + ascent.rows.fixed_objective.value()) / scale.objective;
        let error = self.oracle.n_queries() as f64 * self.oracle.rounding(self.goal, prices);
        proven(value - error - self.rounding_of_limits(self.goal, value, prices))
    }

    /// The same from a pass over all rows.
    fn bound(&mut self, goal: Goal, prices: &[f64]) -> Result<f64, Interrupted> {
        let (point, value) = self.dual_value(goal, prices)?;
        Ok(proven(value - point.error - self.rounding_of_limits(goal, point.value, prices)))
    }

    /// A pass over all rows, and the dual value at `prices` up to rounding.
    pub(crate) fn dual_value(&mut self, goal: Goal, prices: &[f64]) -> Result<(DualPoint, f64), Interrupted> {
        let point = self.oracle.evaluate(goal, prices)?;
        let mut value = Sum::default();
        value.add(point.value);
        for (k, (price, limit)) in prices.iter().zip(&self.oracle.limits().values).enumerate() {
            if goal != Goal::Usage(k) {
                value.add(-price * limit);
            }
        }
        Ok((point, proven(value.value())))
    }

    /// What rounding adds to `value - prices . limits`.
    fn rounding_of_limits(&self, goal: Goal, value: f64, prices: &[f64]) -> f64 {
        let limits = prices.iter().zip(&self.oracle.limits().values).enumerate();
        let paid = limits.filter(|(k, _)| goal != Goal::Usage(*k)).map(|(_, (price, limit))| (price * limit).abs());
        8.0 * f64::EPSILON * (paid.sum::<f64>() + value.abs())
    }

    /// Whether a ray proves that no plan meets the limits: at these prices every plan costs more than the limits pay.
    fn conflicts(&mut self, ray: &[f64]) -> Result<bool, Interrupted> {
        Ok(self.bound(Goal::Feasibility, ray)? > 0.0)
    }
}

/// Makes a box wider that has turned out too narrow, around other prices; the last of all, and one that has no width, holds
/// everything.
fn widen(screen: &mut Screen, prices: Vec<f64>, boxes: usize) {
    let (centre, widths) = (&screen.prices, &mut screen.half_width);
    for ((width, from), to) in widths.iter_mut().zip(centre).zip(&prices) {
        *width = if *width > 0.0 { WIDER * *width } else { (to - from).abs() };
    }
    if boxes >= BOXES || widths.iter().all(|&width| width == 0.0) {
        widths.fill(f64::INFINITY);
    }
    screen.prices = prices;
}

/// Whether the box has an end in every direction.
fn is_bounded(screen: &Screen) -> bool {
    !screen.half_width.contains(&f64::INFINITY)
}

/// What a computed bound proves: nothing where it has overflowed.
fn proven(bound: f64) -> f64 {
    if bound.is_finite() {
        bound
    } else {
        f64::NEG_INFINITY
    }
}

/// What these prices prove of a goal: no plan is below it. Of feasibility: above 0 there is none.
pub(crate) fn proven_at<O: DualOracle>(
    oracle: &mut O,
    goal: Goal,
    prices: &[f64],
    watch: &dyn Watch,
) -> Result<f64, Interrupted> {
    Climb { oracle, goal, rel_gap: 0.0, sizes: Vec::new(), watch }.bound(goal, prices)
}

/// Whether prices lie in the box of a screen.
fn contains(screen: &Screen, prices: &[f64]) -> bool {
    let inside = |((price, centre), width): ((&f64, &f64), &f64)| (price - centre).abs() <= *width;
    prices.iter().zip(&screen.prices).zip(&screen.half_width).all(inside)
}

/// Whether a limit that was cut to [`LIFTED`] has a price: then the dual value over the rows is not that of the problem.
fn pays_for_lifted(ascent: &Ascent<'_>) -> bool {
    ascent.limits().iter().zip(ascent.prices()).any(|(limit, price)| *limit >= LIFTED && *price > 0.0)
}

/// What overflows in the units of the rows (or is NaN, both sides having done so) is as good as no limit; the other way, it is out
/// of reach.
pub(crate) fn within(left: f64) -> f64 {
    if left < -BEYOND {
        -BEYOND
    } else {
        left.min(LIFTED)
    }
}

/// What the fixed queries leave of each limit, in the units of the rows.
pub(crate) fn left_over<O: DualOracle>(oracle: &O, goal: Goal, rows: &Rows, scale: &Scale) -> Vec<f64> {
    let limits = &oracle.limits().values;
    (0..limits.len())
        .map(|k| match goal {
            Goal::Usage(lifted) if lifted == k => LIFTED,
            _ => within(limits[k] * rows.share[k] * scale.usage[k] - rows.fixed_usage[k].value()),
        })
        .collect()
}
