//! The best plans over a range of one limit, a budget say, together: all of them share each read of the rows.
//!
//! A bound misses the best one by the *square* of what its prices are off, so a small gap needs no exact multipliers. A sample
//! gives prices for every budget by Newton steps. One read of the rows says what all rows use at each of these, and the
//! sample how usage answers to prices, which moves them near their tops (a control variate). A second read gives for each
//! budget a bound, exact sums over the cheapest pairs, and the few rows in which the choice is closest. Among those the ascent
//! makes a plan that meets the limits. A budget for which that proves too little gets another round, and in the end is left to a
//! single solve.

use crate::dense::DenseOracle;
use crate::error::InputError;
use crate::ladder::Ladder;
use crate::many::{Close, Look, Seen};
use crate::newton::{Curvature, Place, Sample};
use crate::oracle::{DualOracle, Goal, Interrupted, Progress, Screen, Watch};
use crate::owned::OwnedProblem;
use crate::pass::{Data, Names};
use crate::point::{finish, Line, Near, Plan};
use crate::pool::Pool;
use crate::problem::{Problem, LARGEST};
use crate::sample::sample;
use crate::settings::Settings;
use crate::solution::relative_gap;

/// Queries of the sample, and the least number per limit; smaller problems are left to single solves.
const SAMPLE: usize = 2_048;
const SAMPLE_PER_LIMIT: usize = 32;
/// Queries of the sample that is climbed from zero prices.
const FIRST_SAMPLE: usize = 256;
/// What is left to gain on the sample that is not worth a step, in gaps.
const ENOUGH: f64 = 1e-4;
/// Reads for all budgets that are not proven yet, and the rows per limit with a price among which a plan is made.
const CLOSE: [usize; 3] = [192, 192, 256];
/// Gaps below this are left to single solves: here every query of a batch counts.
const LEAST_GAP: f64 = 1e-6;

/// Which budgets.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'b> {
    /// These.
    Budgets(&'b [f64]),
    /// So many, in equal ratios, from a little above the least possible use to where more buys next to nothing.
    Spread(usize),
}

/// The best plan for one budget, in the units and sign of the problem.
#[derive(Debug, Clone, PartialEq)]
pub struct CurvePoint {
    /// Objective of a plan that meets every limit.
    pub objective: f64,
    /// What no plan can pass: the dual value at `prices`.
    pub bound: f64,
    /// What the plan uses of the budget.
    pub used: f64,
    /// The multipliers, one per limit.
    pub prices: Vec<f64>,
    /// The plan is the cheapest model of each query at these prices, but for the changes.
    pub(crate) plan: Plan,
}

/// Points of a curve.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    /// As asked for; empty where no spread could be found.
    pub budgets: Vec<f64>,
    /// Proven to the gap of the settings; `None` where single solves are better at it.
    pub points: Vec<Option<CurvePoint>>,
    /// Reads of all rows.
    pub passes: usize,
}

/// Points for budgets of one resource, which adds up over everything, "at most"; its own limit counts for nothing.
///
/// # Errors
/// Bad input, named. The inner error says that the watch asked to stop.
pub fn curve(
    problem: &Problem<'_>,
    settings: &Settings,
    resource: usize,
    wanted: Wanted<'_>,
    watch: &dyn Watch,
) -> Result<Result<Curve, Interrupted>, InputError> {
    settings.validate()?;
    let mut problem = problem.clone();
    problem.resources[resource].limits = vec![LARGEST];
    let mut oracle = DenseOracle::in_memory(&problem, settings.threads, watch)?;
    Ok(draw(&mut oracle, &problem, resource, wanted, settings, watch))
}

/// The model of each query in the plan of a point of the curve of this problem: one read of all rows.
///
/// # Errors
/// As for [`curve`].
pub fn curve_plan(
    problem: &Problem<'_>,
    settings: &Settings,
    resource: usize,
    point: &CurvePoint,
    watch: &dyn Watch,
) -> Result<Result<Vec<i32>, Interrupted>, InputError> {
    let mut problem = problem.clone();
    problem.resources[resource].limits = vec![LARGEST];
    let oracle = DenseOracle::in_memory(&problem, settings.threads, watch)?;
    let part = &oracle.parts().parts[0];
    let choices = part.lender().data().choices(part.pool(), point.plan.prices.clone(), watch);
    Ok(choices.map(|mut plan| {
        point.plan.changed.iter().for_each(|&(query, model)| plan[query] = i32::from(model));
        plan
    }))
}

