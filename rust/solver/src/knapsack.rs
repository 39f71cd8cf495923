//! A bound from whole knapsacks: the limits of a resource per model are kept, the rows' "one pair each" is priced instead.
//!
//! For multipliers `u` of the rows, with the other limits at their prices `p`,
//!
//! ```text
//! L(u) = sum_i u_i + sum_k min { sum_i (objective_ij + p . usage_ij - u_i) x_i : sum_i usage^k_i x_i <= limit_k, x in {0, 1} } - p . limit
//! ```
//!
//! is below every plan, and never below the relaxation when it starts from that one's prices (Geoffrion 1974; for generalised
//! assignment Fisher, Jaikumar and Van Wassenhove 1986). A pair is dropped when taking it, and leaving the other pairs of its row,
//! lifts `L` past the cutoff (Posta, Ferland and Michelon 2012). Usages that are no multiples of a step are rounded down to one,
//! which relaxes.

use crate::ascent::Ascent;
use crate::fixing::Fixed;
use crate::oracle::{Interrupted, Watch};
use crate::rows::Rows;
use crate::searched::grain;

/// Steps that a limit is divided into, at most.
const MOST_STEPS: f64 = 4096.0;
/// Steps of the largest usage, at most: where usages have no step in common the tables are long and a node costs thirty others.
const MOST_STEPS_OF_ONE: f64 = 1024.0;
/// Relative distance by which a pair must miss.
const SAFE: f64 = 1e-9;
/// First part of the distance to the cutoff that a step goes, steps without a rise after which it is halved, and where it ends.
const FIRST_STEP: f64 = 1.0;
const PATIENCE: usize = 8;
const LAST_STEP: f64 = 0.02;
/// Moves of the multipliers at the first node of a space and at others.
const FIRST_ROUNDS: usize = 100;
const ROUNDS: usize = 24;
/// Moves of the multipliers between two looks at what may be dropped.
const LOOK_EVERY: usize = 12;

/// The resource column whose limits are knapsacks: usages of at least zero that differ and have a step in common, at most one pair
/// of a row under a limit.
pub(crate) fn column(rows: &Rows, n_limits: usize) -> Option<usize> {
    let width = rows.n_resources;
    (0..width).find(|r| {
        let mut seen: Vec<(usize, f64)> = vec![(usize::MAX, 0.0); n_limits];
        let (mut differ, mut amounts) = (false, Vec::new());
        let fits = (0..rows.len()).all(|row| {
            rows.pairs(row).all(|pair| {
                let (k, usage) = (rows.limit[pair * width + r] as usize, rows.usage[pair * width + r]);
                let Some(last) = seen.get_mut(k) else { return true };
                differ |= last.0 != usize::MAX && last.1 != usage;
                let once = last.0 != row;
                *last = (row, usage);
                amounts.push(usage);
                once && usage >= 0.0
            })
        });
        let largest = amounts.iter().copied().fold(0.0, f64::max);
        fits && differ && largest <= MOST_STEPS_OF_ONE * grain(&amounts)
    })
}

/// Multipliers of the rows, from node to node.
#[derive(Debug, Clone, Default)]
pub(crate) struct Multipliers {
    /// The best so far, one per row; none before the first node of a space.
    least: Vec<f64>,
}

/// Moves the multipliers of a node's rows, at first from its vertex, and bans what cannot be in a plan below the cutoff. Returns
/// the best bound too.
pub(crate) fn fix(
    rows: &Rows,
    column: usize,
    node: &mut Ascent<'_>,
    multipliers: &mut Multipliers,
    cutoff: f64,
    watch: &dyn Watch,
) -> Result<(Fixed, f64), Interrupted> {
    if !cutoff.is_finite() {
        return Ok((Fixed::Same, f64::NEG_INFINITY));
    }
    let mut sacks = Sacks::new(rows, column, node);
    let mut rounds = ROUNDS;
    if multipliers.least.is_empty() {
        multipliers.least.clone_from(&sacks.least);
        rounds = FIRST_ROUNDS;
    }
    let mut least = multipliers.least.clone();
    let (mut best, mut step, mut in_vain) = (f64::NEG_INFINITY, FIRST_STEP, 0);
    let mut out = Fixed::Same;
    let in_vertex: Vec<usize> = node.fractions().into_iter().map(|(_, pair, _)| pair).collect();
    for round in 0..=rounds {
        watch.poll()?;
        let value = sacks.fill(&least);
        let over = SAFE * (1.0 + cutoff.abs());
        if value > cutoff + over {
            return Ok((Fixed::Empty, value));
        }
        in_vain = if value > best + 1e-6 * (cutoff - best).abs() { 0 } else { in_vain + 1 };
        if value > best {
            best = value;
            multipliers.least.copy_from_slice(&least);
        }
        if in_vain == PATIENCE {
            (step, in_vain) = (0.5 * step, 0);
        }
        let squares: f64 = sacks.missing.iter().map(|missing| missing * missing).sum();
        let last = round == rounds || step < LAST_STEP || squares == 0.0;
        if last || round % LOOK_EVERY == LOOK_EVERY - 1 {
            for (row, pair) in sacks.beyond(value, cutoff + over) {
                if node.key[row] == pair || in_vertex.contains(&pair) {
                    out = Fixed::Moved;
                }
                if !node.ban(row, pair) {
                    return Ok((Fixed::Empty, cutoff));
                }
            }
            sacks.drop_banned(node);
        }
        if last {
            break;
        }
        let length = step * (cutoff - value) / squares;
        least.iter_mut().zip(&sacks.missing).for_each(|(least, missing)| *least += length * missing);
    }
    Ok((out, best))
}

