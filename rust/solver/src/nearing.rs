//! What a sample says of a larger one: where its top is near, and in what box around it.

use crate::ascent::{Ascended, Ascent, TINY};
use crate::kernel::least_two;
use crate::narrow::climb;
use crate::oracle::{Interrupted, Watch};
use crate::rows::Rows;

/// Half width of the box in standard errors.
const DEVIATIONS: f64 = 4.0;
/// Rows are tied by nature where more than one in so many are.
const MOST_TIED: usize = 50;
/// Times that limits of a sample that it cannot meet are moved.
const REACHES: usize = 20;
/// Room in limits that are brought within reach, in rows.
const ROOM: f64 = 0.25;
/// Part of the mean price by which a price may be off that is of its size.
const LITTLE: f64 = 0.1;
/// Part of a value that is rounding.
const ROUNDING: f64 = 1e-12;
/// Part of a price within which vertices are the same one.
const ALIKE: f64 = 1e-9;
/// Times the level below is asked for a better start.
const ROUNDS: usize = 6;

/// Moves an ascent near its top with the help of a smaller sample at its own: the sample stands for how usage answers to
/// prices, the rows say what usage is (a control variate). Each round costs a look at the rows and a few steps of the sample.
pub(crate) fn come_near(ascent: &mut Ascent<'_>, below: &mut Ascent<'_>, watch: &dyn Watch) -> Result<(), Interrupted> {
    let mut value = ascent.value_of_keys();
    for _ in 0..ROUNDS {
        let before = ascent.prices().to_vec();
        let left = in_units_of(below.rows, ascent.rows, ascent.residual());
        below.leave(&left);
        if !matches!(climb(below, watch)?, Ascended::Optimal) {
            return Ok(());
        }
        ascent.go_to(below.prices());
        let risen = ascent.value_of_keys();
        if risen <= value {
            ascent.go_to(&before);
            return Ok(());
        }
        value = risen;
    }
    Ok(())
}

/// The rows with the pairs that can be chosen where each price moves by at most its width, and what the others leave.
pub(crate) fn narrowed(ascent: &Ascent<'_>, widths: &[f64]) -> (Rows, Vec<f64>) {
    let rows = ascent.rows;
    let widths: Vec<f64> = widths.iter().copied().chain([0.0]).collect();
    let near = |row: usize, pair: usize| {
        let key = ascent.key[row];
        pair == key || ascent.reduced(pair) - ascent.reduced(key) <= rows.reach(pair, key, &widths)
    };
    let narrow = rows.filtered(near);
    let fixed = |k: usize| narrow.fixed_usage[k].value() - rows.fixed_usage[k].value();
    let limit = ascent.limits().iter().enumerate().map(|(k, limit)| limit - fixed(k)).collect();
    (narrow, limit)
}

/// How far the second choice of each row is behind its first.
pub(crate) fn margins(ascent: &Ascent<'_>) -> Vec<f64> {
    let mut margins = Vec::with_capacity(ascent.rows.len());
    ascent.each_priced(false, |_, priced| {
        let (_, least, second) = least_two(priced);
        margins.push(second - least);
    });
    margins
}

/// How many rows are tied at the vertex of a sample, of which these are the margins, where that is more than there have to be.
pub(crate) fn tied(margins: &[f64], n_limits: usize) -> Option<usize> {
    let count = margins.iter().filter(|margin| **margin <= TINY).count();
    (count > 2 * n_limits + margins.len() / MOST_TIED).then_some(count)
}

/// Moves an ascent to its top, or near it, by climbing on the rows in a part of the box around its prices. What is outside
/// that part is summed up exactly, so where the climb ends inside, the top is that of all rows.
pub(crate) fn come_nearer(ascent: &mut Ascent<'_>, widths: &[f64], watch: &dyn Watch) -> Result<(), Interrupted> {
    let before = ascent.prices().to_vec();
    let value = ascent.value_of_keys();
    let (narrow, limit) = narrowed(ascent, widths);
    let mut inner = Ascent::new(&narrow, limit, &before);
    if matches!(inner.run(f64::INFINITY, watch)?, Ascended::Optimal) {
        let rows = positions(&narrow.query, &ascent.rows.query);
        let pairs: Vec<usize> = rows
            .iter()
            .enumerate()
            .flat_map(|(inner, &outer)| {
                let (few, all) = (narrow.pairs(inner), ascent.rows.pairs(outer));
                positions(&narrow.model[few], &ascent.rows.model[all.clone()]).into_iter().map(move |at| all.start + at)
            })
            .collect();
        ascent.adopt(&inner, |row| rows[row], |pair| pairs[pair]);
        // Between ties the prices stay, but the basis is a better one.
        if ascent.value_of_keys() < value - ROUNDING * value.abs() {
            ascent.go_to(&before);
        }
    }
    Ok(())
}

