//! Prices over the whole range of a budget, from one price of the budget to the next.

use crate::ascent::{Ascended, Ascent};
use crate::curve::{Drawing, Ground};
use crate::many::Look;
use crate::newton::Place;
use crate::oracle::Interrupted;
use crate::path::{between, Rung};
use crate::point::Line;
use crate::rows::{Rows, Scale};

/// From one price of the budget to the next.
const RUNG: f64 = 1.6;
/// Rungs to either side, at most.
const MOST_RUNGS: usize = 60;
/// Rows that say how usage answers to prices.
const ANSWERING: usize = 2_500;
/// Newton steps per rung; the first place is farther away.
const STEPS: usize = 3;
const FIRST_STEPS: usize = 12;
/// Where the ladder starts, on the way from the least use to that of the best pairs.
const STARTS: [f64; 3] = [0.4, 0.8, 0.2];
/// What counts as close at first, in mean objectives.
const FIRST_WIDTH: f64 = 0.05;
/// What an end may lack of the least use and of the best objective. Nearer to them whole queries count: at 100,000 × 10 and a
/// hundred-thousandth above the least use, one query of room under each limit is worth thirty gaps of 1e-4.
const NEAR_LEAST: f64 = 0.02;
const NEAR_BEST: f64 = 1e-3;
/// The same where budgets are given, in gaps.
const NEAR_GIVEN: f64 = 0.5;
/// The part of that which is aimed at.
const AIM: f64 = 0.5;
/// Times that ends are moved, and by how much their prices change, at most.
const MOVES: usize = 5;
const FARTHEST: f64 = 8.0;
/// Looks at the last rung, and the part of its use that a step may change.
const SETTLING: usize = 2;
const SETTLED: f64 = 0.01;
/// What the objective may count where it should count for nothing beside the budget, in gaps.
const NOTHING: f64 = 0.01;

/// Rungs, the price of the budget falling.
pub(crate) struct Ladder {
    rungs: Vec<Rung>,
    /// What all rows say where the budget, or the objective, counts for nothing.
    proofs: Vec<Line>,
}

/// A direction, and the end of a ladder.
#[derive(Clone, Copy, PartialEq)]
enum End {
    /// The least use: the price of the budget rises.
    Least,
    /// The best objective: it falls.
    Best,
}

impl Ladder {
    /// Climbs `first` at some budget, and goes from there to the ends of `range`, or to where the budget stops to matter.
    /// `None` where the sample does not lend itself to that.
    pub(crate) fn build(
        drawing: &mut Drawing<'_>,
        first: Rows,
        range: Option<(f64, f64)>,
    ) -> Result<Option<Self>, Interrupted> {
        let Some(start) = start(drawing, first)? else { return Ok(None) };
        let near = |end: End| if range.is_some() { NEAR_GIVEN * drawing.ground.rel_gap } else { end.near() };
        let (near_least, near_best) = (near(End::Least), near(End::Best));
        let Some(mut places) = side(drawing, &start, End::Least, near_least, range)? else { return Ok(None) };
        let Some(falling) = side(drawing, &start, End::Best, near_best, range)? else { return Ok(None) };
        places.reverse();
        places.push(start);
        places.extend(falling);
        let proofs = [
            End::Least.proof(&drawing.ground, &places[0]),
            End::Best.proof(&drawing.ground, &places[places.len() - 1]),
        ];
        let (rungs, proofs) = rungs(drawing, places, proofs.to_vec())?;
        let mut ladder = Self { rungs, proofs };
        if range.is_none() && !ladder.reach(drawing, End::Least, near_least)? {
            return Ok(None);
        }
        if range.is_none_or(|(_, high)| high > ladder.ends(&drawing.ground).1)
            && !ladder.reach(drawing, End::Best, near_best)?
        {
            return Ok(None);
        }
        ladder.end_at_best(&drawing.ground, near_best);
        if range.is_none() {
            ladder.settle(drawing)?;
        }
        Ok(Some(ladder))
    }

