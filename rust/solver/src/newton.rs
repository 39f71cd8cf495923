//! Newton steps on the dual, and how usage answers to prices.
//!
//! The dual of many rows is nearly smooth. How usage answers to prices is read off the rows whose choice is close: where the
//! second choice is less than `h` behind the first, prices that move a row by `h` change the choice of half of them. So the
//! curvature is `sum du du^T / 2h` over close pairs, `du` being what a pair uses more than the first choice.

use crate::kernel::least_two;
use crate::many::{Close, Look, Seen, Turned};
use crate::pass::Data;
use crate::quadratic::Quadratic;
use crate::rows::Rows;
use crate::sums::Sum;

/// The share of the rows whose choice should count as close.
const CLOSE: f64 = 0.12;
/// Lengths of a step that are tried, until the dual rises.
const LENGTHS: [f64; 4] = [1.0, 0.4, 0.1, 0.02];
/// Steps towards the top for rows in memory, the rows per limit that should count as close there, and the part of all, one in so
/// many, that may.
const STEPS: usize = 3;
const CLOSE_PER_LIMIT: usize = 256;
const MOST_CLOSE: usize = 4;
/// Of the rows that are close, fewer than this are closer than half the width, unless ties are among them.
const EVEN: f64 = 0.7;
/// A step is cubic in the number of limits.
pub(crate) const MOST_LIMITS: usize = 300;
/// Added to the diagonal of the curvature, relative to it.
const RIDGE: f64 = 1e-3;

/// A point of the dual of some rows.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) prices: Vec<f64>,
    /// What counts as close.
    pub(crate) width: f64,
    /// Objective of the cheapest pairs, and what they use.
    pub(crate) own: f64,
    pub(crate) used: Vec<f64>,
    curvature: Curvature,
}

/// How much less is used of one limit when the price of another rises, times twice the width; and the close rows.
#[derive(Clone)]
pub(crate) struct Curvature {
    n: usize,
    at: Vec<f64>,
    rows: usize,
    /// What a pair uses more than another, by limit.
    changes: Vec<(f64, usize)>,
}

/// Few rows, as Newton steps see them; each look at them is over before anybody would want to stop it.
pub(crate) struct Sample<'s> {
    pub(crate) data: &'s Data<'s>,
    pub(crate) turned: Vec<Turned>,
}

impl Sample<'_> {
    /// Looks at the sample at some prices.
    pub(crate) fn at(&self, prices: Vec<f64>, width: f64) -> Option<Place> {
        let mut found = [(self.data.nothing_seen(), Curvature::flat(prices.len()))];
        let looks = [Look { prices, slack: width }];
        let add = |sum: &mut Curvature, close: &Close<'_>| sum.add(self.data, close);
        let pricings = self.data.pricings(&looks);
        self.data.look_at(0..self.data.problem.n_queries, &self.turned, &looks, &pricings, &mut found, &add);
        let ([look], [(mut seen, curvature)]) = (looks, found);
        self.data.count_loads(&mut seen.used);
        (!seen.stranded).then(|| Place::new(look, &seen, curvature))
    }

    /// Climbs by up to so many steps towards the top of the dual under `limits`; the price of `held` stays. Stops where what is
    /// left to gain is below `enough`. `None` where a row has no pair.
    pub(crate) fn climb(
        &self,
        mut place: Place,
        limits: &[f64],
        held: Option<usize>,
        steps: usize,
        enough: f64,
    ) -> Option<Place> {
        for _ in 0..steps {
            let over: Vec<f64> = place.used.iter().zip(limits).map(|(used, limit)| used - limit).collect();
            let step = place.step(&over, held);
            let gain: f64 = step.iter().zip(&over).map(|(step, over)| step * over).sum();
            if gain <= 2.0 * enough || !gain.is_finite() {
                break;
            }
            let (value, width) = (place.value(limits), place.next_width(self.data.problem.n_queries));
            let mut risen = None;
            for length in LENGTHS {
                let to = place.prices.iter().zip(&step).map(|(price, step)| (price + length * step).max(0.0));
                let next = self.at(to.collect(), width)?;
                if next.value(limits) > value {
                    risen = Some(next);
                    break;
                }
            }
            match risen {
                Some(next) => place = next,
                None => break,
            }
        }
        Some(place)
    }
}

