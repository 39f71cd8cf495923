//! Passes that move the box to the top of the dual of all rows, and narrow it.
//!
//! A pass at the prices of the samples says what all rows use, and shows the rows in which the choice is close. Where these are
//! spread evenly they say how usage answers to prices, and one Newton step leaves a tenth of the error; where they are not,
//! the sample is asked, a control variate as in [`come_near`](crate::nearing::come_near). Where the box keeps little but rows that
//! are tied, prices would leap from one lattice point to the next, and a narrower box would keep as many.

use crate::ascent::Ascended;
use crate::nearing::{margins, narrowed, tied};
use crate::newton::{is_smooth, wanted, Place, MOST_LIMITS};
use crate::oracle::{DualOracle, Goal, Interrupted, Screen};
use crate::relax::{left_over, within, Below, Climb, LIFTED};

/// Passes at most: where the box is narrow after them, and where it would keep many more rows than are close.
const APPROACHES: usize = 2;
const MOST_APPROACHES: usize = 8;
/// A box keeps little but tied rows that keeps at most so many times as many rows as are tied.
const MOSTLY_TIED: usize = 4;
/// A box is narrow that reaches so many times as far as close rows are behind.
const NARROW: f64 = 8.0;
/// A move by less than this part of the box is the last: a Newton step, and one that the sample suggests.
const LAST_STEP: f64 = 0.3;
const LAST_MOVE: f64 = 0.05;
/// What a Newton step may still be off, in its own length, and how much wider than the error they leave other moves keep the box.
const STEP_MARGIN: f64 = 0.3;
const MOVE_MARGIN: f64 = 10.0;
/// The least part of the box by which a move counts.
const LEAST_MOVE: f64 = 1.0 / 64.0;
/// The next pass is nearer to the top.
const CLOSER: f64 = 0.5;

/// What a pass at some prices says, in the units of the rows.
struct Seen {
    value: f64,
    /// What is left of each limit.
    left: Vec<f64>,
    /// The prices after a Newton step, where that is of use.
    stepped: Option<Vec<f64>>,
}

/// From the centre of a box to better prices.
struct Move {
    /// How far each price moves, in the units of the problem.
    step: Vec<f64>,
    /// Their root mean square, in half widths of the box.
    length: f64,
    /// Whether it is a Newton step.
    smooth: bool,
}

impl Move {
    fn new(from: &Screen, to: &[f64], smooth: bool) -> Self {
        let step: Vec<f64> = to.iter().zip(&from.prices).map(|(to, from)| (to - from).abs()).collect();
        let parts = step.iter().zip(&from.half_width).map(|(step, width)| step / width.max(f64::MIN_POSITIVE));
        let length = (parts.map(|part| part * part).sum::<f64>() / step.len() as f64).sqrt();
        Self { step, length, smooth }
    }

    /// Half widths within which the top is by what this move tells of the error, and the move before it.
    fn leaves(&self, half_width: &[f64], before: Option<f64>) -> Vec<f64> {
        let widths = self.step.iter().zip(half_width);
        match before {
            // Beyond all widths it says nothing.
            _ if self.length > 1.0 => half_width.to_vec(),
            _ if self.smooth => {
                widths.map(|(step, width)| STEP_MARGIN * (step + self.length.max(LEAST_MOVE) * width)).collect()
            }
            Some(before) => {
                let part = (MOVE_MARGIN * self.length * self.length / before).clamp(LEAST_MOVE, 1.0);
                half_width.iter().map(|width| part * width).collect()
            }
            None => half_width.to_vec(),
        }
    }

    fn is_last(&self) -> bool {
        self.length < if self.smooth { LAST_STEP } else { LAST_MOVE }
    }
}

