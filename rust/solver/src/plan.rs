//! From multipliers to a plan: search the few rows whose choice is close, prove with the rows that are left.

use crate::oracle::{DualOracle, Goal, Interrupted, Progress, Screen, Tally, Watch};
use crate::relax::{left_over, Relaxed};
use crate::rows::Rows;
use crate::search::{grain, search, Found, Task};
use crate::settings::Settings;

/// Pairs in the cores that are searched one after the other, until one holds a plan.
const CORES: [usize; 3] = [600, 6_000, usize::MAX];
/// Nodes for a core that cannot prove anything.
const CORE_NODES: usize = 500;
/// Work, in numbers touched, that a search for a gap may do; counted and not timed, so that the answer is the same everywhere.
const GAP_WORK: usize = 4_000_000_000;
/// Steps of the ascent that a node is reckoned to take.
const STEPS_PER_NODE: usize = 40;
/// Nodes of the first round of a proof, and by how much the rounds grow.
const FIRST_ROUND: usize = 1_000;
const ROUND_GROWTH: usize = 4;
/// The first guess of the best plan: so far on the way from the bound to the plan at hand. Twice as far when the last was too low,
/// half as far when it took too many nodes.
const FIRST_SHARE: f64 = 0.125;
/// Rounds of a proof that may end with stalled nodes before no further one is tried.
const GIVEN_UP: usize = 3;
/// Models up to which a proof splits on loads; each adds two rows to the basis.
const LOAD_MODELS: usize = 32;
/// Sums nearer to a limit than this, relative to it, are not trusted to say whether it holds.
const NEAR: f64 = 1e-9;
/// Rows of at most this many pairs are searched at once.
const SMALL_PAIRS: usize = 6_000;

/// The best plan and the best bound.
pub(crate) struct Planned {
    pub(crate) plan: Option<(Vec<i32>, Tally)>,
    /// Objective of the plan, the goal minimised.
    pub(crate) objective: f64,
    pub(crate) bound: f64,
    pub(crate) nodes: usize,
    /// Differences that the search did not tell apart; part of the bound.
    pub(crate) resolution: f64,
    /// Proven that there is no plan.
    pub(crate) impossible: bool,
    pub(crate) interrupted: Option<Interrupted>,
}

/// Finds a plan and proves how good it is.
pub(crate) fn plan<O: DualOracle>(
    oracle: &mut O,
    goal: Goal,
    relaxed: &Relaxed,
    settings: &Settings,
    watch: &dyn Watch,
) -> Planned {
    let mut planner = Planner {
        goal,
        // What is reached while diagnosing is of no interest to somebody watching the objective.
        sign: if goal == Goal::Objective { oracle.sign() } else { f64::NAN },
        settings,
        watch,
        elsewhere: Vec::new(),
        pending: None,
        out: Planned {
            plan: None,
            objective: f64::INFINITY,
            bound: relaxed.bound,
            nodes: 0,
            resolution: 0.0,
            impossible: false,
            interrupted: None,
        },
    };
    if let Err(stop) = planner.go(oracle, relaxed) {
        planner.out.interrupted = Some(stop);
    }
    // After a stop the best plan may not have been added up; then the one before counts.
    let kept = planner.out.plan.as_ref();
    planner.out.objective = kept.map_or(f64::INFINITY, |(_, tally)| oracle.goal_of(goal, tally));
    planner.out
}

struct Planner<'s> {
    goal: Goal,
    /// To the sign of the problem, for reports.
    sign: f64,
    settings: &'s Settings,
    watch: &'s dyn Watch,
    /// Queries with a choice that are not searched at present, and their models.
    elsewhere: Vec<(usize, i32)>,
    /// The best plan so far, as the queries with a choice and their models, where it has not been added up yet.
    pending: Option<Vec<(usize, i32)>>,
    out: Planned,
}

/// Between the units of some rows and those of the problem.
#[derive(Clone, Copy)]
struct Units {
    scale: f64,
    fixed: f64,
}

impl Units {
    fn to_rows(self, objective: f64) -> f64 {
        objective * self.scale - self.fixed
    }

    fn to_problem(self, objective: f64) -> f64 {
        (objective + self.fixed) / self.scale
    }
}