fn draw(
    oracle: &mut DenseOracle<'_>,
    problem: &Problem<'_>,
    resource: usize,
    wanted: Wanted<'_>,
    settings: &Settings,
    watch: &dyn Watch,
) -> Result<Curve, Interrupted> {
    let at = oracle.limits().position[resource][0] as usize;
    let n_limits = oracle.limits().ids.len();
    let usual = |budget: &f64| *budget > 0.0 && *budget <= LARGEST;
    let budgets = match wanted {
        Wanted::Budgets(budgets) => budgets.to_vec(),
        Wanted::Spread(_) => Vec::new(),
    };
    let nothing = Curve { points: vec![None; budgets.len()], budgets: budgets.clone(), passes: 0 };
    let size = SAMPLE.max(SAMPLE_PER_LIMIT * n_limits);
    let Some(sampled) = sample(oracle.n_queries(), size, settings.seed) else { return Ok(nothing) };
    if oracle.n_queries() < 2 * size || settings.rel_gap < LEAST_GAP || !budgets.iter().all(usual) {
        return Ok(nothing);
    }
    let first = oracle.screen(Goal::Objective, &Screen::everything(n_limits, FIRST_SAMPLE, settings.seed))?;
    let part = &oracle.parts().parts[0];
    let (data, pool) = (part.lender().data(), part.pool());
    let mut owned = OwnedProblem::without_rows(problem);
    sampled.iter().for_each(|&row| owned.push(problem, row));
    let sample = Data::new(owned.view(), &data.limits, &data.facts, Names::Listed(&sampled));
    let share = data.facts.shares(&data.limits, size, &data.group_counts(&sampled));
    let sample = Sample { turned: sample.turned(), data: &sample };
    let ground = Ground { data, sample, share, at, rel_gap: settings.rel_gap };
    let mut drawing = Drawing { ground, pool, watch, passes: 0 };
    let range = (!budgets.is_empty())
        .then(|| budgets.iter().fold((f64::INFINITY, 0.0), |(low, high): (f64, f64), b| (low.min(*b), high.max(*b))));
    let Some(ladder) = Ladder::build(&mut drawing, first, range)? else { return Ok(nothing) };
    let budgets = match wanted {
        Wanted::Budgets(budgets) => budgets.to_vec(),
        Wanted::Spread(points) => {
            let (least, most) = ladder.ends(&drawing.ground);
            if !(least > 0.0 && most > least) {
                return Ok(nothing);
            }
            spread(least, most, points)
        }
    };
    let points = drawing.points(&budgets, &ladder)?;
    Ok(Curve { budgets, points, passes: drawing.passes })
}

/// So many numbers in equal ratios.
fn spread(least: f64, most: f64, points: usize) -> Vec<f64> {
    let ratio = (most / least).ln() / (points - 1) as f64;
    let mut out: Vec<f64> = (0..points).map(|s| least * (ratio * s as f64).exp()).collect();
    (out[0], out[points - 1]) = (least, most);
    out
}

/// What all points of a curve share.
pub(crate) struct Ground<'d> {
    pub(crate) data: &'d Data<'d>,
    pub(crate) sample: Sample<'d>,
    /// Of each limit, what the sample stands for.
    pub(crate) share: Vec<f64>,
    /// The limit that changes.
    pub(crate) at: usize,
    pub(crate) rel_gap: f64,
}

/// A curve in the making.
pub(crate) struct Drawing<'d> {
    pub(crate) ground: Ground<'d>,
    pool: &'d Pool,
    pub(crate) watch: &'d dyn Watch,
    passes: usize,
}

impl Ground<'_> {
    /// All limits, for a budget.
    pub(crate) fn limits(&self, budget: f64) -> Vec<f64> {
        let mut limits = self.data.limits.values.clone();
        limits[self.at] = budget;
        limits
    }

    /// Their shares.
    pub(crate) fn of_sample(&self, limits: &[f64]) -> Vec<f64> {
        limits.iter().zip(&self.share).map(|(limit, share)| limit * share).collect()
    }

    /// More than the objective of any plan, in magnitude.
    pub(crate) fn most_own(&self) -> f64 {
        self.data.problem.n_queries as f64 * self.data.largest_own(Goal::Objective)
    }

    /// What is not worth a step on the sample.
    pub(crate) fn enough(&self, place: &Place, limits: &[f64]) -> f64 {
        ENOUGH * self.rel_gap * place.value(limits).abs()
    }

    /// By how much all rows use more than the sample says, in its units.
    pub(crate) fn beyond(&self, place: &Place, line: &Line) -> Vec<f64> {
        line.used.iter().zip(&self.share).zip(&place.used).map(|((all, share), used)| all * share - used).collect()
    }

    /// Climbs on the sample, towards where it uses its share of the limits less what all rows use `beyond` it.
    pub(crate) fn climbed(
        &self,
        place: Place,
        limits: &[f64],
        beyond: &[f64],
        held: Option<usize>,
        steps: usize,
    ) -> Option<Place> {
        let left: Vec<f64> = self.of_sample(limits).iter().zip(beyond).map(|(limit, beyond)| limit - beyond).collect();
        let enough = self.enough(&place, &left);
        self.sample.climb(place, &left, held, steps, enough)
    }

    /// The best plan at hand within some limits, and the best bound, where these prove enough.
    fn best(&self, lines: &[Line], plans: &[Plan], limits: &[f64]) -> Option<CurvePoint> {
        let within = plans.iter().filter(|plan| plan.used <= limits[self.at]);
        let plan = within.min_by(|a, b| a.objective.total_cmp(&b.objective))?;
        let (bound, line) = lines.iter().map(|line| (line.bound(limits), line)).max_by(|a, b| a.0.total_cmp(&b.0))?;
        let sign = self.data.pricing(Goal::Objective, &line.prices).weight();
        let (objective, bound) = (sign * plan.objective, sign * bound);
        (relative_gap(objective, bound) <= self.rel_gap).then(|| CurvePoint {
            objective,
            bound,
            used: plan.used,
            prices: line.prices.clone(),
            plan: plan.clone(),
        })
    }
}

