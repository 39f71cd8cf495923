//! Branch and bound: from the relaxation on some rows to their best plan.
//!
//! Dives from the open node of least bound; each node goes on from its parent's basis, so it costs a few steps of the ascent. Equal rows are branched on
//! together (orbital branching, Ostrowski et al. 2011): either one of them takes the model, or none does.

use std::collections::HashMap;

use crate::ascent::{Ascended, Ascent};
use crate::oracle::{Interrupted, Watch};
use crate::repair::repair;
use crate::rows::Rows;

/// Fractions closer than this to 0 or 1 count as whole.
const WHOLE: f64 = 1e-7;
/// Loads closer than this to a whole number count as whole.
const LOAD_WHOLE: f64 = 1e-6;
/// Kinds of pairs, and parts of the rows, that a search counts loads for.
const MOST_KINDS: usize = 48;
const MOST_PARTS: usize = 4;
/// Ratio of neighbours in sorted order at which the rows are parted.
const JUMP: f64 = 1.5;
/// Memory for open nodes.
const OPEN_BYTES: usize = 1 << 26;
/// Once there is a plan, a repair is tried on one node in so many.
const REPAIR_EVERY: usize = 16;

/// Judges a plan, one pair per row; see [`search`].
type Accept<'a> = &'a mut dyn FnMut(&[usize]) -> Result<Option<f64>, Interrupted>;

/// What a search is allowed and asked to do, in the units of the rows.
pub(crate) struct Task<'t> {
    /// Only plans below this are wanted.
    pub(crate) cutoff: f64,
    /// Stop at a plan of at most this.
    pub(crate) target: f64,
    /// Given a plan's objective, how much better another must be to matter.
    pub(crate) margin: &'t dyn Fn(f64) -> f64,
    /// Nodes allowed.
    pub(crate) node_limit: usize,
    /// Whether to split on loads before single rows: what rows of nearly equal data need.
    pub(crate) split_loads: bool,
}

/// What a search found.
pub(crate) struct Found {
    /// No plan for these rows is below this.
    pub(crate) bound: f64,
    /// Whether every node was settled.
    pub(crate) complete: bool,
    /// Nodes visited.
    pub(crate) nodes: usize,
    /// Why it ended early, if it was interrupted.
    pub(crate) interrupted: Option<Interrupted>,
}

/// Searches the rows from the given prices. `accept` gets one pair per row; it returns the objective of a plan that meets
/// every limit exactly, and keeps the plan if it is the best so far.
pub(crate) fn search(
    rows: &Rows,
    limit: Vec<f64>,
    prices: &[f64],
    task: &Task<'_>,
    watch: &dyn Watch,
    accept: Accept<'_>,
) -> Found {
    let (kind, n_kinds) = if task.split_loads { kinds(rows) } else { (Vec::new(), 0) };
    let extended = rows.with_loads(&kind, n_kinds);
    let unlimited = [rows.len() as f64, 0.0].into_iter().flat_map(|limit| std::iter::repeat_n(limit, n_kinds));
    let limit: Vec<f64> = limit.into_iter().chain(unlimited).collect();
    let prices: Vec<f64> = prices.iter().copied().chain(vec![0.0; 2 * n_kinds]).collect();
    let node_bytes = 8 * (limit.len() * (limit.len() + 4) + 2 * rows.len()) + rows.model.len();
    let mut tree = Tree {
        rows: &extended,
        kind,
        n_kinds,
        classes: classes(rows),
        task,
        watch,
        open: Vec::new(),
        most_open: (OPEN_BYTES / node_bytes.max(1)).max(16),
        nodes: 0,
        diving: false,
        best: None,
        unsettled: f64::INFINITY,
    };
    let interrupted = tree.explore(Ascent::new(&extended, limit, &prices), accept).err();
    let open = tree.open.iter().map(|(_, bound)| *bound).fold(tree.unsettled, f64::min);
    let complete = interrupted.is_none() && tree.open.is_empty() && tree.unsettled == f64::INFINITY;
    let bound = open.min(tree.cutoff());
    Found { bound, complete, nodes: tree.nodes, interrupted }
}

struct Tree<'r, 't> {
    rows: &'r Rows,
    /// The kind of each pair, where loads may be split on.
    kind: Vec<u32>,
    n_kinds: usize,
    classes: Vec<usize>,
    task: &'t Task<'t>,
    watch: &'t dyn Watch,
    open: Vec<(Ascent<'r>, f64)>,
    /// Beyond so many open nodes the search goes depth first only.
    most_open: usize,
    nodes: usize,
    /// Whether the last node pushed is to be visited next.
    diving: bool,
    best: Option<f64>,
    /// Least bound of the nodes that were given up.
    unsettled: f64,
}

impl<'r> Tree<'r, '_> {
    fn cutoff(&self) -> f64 {
        self.best.map_or(self.task.cutoff, |best| (best - (self.task.margin)(best)).min(self.task.cutoff))
    }