impl Place {
    /// What a look has found.
    pub(crate) fn new(look: Look, seen: &Seen, curvature: Curvature) -> Self {
        let used = seen.used.usage.iter().map(|sum| sum.value()).collect();
        Self { prices: look.prices, width: look.slack, own: seen.own.value(), used, curvature }
    }

    /// Takes over how usage answers from another place near by.
    pub(crate) fn answering_as(self, other: &Self) -> Self {
        Self { width: other.width, curvature: other.curvature.clone(), ..self }
    }

    /// Some rows at some prices (how usage answers, from what is closer than the width), and the cheapest pair of each with how far the second is behind.
    pub(crate) fn of_rows(rows: &Rows, prices: Vec<f64>, width: f64) -> (Self, Vec<(usize, f64)>) {
        let n = prices.len();
        let padded: Vec<f64> = prices.iter().copied().chain([0.0]).collect();
        let (mut used, mut own) = (vec![0.0; n + 1], 0.0);
        let mut curvature = Curvature::flat(n);
        let (mut priced, mut keys) = (Vec::new(), Vec::with_capacity(rows.len()));
        for row in 0..rows.len() {
            let pairs = rows.pairs(row);
            priced.clear();
            priced.extend(pairs.clone().map(|pair| rows.objective[pair] + rows.dot(pair, &padded)));
            let (at, least, second) = least_two(&priced);
            let key = pairs.start + at;
            keys.push((key, second - least));
            rows.add_usage(key, 1.0, &mut used);
            own += rows.objective[key];
            curvature.rows += usize::from(second <= least + width);
            for (pair, _) in pairs.zip(&priced).filter(|&(pair, x)| pair != key && *x <= least + width) {
                curvature.add_change(rows.uses(key).zip(rows.uses(pair)));
            }
        }
        used.truncate(n);
        (Self { prices, width, own, used, curvature }, keys)
    }

    /// The dual value under some limits.
    pub(crate) fn value(&self, limits: &[f64]) -> f64 {
        dual_value(self.own, &self.prices, &self.used, limits)
    }

    /// A width at which about so many of `n` rows are close, where `seen` rows were looked at here.
    pub(crate) fn width_of(&self, seen: usize, wanted: usize, n: usize) -> f64 {
        self.width * (wanted as f64 / n as f64 / self.share_close(seen).max(1e-6)).min(1.0)
    }

    /// How the other prices and the use of a limit answer to its price, the other limits being used as before.
    pub(crate) fn response(&self, k: usize) -> (Vec<f64>, f64) {
        let n = self.prices.len();
        // So little that no price comes near zero.
        let little = 1e-6 * self.prices[k];
        let less = |l: usize| little * self.curvature(l, k);
        let over: Vec<f64> = (0..n).map(|l| if self.prices[l] > 0.0 { -less(l) } else { 0.0 }).collect();
        let step = self.step(&over, Some(k));
        let uses = -less(k) - self.answer(k, &step);
        (step.iter().map(|step| step / little).collect(), uses / little)
    }

    /// How much less is used of a limit after a step.
    pub(crate) fn answer(&self, k: usize, step: &[f64]) -> f64 {
        step.iter().enumerate().map(|(l, step)| step * self.curvature(k, l)).sum()
    }

    fn curvature(&self, k: usize, l: usize) -> f64 {
        self.curvature.at[k * self.prices.len() + l] / (2.0 * self.width)
    }

    /// The share of so many rows in which the choice is closer than the width.
    pub(crate) fn share_close(&self, rows: usize) -> f64 {
        self.curvature.rows as f64 / rows as f64
    }

    /// A width at which about as many rows as wanted are close.
    fn next_width(&self, rows: usize) -> f64 {
        let share = self.share_close(rows);
        self.width * (CLOSE / share.max(CLOSE / 16.0)).clamp(0.25, 4.0)
    }

    /// The prices after a step, under some limits.
    pub(crate) fn stepped(&self, limits: &[f64]) -> Vec<f64> {
        let over: Vec<f64> = self.used.iter().zip(limits).map(|(used, limit)| used - limit).collect();
        self.prices.iter().zip(self.step(&over, None)).map(|(price, step)| (price + step).max(0.0)).collect()
    }

