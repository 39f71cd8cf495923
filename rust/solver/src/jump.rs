//! From a plan that passes some limits to one that meets them all, where single repairs do not get there.
//!
//! Each step takes the move of one row that lowers the weighted overuse most. Where none does, the limits that are passed weigh
//! more from then on (breakout: Morris 1993; feasibility jump: Luteberget and Sartor 2023), so that the search leaves such places.

use crate::oracle::{Interrupted, Watch};
use crate::repair::State;
use crate::rows::Rows;
use crate::sample::mix;

/// Numbers that a search may touch: less than a tenth of a second.
const MOST_WORK: usize = 40_000_000;
/// A row that has moved stays for so many steps, and up to as many more.
const STAYS: usize = 4;
/// What the priced objective counts beside a unit of overuse.
const OBJECTIVE: f64 = 1e-3;

/// Changes `plan` (one pair per row) until every limit holds; false when the work is used up before.
pub(crate) fn meet(
    rows: &Rows,
    limit: &[f64],
    prices: &[f64],
    plan: &mut [usize],
    watch: &dyn Watch,
) -> Result<bool, Interrupted> {
    let mut state = State::new(rows, limit, prices, plan);
    let mut weight = vec![1.0; limit.len() + 1];
    let mut stays = vec![0; rows.len()];
    let steps = MOST_WORK / (2 * rows.model.len() * rows.n_resources).max(1);
    for step in 0..steps {
        watch.poll()?;
        let passed: Vec<usize> = (0..limit.len()).filter(|&k| state.over(k, state.used[k]) > 0.0).collect();
        if passed.is_empty() {
            return Ok(true);
        }
        let mut best: Option<(f64, usize, usize)> = None;
        for (row, &from) in plan.iter().enumerate().filter(|(row, _)| stays[*row] <= step) {
            let priced = state.priced(from);
            for to in rows.pairs(row).filter(|&to| to != from) {
                let change = state.weighted_change(from, to, &weight) + OBJECTIVE * (state.priced(to) - priced);
                if best.is_none_or(|(least, ..)| change < least) {
                    best = Some((change, row, to));
                }
            }
        }
        let lowers = best.is_some_and(|(change, ..)| change < 0.0);
        if !lowers {
            passed.iter().for_each(|&k| weight[k] *= 1.5);
        }
        if let Some((_, row, to)) = best {
            state.change(row, to, plan);
            stays[row] = step + 1 + STAYS + (mix(step as u64) % STAYS as u64) as usize;
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repair::repair;
    use crate::watch::Unwatched;

    #[test]
    fn limits_are_met_that_single_repairs_do_not_meet() {
        let (mut met, mut repaired) = (0, 0);
        for seed in 0..40_u64 {
            let number = |at: u64, levels: u64| (mix(seed * 10_000 + at) % levels) as f64;
            let mut rows = Rows::new(2, 5);
            for i in 0..24 {
                let size = 1.0 + number(i, 20);
                for j in 0..4 {
                    let usage = [(size, j), (number(100 + 4 * i + u64::from(j), 30), 4)];
                    rows.push_pair(j, number(300 + 4 * i + u64::from(j), 16) / 16.0, usage.into_iter());
                }
                rows.end_row(i as usize);
            }
            // What a hidden plan uses, and next to nothing more.
            let mut limit = vec![0.0; 6];
            (0..24).for_each(|row| rows.add_usage(4 * row + mix(seed + 77 * row as u64) as usize % 4, 1.0, &mut limit));
            limit.truncate(5);
            limit[4] += 4.0;
            let start: Vec<usize> = (0..24).map(|row| 4 * row).collect();
            let mut plan = start.clone();
            repaired += usize::from(repair(&rows, &limit, &[0.0; 5], &|_| true, &mut plan));
            plan = start;
            if meet(&rows, &limit, &[0.0; 5], &mut plan, &Unwatched).unwrap() {
                let mut used = vec![0.0; 6];
                plan.iter().for_each(|&pair| rows.add_usage(pair, 1.0, &mut used));
                assert!(used.iter().zip(&limit).all(|(used, limit)| *used <= limit + 1e-6), "seed {seed}");
                met += 1;
            }
        }
        assert!(met > 30 && repaired < 10, "{met} {repaired}");
    }
}