    fn explore(&mut self, root: Ascent<'r>, accept: Accept<'_>) -> Result<(), Interrupted> {
        self.open.push((root, f64::NEG_INFINITY));
        while let Some((mut node, parent)) = self.next_node() {
            if parent >= self.cutoff() {
                continue;
            }
            if self.nodes >= self.task.node_limit || self.best.is_some_and(|best| best <= self.task.target) {
                self.open.push((node, parent));
                self.unsettled = self.unsettled.min(parent);
                return Ok(());
            }
            self.nodes += 1;
            let ended = match node.run(self.cutoff(), self.watch) {
                Ok(ended) => ended,
                Err(stop) => {
                    self.open.push((node, parent));
                    return Err(stop);
                }
            };
            match ended {
                Ascended::Optimal => self.branch(node, accept)?,
                Ascended::Cutoff | Ascended::Unbounded(_) => {}
                Ascended::Stalled => self.unsettled = self.unsettled.min(node.value()),
            }
        }
        Ok(())
    }

    /// Goes down while the last split gave a node to go down to, else on from the least bound.
    fn next_node(&mut self) -> Option<(Ascent<'r>, f64)> {
        let dived = std::mem::replace(&mut self.diving, false);
        if dived || self.open.len() > self.most_open {
            return self.open.pop();
        }
        let bounds = self.open.iter().enumerate().map(|(at, (_, bound))| (*bound, at));
        let (_, at) = bounds.min_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
        Some(self.open.swap_remove(at))
    }

    /// Takes the vertex as a plan where it is whole, or splits the node in two.
    fn branch(&mut self, node: Ascent<'r>, accept: Accept<'_>) -> Result<(), Interrupted> {
        let value = node.value();
        let fractions = node.fractions();
        let mut plan = node.key.clone();
        let mut most = vec![];
        for &(row, pair, fraction) in &fractions {
            match most.last_mut() {
                Some((last, best)) if *last == row && fraction > *best => (*best, plan[row]) = (fraction, pair),
                Some((last, _)) if *last == row => {}
                _ => {
                    plan[row] = pair;
                    most.push((row, fraction));
                }
            }
        }
        let accepted = accept(&plan)?;
        self.keep(accepted);
        let whole = most.iter().all(|(_, fraction)| *fraction >= 1.0 - WHOLE);
        if !whole && (self.best.is_none() || self.nodes < REPAIR_EVERY || self.nodes.is_multiple_of(REPAIR_EVERY)) {
            let mut repaired = plan.clone();
            let open = |pair: usize| !node.is_banned(pair);
            if repair(self.rows, node.limits(), node.prices(), &open, &mut repaired) {
                let repaired = accept(&repaired)?;
                self.keep(repaired);
            }
        }
        if let Some((kind, load)) = self.divided_load(&node, &fractions) {
            self.split_load(&node, kind, load, value);
            return Ok(());
        }
        let accepted = accepted.filter(|_| whole);
        let split = most.iter().filter(|(_, fraction)| *fraction < 1.0 - WHOLE).min_by(|a, b| a.1.total_cmp(&b.1));
        let row = match (split, accepted) {
            (Some((row, _)), _) => *row,
            (None, Some(_)) => return Ok(()),
            // Whole, but a limit is missed by less than the ascent can tell: split where a choice is left.
            (None, None) => match self.undecided(&node) {
                Some(row) => row,
                None => return Ok(()),
            },
        };
        self.split(node, row, plan[row], value);
        Ok(())
    }

    /// The kind of pairs whose load is farthest from a whole number at the vertex.
    fn divided_load(&self, node: &Ascent<'r>, fractions: &[(usize, usize, f64)]) -> Option<(usize, f64)> {
        let mut loads = vec![0.0; self.n_kinds];
        if self.n_kinds == 0 {
            return None;
        }
        node.key.iter().for_each(|&pair| loads[self.kind[pair] as usize] += 1.0);
        for &(row, pair, fraction) in fractions {
            loads[self.kind[pair] as usize] += fraction - f64::from(u8::from(pair == node.key[row]));
        }
        let far = |load: f64| (load - load.round()).abs();
        let (kind, load) = loads.into_iter().enumerate().max_by(|a, b| far(a.1).total_cmp(&far(b.1)))?;
        (far(load) > LOAD_WHOLE).then_some((kind, load))
    }

    /// Pushes "at least the next whole load" and "at most the last", the nearer one to be visited first.
    fn split_load(&mut self, node: &Ascent<'r>, kind: usize, load: f64, value: f64) {
        let first = self.rows.n_limits - 2 * self.n_kinds;
        let (mut fewer, mut more) = (node.clone(), node.clone());
        fewer.set_limit(first + kind, load.floor());
        more.set_limit(first + self.n_kinds + kind, -load.ceil());
        let nearer_last = if load - load.floor() < 0.5 { [more, fewer] } else { [fewer, more] };
        self.open.extend(nearer_last.into_iter().map(|child| (child, value)));
        self.diving = true;
    }