    /// Moves an end until it is proven to be near enough. False where that does not come about.
    fn reach(&mut self, drawing: &mut Drawing<'_>, end: End, near: f64) -> Result<bool, Interrupted> {
        for _ in 0..MOVES {
            let (ground, len) = (&drawing.ground, self.rungs.len());
            let (at, before) = if end == End::Least { (0, 1) } else { (len - 1, len.wrapping_sub(2)) };
            let rung = &self.rungs[at];
            let lacks = end.lacks(ground, &rung.line, &self.proofs[usize::from(end == End::Best)]) / near;
            if lacks <= 1.0 {
                return Ok(true);
            }
            // What an end lacks changes with the square of the price.
            let farther = (lacks / AIM).sqrt().min(FARTHEST);
            let steps = (farther.ln() / RUNG.ln()).ceil();
            let beyond = ground.beyond(&rung.sampled, &rung.line);
            let mut places = self.rungs.get(before).map(|rung| rung.sampled.clone()).into_iter().collect::<Vec<_>>();
            let known = places.len() + 1;
            places.push(rung.sampled.clone());
            for _ in 0..steps as usize {
                let factor = end.factor(farther.powf(1.0 / steps));
                let (place, before) = (&places[places.len() - 1], places.len().checked_sub(2).map(|at| &places[at]));
                let Some(next) = step(ground, place, before, factor, &beyond) else { return Ok(false) };
                places.push(next);
            }
            places.drain(..known);
            let proof = end.proof(ground, &places[places.len() - 1]);
            if end == End::Least {
                places.reverse();
            }
            let (rungs, mut proofs) = rungs(drawing, places, vec![proof])?;
            self.proofs.extend(proofs.pop());
            let last = self.proofs.len() - 1;
            self.proofs.swap(usize::from(end == End::Best), last);
            self.rungs.splice(if end == End::Least { 0..0 } else { len..len }, rungs);
        }
        Ok(false)
    }

    /// Leaves out what lies beyond the first rung that lacks little of the best objective.
    fn end_at_best(&mut self, ground: &Ground<'_>, near: f64) {
        let lacks = |rung: &Rung| End::Best.lacks(ground, &rung.line, &self.proofs[1]);
        if let Some(last) = self.rungs.iter().position(|rung| lacks(rung) <= near) {
            self.rungs.truncate(last + 1);
        }
    }

    /// Looks at the last rung again where its step has led: near the best objective prices jump from tie to tie, and what one step
    /// promises of the use there can be more than any plan has a use for.
    fn settle(&mut self, drawing: &mut Drawing<'_>) -> Result<(), Interrupted> {
        for _ in 0..SETTLING {
            let last = self.rungs.len() - 1;
            let rung = &self.rungs[last];
            let (k, n) = (drawing.ground.at, drawing.ground.data.problem.n_queries);
            if (rung.uses - rung.line.used[k]).abs() <= SETTLED * rung.uses {
                break;
            }
            let look = Look { prices: rung.prices.clone(), slack: rung.place.width_of(n, ANSWERING, n) };
            let sampled = rung.sampled.clone();
            if let Some((line, place)) = drawing.places(vec![look])?.pop() {
                self.rungs[last] = Rung::new(&drawing.ground, sampled, line, place);
            }
        }
        Ok(())
    }

    /// The least budget that a spread begins with, and the largest that matters.
    pub(crate) fn ends(&self, ground: &Ground<'_>) -> (f64, f64) {
        let least = End::Least.least(ground, &self.proofs[0]);
        (least * (1.0 + NEAR_LEAST), self.rungs[self.rungs.len() - 1].uses)
    }