/// Where the entries of a part are in the whole, which has them in the same order.
fn positions<T: PartialEq>(part: &[T], whole: &[T]) -> Vec<usize> {
    let mut at = 0;
    let next = |entry: &T| {
        at += whole[at..].iter().position(|other| other == entry).unwrap_or(0) + 1;
        at - 1
    };
    part.iter().map(next).collect()
}

/// Goes on from a climb that has found the limits out of reach along a ray: they are moved until they are not. Whether that came
/// about.
pub(crate) fn climb_within_reach(
    ascent: &mut Ascent<'_>,
    mut ray: Vec<f64>,
    watch: &dyn Watch,
) -> Result<bool, Interrupted> {
    for _ in 0..REACHES {
        bring_within_reach(ascent, &ray);
        match climb(ascent, watch)? {
            Ascended::Unbounded(next) => ray = next,
            ended => return Ok(ended == Ascended::Optimal),
        }
    }
    Ok(false)
}

/// Moves the limits that a ray pays for, in proportion, until the rows can meet them along it with some room left.
fn bring_within_reach(ascent: &mut Ascent<'_>, ray: &[f64]) {
    let paid =
        |of: &dyn Fn(f64) -> f64| ray.iter().zip(ascent.limits()).map(|(rate, limit)| rate * of(*limit)).sum::<f64>();
    let (missing, all) = (ascent.rows.least_along(ray) - paid(&|limit| limit), paid(&f64::abs));
    if all == 0.0 {
        return;
    }
    let part = 2.0 * (missing / all).max(ROOM / ascent.rows.len() as f64);
    for k in (0..ray.len()).filter(|&k| ray[k] > 0.0) {
        let limit = ascent.limits()[k];
        ascent.set_limit(k, limit + part * limit.abs());
    }
}

/// Half widths as large as prices, and more where these are small; no bounds where there are none.
pub(crate) fn of_the_size(prices: &[f64]) -> Vec<f64> {
    let mean = prices.iter().sum::<f64>() / prices.len() as f64;
    let width = |price: f64| if mean > 0.0 { price + LITTLE * mean } else { f64::INFINITY };
    prices.iter().map(|&price| width(price)).collect()
}

/// Usage by some rows as it would be of another sample.
fn in_units_of(sample: &Rows, rows: &Rows, usage: &[f64]) -> Vec<f64> {
    usage.iter().zip(sample.share.iter().zip(&rows.share)).map(|(used, (to, from))| used * to / from).collect()
}

/// Half widths of the box around the multipliers of a sample, in its units: standard errors seen between its quarters, whose
/// multipliers the sample below stands for. Four quarters say little of one multiplier, so its variance is averaged with the
/// median of all. Where the quarters have no plan, the widths follow the distance between the two samples.
pub(crate) fn spread(ascent: &Ascent<'_>, below: &mut Ascent<'_>, watch: &dyn Watch) -> Result<Vec<f64>, Interrupted> {
    let n_limits = ascent.prices().len();
    let whole = ascent.residual();
    let mut left = vec![vec![0.0; n_limits + 1]; 4];
    (0..ascent.rows.len()).for_each(|row| ascent.rows.add_usage(ascent.key[row], -4.0, &mut left[row % 4]));
    let mean: Vec<f64> = (0..n_limits).map(|k| left.iter().map(|quarter| quarter[k]).sum::<f64>() / 4.0).collect();
    let mut answers = Vec::with_capacity(4);
    for quarter in left {
        let off: Vec<f64> = (0..n_limits).map(|k| whole[k] + quarter[k] - mean[k]).collect();
        let off = in_units_of(below.rows, ascent.rows, &off);
        let mut quarter = below.clone();
        quarter.leave(&off);
        if matches!(quarter.run(f64::INFINITY, watch)?, Ascended::Optimal) {
            answers.push(quarter.prices().to_vec());
        }
    }
    let count = answers.len() as f64;
    let deviation = |k: usize| {
        let mean = answers.iter().map(|prices| prices[k]).sum::<f64>() / count;
        // The mean of four has half the deviation of one.
        (answers.iter().map(|prices| (prices[k] - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt() / 2.0
    };
    let distance = |k: usize| (ascent.prices()[k] - below.prices()[k]).abs() / 2.0;
    let mut widths: Vec<f64> =
        (0..n_limits).map(|k| DEVIATIONS * if count > 2.0 { deviation(k) } else { distance(k) }).collect();
    let mut seen: Vec<f64> = widths.iter().copied().filter(|&width| width > 0.0).collect();
    seen.sort_by(f64::total_cmp);
    let median = seen.get(seen.len() / 2).copied().unwrap_or(0.0);
    for (width, price) in widths.iter_mut().zip(ascent.prices()) {
        // Where all samples have one vertex, the rows' differs from it by rounding.
        *width = (0.5 * (*width * *width + median * median)).sqrt().max(ALIKE * price);
    }
    Ok(widths)
}