impl Planner<'_> {
    fn go<O: DualOracle>(&mut self, oracle: &mut O, relaxed: &Relaxed) -> Result<(), Interrupted> {
        let rows = &relaxed.rows;
        for size in CORES {
            let size = if relaxed.whole && rows.model.len() <= SMALL_PAIRS { usize::MAX } else { size };
            let all = size >= rows.model.len();
            let core = if all { None } else { Some(core(relaxed, size)) };
            let core = core.as_ref().unwrap_or(rows);
            self.elsewhere =
                (0..rows.len()).map(|row| (rows.query[row], rows.model[relaxed.key[row]] as i32)).collect();
            let proof = all && relaxed.whole;
            let found = self.search(oracle, core, relaxed, proof)?;
            if proof {
                self.settle(&found, core, relaxed);
                return found.interrupted.map_or(Ok(()), Err);
            }
            if let Some(stop) = found.interrupted {
                return Err(stop);
            }
            if self.is_done() {
                return Ok(());
            }
            if self.has_plan() {
                break;
            }
        }
        self.prove(oracle, relaxed)
    }

    /// Searches all pairs that a better plan could use: by reduced costs, those within the gap of their row's best.
    fn prove<O: DualOracle>(&mut self, oracle: &mut O, relaxed: &Relaxed) -> Result<(), Interrupted> {
        let gap = self.out.objective - relaxed.bound;
        let prices = relaxed.scale.to_problem(&relaxed.prices);
        let half_width = vec![if gap.is_finite() { 0.0 } else { f64::INFINITY }; prices.len()];
        let slack = gap * (1.0 + 1e-9) + 1e-12 * relaxed.bound.abs();
        let screen = Screen { prices, half_width, slack, sample: 0, seed: 0 };
        let mut rows = oracle.screen(self.goal, &screen)?;
        rows.rescale(&relaxed.scale);
        self.elsewhere.clear();
        let found = self.search(oracle, &rows, relaxed, true)?;
        self.settle(&found, &rows, relaxed);
        found.interrupted.map_or(Ok(()), Err)
    }

    /// Nodes for a search that can prove something. An exact answer is worth more of them than the last digits of a gap.
    fn node_limit(&self, rows: &Rows) -> usize {
        if self.settings.rel_gap == 0.0 {
            return self.settings.node_limit;
        }
        let (numbers, basis) = (rows.model.len() * (rows.n_resources + 2), rows.n_limits + 2 * LOAD_MODELS);
        let node_work = STEPS_PER_NODE * (3 * numbers + 2 * basis * basis);
        (self.settings.node_limit / 50).min(GAP_WORK / node_work)
    }

    /// Draws the conclusion from a search over every pair that matters: complete, the plan is best to within the gap asked
    /// for, or there is none; else its open nodes give a bound.
    fn settle(&mut self, found: &Found, rows: &Rows, relaxed: &Relaxed) {
        let proven = if !found.complete {
            let bound = (found.bound + rows.fixed_objective.value()) / relaxed.scale.objective;
            bound - 1e-12 * bound.abs()
        } else if self.has_plan() {
            self.out.resolution = self.resolution(rows, relaxed) / relaxed.scale.objective;
            self.out.objective - self.allowed_gap(self.out.objective).max(self.out.resolution)
        } else {
            self.out.impossible = true;
            return;
        };
        self.out.bound = self.out.bound.max(proven).min(self.out.objective);
    }

    fn allowed_gap(&self, objective: f64) -> f64 {
        0.999 * self.settings.rel_gap * objective.abs()
    }

    fn has_plan(&self) -> bool {
        self.out.objective < f64::INFINITY
    }

    fn is_done(&self) -> bool {
        self.has_plan() && self.out.objective <= self.target()
    }

    fn target(&self) -> f64 {
        self.out.bound + self.settings.rel_gap * self.out.bound.abs()
    }

    /// Searches rows for a better plan; where that can prove something, in rounds of growing size that take turns at splitting
    /// loads and single rows, since either may need a thousand times the nodes of the other.
    fn search<O: DualOracle>(
        &mut self,
        oracle: &mut O,
        rows: &Rows,
        relaxed: &Relaxed,
        proves: bool,
    ) -> Result<Found, Interrupted> {
        if !proves {
            return self.search_once(oracle, rows, relaxed, CORE_NODES, false, f64::INFINITY);
        }
        let turns = oracle.n_models() <= LOAD_MODELS;
        let mut left = self.node_limit(rows);
        let mut nodes = if turns { FIRST_ROUND } else { left };
        let (mut bound, mut split_loads, mut share) = (f64::NEG_INFINITY, turns, FIRST_SHARE);
        let mut given_up = 0;
        loop {
            let guess = self.guess(rows, relaxed, bound, share);
            let units = Units { scale: relaxed.scale.objective, fixed: rows.fixed_objective.value() };
            let mut found = self.search_once(oracle, rows, relaxed, nodes.min(left), split_loads, guess)?;
            found.bound = found.bound.max(bound);
            // Nodes are left, yet something is unsettled: the ascent has stalled there, and would again.
            given_up += usize::from(!found.complete && found.nodes < nodes.min(left));
            left -= found.nodes.min(left);
            bound = found.bound;
            let below = found.complete && guess < units.to_rows(self.out.objective);
            if below {
                found.complete = false;
            }
            if found.complete || found.interrupted.is_some() || left == 0 || given_up > GIVEN_UP || self.is_done() {
                return Ok(found);
            }
            if below {
                // The guess was too low: that is proven now.
                share *= 2.0;
            } else {
                nodes *= ROUND_GROWTH;
                share *= 0.5;
                split_loads = !split_loads;
            }
        }
    }

    /// A value, in the units of the rows, below which the best plan may be: a small way from the bound to the plan at hand. A
    /// search below it drops most pairs at once; infinity to search below the plan.
    fn guess(&self, rows: &Rows, relaxed: &Relaxed, bound: f64, share: f64) -> f64 {
        let units = Units { scale: relaxed.scale.objective, fixed: rows.fixed_objective.value() };
        let (bound, best) = (bound.max(units.to_rows(relaxed.bound)), units.to_rows(self.out.objective));
        let guess = bound + share * (best - bound);
        if share < 1.0 && guess.is_finite() && best - guess > 4.0 * self.resolution(rows, relaxed) {
            guess
        } else {
            f64::INFINITY
        }
    }

    fn search_once<O: DualOracle>(
        &mut self,
        oracle: &mut O,
        rows: &Rows,
        relaxed: &Relaxed,
        node_limit: usize,
        split_loads: bool,
        guess: f64,
    ) -> Result<Found, Interrupted> {
        let units = Units { scale: relaxed.scale.objective, fixed: rows.fixed_objective.value() };
        let mut limit = left_over(oracle, self.goal, rows, &relaxed.scale);
        round_to_grain(rows, &mut limit);
        let finest = self.resolution(rows, relaxed).max(0.999 * grain(rows.objective.iter().copied()));
        let rel_gap = self.settings.rel_gap;
        let margin = |best: f64| {
            let allowed = 0.999 * rel_gap * units.to_problem(best).abs() * units.scale;
            allowed.max(finest)
        };
        let best = units.to_rows(self.out.objective);
        let cutoff = if best.is_finite() { (best - margin(best)).min(guess) } else { f64::INFINITY };
        let task = Task { cutoff, target: units.to_rows(self.target()), margin: &margin, node_limit, split_loads };
        self.report("search", rows)?;
        let watch = self.watch;
        let found = search(rows, limit.clone(), &relaxed.prices, &task, watch, &mut |pairs| {
            self.consider(oracle, rows, &limit, pairs, units)
        });
        self.out.nodes += found.nodes;
        if let (Some(changed), true) = (self.pending.take(), found.interrupted != Some(Interrupted::Abandoned)) {
            let kept = self.keep(oracle, &changed)?;
            debug_assert!(kept, "the rows said that the plan meets every limit");
        }
        Ok(found)
    }

    /// Differences between plans, in the units of the rows, that float64 sums are not trusted to tell apart; none where the
    /// objective goes in coarser steps.
    fn resolution(&self, rows: &Rows, relaxed: &Relaxed) -> f64 {
        let tiny = 1e-12 * (1.0 + relaxed.bound.abs() * relaxed.scale.objective);
        if tiny < 0.999 * grain(rows.objective.iter().copied()) {
            0.0
        } else {
            tiny
        }
    }

    /// Keeps a plan that meets every limit exactly and is the best so far; returns its objective in the units of the rows.
    ///
    /// Sums over the rows say whether it does; only where they are too near a limit are the user's own numbers added up.
    fn consider<O: DualOracle>(
        &mut self,
        oracle: &mut O,
        rows: &Rows,
        limit: &[f64],
        pairs: &[usize],
        units: Units,
    ) -> Result<Option<f64>, Interrupted> {
        let mut used = vec![0.0; limit.len() + 1];
        pairs.iter().for_each(|&pair| rows.add_usage(pair, 1.0, &mut used));
        let near = |k: usize| NEAR * (1.0 + limit[k].abs()) + 8.0 * f64::EPSILON * rows.fixed_usage[k].value().abs();
        if (0..limit.len()).any(|k| used[k] > limit[k] + near(k)) {
            return Ok(None);
        }
        let objective: f64 = pairs.iter().map(|&pair| rows.objective[pair]).sum();
        let total = units.to_problem(objective);
        if total >= self.out.objective {
            return Ok(Some(objective));
        }
        let changed = self.elsewhere.iter().copied();
        let changed = changed.chain(rows.query.iter().zip(pairs).map(|(&i, &pair)| (i, rows.model[pair] as i32)));
        let changed: Vec<(usize, i32)> = changed.collect();
        if (0..limit.len()).any(|k| used[k] > limit[k] - near(k)) {
            let kept = self.keep(oracle, &changed)?;
            self.report("search", rows)?;
            return Ok(kept.then(|| units.to_rows(self.out.objective)));
        }
        self.out.objective = total;
        self.pending = Some(changed);
        self.report("search", rows)?;
        Ok(Some(objective))
    }

    /// Adds up a plan and keeps it, unless it breaks a limit or is no better than one that was kept.
    fn keep<O: DualOracle>(&mut self, oracle: &mut O, changed: &[(usize, i32)]) -> Result<bool, Interrupted> {
        let plan = oracle.assignment(changed);
        let tally = oracle.tally(&plan)?;
        if !tally.broken.iter().all(|&k| self.goal == Goal::Usage(k)) || tally.forbidden {
            return Ok(false);
        }
        let total = oracle.goal_of(self.goal, &tally);
        if self.out.plan.as_ref().is_none_or(|(_, best)| total < oracle.goal_of(self.goal, best)) {
            self.out.objective = total;
            self.out.plan = Some((plan, tally));
            self.pending = None;
        }
        Ok(true)
    }

    fn report(&self, phase: &'static str, rows: &Rows) -> Result<(), Interrupted> {
        let objective = if self.has_plan() { self.out.objective } else { f64::NAN };
        let (bound, objective) = (self.sign * self.out.bound, self.sign * objective);
        self.watch.report(&Progress { phase, queries: rows.len(), bound, objective })
    }
}