struct Item {
    row: usize,
    pair: usize,
    /// In steps of the limit.
    weight: usize,
    /// Objective with all other limits priced.
    priced: f64,
}

/// One limit with its items, those worth taking at the present multipliers first filled in.
struct Sack {
    room: usize,
    items: Vec<Item>,
    /// Positions of the items of negative value, and those values.
    worth: Vec<(usize, f64)>,
    /// Per item worth taking and one more, per room, the least value of the items before it.
    table: Vec<f64>,
}

struct Sacks {
    sacks: Vec<Sack>,
    /// Items under no limit.
    free: Vec<Item>,
    constant: f64,
    /// Multipliers at the vertex of the node: the cheapest of each row, priced.
    least: Vec<f64>,
    /// One per row, less how often it is taken.
    missing: Vec<f64>,
}

impl Sacks {
    fn new(rows: &Rows, column: usize, node: &Ascent<'_>) -> Self {
        let width = rows.n_resources;
        let n_limits = node.limits().len();
        let limit_of = |pair: usize| rows.limit[pair * width + column] as usize;
        let mut of_column = vec![false; n_limits + 1];
        (0..rows.model.len()).for_each(|pair| of_column[limit_of(pair)] = true);
        of_column[n_limits] = false;
        let prices: Vec<f64> = node.prices().iter().copied().chain([0.0]).collect();
        let others: Vec<f64> = (0..=n_limits).map(|k| if of_column[k] { 0.0 } else { prices[k] }).collect();
        let mut amounts: Vec<Vec<f64>> = vec![Vec::new(); n_limits];
        let open: Vec<(usize, usize)> = (0..rows.len())
            .flat_map(|row| rows.pairs(row).map(move |pair| (row, pair)))
            .filter(|&(_, pair)| !node.is_banned(pair))
            .collect();
        for &(_, pair) in &open {
            if let Some(amounts) = amounts.get_mut(limit_of(pair)) {
                amounts.push(rows.usage[pair * width + column]);
            }
        }
        let step = |k: usize| grain(&amounts[k]).max(node.limits()[k] / MOST_STEPS).max(f64::MIN_POSITIVE);
        let steps: Vec<f64> = (0..n_limits).map(step).collect();
        let room = |k: usize| (node.limits()[k].max(0.0) / steps[k] + 1e-6).floor() as usize;
        let mut sacks: Vec<Sack> = (0..n_limits)
            .map(|k| Sack {
                room: if of_column[k] { room(k) } else { 0 },
                items: Vec::new(),
                worth: Vec::new(),
                table: Vec::new(),
            })
            .collect();
        let mut free = Vec::new();
        let mut least = vec![f64::INFINITY; rows.len()];
        for &(row, pair) in &open {
            let (k, amount) = (limit_of(pair), rows.usage[pair * width + column]);
            least[row] = least[row].min(rows.objective[pair] + rows.dot(pair, &prices));
            let priced = rows.objective[pair] + rows.dot(pair, &others);
            match sacks.get_mut(k) {
                // Rounding must not make an item heavier.
                Some(sack) => {
                    let weight = (amount / steps[k] + 1e-9).floor() as usize;
                    sack.items.push(Item { row, pair, weight, priced });
                }
                None => free.push(Item { row, pair, weight: 0, priced }),
            }
        }
        sacks.retain(|sack| !sack.items.is_empty());
        let constant = others.iter().zip(node.limits()).map(|(price, limit)| price * limit).sum();
        Self { sacks, free, constant, least, missing: vec![0.0; rows.len()] }
    }

