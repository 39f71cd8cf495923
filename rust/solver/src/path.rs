//! Between two rungs: where the prices lead as that of the budget falls.
//!
//! With all other limits met, the prices and the use of the budget are smooth functions of the logarithm of its price, but for
//! the places where a limit begins to bind. At a rung all rows say where they are and, by the curvature, how they change; between
//! two rungs lies a cubic (Hermite).

use crate::curve::{over, Ground};
use crate::newton::Place;
use crate::point::Line;

/// Halvings in the search for the price of a budget.
const HALVINGS: usize = 40;

/// A price of the budget: what all rows say, and where they would use what other limits leave.
pub(crate) struct Rung {
    /// As the sample has it.
    pub(crate) sampled: Place,
    pub(crate) line: Line,
    pub(crate) place: Place,
    /// Prices at which the other limits are met, and what is used of the budget there.
    pub(crate) prices: Vec<f64>,
    pub(crate) uses: f64,
    /// How these change with the logarithm of the budget's price.
    slope: Vec<f64>,
    uses_slope: f64,
}

impl Rung {
    pub(crate) fn new(ground: &Ground<'_>, sampled: Place, line: Line, place: Place) -> Self {
        let k = ground.at;
        let step = place.step(&over(&line, &ground.limits(0.0)), Some(k));
        let prices = place.prices.iter().zip(&step).map(|(price, step)| (price + step).max(0.0)).collect();
        let uses = place.used[k] - place.answer(k, &step);
        let (slope, uses_slope) = place.response(k);
        let price = place.prices[k];
        let slope = slope.iter().map(|slope| slope * price).collect();
        Self { sampled, line, place, prices, uses, slope, uses_slope: uses_slope * price }
    }
}

/// Prices between two rungs at which so much of limit `k` is used; `low` has the higher price of it.
pub(crate) fn between(low: &Rung, high: &Rung, k: usize, budget: f64) -> Vec<f64> {
    let from = low.prices[k].ln();
    let way = high.prices[k].ln() - from;
    let cubic = |t: f64, (a, slope_a): (f64, f64), (b, slope_b): (f64, f64)| {
        let rest = 1.0 - t;
        a + t * t * (3.0 - 2.0 * t) * (b - a) + way * t * rest * (rest * slope_a - t * slope_b)
    };
    let (mut least, mut most) = (0.0, 1.0);
    for _ in 0..HALVINGS {
        let middle = 0.5 * (least + most);
        if cubic(middle, (low.uses, low.uses_slope), (high.uses, high.uses_slope)) < budget {
            least = middle;
        } else {
            most = middle;
        }
    }
    let price = |l: usize| {
        if l == k {
            (from + least * way).exp()
        } else {
            cubic(least, (low.prices[l], low.slope[l]), (high.prices[l], high.slope[l])).max(0.0)
        }
    };
    (0..low.prices.len()).map(price).collect()
}