    /// Every line, for the bounds.
    pub(crate) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.rungs.iter().map(|rung| &rung.line).chain(&self.proofs)
    }

    /// Prices for a budget, and a place near by that says how usage answers to them. `None` beyond the ladder.
    pub(crate) fn at(&self, ground: &Ground<'_>, budget: f64) -> Option<(Vec<f64>, &Place)> {
        let after = self.rungs.partition_point(|rung| rung.uses < budget);
        let (Some(high), Some(low)) = (self.rungs.get(after), self.rungs.get(after.wrapping_sub(1))) else {
            let rung = self.rungs.iter().find(|rung| rung.uses == budget)?;
            return Some((rung.prices.clone(), &rung.place));
        };
        let prices = between(low, high, ground.at, budget);
        let nearer_to_low = budget - low.uses < high.uses - budget;
        Some((prices, if nearer_to_low { &low.place } else { &high.place }))
    }
}

impl End {
    /// What it may lack where the call chooses the budgets.
    fn near(self) -> f64 {
        match self {
            Self::Least => NEAR_LEAST,
            Self::Best => NEAR_BEST,
        }
    }

    /// How the price of the budget changes on the way there.
    fn factor(self, farther: f64) -> f64 {
        match self {
            Self::Least => farther,
            Self::Best => 1.0 / farther,
        }
    }

    /// Prices that prove what is the least use, or the best objective: as at a place, but without the other.
    fn proof(self, ground: &Ground<'_>, place: &Place) -> Vec<f64> {
        let (mut prices, k) = (place.prices.clone(), ground.at);
        match self {
            Self::Best => prices[k] = 0.0,
            Self::Least => {
                let paid = prices[k] * place.used[k] / ground.share[k];
                let factor = (ground.most_own() / (NOTHING * ground.rel_gap * paid)).max(1.0);
                prices.iter_mut().for_each(|price| *price *= factor);
            }
        }
        prices
    }

    /// What nothing at this end is below, given the line of the proof.
    fn least(self, ground: &Ground<'_>, proof: &Line) -> f64 {
        let value = proof.bound(&ground.limits(0.0));
        match self {
            Self::Least => (value - ground.most_own()) / proof.prices[ground.at],
            Self::Best => value,
        }
    }

    /// What a line at this end lacks, relative to what it has.
    fn lacks(self, ground: &Ground<'_>, line: &Line, proof: &Line) -> f64 {
        let (k, limits) = (ground.at, ground.limits(0.0));
        // What is used beyond other limits is worth what they cost.
        let over = |l: usize| line.prices[l] * (line.used[l] - limits[l]);
        let paid: f64 = (0..limits.len()).filter(|&l| l != k).map(over).sum();
        let has = match self {
            Self::Least => line.used[k] + paid / line.prices[k],
            Self::Best => line.own + paid,
        };
        (has - self.least(ground, proof)) / has.abs()
    }
}

/// What all rows say at some places of the sample, and at some other prices.
fn rungs(
    drawing: &mut Drawing<'_>,
    places: Vec<Place>,
    proofs: Vec<Vec<f64>>,
) -> Result<(Vec<Rung>, Vec<Line>), Interrupted> {
    let ground = &drawing.ground;
    let sampled = ground.sample.data.problem.n_queries;
    let n = ground.data.problem.n_queries;
    let look = |place: &Place| Look { prices: place.prices.clone(), slack: place.width_of(sampled, ANSWERING, n) };
    let looks = places.iter().map(look).chain(proofs.into_iter().map(|prices| Look { prices, slack: -1.0 }));
    let looks = looks.collect();
    let mut found = drawing.places(looks)?;
    let proofs = found.split_off(places.len()).into_iter().map(|(line, _)| line).collect();
    let rungs = places.into_iter().zip(found);
    Ok((rungs.map(|(sampled, (line, place))| Rung::new(&drawing.ground, sampled, line, place)).collect(), proofs))
}