    /// The value `L` at some multipliers; leaves the tables and what is missing of each row.
    fn fill(&mut self, least: &[f64]) -> f64 {
        self.missing.fill(1.0);
        let mut value = least.iter().sum::<f64>() - self.constant;
        for sack in &mut self.sacks {
            value += sack.fill(least);
            let missing = &mut self.missing;
            sack.each_taken(|item| missing[item.row] -= 1.0);
        }
        for item in self.free.iter().filter(|item| item.priced < least[item.row]) {
            value += item.priced - least[item.row];
            self.missing[item.row] -= 1.0;
        }
        self.least.copy_from_slice(least);
        value
    }

    /// The pairs, with their rows, that lift a value past the cutoff when they are taken and the others of their row left.
    fn beyond(&self, value: f64, cutoff: f64) -> Vec<(usize, usize)> {
        let mut left = vec![0.0; self.least.len()];
        let mut rises: Vec<(usize, usize, f64)> = Vec::new();
        for sack in &self.sacks {
            sack.each_forced(&self.least, |item, taken, without| {
                left[item.row] += without;
                rises.push((item.row, item.pair, taken - without));
            });
        }
        for item in &self.free {
            let own = item.priced - self.least[item.row];
            let (taken, without) = (own.max(0.0), (-own).max(0.0));
            left[item.row] += without;
            rises.push((item.row, item.pair, taken - without));
        }
        let beyond = |&(row, _, rise): &(usize, usize, f64)| value + left[row] + rise > cutoff;
        rises.into_iter().filter(beyond).map(|(row, pair, _)| (row, pair)).collect()
    }

    fn drop_banned(&mut self, node: &Ascent<'_>) {
        for items in self.sacks.iter_mut().map(|sack| &mut sack.items).chain([&mut self.free]) {
            items.retain(|item| !node.is_banned(item.pair));
        }
    }
}

impl Sack {
    fn fill(&mut self, least: &[f64]) -> f64 {
        let worth = |(at, item): (usize, &Item)| (at, item.priced - least[item.row]);
        let items = self.items.iter().enumerate().filter(|(_, item)| item.weight <= self.room).map(worth);
        self.worth = items.filter(|(_, value)| *value < 0.0).collect();
        let width = self.room + 1;
        self.table.clear();
        self.table.resize(width * (self.worth.len() + 1), 0.0);
        for (t, &(at, value)) in self.worth.iter().enumerate() {
            let (before, after) = self.table[t * width..(t + 2) * width].split_at_mut(width);
            with_item(before, after, self.items[at].weight, value);
        }
        self.table.last().copied().unwrap_or(0.0)
    }

    /// Calls `visit` for the items of the best filling.
    fn each_taken(&self, mut visit: impl FnMut(&Item)) {
        let width = self.room + 1;
        let mut room = self.room;
        for (t, &(at, _)) in self.worth.iter().enumerate().rev() {
            if self.table[(t + 1) * width + room] < self.table[t * width + room] {
                visit(&self.items[at]);
                room -= self.items[at].weight;
            }
        }
    }

    /// Calls `visit(item, rise when it is taken, rise when it is left)` for every item.
    fn each_forced(&self, least: &[f64], mut visit: impl FnMut(&Item, f64, f64)) {
        let width = self.room + 1;
        let best = self.table[self.table.len() - 1];
        let full = &self.table[self.worth.len() * width..];
        let mut is_worth = vec![false; self.items.len()];
        let (mut after, mut next) = (vec![0.0; width], vec![0.0; width]);
        for (t, &(at, value)) in self.worth.iter().enumerate().rev() {
            is_worth[at] = true;
            let (item, before) = (&self.items[at], &self.table[t * width..(t + 1) * width]);
            // The others within some room, half of them before the item and half after.
            let within = |room: usize| {
                let both = before[..=room].iter().zip(after[..=room].iter().rev());
                both.map(|(a, b)| a + b).fold(f64::INFINITY, |least, x| if x < least { x } else { least })
            };
            visit(item, value + within(self.room - item.weight) - best, within(self.room) - best);
            with_item(&after, &mut next, item.weight, value);
            std::mem::swap(&mut after, &mut next);
        }
        for item in self.items.iter().zip(is_worth).filter(|(_, worth)| !worth).map(|(item, _)| item) {
            let taken = self.room.checked_sub(item.weight).map_or(f64::INFINITY, |room| full[room]);
            visit(item, item.priced - least[item.row] + taken - best, 0.0);
        }
    }
}