    fn keep(&mut self, objective: Option<f64>) {
        if let Some(objective) = objective.filter(|&objective| self.best.is_none_or(|best| objective < best)) {
            self.best = Some(objective);
        }
    }

    fn undecided(&self, node: &Ascent<'r>) -> Option<usize> {
        let open = |row: usize| self.rows.pairs(row).filter(|&pair| !node.is_banned(pair)).count();
        (0..self.rows.len()).find(|&row| open(row) > 1)
    }

    /// Pushes "no equal row takes the model" and then, to be visited first, "this row takes it".
    fn split(&mut self, node: Ascent<'r>, row: usize, pair: usize, value: f64) {
        let offset = pair - self.rows.start[row];
        let same = |node: &Ascent<'r>, other: usize| {
            let (a, b) = (self.rows.pairs(row), self.rows.pairs(other));
            a.zip(b).all(|(p, q)| node.is_banned(p) == node.is_banned(q))
        };
        let equals = (0..self.rows.len()).filter(|&other| self.classes[other] == self.classes[row]);
        let equals: Vec<usize> = equals.filter(|&other| same(&node, other)).collect();
        let mut without = node.clone();
        if equals.into_iter().all(|other| without.ban(other, self.rows.start[other] + offset)) {
            self.open.push((without, value));
        }
        let mut with = node;
        let others: Vec<usize> = self.rows.pairs(row).filter(|&p| p != pair && !with.is_banned(p)).collect();
        if others.into_iter().all(|other| with.ban(row, other)) {
            self.open.push((with, value));
            self.diving = true;
        }
    }
}

/// The kind of each pair, and their number: the model, and how much is at stake in the row.
///
/// Rows are sorted by the spread of what their pairs cost and use, and parted where that jumps: counting the dear ones on a
/// model is what a cover inequality of the knapsack would do.
fn kinds(rows: &Rows) -> (Vec<u32>, usize) {
    let n_models = rows.model.iter().max().map_or(0, |&last| last as usize + 1);
    let most_parts = (MOST_KINDS / n_models.max(1)).clamp(1, MOST_PARTS);
    let mut stakes: Vec<(f64, usize)> = (0..rows.len()).map(|row| (stake(rows, row), row)).collect();
    stakes.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let ratio = |at: usize| stakes[at].0 / stakes[at - 1].0.max(f64::MIN_POSITIVE);
    let mut jumps: Vec<usize> = (1..stakes.len()).filter(|&at| ratio(at) > JUMP).collect();
    jumps.sort_by(|&a, &b| ratio(b).total_cmp(&ratio(a)));
    jumps.truncate(most_parts - 1);
    let mut kind = vec![0; rows.model.len()];
    for (at, &(_, row)) in stakes.iter().enumerate() {
        let part = jumps.iter().filter(|&&jump| jump <= at).count();
        rows.pairs(row).for_each(|pair| kind[pair] = (part * n_models) as u32 + rows.model[pair]);
    }
    (kind, n_models * (jumps.len() + 1))
}

/// The spread of the objective and of each resource within a row, added up in the scaled units.
fn stake(rows: &Rows, row: usize) -> f64 {
    let spread = |values: &mut dyn Iterator<Item = f64>| {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)));
        high - low
    };
    let mut stake = spread(&mut rows.pairs(row).map(|pair| rows.objective[pair]));
    for r in 0..rows.n_resources {
        stake += spread(&mut rows.pairs(row).map(|pair| rows.usage[pair * rows.n_resources + r]));
    }
    stake
}

/// A number per row, equal for rows with the same pairs.
fn classes(rows: &Rows) -> Vec<usize> {
    let mut seen: HashMap<Vec<u64>, usize> = HashMap::new();
    (0..rows.len())
        .map(|row| {
            let pairs = rows.pairs(row);
            let terms = pairs.start * rows.n_resources..pairs.end * rows.n_resources;
            let mut signature: Vec<u64> = rows.objective[pairs].iter().map(|x| x.to_bits()).collect();
            signature.extend(rows.usage[terms.clone()].iter().map(|x| x.to_bits()));
            signature.extend(rows.limit[terms].iter().map(|&k| u64::from(k)));
            let next = seen.len();
            *seen.entry(signature).or_insert(next)
        })
        .collect()
}

/// The largest power of two of which every number is a multiple, or 0 where that is too fine to be of use.
pub(crate) fn grain(numbers: impl Iterator<Item = f64>) -> f64 {
    let finest = numbers.filter(|x| *x != 0.0).map(|x| {
        let bits = x.to_bits();
        let exponent = ((bits >> 52) & 0x7ff) as i32 - 1075;
        exponent + (bits & ((1 << 52) - 1) | (1 << 52)).trailing_zeros() as i32
    });
    finest.min().filter(|&exponent| exponent > -28).map_or(0.0, |exponent| f64::powi(2.0, exponent))
}