/// Rungs from a place to one end of a range of use, or to where the budget stops to matter.
fn side(
    drawing: &Drawing<'_>,
    start: &Place,
    end: End,
    near: f64,
    range: Option<(f64, f64)>,
) -> Result<Option<Vec<Place>>, Interrupted> {
    let (ground, k) = (&drawing.ground, drawing.ground.at);
    let beyond = vec![0.0; start.prices.len()];
    let mut places = vec![start.clone()];
    for _ in 0..MOST_RUNGS {
        drawing.watch.poll()?;
        let place = &places[places.len() - 1];
        let used = place.used[k] / ground.share[k];
        if range.is_some_and(|(low, high)| if end == End::Least { used < low } else { used > high }) {
            break;
        }
        let before = places.len().checked_sub(2).map(|at| &places[at]);
        let Some(next) = step(ground, place, before, end.factor(RUNG), &beyond) else { return Ok(None) };
        let gained = match end {
            End::Least => (place.used[k] - next.used[k]) / next.used[k].abs(),
            End::Best => (place.own - next.own) / next.own.abs(),
        };
        places.push(next);
        // What an end lacks changes with the square of the price.
        if gained <= AIM * near * (RUNG * RUNG - 1.0) {
            break;
        }
    }
    places.remove(0);
    Ok(Some(places))
}

/// The place where the price of the budget is another, from one and the one before it.
fn step(ground: &Ground<'_>, place: &Place, before: Option<&Place>, factor: f64, beyond: &[f64]) -> Option<Place> {
    let k = ground.at;
    let mut prices = place.prices.clone();
    prices[k] *= factor;
    if let Some(before) = before {
        let way = (prices[k] - place.prices[k]) / (place.prices[k] - before.prices[k]);
        let others = (0..prices.len()).filter(|&l| l != k);
        others.for_each(|l| prices[l] = (prices[l] + way * (prices[l] - before.prices[l])).max(0.0));
    }
    let next = ground.sample.at(prices, place.width)?;
    let limits = ground.limits(next.used[k] / ground.share[k]);
    ground.climbed(next, &limits, beyond, Some(k), STEPS)
}

/// A first place: the top of the dual of a small sample at some budget, and then of the larger one.
fn start(drawing: &Drawing<'_>, mut first: Rows) -> Result<Option<Place>, Interrupted> {
    if first.stranded.is_some() {
        return Ok(None);
    }
    let (ground, k) = (&drawing.ground, drawing.ground.at);
    let (least, best) = extremes(&first, k);
    let scale = Scale::of(&first);
    first.rescale(&scale);
    for start in STARTS {
        let mut limits = ground.limits(0.0);
        limits[k] = (least + start * (best - least)) / first.share[k];
        let left = |l: usize| limits[l] * first.share[l] * scale.usage[l] - first.fixed_usage[l].value();
        let mut ascent = Ascent::new(&first, (0..limits.len()).map(left).collect(), &vec![0.0; limits.len()]);
        if ascent.run(f64::INFINITY, drawing.watch)? != Ascended::Optimal || ascent.prices()[k] == 0.0 {
            continue;
        }
        let Some(place) = ground.sample.at(scale.to_problem(ascent.prices()), FIRST_WIDTH / scale.objective) else {
            return Ok(None);
        };
        return Ok(ground.climbed(place, &limits, &vec![0.0; limits.len()], None, FIRST_STEPS));
    }
    Ok(None)
}

/// What some rows use of a limit at least, and where each takes its best objective.
fn extremes(rows: &Rows, k: usize) -> (f64, f64) {
    let fixed = rows.fixed_usage[k].value();
    let (mut least, mut best) = (fixed, fixed);
    for row in 0..rows.len() {
        let used = |pair: usize| -> f64 {
            let of_pair = pair * rows.n_resources..(pair + 1) * rows.n_resources;
            let counted = rows.usage[of_pair.clone()].iter().zip(&rows.limit[of_pair]);
            counted.filter(|(_, &limit)| limit as usize == k).map(|(used, _)| used).sum()
        };
        least += rows.pairs(row).map(used).fold(f64::INFINITY, f64::min);
        let pair = rows.pairs(row).min_by(|&a, &b| rows.objective[a].total_cmp(&rows.objective[b]));
        best += pair.map_or(0.0, used);
    }
    (least, best)
}