    /// Where the quadratic model of the dual is highest, as far as prices stay above zero.
    pub(crate) fn step(&self, over: &[f64], held: Option<usize>) -> Vec<f64> {
        let curvature = |k: usize, l: usize| self.curvature(k, l);
        let ridge = |k: usize| RIDGE * self.curvature(k, k);
        let model = Quadratic { prices: &self.prices, slope: over, curvature, ridge };
        model.step(|k| Some(k) != held && self.curvature(k, k) > 0.0)
    }
}

/// Prices near the top for some rows under limits, from others near by, at which the second choices are so far behind the first.
/// `None` where usage does not answer smoothly, or where no step leads up.
pub(crate) fn settled(rows: &Rows, limits: &[f64], prices: Vec<f64>, mut margins: Vec<f64>) -> Option<Vec<f64>> {
    let close = wanted(limits.len()).min(margins.len() / MOST_CLOSE);
    if margins.is_empty() {
        return None;
    }
    let (_, &mut width, _) = margins.select_nth_unstable_by(close, f64::total_cmp);
    if !is_smooth(margins.into_iter(), width, limits.len()) {
        return None;
    }
    let (mut place, _) = Place::of_rows(rows, prices, width);
    for step in 0..STEPS {
        let to = place.stepped(limits);
        let way =
            |length: f64| place.prices.iter().zip(&to).map(move |(from, to)| from + length * (to - from)).collect();
        let risen = LENGTHS.iter().find_map(|&length| {
            let (next, _) = Place::of_rows(rows, way(length), width);
            (next.value(limits) > place.value(limits)).then_some(next)
        });
        match risen {
            Some(next) => place = next,
            None if step == 0 => return None,
            None => break,
        }
    }
    Some(place.prices)
}

/// Close rows that say how usage answers to the prices of so many limits.
pub(crate) fn wanted(n_limits: usize) -> usize {
    CLOSE_PER_LIMIT * n_limits
}

/// Whether the rows that are close are spread evenly up to the width, rather than tied, so that a Newton step is of use.
pub(crate) fn is_smooth(margins: impl Iterator<Item = f64>, width: f64, n_limits: usize) -> bool {
    let (mut close, mut closer) = (0, 0);
    for margin in margins {
        close += usize::from(margin <= width);
        closer += usize::from(margin <= 0.5 * width);
    }
    n_limits <= MOST_LIMITS && (closer as f64) < EVEN * close as f64
}

/// `own + prices . (used - limits)`.
pub(crate) fn dual_value(own: f64, prices: &[f64], used: &[f64], limits: &[f64]) -> f64 {
    let mut value = Sum::default();
    value.add(own);
    for ((price, used), limit) in prices.iter().zip(used).zip(limits) {
        value.add(price * (used - limit));
    }
    value.value()
}

impl Curvature {
    /// No close rows yet.
    pub(crate) fn flat(n: usize) -> Self {
        Self { n, at: vec![0.0; n * n], rows: 0, changes: Vec::new() }
    }

    /// Adds those of other rows.
    pub(crate) fn append(&mut self, next: Self) {
        self.rows += next.rows;
        self.at.iter_mut().zip(next.at).for_each(|(sum, part)| *sum += part);
    }

    /// Adds the pairs of a row that are close to its first.
    pub(crate) fn add(&mut self, data: &Data<'_>, close: &Close<'_>) {
        self.rows += 1;
        for (j, &priced) in close.priced.iter().enumerate() {
            if j == close.at || priced > close.reach {
                continue;
            }
            self.add_change(data.usage_of(close.row, close.at).zip(data.usage_of(close.row, j)));
        }
    }

    /// Adds a pair that is close to the first of its row: what that uses under each limit, and the pair.
    fn add_change(&mut self, uses: impl Iterator<Item = ((f64, u32), (f64, u32))>) {
        self.changes.clear();
        for ((used, k), (uses, l)) in uses {
            if k == l {
                self.changes.push((uses - used, k as usize));
            } else {
                self.changes.extend([(-used, k as usize), (uses, l as usize)]);
            }
        }
        self.changes.retain(|&(change, k)| change != 0.0 && k < self.n);
        for &(a, k) in &self.changes {
            self.changes.iter().for_each(|&(b, l)| self.at[k * self.n + l] += a * b);
        }
    }
}
