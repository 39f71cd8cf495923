//! [`ShardedOracle`]: the outer algorithm asks all parts of the rows, and adds up what they answer.

use std::sync::Arc;

use crate::error::InputError;
use crate::facts::Facts;
use crate::grid::{GridSum, GRID_LARGEST};
use crate::oracle::{DualOracle, DualPoint, Goal, Interrupted, Prices, Screen, Tally, Watch};
use crate::part::{Kept, Lender, Part};
use crate::pass::{is_per_load, Data, Names, PlanSums, Point};
use crate::problem::{Limits, Problem, Scope, Sense, Usage};
use crate::rows::Rows;
use crate::sums::{OrderedSum, Summed};
use crate::watch::Finishing;

/// Models a choice can be of.
const MOST_MODELS: usize = 1 << 16;

/// Parts of the rows, wherever they are, in the order of their rows. Each answers for itself; answers of parts without rows
/// are left out.
pub trait Parts {
    /// Sums of one pass at some prices.
    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<Vec<Point>, Interrupted>;
    /// What one screening pass keeps.
    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Vec<Kept>, Interrupted>;
    /// Sums over a plan; see [`DualOracle::tally`].
    fn tally(&mut self, changed: &[(usize, i32)]) -> Result<Vec<PlanSums>, Interrupted>;
    /// Sums over the same plan in the order of the rows, one part after the other.
    fn add_up(&mut self, sums: Vec<OrderedSum>) -> Result<Vec<OrderedSum>, Interrupted>;
    /// Holds on to the plan that was added up last.
    fn keep(&mut self) -> Result<(), Interrupted>;
    /// The models of the plan that is held.
    fn assignment(&mut self) -> Result<Vec<i32>, Interrupted>;
    /// The limits, as (resource, member), that the pairs of a query pass by themselves.
    fn blocking(&mut self, query: usize) -> Result<Vec<(usize, usize)>, Interrupted>;
}

/// All rows, in parts.
pub struct ShardedOracle<'f, P> {
    parts: P,
    /// The problem without rows: limits, and the grids of its sums.
    form: Data<'f>,
    passes: usize,
}

/// Sums of a plan, added again where it matters.
struct Settled {
    inputs: Vec<f64>,
    /// Whether each limit is met, and the sum that decides.
    compared: Vec<(bool, f64)>,
}

impl<'f, P: Parts> ShardedOracle<'f, P> {
    /// For a problem without its rows, the facts of all rows, and the parts that know both.
    ///
    /// # Errors
    /// No rows at all, too many models, or numbers that are all too small.
    pub fn new(form: Problem<'f>, facts: Facts, parts: P) -> Result<Self, InputError> {
        let (n_queries, n_models) = (facts.n_queries, form.n_models);
        if n_queries == 0 || n_models == 0 {
            return Err(InputError::Empty { n_queries, n_models });
        }
        if n_models > MOST_MODELS {
            return Err(InputError::TooManyModels { n_models, most: MOST_MODELS });
        }
        form.check_smallest(&facts.magnitudes)?;
        let limits = Arc::new(form.limits());
        Ok(Self { parts, form: Data::new(form, &limits, &Arc::new(facts), Names::From(0)), passes: 0 })
    }

    /// The parts.
    pub fn parts(&self) -> &P {
        &self.parts
    }

    /// The parts, to be changed.
    pub fn parts_mut(&mut self) -> &mut P {
        &mut self.parts
    }

    /// Whether priced objectives have a grid to be summed on.
    fn has_grid(&self, goal: Goal, prices: &Prices) -> bool {
        self.form.pricing(goal, prices).magnitude(&self.form.facts.magnitudes) <= GRID_LARGEST
    }

