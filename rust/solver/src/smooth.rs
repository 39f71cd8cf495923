//! Where a climb from nowhere starts: near the top of the smoothed dual, by a few Newton steps.
//!
//! With `-T log sum_j exp(-r_ij / T)` for each row's `min_j r_ij` the dual is smooth. Its slope is what a row uses on average when it
//! takes its pairs with weights `exp(-r_ij / T)`, its curvature the covariance of that, over `T`. The temperature `T` falls from
//! the spread of the objective to the distance between neighbouring rows; the ascent along edges does the rest.

use crate::ascent::STRETCH;
use crate::columns::Columns;
use crate::lanes::least_and_near;
use crate::quadratic::Quadratic;
use crate::rows::Rows;

/// The first temperature, in mean objectives, and the factor from one to the next.
const HOTTEST: f64 = 0.125;
const COOLING: f64 = 0.25;
/// The last temperature is this over the number of rows.
const COLDEST: f64 = 0.5;
/// The temperature falls once a step promises less than this, in temperatures per row.
const SETTLED: f64 = 0.5;
/// Newton steps at the first temperature and at any other, at most.
const FIRST_STEPS: usize = 12;
const STEPS: usize = 4;
/// Rows that are looked at: at least so many per limit, and so many over the temperature.
const ROWS: (usize, f64) = (2, 8.0);
/// Pairs that are behind by more than so many temperatures count for nothing.
const REMOTE: f64 = 3.0;
/// The longest step of a price, in temperatures.
const LONGEST: f64 = 16.0;
/// Added to the curvature's diagonal, relative to it and in rows.
const RIDGE: (f64, f64) = (1e-3, 1e-2);
/// A step is cubic in the number of limits; beyond so many the ascent along edges is left alone.
const MOST_LIMITS: usize = 1_000;
/// A product of sums that is large enough to take its logarithm; one sum is at most the number of pairs of a row.
const LARGE: f64 = 1e250;

/// The smoothed dual at some prices.
struct Smooth {
    value: f64,
    /// Per limit: use beyond it.
    slope: Vec<f64>,
    /// How much less is used of one limit when the price of another rises, (K, K), upper half.
    curvature: Vec<f64>,
}

/// Prices near the top for rows under some limits; none where there are too many limits to gain by it.
pub(crate) fn near_top(rows: &Rows, columns: &Columns, limit: &[f64]) -> Vec<f64> {
    let mut dual = Dual { rows, columns, limit, scratch: Scratch::default() };
    let mut prices = vec![0.0; limit.len()];
    let n_rows = rows.len() as f64;
    if rows.is_empty() || prices.is_empty() || prices.len() > MOST_LIMITS {
        return prices;
    }
    let mut temperature = HOTTEST;
    let mut at = dual.smoothed(&prices, temperature);
    let mut left = FIRST_STEPS;
    loop {
        let step = newton_step(&at, &prices, temperature);
        let gain: f64 = step.iter().zip(&at.slope).map(|(step, slope)| step * slope).sum();
        left -= 1;
        if gain < SETTLED * temperature * n_rows || left == 0 {
            if temperature * n_rows <= COLDEST {
                return prices;
            }
            temperature *= COOLING;
            left = STEPS;
        }
        let go = |part: f64| -> Vec<f64> {
            prices.iter().zip(&step).map(|(price, step)| (price + part * step).max(0.0)).collect()
        };
        let mut to = go(1.0);
        let mut there = dual.smoothed(&to, temperature);
        if there.value <= at.value {
            to = go(0.25);
            there = dual.smoothed(&to, temperature);
        }
        (prices, at) = (to, there);
    }
}

/// The rows, and what they may use.
struct Dual<'d> {
    rows: &'d Rows,
    columns: &'d Columns,
    limit: &'d [f64],
    scratch: Scratch,
}

/// Memory that is used again: what is known of the rows of a stretch, and of the pairs of a row.
#[derive(Default)]
struct Scratch {
    priced: Vec<f64>,
    start: Vec<usize>,
    least: Vec<f64>,
    near: Vec<u32>,
    active: Vec<(usize, f64)>,
}

