//! Some rows of a problem as the search sees them: their limits, their units, and how finely their objective is told apart.

use crate::oracle::{DualOracle, Goal};
use crate::relax::{left_over, Relaxed};
use crate::rows::Rows;

/// Rounding errors below this part of the objective's grain leave no doubt about multiples of it.
const COARSE: f64 = 1e-3;

/// Rows that are searched, with what does not change while they are.
pub(crate) struct Searched<'r> {
    pub(crate) rows: &'r Rows,
    /// What the other queries leave of each limit, rounded to the grain of what is used.
    pub(crate) limit: Vec<f64>,
    /// The factor from the problem's objective to that of the rows.
    pub(crate) scale: f64,
    fixed: f64,
    /// Differences between plans, in the units of the rows, that float64 sums are not trusted to tell apart; none where the
    /// objective goes in coarser steps.
    pub(crate) resolution: f64,
    /// The power of two of which every objective of the rows is a multiple, or 0.
    grain: f64,
    /// The least by which one plan of the rows can be better than another.
    pub(crate) step: f64,
    /// What rounding can make of a value.
    tiny: f64,
}

impl<'r> Searched<'r> {
    pub(crate) fn new<O: DualOracle>(oracle: &O, goal: Goal, rows: &'r Rows, relaxed: &Relaxed) -> Self {
        let mut limit = left_over(oracle, goal, rows, &relaxed.scale);
        round_to_grain(rows, &mut limit);
        let scale = relaxed.scale.objective;
        let tiny = 1e-12 * (1.0 + relaxed.bound.abs() * scale);
        let grain = grain(&rows.objective);
        let resolution = if tiny < COARSE * grain { 0.0 } else { tiny };
        let (fixed, step) = (rows.fixed_objective.value(), resolution.max(0.999 * grain));
        Self { rows, limit, scale, fixed, resolution, grain, step, tiny }
    }

    /// An objective of the problem in the units of the rows.
    pub(crate) fn to_rows(&self, objective: f64) -> f64 {
        objective * self.scale - self.fixed
    }

    /// An objective of the rows in the units of the problem.
    pub(crate) fn to_problem(&self, objective: f64) -> f64 {
        (objective + self.fixed) / self.scale
    }

    /// The least objective of the rows that is not below a bound.
    pub(crate) fn lifted(&self, bound: f64) -> f64 {
        if self.resolution == 0.0 && self.grain > 0.0 {
            (bound / self.grain - 1e-6).ceil() * self.grain
        } else {
            bound
        }
    }

    /// How much better than `best` a plan must be to matter, in the units of the rows, where a gap is enough.
    pub(crate) fn margin(&self, best: f64, rel_gap: f64) -> f64 {
        (0.999 * rel_gap * self.to_problem(best).abs() * self.scale).max(self.least_gain(best))
    }

    /// How much better than `best` the next plan of the rows must be. The best plan may use pairs that the rows no longer have, and
    /// then its objective is none of the multiples that theirs are.
    fn least_gain(&self, best: f64) -> f64 {
        if self.resolution > 0.0 {
            return self.resolution;
        }
        let next = ((best - 2.0 * self.tiny) / self.grain).ceil() - 1.0;
        best - (next + 1e-3) * self.grain
    }
}

/// The rows that the vertex divides, and those whose second choice is nearest, up to a number of pairs.
pub(crate) fn core(relaxed: &Relaxed, size: usize) -> Rows {
    let rows = &relaxed.rows;
    let mut regret: Vec<(f64, usize)> = relaxed.behind.iter().copied().zip(0..).collect();
    regret.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut chosen = vec![false; rows.len()];
    relaxed.divided.iter().for_each(|&row| chosen[row] = true);
    let mut pairs = relaxed.divided.iter().map(|&row| rows.pairs(row).len()).sum::<usize>();
    for (_, row) in regret {
        if pairs >= size {
            break;
        }
        if !chosen[row] {
            chosen[row] = true;
            pairs += rows.pairs(row).len();
        }
    }
    rows.filtered(|row, pair| chosen[row] || pair == relaxed.most[row])
}

/// Where all that can be used of a limit comes in multiples of a power of two (accuracies k/16, counts), the rest of the limit
/// beyond the last multiple is of no use: a Chvátal–Gomory cut.
pub(crate) fn round_to_grain(rows: &Rows, limit: &mut [f64]) {
    let mut finest = vec![i32::MAX; limit.len() + 1];
    for (&amount, &k) in rows.usage.iter().zip(&rows.limit).filter(|(amount, _)| **amount != 0.0) {
        let finest = &mut finest[k as usize];
        *finest = exponent(amount).min(*finest);
    }
    for (limit, finest) in limit.iter_mut().zip(finest) {
        let grain = step_of(finest);
        if grain > 0.0 {
            // The sums behind the limit carry rounding errors; what is a multiple up to those stays.
            *limit = (*limit / grain + 1e-6).floor() * grain;
        }
    }
}

/// The largest power of two of which every number is a multiple, or 0 where that is too fine to be of use.
pub(crate) fn grain(numbers: &[f64]) -> f64 {
    step_of(numbers.iter().filter(|x| **x != 0.0).map(|&x| exponent(x)).min().unwrap_or(i32::MAX))
}

/// The exponent of the last bit of a number other than zero.
fn exponent(x: f64) -> i32 {
    let bits = x.to_bits();
    let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
    exponent + (bits & ((1 << 52) - 1) | (1 << 52)).trailing_zeros() as i32
}

fn step_of(exponent: i32) -> f64 {
    if exponent > -28 && exponent < i32::MAX {
        f64::powi(2.0, exponent)
    } else {
        0.0
    }
}