    /// The sum of each input over a plan; and for each limit whether the plan's sum meets it, and the sum that decides. Near
    /// the limit the numbers are added again, exactly and as numpy adds them, and either sum may meet it: so the verdict does
    /// not depend on the order of the rows, and a limit computed with numpy from a plan accepts that plan. An input whose
    /// chosen numbers are so small that its grid is coarse for them is added again exactly too.
    fn settle(&mut self, sums: &PlanSums) -> Result<Settled, Interrupted> {
        let mut inputs: Vec<f64> = sums.inputs.iter().map(GridSum::value).collect();
        let limits = &self.form.limits;
        let compared =
            sums.used.usage.iter().zip(&limits.values).map(|(sum, &limit)| (sum.value() <= limit, sum.value()));
        let mut compared: Vec<(bool, f64)> = compared.collect();
        let near = (0..limits.values.len()).filter(|&k| self.is_near(k, sums));
        let near = near.map(|k| OrderedSum::new(Summed::Limit(k), self.count(k, sums)));
        let coarse = (0..inputs.len()).filter(|&input| self.is_coarse(input, sums));
        let coarse = coarse.map(|input| OrderedSum::new(Summed::Input(input), self.form.facts.n_queries as u64));
        let ordered: Vec<OrderedSum> = near.chain(coarse).collect();
        if !ordered.is_empty() {
            let values = self.form.limits.values.clone();
            for sum in self.parts.add_up(ordered)? {
                match sum.of {
                    Summed::Limit(k) => compared[k] = sum.fits(values[k]),
                    Summed::Input(input) => inputs[input] = sum.exact(),
                }
            }
        }
        Ok(Settled { inputs, compared })
    }

    /// Whether what the grid of an input rounds off could be seen in a sum.
    fn is_coarse(&self, input: usize, sums: &PlanSums) -> bool {
        let (sum, n) = (&sums.inputs[input], self.form.facts.n_queries);
        self.form.facts.magnitudes.largest[input] > 0.0 && sum.error(n) > f64::EPSILON * sum.value().abs()
    }

    /// Whether the order of the numbers could decide if a limit is met.
    fn is_near(&self, k: usize, sums: &PlanSums) -> bool {
        let (limit, sum) = (self.form.limits.values[k], &sums.used.usage[k]);
        let (used, error) = (sum.value(), sum.error(self.form.facts.n_queries));
        (used - limit).abs() <= 1e-11 * (used.abs() + limit.abs()) + error && !self.is_whole(k, sums)
    }

    /// Whether all numbers under a limit are whole and so few that float64 adds them without rounding, in any order.
    fn is_whole(&self, k: usize, sums: &PlanSums) -> bool {
        let resource = &self.form.problem.resources[self.form.limits.ids[k].resource];
        let most = self.form.facts.magnitudes.usage[self.form.limits.ids[k].resource];
        let whole = match resource.usage {
            Usage::One(usage) => usage.fract() == 0.0,
            Usage::PerModel(usage) => usage.iter().all(|usage| usage.fract() == 0.0),
            Usage::PerQuery(_) | Usage::Dense(_) => false,
        };
        whole && is_per_load(&resource.usage, resource.scope) && most * self.count(k, sums) as f64 <= f64::powi(2.0, 53)
    }

    /// How many numbers add up under a limit.
    fn count(&self, k: usize, sums: &PlanSums) -> u64 {
        let id = self.form.limits.ids[k];
        match self.form.problem.resources[id.resource].scope {
            Scope::All => self.form.facts.n_queries as u64,
            Scope::Model => sums.used.load[id.member],
            Scope::Group(_) => self.form.facts.group_sizes[id.resource][id.member],
        }
    }
}