/// Least values per room once an item may be taken.
fn with_item(before: &[f64], after: &mut [f64], weight: usize, value: f64) {
    let (untouched, rest) = after.split_at_mut(weight);
    untouched.copy_from_slice(&before[..weight]);
    for ((after, &left), &from) in rest.iter_mut().zip(&before[weight..]).zip(before) {
        let taken = from + value;
        *after = if taken < left { taken } else { left };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ascent::Ascended;
    use crate::sample::mix;
    use crate::watch::Unwatched;

    /// Rows of three pairs under a knapsack each and one limit over all; and the limits.
    fn tiny(seed: u64) -> (Rows, Vec<f64>) {
        let number = |at: u64, levels: u64| (mix(seed * 1000 + at) % levels) as f64;
        let n = 4 + seed % 3;
        let mut rows = Rows::new(2, 4);
        for i in 0..n {
            for j in 0..3 {
                let at = 10 * i + j;
                // Every other problem has usages that are no multiples of a step.
                let part = if seed.is_multiple_of(2) { 1.0 } else { 1.0 / 3.0 };
                let usage = [(number(at, 6) - 2.0, 3), (part * number(at + 300, 5), j as u32)];
                rows.push_pair(j as u32, number(at + 600, 9) / 8.0, usage.into_iter());
            }
            rows.end_row(i as usize);
        }
        let room = |k: u64| {
            if seed.is_multiple_of(2) {
                number(900 + k, 2 * n) + 1.0
            } else {
                (number(900 + k, 2 * n) + 1.0) / 3.0
            }
        };
        (rows, (0..3).map(room).chain([number(950, 2 * n)]).collect())
    }

    fn plans(rows: &Rows, limit: &[f64]) -> Vec<(Vec<usize>, f64)> {
        let all = (0..3_usize.pow(rows.len() as u32)).map(|code| {
            (0..rows.len()).map(|row| rows.start[row] + code / 3_usize.pow(row as u32) % 3).collect::<Vec<usize>>()
        });
        let fits = |plan: &Vec<usize>| {
            let mut used = vec![0.0; limit.len() + 1];
            plan.iter().for_each(|&pair| rows.add_usage(pair, 1.0, &mut used));
            used.iter().zip(limit).all(|(used, limit)| used <= limit)
        };
        let cost = |plan: Vec<usize>| (plan.iter().map(|&pair| rows.objective[pair]).sum(), plan);
        all.filter(fits).map(cost).map(|(cost, plan)| (plan, cost)).collect()
    }

    #[test]
    fn no_plan_below_the_cutoff_is_lost() {
        let (mut lifted, mut banned, mut settled) = (0, 0, 0);
        for seed in 0..500 {
            let (rows, limit) = tiny(seed);
            let Some(column) = column(&rows, 4) else { continue };
            let plans = plans(&rows, &limit);
            let best = plans.iter().map(|(_, cost)| *cost).fold(f64::INFINITY, f64::min);
            let mut node = Ascent::new(&rows, limit.clone(), &[0.0; 4]);
            if node.run(f64::INFINITY, &Unwatched) != Ok(Ascended::Optimal) || best == f64::INFINITY {
                continue;
            }
            let relaxed = node.value();
            let cutoff = best + (mix(seed) % 5) as f64 / 8.0 - 0.25;
            let mut multipliers = Multipliers::default();
            let (fixed, bound) = fix(&rows, column, &mut node, &mut multipliers, cutoff, &Unwatched).unwrap();
            let below: Vec<_> = plans.iter().filter(|(_, cost)| *cost <= cutoff).collect();
            assert!(bound <= best.max(cutoff) + 1e-8, "seed {seed}: {bound} {best} {cutoff}");
            assert!(bound >= relaxed.min(cutoff) - 1e-8, "seed {seed}: {bound} {relaxed}");
            if fixed == Fixed::Empty {
                assert!(below.is_empty(), "seed {seed}");
                settled += 1;
            } else {
                assert!(below.iter().all(|(plan, _)| plan.iter().all(|&pair| !node.is_banned(pair))), "seed {seed}");
                banned += (0..rows.model.len()).filter(|&pair| node.is_banned(pair)).count();
            }
            lifted += usize::from(bound > relaxed + 1e-6);
        }
        assert!(lifted > 80 && banned > 300 && settled > 30, "{lifted} {banned} {settled}");
    }

    #[test]
    fn limits_that_are_no_knapsacks_are_left_alone() {
        let rows = |usage: &dyn Fn(usize, usize) -> (f64, u32)| {
            let mut rows = Rows::new(1, 2);
            for i in 0..3 {
                (0..2).for_each(|j| rows.push_pair(j as u32, 0.0, [usage(i, j)].into_iter()));
                rows.end_row(i);
            }
            rows
        };
        assert_eq!(column(&rows(&|i, j| (1.0 + i as f64, j as u32)), 2), Some(0));
        // All usages equal, one limit for both pairs, and a usage below zero.
        assert_eq!(column(&rows(&|_, j| (1.0, j as u32)), 2), None);
        assert_eq!(column(&rows(&|i, _| (1.0 + i as f64, 0)), 2), None);
        assert_eq!(column(&rows(&|i, j| (i as f64 - 1.0, j as u32)), 2), None);
    }
}