impl<O: DualOracle> Climb<'_, O> {
    /// Moves the centre of a box that the samples have left, and narrows it by what the last move tells of the error.
    pub(crate) fn approach(&mut self, screen: &mut Screen, below: &mut Below<'_, '_>) -> Result<(), Interrupted> {
        let margins = margins(below.ascent);
        let tied = tied(&margins, screen.prices.len());
        if let Some(count) = tied {
            let (kept, _) = narrowed(below.ascent, &below.scale.to_rows(&screen.half_width));
            if kept.len() <= MOSTLY_TIED * count {
                return Ok(());
            }
        }
        let mut width = if tied.is_some() { None } else { self.width_of_close(below, margins) };
        let mut best = (f64::NEG_INFINITY, screen.prices.clone());
        let (mut before, mut narrowed) = (None, screen.half_width.clone());
        for pass in 1..=MOST_APPROACHES {
            let Some(seen) = self.look(screen, below, width)?.filter(|seen| seen.value > best.0) else {
                // The last move led down.
                screen.prices = best.1;
                break;
            };
            best = (seen.value, screen.prices.clone());
            let smooth = seen.stepped.is_some();
            let Some(prices) =
                seen.stepped.map_or_else(|| self.asked(below, &seen.left), |stepped| Ok(Some(stepped)))?
            else {
                break;
            };
            let prices = below.scale.to_problem(&prices);
            let moved = Move::new(screen, &prices, smooth);
            if !moved.length.is_finite() {
                break;
            }
            screen.prices = prices;
            narrowed = moved.leaves(&screen.half_width, before);
            let reach = 2.0 * below.scale.to_rows(&narrowed).iter().sum::<f64>() / narrowed.len() as f64;
            let is_narrow = width.is_none_or(|width| !smooth || reach < NARROW * width);
            if is_narrow && (pass >= APPROACHES || moved.is_last()) {
                break;
            }
            before = Some(moved.length);
            width = width.map(|width| if is_narrow { CLOSER * width } else { width });
        }
        screen.half_width = narrowed;
        Ok(())
    }

    /// How far behind the second choice of close rows is, where the sample below, of which these are the margins, promises enough
    /// of them.
    fn width_of_close(&self, below: &Below<'_, '_>, mut margins: Vec<f64>) -> Option<f64> {
        let n_limits = below.scale.usage.len();
        if n_limits > MOST_LIMITS {
            return None;
        }
        margins.sort_by(f64::total_cmp);
        // At the vertex of the sample one row per limit is tied.
        let close = n_limits + wanted(n_limits) * below.queries / self.oracle.n_queries();
        margins.get(close.min(margins.len().saturating_sub(1))).copied()
    }

    /// A pass at the centre of the box; rows are close up to a width, if any. `None` where the dual has no value.
    fn look(
        &mut self,
        screen: &Screen,
        below: &Below<'_, '_>,
        width: Option<f64>,
    ) -> Result<Option<Seen>, Interrupted> {
        let (n_limits, scale) = (screen.prices.len(), below.scale);
        let Some(width) = width else {
            let (point, value) = self.dual_value(self.goal, &screen.prices)?;
            let limits = &self.oracle.limits().values;
            let left = |k: usize| match self.goal {
                Goal::Usage(lifted) if lifted == k => LIFTED,
                _ => within((limits[k] - point.usage[k]) * scale.usage[k]),
            };
            let (value, left) = (scale.objective * value, (0..n_limits).map(left).collect());
            return Ok(point.stranded.is_none().then_some(Seen { value, left, stepped: None }));
        };
        let half_width = vec![0.0; n_limits];
        let close = Screen { half_width, slack: width / scale.objective, sample: 0, ..screen.clone() };
        let mut rows = self.oracle.screen(self.goal, &close)?;
        rows.rescale(scale);
        let left = left_over(self.oracle, self.goal, &rows, scale);
        let (place, keys) = Place::of_rows(&rows, scale.to_rows(&screen.prices), width);
        let value = place.value(&left) + rows.fixed_objective.value();
        let stepped = is_smooth(keys.iter().map(|key| key.1), width, n_limits).then(|| place.stepped(&left));
        let left = left.iter().zip(&place.used).map(|(left, used)| left - used).collect();
        Ok((rows.stranded.is_none() && value.is_finite()).then_some(Seen { value, left, stepped }))
    }

    /// The prices at which the sample below leaves as much as all rows do, in proportion. `None` where it cannot.
    fn asked(&self, below: &mut Below<'_, '_>, left: &[f64]) -> Result<Option<Vec<f64>>, Interrupted> {
        let share = &below.ascent.rows.share;
        let left: Vec<f64> = left.iter().zip(share).map(|(left, share)| within(left * share)).collect();
        below.ascent.leave(&left);
        let ended = below.ascent.run(f64::INFINITY, self.watch)?;
        Ok((ended == Ascended::Optimal).then(|| below.ascent.prices().to_vec()))
    }
}