impl<P: Parts> DualOracle for ShardedOracle<'_, P> {
    fn n_queries(&self) -> usize {
        self.form.facts.n_queries
    }

    fn n_models(&self) -> usize {
        self.form.problem.n_models
    }

    fn limits(&self) -> &Limits {
        &self.form.limits
    }

    fn sign(&self) -> f64 {
        match self.form.problem.sense {
            Sense::Minimise => 1.0,
            Sense::Maximise => -1.0,
        }
    }

    fn goal_of(&self, goal: Goal, tally: &Tally) -> f64 {
        match goal {
            Goal::Objective => self.sign() * tally.inputs[self.form.problem.objective],
            Goal::Usage(k) => self.form.limits.sign[self.form.limits.ids[k].resource] * tally.usage[k],
            Goal::Feasibility => 0.0,
        }
    }

    fn rounding(&self, goal: Goal, prices: &Prices) -> f64 {
        self.form.pricing(goal, prices).rounding(&self.form.facts.magnitudes)
    }

    fn passes(&self) -> usize {
        self.passes
    }

    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<DualPoint, Interrupted> {
        self.passes += 1;
        if !self.has_grid(goal, prices) {
            return Ok(DualPoint::nothing(prices.len()));
        }
        let n = self.n_queries();
        let pricing = self.form.pricing(goal, prices);
        let mut sum = self.form.evaluate(&pricing, 0..0);
        let rounding = pricing.rounding(&self.form.facts.magnitudes);
        self.parts.evaluate(goal, prices)?.iter().for_each(|part| sum.merge(part));
        let error = n as f64 * rounding + sum.value.error(n);
        let usage = sum.used.usage.iter().map(GridSum::value).collect();
        Ok(DualPoint { value: sum.value.value(), error, usage, stranded: sum.stranded })
    }

    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Rows, Interrupted> {
        let everything = Screen::everything(screen.prices.len(), screen.sample, screen.seed);
        let screen = if self.has_grid(goal, &screen.prices) { screen } else { &everything };
        let mut parts = self.parts.screen(goal, screen)?.into_iter();
        let mut kept = parts.next().unwrap_or_else(|| Kept { rows: self.form.no_rows(goal), group_counts: Vec::new() });
        parts.for_each(|next| kept.merge(&next));
        if (1..self.n_queries()).contains(&screen.sample) {
            kept.rows.share = self.form.facts.shares(&self.form.limits, screen.sample, &kept.group_counts);
        } else {
            self.passes += 1;
        }
        Ok(kept.rows)
    }

    fn tally(&mut self, changed: &[(usize, i32)]) -> Result<Tally, Interrupted> {
        let mut sums = self.form.tally(0..0, &[]);
        self.parts.tally(changed)?.iter().for_each(|part| sums.merge(part));
        let Settled { inputs, compared } = self.settle(&sums)?;
        let broken = (0..compared.len()).filter(|&k| !compared[k].0).collect();
        let sign = |k: usize| self.form.limits.sign[self.form.limits.ids[k].resource];
        // Nothing is 0, under a minimum too.
        let usage = compared.iter().enumerate().map(|(k, (_, amount))| sign(k) * amount + 0.0).collect();
        Ok(Tally { inputs, load: sums.used.load, usage, broken, forbidden: sums.forbidden })
    }

    fn keep(&mut self) -> Result<(), Interrupted> {
        self.parts.keep()
    }

    fn assignment(&mut self) -> Result<Vec<i32>, Interrupted> {
        self.parts.assignment()
    }

    fn blocking(&mut self, query: usize) -> Result<Vec<usize>, Interrupted> {
        let limits = self.parts.blocking(query)?;
        Ok(limits.into_iter().map(|(r, member)| self.form.limits.position[r][member] as usize).collect())
    }
}

/// Parts in this process.
pub struct Local<'w, L> {
    pub(crate) parts: Vec<Part<L>>,
    pub(crate) watch: &'w dyn Watch,
}

impl<L: Lender> Local<'_, L> {
    /// Asks one part after the other.
    fn each<T>(
        &mut self,
        ask: impl Fn(&mut Part<L>, &dyn Watch) -> Result<Option<T>, Interrupted>,
    ) -> Result<Vec<T>, Interrupted> {
        self.parts.iter_mut().filter_map(|part| ask(part, self.watch).transpose()).collect()
    }
}

impl<L: Lender> Parts for Local<'_, L> {
    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<Vec<Point>, Interrupted> {
        self.each(|part, watch| part.evaluate(goal, prices, watch))
    }

    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Vec<Kept>, Interrupted> {
        self.each(|part, watch| part.screen(goal, screen, watch))
    }

    fn tally(&mut self, changed: &[(usize, i32)]) -> Result<Vec<PlanSums>, Interrupted> {
        // A plan at hand is added up even after a stop.
        self.each(|part, watch| part.tally(changed, &Finishing(watch)))
    }

    fn add_up(&mut self, mut sums: Vec<OrderedSum>) -> Result<Vec<OrderedSum>, Interrupted> {
        self.parts.iter_mut().try_for_each(|part| part.add_up(&mut sums, &Finishing(self.watch)))?;
        Ok(sums)
    }

    fn keep(&mut self) -> Result<(), Interrupted> {
        self.parts.iter_mut().for_each(Part::keep);
        Ok(())
    }

    fn assignment(&mut self) -> Result<Vec<i32>, Interrupted> {
        let mut parts = self.parts.iter_mut().map(Part::assignment);
        let mut out = parts.next().unwrap_or_default();
        parts.for_each(|next| out.extend(next));
        Ok(out)
    }

    fn blocking(&mut self, query: usize) -> Result<Vec<(usize, usize)>, Interrupted> {
        Ok(self.each(|part, watch| part.blocking(query, watch).map(Some))?.concat())
    }
}
