//! From multipliers to a plan: search the few rows whose choice is close, prove with the rows that are left.

use crate::branching::models;
use crate::jump;
use crate::knapsack;
use crate::oracle::{DualOracle, Goal, Interrupted, Progress, Screen, Tally, Watch};
use crate::presolve::missed_by_all;
use crate::relax::Relaxed;
use crate::repair::repair;
use crate::rows::Rows;
use crate::search::{search, Effort, Found, Judged, Task};
use crate::searched::{core, Searched};
use crate::settings::Settings;

/// Pairs in the cores that are searched one after the other, until one holds a plan.
const CORES: [usize; 3] = [600, 6_000, usize::MAX];
/// Nodes for a core that cannot prove anything.
const CORE_NODES: usize = 500;
/// Work, in numbers touched, that a search for a gap may do; counted and not timed, so that the answer is the same everywhere.
const GAP_WORK: usize = 4_000_000_000;
/// The same without a plan: a plan, or that there is none, is worth more than a smaller gap, but minutes are too much; never fewer
/// nodes than a core has.
const PLAN_WORK: usize = 5 * GAP_WORK;
/// The same for how near a limit can be met, which is asked for many limits at once.
const NEAREST_WORK: usize = GAP_WORK / 80;
/// Without a plan, one in so many of the points that a search rounds is a start for limits to be met from, with so much work in all
/// and per pair; half as often each time their number doubles beyond `JUMP_OFTEN`.
const JUMP_EVERY: usize = 4;
const JUMP_OFTEN: usize = 1_024;
const JUMP_WORK: usize = 10_000_000;
const JUMP_WORK_PER_PAIR: usize = 5_000;
/// Steps of the ascent that a node is reckoned to take.
const STEPS_PER_NODE: usize = 40;
/// Nodes of the plain attempt before a proof.
const PLAIN_ROUND: usize = 100;
/// Nodes of the first round of a proof, and by how much the rounds grow.
const FIRST_ROUND: usize = 1_000;
const ROUND_GROWTH: usize = 4;
/// The first guess of the best plan: so far on the way from the bound to the plan at hand. Twice as far when the last was too low,
/// half as far when it took too many nodes.
const FIRST_SHARE: f64 = 0.125;
/// The same where limits are knapsacks: near the bound, that of whole knapsacks leaves few pairs.
const FIRST_SHARE_OF_SACKS: f64 = 1.0 / 64.0;
/// Rounds of a proof that may end with stalled nodes before no further one is tried.
const GIVEN_UP: usize = 3;
/// Models up to which a proof splits on loads; each adds two rows to the basis.
const LOAD_MODELS: usize = 64;
/// Sums nearer to a limit than this, relative to it, are not trusted to say whether it holds.
pub(crate) const NEAR: f64 = 1e-9;
/// Rows of at most this many pairs are searched at once.
const SMALL_PAIRS: usize = 6_000;

/// The best plan and the best bound.
pub(crate) struct Planned {
    /// Sums over the plan that the oracle holds.
    pub(crate) plan: Option<Tally>,
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
        prices: &relaxed.prices,
        starts: 0,
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
    planner.out.objective = kept.map_or(f64::INFINITY, |tally| oracle.goal_of(goal, tally));
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
    /// Prices of the relaxation.
    prices: &'s [f64],
    /// Points of searches that broke a limit, as long as there was no plan.
    starts: usize,
    out: Planned,
}