/// Where all that can be used of a limit comes in multiples of a power of two (accuracies k/16, counts), the rest of the limit
/// beyond the last multiple is of no use: a Chvátal–Gomory cut.
pub(crate) fn round_to_grain(rows: &Rows, limit: &mut [f64]) {
    let mut usage: Vec<Vec<f64>> = vec![Vec::new(); limit.len() + 1];
    rows.usage.iter().zip(&rows.limit).for_each(|(&amount, &k)| usage[k as usize].push(amount));
    for (limit, usage) in limit.iter_mut().zip(usage) {
        let grain = grain(usage.into_iter());
        if grain > 0.0 {
            // The sums behind the limit carry rounding errors; what is a multiple up to those stays.
            *limit = (*limit / grain + 1e-6).floor() * grain;
        }
    }
}

/// The rows that the vertex divides, and those whose second choice is nearest, up to a number of pairs.
fn core(relaxed: &Relaxed, size: usize) -> Rows {
    let rows = &relaxed.rows;
    let mut prices = relaxed.prices.clone();
    prices.push(0.0);
    let reduced = |pair: usize| rows.objective[pair] + rows.dot(pair, &prices);
    let mut regret: Vec<(f64, usize)> = (0..rows.len())
        .map(|row| {
            let key = relaxed.key[row];
            let others = rows.pairs(row).filter(|&pair| pair != key);
            (others.map(|pair| reduced(pair) - reduced(key)).fold(f64::INFINITY, f64::min), row)
        })
        .collect();
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
    rows.filtered(|row, pair| chosen[row] || pair == relaxed.key[row])
}