impl Drawing<'_> {
    /// Reads all rows at some prices; the widths say which rows tell how usage answers to them.
    pub(crate) fn places(&mut self, looks: Vec<Look>) -> Result<Vec<(Line, Place)>, Interrupted> {
        self.passes += 1;
        let (data, n_limits) = (self.ground.data, self.ground.share.len());
        let show = |sum: &mut Curvature, row: &Close<'_>| sum.add(data, row);
        let empty = |_| Curvature::flat(n_limits);
        let found = data.look(self.pool, &looks, self.watch, empty, show, Curvature::append)?;
        let place = |(look, (seen, curvature)): (Look, (Seen, Curvature))| {
            (Line::new(data, look.prices.clone(), &seen), Place::new(look, &seen, curvature))
        };
        Ok(looks.into_iter().zip(found).map(place).collect())
    }

    /// The same, with the rows in which the choice is closest.
    fn near(&mut self, looks: Vec<Look>) -> Result<Vec<(Line, Near)>, Interrupted> {
        self.passes += 1;
        let data = self.ground.data;
        let show = |near: &mut Near, row: &Close<'_>| near.take(data, row);
        let found = data.look(self.pool, &looks, self.watch, |rows| Near::none(data, rows), show, Near::append)?;
        let line = |(look, (seen, near)): (Look, (Seen, Near))| {
            let near = near.counted(data, &seen);
            (Line::new(data, look.prices, &seen), near)
        };
        Ok(looks.into_iter().zip(found).map(line).collect())
    }

    fn points(&mut self, budgets: &[f64], ladder: &Ladder) -> Result<Vec<Option<CurvePoint>>, Interrupted> {
        let limits: Vec<Vec<f64>> = budgets.iter().map(|&budget| self.ground.limits(budget)).collect();
        // Beyond the last rung more buys nothing.
        let most = ladder.ends(&self.ground).1;
        let aims: Vec<Vec<f64>> = budgets.iter().map(|&budget| self.ground.limits(budget.min(most))).collect();
        let mut pending: Vec<(usize, Vec<f64>, &Place)> = Vec::new();
        for (s, &budget) in budgets.iter().enumerate() {
            let budget = budget.min(most);
            pending.extend(ladder.at(&self.ground, budget).map(|(prices, rung)| (s, prices, rung)));
        }
        let (mut lines, mut plans): (Vec<Line>, Vec<Plan>) = (ladder.lines().cloned().collect(), Vec::new());
        let mut points = vec![None; budgets.len()];
        for close in CLOSE {
            if pending.is_empty() {
                break;
            }
            let n = self.ground.data.problem.n_queries;
            let look = |(_, prices, rung): &(usize, Vec<f64>, &Place)| Look {
                prices: prices.clone(),
                slack: rung.width_of(n, close * priced(prices), n),
            };
            let looks: Vec<Look> = pending.iter().map(look).collect();
            let slack: Vec<f64> = looks.iter().map(|look| look.slack).collect();
            let found = self.near(looks)?;
            let ground = &self.ground;
            let finished = self.pool.each(found.len(), |i| finish(ground, &found[i], slack[i], &aims[pending[i].0]));
            for (point, (plan, prices)) in pending.iter_mut().zip(finished) {
                plans.extend(plan);
                point.1 = prices;
            }
            lines.extend(found.into_iter().map(|(line, _)| line));
            points = limits.iter().map(|limits| ground.best(&lines, &plans, limits)).collect();
            pending.retain(|&(s, ..)| points[s].is_none());
            let done = points.iter().flatten().count();
            self.watch.report(&Progress { phase: "curve", queries: done, bound: f64::NAN, objective: f64::NAN })?;
        }
        Ok(points)
    }
}

/// Limits with a price, and one more, which may get one.
fn priced(prices: &[f64]) -> usize {
    prices.iter().filter(|price| **price > 0.0).count() + 1
}

/// What is used too much.
pub(crate) fn over(line: &Line, limits: &[f64]) -> Vec<f64> {
    line.used.iter().zip(limits).map(|(used, limit)| used - limit).collect()
}
