//! A better plan by chains of moves: what single moves cannot reach where limits are tight.
//!
//! A row goes where it is better but passes a limit, another row leaves that limit, and so on, until all limits hold again:
//! swaps are chains of two (ejection chains, Glover 1996).

use crate::repair::State;
use crate::rows::Rows;

/// Moves in a chain.
const LONGEST: usize = 3;
/// Numbers that a search may touch: some milliseconds.
const MOST_WORK: usize = 20_000_000;
/// Gains smaller than this are rounding.
const LEAST_GAIN: f64 = 1e-9;

/// Improves a plan (one pair per row) that meets every limit, while some chain does.
pub(crate) fn improve(rows: &Rows, limit: &[f64], open: &dyn Fn(usize) -> bool, plan: &mut [usize]) {
    let state = State::new(rows, limit, &vec![0.0; limit.len()], plan);
    let mut chains = Chains { state, open, plan, work: MOST_WORK };
    let (mut row, mut in_vain) = (0, 0);
    while in_vain < rows.len() && chains.work > 0 {
        in_vain = if chains.start(row, 0.0, 1) { 0 } else { in_vain + 1 };
        row = (row + 1) % rows.len();
    }
}

struct Chains<'c, 'r> {
    state: State<'r>,
    open: &'c dyn Fn(usize) -> bool,
    plan: &'c mut [usize],
    work: usize,
}

impl Chains<'_, '_> {
    /// Moves a row, as the one of some number in a chain, and others where that ends in a better plan; whether it does.
    /// `change` is what the moves before it have changed in the objective.
    fn start(&mut self, row: usize, change: f64, number: usize) -> bool {
        let (rows, from, over_before) = (self.state.rows, self.plan[row], self.state.overuse());
        for to in rows.pairs(row).filter(|&to| to != from && (self.open)(to)) {
            let change = change + rows.objective[to] - rows.objective[from];
            if change > -LEAST_GAIN {
                continue;
            }
            let over = over_before + self.state.change_of_overuse(from, to);
            if over > LEAST_GAIN && number == LONGEST {
                continue;
            }
            self.work = self.work.saturating_sub(self.state.limit.len() + rows.len() * rows.n_resources);
            if self.work == 0 {
                return false;
            }
            self.state.change(row, to, self.plan);
            let mut passed = (0..self.state.limit.len()).filter(|&k| self.state.over(k, self.state.used[k]) > 0.0);
            match (passed.next(), passed.next()) {
                (None, _) => return true,
                (Some(k), None) if self.go_on(k, row, change, number) => return true,
                _ => self.state.change(row, from, self.plan),
            }
        }
        false
    }

    /// Goes on with a row that uses the limit that is passed.
    fn go_on(&mut self, k: usize, last: usize, change: f64, number: usize) -> bool {
        let (rows, width) = (self.state.rows, self.state.rows.n_resources);
        let uses = |pair: usize| rows.limit[pair * width..(pair + 1) * width].iter().any(|&own| own as usize == k);
        let others: Vec<usize> = (0..rows.len()).filter(|&row| row != last && uses(self.plan[row])).collect();
        others.into_iter().any(|row| self.start(row, change, number + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_change_places_where_no_single_move_fits() {
        // Three rows, three models with room for one each; each row is on the model after its best.
        let mut rows = Rows::new(1, 3);
        for i in 0..3 {
            (0..3).for_each(|j| rows.push_pair(j, if i == j { 0.0 } else { 1.0 }, [(1.0, j)].into_iter()));
            rows.end_row(i as usize);
        }
        let mut plan = vec![1, 5, 6];
        improve(&rows, &[1.0; 3], &|_| true, &mut plan);
        assert_eq!(plan, [0, 4, 8]);
    }
}