impl Dual<'_> {
    fn smoothed(&mut self, prices: &[f64], temperature: f64) -> Smooth {
        let (rows, n) = (self.rows, prices.len());
        let mut value = 0.0;
        let mut sums = Sums::new(n);
        let Scratch { priced, start, least, near, active } = &mut self.scratch;
        let (span, mut product) = (REMOTE * temperature, 1.0);
        // What is smooth is seen on few rows.
        let enough = (ROWS.0 * n).max((ROWS.1 / temperature) as usize);
        let every = (rows.len() / enough).max(1);
        let share = rows.len().div_ceil(every) as f64 / rows.len() as f64;
        let padded: Vec<f64> = prices.iter().copied().chain([0.0]).collect();
        for stretch in rows.stretches(STRETCH) {
            let first = rows.start[stretch.start];
            let pairs = first..rows.start[stretch.end];
            priced.clear();
            priced.extend_from_slice(&rows.objective[pairs.clone()]);
            self.columns.add(&pairs, &padded, priced);
            start.clear();
            start.extend(rows.start[stretch.start..=stretch.end].iter().map(|pair| pair - first));
            least.resize(stretch.len(), 0.0);
            near.resize(stretch.len(), 0);
            least_and_near::run(start, priced, span, least, near);
            for ((ends, (&low, &near)), row) in start.windows(2).zip(least.iter().zip(&*near)).zip(stretch) {
                if row % every != 0 {
                    continue;
                }
                let of_row = &priced[ends[0]..ends[1]];
                value += low;
                if near == 1 {
                    let best = of_row.iter().position(|&x| x == low).unwrap_or(0);
                    rows.add_usage(rows.start[row] + best, 1.0, &mut sums.used);
                    continue;
                }
                active.clear();
                let mut sum = 0.0;
                for (pair, &x) in rows.pairs(row).zip(of_row) {
                    if x <= low + span {
                        let weight = exponential((low - x) / temperature);
                        sum += weight;
                        active.push((pair, weight));
                    }
                }
                product *= sum;
                if product > LARGE {
                    value -= temperature * product.ln();
                    product = 1.0;
                }
                active.iter_mut().for_each(|(_, weight)| *weight /= sum);
                sums.add(rows, active);
            }
        }
        value -= temperature * product.ln();
        let paid = prices.iter().zip(self.limit).map(|(price, limit)| price * limit).sum::<f64>();
        let slope = sums.used.iter().zip(self.limit).map(|(used, limit)| used / share - limit).collect();
        let lines = sums.products.chunks_exact(n + 1).take(n);
        let curvature = lines.flat_map(|line| line[..n].iter().map(|x| x / (share * temperature))).collect();
        let value = value / share - paid;
        Smooth { value, slope, curvature }
    }
}

/// Sums over rows of what they use on average, and of its covariances.
struct Sums {
    used: Vec<f64>,
    products: Vec<f64>,
    /// Of one row: its means, and the limits that they are under.
    mean: Vec<f64>,
    touched: Vec<usize>,
}

impl Sums {
    /// With one entry more than there are limits.
    fn new(n_limits: usize) -> Self {
        let n = n_limits + 1;
        Self { used: vec![0.0; n], products: vec![0.0; n * n], mean: vec![0.0; n], touched: Vec::new() }
    }

    /// Adds a row that takes its pairs with some weights.
    fn add(&mut self, rows: &Rows, weighted: &[(usize, f64)]) {
        let Self { used, products, mean, touched } = self;
        let n = used.len();
        for &(pair, weight) in weighted {
            let at = pair * rows.n_resources..(pair + 1) * rows.n_resources;
            let (usage, limit) = (&rows.usage[at.clone()], &rows.limit[at]);
            for (r, (amount, &k)) in usage.iter().zip(limit).enumerate() {
                let (k, amount) = (k as usize, weight * amount);
                if mean[k] == 0.0 {
                    touched.push(k);
                }
                mean[k] += amount;
                let line = &mut products[k * n..(k + 1) * n];
                usage[r..].iter().zip(&limit[r..]).for_each(|(other, &l)| line[l as usize] += amount * other);
            }
        }
        // A limit may be listed twice where its mean has cancelled.
        let dense = touched.len() > n / 8;
        for &k in &*touched {
            let of_k = mean[k];
            let line = &mut products[k * n..(k + 1) * n];
            if dense {
                line[k..].iter_mut().zip(&mean[k..]).for_each(|(sum, mean)| *sum -= of_k * mean);
            } else {
                touched.iter().filter(|&&l| l >= k).for_each(|&l| line[l] -= of_k * mean[l]);
            }
        }
        for k in touched.drain(..) {
            used[k] += mean[k];
            mean[k] = 0.0;
        }
    }
}

/// `exp(x)` for x <= 0, to some millionths, the same on every machine.
fn exponential(x: f64) -> f64 {
    /// Adding this leaves the nearest whole number in the last bits.
    const MAGIC: f64 = 1.5 * (1_u64 << 52) as f64;
    let y = x.max(-100.0) * std::f64::consts::LOG2_E;
    let near = y + MAGIC;
    let rest = (y - (near - MAGIC)) * std::f64::consts::LN_2;
    let series = 1.0 + rest * (1.0 + rest * (0.5 + rest * (1.0 / 6.0 + rest * (1.0 / 24.0 + rest / 120.0))));
    f64::from_bits(series.to_bits().wrapping_add(near.to_bits() << 52))
}

/// Where the quadratic model of the dual is highest, as far as steps and prices of zero allow.
fn newton_step(at: &Smooth, prices: &[f64], temperature: f64) -> Vec<f64> {
    let Smooth { slope, curvature, .. } = at;
    let n = slope.len();
    let ridge = |k: usize| RIDGE.0 * curvature[k * n + k] + RIDGE.1 / temperature;
    let curvature = |k: usize, l: usize| curvature[k.min(l) * n + k.max(l)];
    let mut step = Quadratic { prices, slope, curvature, ridge }.step(|_| true);
    let most = step.iter().map(|x| x.abs() / (LONGEST * temperature)).fold(1.0, f64::max);
    step.iter_mut().for_each(|x| *x /= most);
    step
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_near_enough() {
        for x in [0.0_f64, -1e-9, -0.3, -1.0, -7.7, -30.0, -99.0] {
            assert!((exponential(x) / x.exp() - 1.0).abs() < 1e-5, "{x}");
        }
        assert!(exponential(-1e9) < 1e-40);
    }
}
