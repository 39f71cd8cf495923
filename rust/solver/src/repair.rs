//! From a rounded plan to one that meets every limit, and then a better one: single moves, cheapest first.

use crate::rows::Rows;

/// Moves per limit before a repair gives up.
const MOVES_PER_LIMIT: usize = 8;
/// Overuse that the exact check of a plan may still forgive.
pub(crate) const SLACK: f64 = 1e-9;

/// Changes `plan` (one pair per row) until no limit is overused, or gives up (false), then takes what improves the objective.
///
/// A repairing move is worth the overuse it removes, and costs what it adds to the priced objective; the cheapest per unit
/// goes first. Improving moves keep every limit.
pub(crate) fn repair(
    rows: &Rows,
    limit: &[f64],
    prices: &[f64],
    open: &dyn Fn(usize) -> bool,
    plan: &mut [usize],
) -> bool {
    let mut state = State::new(rows, limit, prices, plan);
    let most_moves = 20 + MOVES_PER_LIMIT * limit.len();
    for _ in 0..most_moves {
        if state.overuse() == 0.0 {
            state.improve(open, plan, most_moves);
            return true;
        }
        let Some((row, pair)) = state.cheapest_repair(open, plan) else { return false };
        state.change(row, pair, plan);
    }
    false
}

pub(crate) struct State<'r> {
    pub(crate) rows: &'r Rows,
    pub(crate) limit: &'r [f64],
    /// With a zero at the end for "no limit".
    prices: Vec<f64>,
    pub(crate) used: Vec<f64>,
}

impl<'r> State<'r> {
    pub(crate) fn new(rows: &'r Rows, limit: &'r [f64], prices: &[f64], plan: &[usize]) -> Self {
        let mut used = vec![0.0; limit.len() + 1];
        plan.iter().for_each(|&pair| rows.add_usage(pair, 1.0, &mut used));
        Self { rows, limit, prices: prices.iter().copied().chain([0.0]).collect(), used }
    }

    pub(crate) fn over(&self, k: usize, used: f64) -> f64 {
        let over = used - self.limit[k];
        if over > SLACK * (1.0 + self.limit[k].abs()) {
            over
        } else {
            0.0
        }
    }

    pub(crate) fn overuse(&self) -> f64 {
        (0..self.limit.len()).map(|k| self.over(k, self.used[k])).sum()
    }

    /// Change of the overuse when a row goes from one pair to another.
    pub(crate) fn change_of_overuse(&self, from: usize, to: usize) -> f64 {
        // A limit is counted under in one column only.
        let (rows, width) = (self.rows, self.rows.n_resources);
        let mut sum = 0.0;
        for (a, b) in (from * width..(from + 1) * width).zip(to * width..(to + 1) * width) {
            let (k, l) = (rows.limit[a] as usize, rows.limit[b] as usize);
            if k == l {
                sum += self.change_of(k, rows.usage[b] - rows.usage[a]);
            } else {
                sum += self.change_of(k, -rows.usage[a]) + self.change_of(l, rows.usage[b]);
            }
        }
        sum
    }

    fn change_of(&self, k: usize, change: f64) -> f64 {
        if change == 0.0 || k == self.limit.len() {
            return 0.0;
        }
        self.over(k, self.used[k] + change) - self.over(k, self.used[k])
    }

    pub(crate) fn priced(&self, pair: usize) -> f64 {
        self.rows.objective[pair] + self.rows.dot(pair, &self.prices)
    }

    fn cheapest_repair(&self, open: &dyn Fn(usize) -> bool, plan: &[usize]) -> Option<(usize, usize)> {
        // Only what is used under an overused limit can be less, and what is negative be more.
        let over: Vec<bool> = (0..self.limit.len()).map(|k| self.over(k, self.used[k]) > 0.0).chain([false]).collect();
        let signed = self.rows.usage.iter().any(|&amount| amount < 0.0);
        let helps = |pair: usize| signed || self.rows.uses(pair).any(|(amount, k)| over[k as usize] && amount > 0.0);
        // No move gains more than all overuse.
        let most = self.overuse();
        self.best_move(&helps, open, plan, |from, to, least| {
            let price = (self.priced(to) - self.priced(from)).max(1e-12);
            if price >= least * most {
                return None;
            }
            let gain = -self.change_of_overuse(from, to);
            (gain > 1e-12).then(|| price / gain)
        })
    }

    fn improve(&mut self, open: &dyn Fn(usize) -> bool, plan: &mut [usize], most_moves: usize) {
        for _ in 0..most_moves {
            let better = self.best_move(&|_| true, open, plan, |from, to, least| {
                let change = self.rows.objective[to] - self.rows.objective[from];
                (change < least.min(-1e-12) && self.change_of_overuse(from, to) <= 0.0).then_some(change)
            });
            let Some((row, pair)) = better else { return };
            self.change(row, pair, plan);
        }
    }

    /// The open pair with the least score, among those that have one, in rows whose own pair `may` change; the first of equals.
    /// `score` is told the least so far, and need not score what cannot be less.
    fn best_move(
        &self,
        may: &dyn Fn(usize) -> bool,
        open: &dyn Fn(usize) -> bool,
        plan: &[usize],
        score: impl Fn(usize, usize, f64) -> Option<f64>,
    ) -> Option<(usize, usize)> {
        let (mut least, mut best) = (f64::INFINITY, None);
        for (row, &from) in plan.iter().enumerate().filter(|(_, &from)| may(from)) {
            for to in self.rows.pairs(row).filter(|&to| to != from && open(to)) {
                if let Some(score) = score(from, to, least).filter(|&score| score < least) {
                    (least, best) = (score, Some((row, to)));
                }
            }
        }
        best
    }

    pub(crate) fn change(&mut self, row: usize, pair: usize, plan: &mut [usize]) {
        self.rows.add_usage(plan[row], -1.0, &mut self.used);
        self.rows.add_usage(pair, 1.0, &mut self.used);
        plan[row] = pair;
    }
}