impl Planner<'_> {
    fn go<O: DualOracle>(&mut self, oracle: &mut O, relaxed: &Relaxed) -> Result<(), Interrupted> {
        if missed_by_all(oracle, self.goal, relaxed)? {
            self.out.impossible = true;
            return Ok(());
        }
        let rows = &relaxed.rows;
        self.elsewhere = (0..rows.len()).map(|row| (rows.query[row], rows.model[relaxed.most[row]] as i32)).collect();
        for size in CORES {
            let size = if relaxed.whole && rows.model.len() <= SMALL_PAIRS { usize::MAX } else { size };
            let all = size >= rows.model.len();
            let core = if all { None } else { Some(core(relaxed, size)) };
            let core = Searched::new(oracle, self.goal, core.as_ref().unwrap_or(rows), relaxed);
            let proof = all && relaxed.whole;
            self.round(oracle, &core, relaxed, proof)?;
            if self.is_done() {
                return Ok(());
            }
            if proof {
                let near = self.near(&core, relaxed);
                let near = Searched::new(oracle, self.goal, near.as_ref().unwrap_or(rows), relaxed);
                let found = self.search(oracle, &near, relaxed, true)?;
                self.settle(&found, &near);
                return found.interrupted.map_or(Ok(()), Err);
            }
            let found = self.search(oracle, &core, relaxed, false)?;
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

    /// The vertex rounded and repaired, on the rows as they are: often good enough, and far cheaper than a search.
    fn round<O: DualOracle>(
        &mut self,
        oracle: &mut O,
        part: &Searched<'_>,
        relaxed: &Relaxed,
        proves: bool,
    ) -> Result<(), Interrupted> {
        let mut choice = rounded(relaxed, part.rows);
        let repaired = repair(part.rows, &part.limit, self.prices, &|_| true, &mut choice);
        if !repaired && (!self.wants_any() || !self.meet(part, &mut choice, jump::MOST_WORK)?) {
            return Ok(());
        }
        let considered = self.consider(oracle, part, &choice).map(drop);
        if considered != Err(Interrupted::Abandoned) {
            self.keep_pending(oracle)?;
        }
        considered?;
        let best = part.to_rows(self.out.objective);
        if proves
            && self.has_plan()
            && best - part.margin(best, self.settings.rel_gap) <= part.lifted(part.to_rows(relaxed.bound))
        {
            self.settle(&Found { bound: best, complete: true, nodes: 0, interrupted: None }, part);
        }
        Ok(())
    }

    /// Whether any plan at all is what is looked for.
    fn wants_any(&self) -> bool {
        self.goal == Goal::Objective && !self.has_plan()
    }

    /// Changes a plan until it meets every limit, and is good for such; false if that takes more work than it may.
    fn meet(&self, part: &Searched<'_>, choice: &mut [usize], most_work: usize) -> Result<bool, Interrupted> {
        let effort = (most_work, self.starts as u64);
        let met = jump::meet(part.rows, &part.limit, self.prices, choice, effort, self.watch)?;
        Ok(met && repair(part.rows, &part.limit, self.prices, &|_| true, choice))
    }

    /// Judges a point of a search; the first plan of all is also looked for around those that break a limit.
    fn judge<O: DualOracle>(
        &mut self,
        oracle: &mut O,
        part: &Searched<'_>,
        pairs: &[usize],
    ) -> Result<Judged, Interrupted> {
        let objective = self.consider(oracle, part, pairs)?;
        if objective.is_some() || !self.wants_any() {
            return Ok(Judged { meets: objective.is_some(), objective });
        }
        self.starts += 1;
        let mut near = pairs.to_vec();
        let every = JUMP_EVERY * (self.starts / JUMP_OFTEN).max(1).next_power_of_two();
        let work = JUMP_WORK.min(JUMP_WORK_PER_PAIR * part.rows.model.len());
        let met = self.starts.is_multiple_of(every) && self.meet(part, &mut near, work)?;
        let objective = if met { self.consider(oracle, part, &near)? } else { None };
        Ok(Judged { meets: false, objective })
    }

    /// The pairs of all rows that a better plan than the one at hand could use, by reduced costs.
    fn near(&self, part: &Searched<'_>, relaxed: &Relaxed) -> Option<Rows> {
        let best = part.to_rows(self.out.objective);
        if !best.is_finite() {
            return None;
        }
        let cutoff = best - part.margin(best, self.settings.rel_gap);
        let room = cutoff - part.to_rows(relaxed.bound) + 1e-9 * (1.0 + best.abs());
        let prices: Vec<f64> = relaxed.prices.iter().copied().chain([0.0]).collect();
        let rows = part.rows;
        let reduced = |pair: usize| rows.objective[pair] + rows.dot(pair, &prices);
        Some(rows.filtered(|row, pair| {
            let most = relaxed.most[row];
            pair == most || reduced(pair) - reduced(most) <= room
        }))
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
        let part = Searched::new(oracle, self.goal, &rows, relaxed);
        let found = self.search(oracle, &part, relaxed, true)?;
        self.settle(&found, &part);
        found.interrupted.map_or(Ok(()), Err)
    }

    /// Nodes for a search that can prove something. An exact answer is worth more of them than the last digits of a gap, and so
    /// is a plan where there is none yet.
    fn node_limit(&self, rows: &Rows) -> usize {
        let most = self.settings.node_limit;
        if self.settings.rel_gap == 0.0 {
            return most;
        }
        let n_models = rows.model.iter().map(|&model| model as usize + 1).max().unwrap_or(0);
        let (numbers, basis) =
            (rows.model.len() * (rows.n_resources + 2), rows.n_limits + 2 * n_models.min(LOAD_MODELS));
        let node_work = (STEPS_PER_NODE * (3 * numbers + 2 * basis * basis)).max(1);
        match (self.goal, self.has_plan()) {
            (Goal::Usage(_), true) => (most / 50).min((NEAREST_WORK / node_work).max(1)),
            (Goal::Usage(_), false) => most.min((NEAREST_WORK / node_work).max(1)),
            (_, true) => (most / 50).min(GAP_WORK / node_work),
            (_, false) => most.min((PLAN_WORK / node_work).max(CORE_NODES)),
        }
    }

    /// Draws the conclusion from a search over every pair that matters: complete, the plan is best to within the gap asked
    /// for, or there is none; else its open nodes give a bound.
    fn settle(&mut self, found: &Found, part: &Searched<'_>) {
        if !found.complete {
            self.raise(part.to_problem(found.bound));
        } else if self.has_plan() {
            self.out.resolution = part.resolution / part.scale;
            let proven = self.out.objective - self.allowed_gap(self.out.objective).max(self.out.resolution);
            self.out.bound = self.out.bound.max(proven).min(self.out.objective);
        } else {
            self.out.impossible = true;
        }
    }

    /// Takes note of a bound from open nodes.
    fn raise(&mut self, bound: f64) {
        self.out.bound = self.out.bound.max(bound - 1e-12 * bound.abs()).min(self.out.objective);
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
        part: &Searched<'_>,
        relaxed: &Relaxed,
        proves: bool,
    ) -> Result<Found, Interrupted> {
        if !proves {
            let nodes = if matches!(self.goal, Goal::Usage(_)) { self.node_limit(part.rows) } else { CORE_NODES };
            return self.search_once(oracle, part, relaxed, nodes.min(CORE_NODES), Effort::Plain, f64::INFINITY);
        }
        let turns = models(part.rows).len() <= LOAD_MODELS;
        let mut left = self.node_limit(part.rows);
        let mut nodes = FIRST_ROUND;
        let (mut bound, mut effort) = (f64::NEG_INFINITY, Effort::Plain);
        let sacks = knapsack::column(part.rows, part.rows.n_limits).is_some();
        let mut share = if sacks { FIRST_SHARE_OF_SACKS } else { FIRST_SHARE };
        let mut given_up = 0;
        loop {
            let plain = effort == Effort::Plain;
            let guess = if plain { f64::INFINITY } else { self.guess(part, relaxed, bound, share) };
            let most = match self.goal {
                // How near a limit can be met is asked for many limits at once: good plans, no long proofs.
                Goal::Usage(_) => left,
                _ if plain => PLAIN_ROUND,
                _ => nodes,
            };
            let mut found = self.search_once(oracle, part, relaxed, most.min(left), effort, guess)?;
            found.bound = found.bound.max(bound);
            // Nodes are left, yet something is unsettled: the ascent has stalled there, and would again.
            given_up += usize::from(!found.complete && found.nodes < most.min(left));
            left -= found.nodes.min(left);
            left = left.min(self.node_limit(part.rows));
            bound = found.bound;
            // What is proven stays proven, whatever ends the next round.
            self.raise(part.to_problem(bound));
            let below = found.complete && guess < part.to_rows(self.out.objective);
            if below {
                found.complete = false;
            }
            if found.complete || found.interrupted.is_some() || left == 0 || given_up > GIVEN_UP || self.is_done() {
                return Ok(found);
            }
            if below {
                // The guess was too low: that is proven now.
                share *= 2.0;
                continue;
            }
            if !plain {
                nodes *= ROUND_GROWTH;
                share *= 0.5;
            }
            effort = match effort {
                Effort::Plain if sacks => Effort::Rows,
                Effort::Plain | Effort::Rows if turns => Effort::Loads,
                _ => Effort::Rows,
            };
        }
    }

    /// A value, in the units of the rows, below which the best plan may be: a small way from the bound to the plan at hand. A
    /// search below it drops most pairs at once; infinity to search below the plan.
    fn guess(&self, part: &Searched<'_>, relaxed: &Relaxed, bound: f64, share: f64) -> f64 {
        let (bound, best) = (part.lifted(bound.max(part.to_rows(relaxed.bound))), part.to_rows(self.out.objective));
        let guess = bound + share * (best - bound);
        if share < 1.0 && guess.is_finite() && best - guess > 4.0 * part.step {
            guess
        } else {
            f64::INFINITY
        }
    }

    fn search_once<O: DualOracle>(
        &mut self,
        oracle: &mut O,
        part: &Searched<'_>,
        relaxed: &Relaxed,
        node_limit: usize,
        effort: Effort,
        guess: f64,
    ) -> Result<Found, Interrupted> {
        let rel_gap = self.settings.rel_gap;
        let margin = |best: f64| part.margin(best, rel_gap);
        let best = part.to_rows(self.out.objective);
        let cutoff = if best.is_finite() { (best - margin(best)).min(guess) } else { f64::INFINITY };
        let task = Task { cutoff, target: part.to_rows(self.target()), margin: &margin, node_limit, effort };
        self.report("search", part.rows)?;
        let watch = self.watch;
        let found = search(part.rows, part.limit.clone(), &relaxed.prices, &task, watch, &mut |pairs| {
            self.judge(oracle, part, pairs)
        });
        self.out.nodes += found.nodes;
        if found.interrupted != Some(Interrupted::Abandoned) {
            self.keep_pending(oracle)?;
        }
        Ok(found)
    }

    fn keep_pending<O: DualOracle>(&mut self, oracle: &mut O) -> Result<(), Interrupted> {
        if let Some(changed) = self.pending.take() {
            let kept = self.keep(oracle, &changed)?;
            debug_assert!(kept, "the rows said that the plan meets every limit");
        }
        Ok(())
    }

    /// Keeps a plan that meets every limit exactly and is the best so far; returns its objective in the units of the rows.
    ///
    /// Sums over the rows say whether it does; only where they are too near a limit are the user's own numbers added up.
    fn consider<O: DualOracle>(
        &mut self,
        oracle: &mut O,
        part: &Searched<'_>,
        pairs: &[usize],
    ) -> Result<Option<f64>, Interrupted> {
        let Searched { rows, ref limit, .. } = *part;
        let mut used = vec![0.0; limit.len() + 1];
        pairs.iter().for_each(|&pair| rows.add_usage(pair, 1.0, &mut used));
        let near = |k: usize| NEAR * (1.0 + limit[k].abs()) + 8.0 * f64::EPSILON * rows.fixed_usage[k].value().abs();
        if (0..limit.len()).any(|k| used[k] > limit[k] + near(k)) {
            return Ok(None);
        }
        let objective: f64 = pairs.iter().map(|&pair| rows.objective[pair]).sum();
        let total = part.to_problem(objective);
        if total >= self.out.objective {
            return Ok(Some(objective));
        }
        let changed = self.elsewhere.iter().copied();
        let changed = changed.chain(rows.query.iter().zip(pairs).map(|(&i, &pair)| (i, rows.model[pair] as i32)));
        let changed: Vec<(usize, i32)> = changed.collect();
        if (0..limit.len()).any(|k| used[k] > limit[k] - near(k)) {
            let kept = self.keep(oracle, &changed)?;
            self.report("search", rows)?;
            return Ok(kept.then(|| part.to_rows(self.out.objective)));
        }
        self.out.objective = total;
        self.pending = Some(changed);
        self.report("search", rows)?;
        Ok(Some(objective))
    }

    /// Adds up a plan and keeps it, unless it breaks a limit or is no better than one that was kept.
    fn keep<O: DualOracle>(&mut self, oracle: &mut O, changed: &[(usize, i32)]) -> Result<bool, Interrupted> {
        let tally = oracle.tally(changed)?;
        if !tally.broken.iter().all(|&k| self.goal == Goal::Usage(k)) || tally.forbidden {
            return Ok(false);
        }
        let total = oracle.goal_of(self.goal, &tally);
        if self.out.plan.as_ref().is_none_or(|best| total < oracle.goal_of(self.goal, best)) {
            oracle.keep()?;
            self.out.objective = total;
            self.out.plan = Some(tally);
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

/// The pair that each of some rows has most of at the vertex.
fn rounded(relaxed: &Relaxed, rows: &Rows) -> Vec<usize> {
    let mut all = 0;
    let of_row = |row: usize| {
        // Both are in the order of the queries, and a core leaves out no pair of the rows that it holds.
        all += relaxed.rows.query[all..].iter().position(|&query| query == rows.query[row]).unwrap_or(0);
        rows.start[row] + (relaxed.most[all] - relaxed.rows.start[all])
    };
    (0..rows.len()).map(of_row).collect()
}
