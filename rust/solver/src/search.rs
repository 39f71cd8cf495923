//! Branch and bound: from the relaxation on some rows to their best plan.
//!
//! Dives from the open node of least bound; each node goes on from its parent's basis, so it costs a few steps of the ascent.
//! What no better plan uses is dropped, and once half of the pairs are gone the rest is searched as a problem of its own, with
//! cuts of its own. Equal rows are branched on together (orbital branching, Ostrowski et al. 2011): either one of them takes
//! the model, or none does.

use crate::ascent::{Ascended, Ascent};
use crate::branching::{classes, divided_load, kinds, most_divided, take, Candidate, Gains};
use crate::chains;
use crate::cuts::tighten;
use crate::fixing::{by_cost, by_room, Fixed};
use crate::knapsack::{self, Multipliers};
use crate::oracle::{Interrupted, Watch};
use crate::repair::repair;
use crate::rows::Rows;
use crate::space::Space;

/// Fractions closer than this to 0 or 1 count as whole.
const WHOLE: f64 = 1e-7;
/// Memory for open nodes.
const OPEN_BYTES: usize = 1 << 26;
/// Once there is a plan, a repair is tried on one node in so many.
const REPAIR_EVERY: usize = 16;
/// A node with this share of its space's pairs becomes a space of its own, down to a size where that is not worth it.
const SHRUNK: f64 = 0.5;
const SMALLEST_SPACE: usize = 24;

/// Judges a plan, one pair per row; see [`search`].
type Accept<'a> = &'a mut dyn FnMut(&[usize]) -> Result<Judged, Interrupted>;

/// What a judge says of a plan.
pub(crate) struct Judged {
    /// Whether it meets every limit exactly.
    pub(crate) meets: bool,
    /// Objective of this plan, or of one near it, that does.
    pub(crate) objective: Option<f64>,
}

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
    pub(crate) effort: Effort,
}

/// What a search invests in its nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effort {
    /// No cuts and no trials of splits: for plans, and for proofs that need a few nodes only.
    Plain,
    /// Splits on loads before single rows: what rows of nearly equal data need.
    Loads,
    /// Splits on single rows.
    Rows,
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

/// Searches the rows from the given prices. `accept` gets one pair per row, judges this plan, and keeps the best.
pub(crate) fn search(
    rows: &Rows,
    limit: Vec<f64>,
    prices: &[f64],
    task: &Task<'_>,
    watch: &dyn Watch,
    accept: Accept<'_>,
) -> Found {
    let (kind, n_kinds) = if task.effort == Effort::Loads { kinds(rows) } else { (Vec::new(), 0) };
    let extended = rows.with_loads(&kind, n_kinds);
    let unlimited = [rows.len() as f64, 0.0].into_iter().flat_map(|limit| std::iter::repeat_n(limit, n_kinds));
    let limit: Vec<f64> = limit.into_iter().chain(unlimited).collect();
    let prices: Vec<f64> = prices.iter().copied().chain(vec![0.0; 2 * n_kinds]).collect();
    let sacks = if task.effort == Effort::Plain { None } else { knapsack::column(rows, rows.n_limits) };
    let mut tree = Tree {
        sacks,
        n_limits: rows.n_limits,
        n_kinds,
        task,
        watch,
        accept,
        gains: Gains::new(),
        nodes: 0,
        best: None,
        unsettled: f64::INFINITY,
    };
    let ended = tree.explore(Space::whole(extended, limit, kind), &prices, f64::NEG_INFINITY);
    let interrupted = match ended {
        Err(Halt::Interrupted(stop)) => Some(stop),
        _ => None,
    };
    let complete = ended.is_ok() && tree.unsettled == f64::INFINITY;
    let bound = tree.unsettled.min(tree.cutoff());
    Found { bound, complete, nodes: tree.nodes, interrupted }
}

/// Why an exploration stops before all is settled.
enum Halt {
    Interrupted(Interrupted),
    /// The nodes are used up, or the plan is good enough.
    Enough,
}

impl From<Interrupted> for Halt {
    fn from(stop: Interrupted) -> Self {
        Self::Interrupted(stop)
    }
}

struct Tree<'t> {
    /// Limits of the problem; those of loads and cuts follow.
    n_limits: usize,
    n_kinds: usize,
    /// The resource whose limits are looked at as knapsacks.
    sacks: Option<usize>,
    task: &'t Task<'t>,
    watch: &'t dyn Watch,
    accept: Accept<'t>,
    gains: Gains,
    nodes: usize,
    best: Option<f64>,
    /// Least bound of the nodes that were given up.
    unsettled: f64,
}

/// A node still to be visited.
#[derive(Clone)]
struct Node<'s> {
    ascent: Ascent<'s>,
    /// No plan of it is below this.
    bound: f64,
    multipliers: Multipliers,
}

/// Nodes of a space still to be visited.
struct Open<'s> {
    nodes: Vec<Node<'s>>,
    /// Beyond so many the search goes depth first only.
    most: usize,
    /// Whether the last node pushed is to be visited next.
    diving: bool,
}

impl<'s> Open<'s> {
    fn new(space: &Space, root: Ascent<'s>, bound: f64) -> Self {
        let (pairs, limits) = (space.rows.model.len(), space.limit.len());
        let bytes = 8 * (limits * (limits + 4) + 2 * space.rows.len()) + pairs;
        Self {
            nodes: vec![Node { ascent: root, bound, multipliers: Multipliers::default() }],
            most: (OPEN_BYTES / bytes.max(1)).max(16),
            diving: false,
        }
    }

    fn push(&mut self, node: Node<'s>) {
        self.nodes.push(node);
        self.diving = true;
    }

    /// Goes down while the last split gave a node to go down to, else on from the least bound.
    fn next(&mut self) -> Option<Node<'s>> {
        let dived = std::mem::replace(&mut self.diving, false);
        if dived || self.nodes.len() > self.most {
            return self.nodes.pop();
        }
        let bounds = self.nodes.iter().enumerate().map(|(at, node)| (node.bound, at));
        let (_, at) = bounds.min_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)))?;
        Some(self.nodes.swap_remove(at))
    }
}

impl Tree<'_> {
    fn cutoff(&self) -> f64 {
        self.best.map_or(self.task.cutoff, |best| (best - (self.task.margin)(best)).min(self.task.cutoff))
    }

    /// Settles every plan of a space, from prices and a bound known for it.
    fn explore(&mut self, mut space: Space, prices: &[f64], bound: f64) -> Result<(), Halt> {
        let room = self.cutoff() - space.offset();
        let prices = if self.task.effort == Effort::Plain {
            prices.to_vec()
        } else {
            tighten(&mut space, self.n_limits, prices, room, self.watch)
                .inspect_err(|_| self.unsettled = self.unsettled.min(bound))?
        };
        let class = classes(&space.rows);
        let root = Ascent::new(&space.rows, space.limit.clone(), &prices);
        let mut open = Open::new(&space, root, bound);
        while let Some(node) = open.next() {
            let parent = node.bound;
            let visited = if parent >= self.cutoff() {
                Ok(())
            } else if self.nodes >= self.task.node_limit || self.best.is_some_and(|best| best <= self.task.target) {
                self.unsettled = self.unsettled.min(parent);
                Err(Halt::Enough)
            } else {
                self.nodes += 1;
                self.visit(&space, &class, node, &mut open)
            };
            if visited.is_err() {
                self.unsettled = open.nodes.iter().map(|node| node.bound).fold(self.unsettled, f64::min);
                return visited;
            }
        }
        Ok(())
    }

    /// Climbs to the vertex of a node, drops what no better plan uses, and settles or splits what is left.
    fn visit<'s>(
        &mut self,
        space: &'s Space,
        class: &[usize],
        node: Node<'s>,
        open: &mut Open<'s>,
    ) -> Result<(), Halt> {
        let Node { ascent: mut node, bound: mut parent, mut multipliers } = node;
        let offset = space.offset();
        let mut new = true;
        loop {
            let ended = node.run(self.cutoff() - offset, self.watch);
            match ended.inspect_err(|_| self.unsettled = self.unsettled.min(parent))? {
                Ascended::Optimal => {}
                Ascended::Cutoff | Ascended::Unbounded(_) => return Ok(()),
                Ascended::Stalled => {
                    self.unsettled = self.unsettled.min(node.value() + offset);
                    return Ok(());
                }
            }
            let value = node.value();
            by_cost(&space.rows, &mut node, value, self.cutoff() - offset);
            match by_room(&space.rows, &mut node) {
                Fixed::Same => {}
                Fixed::Moved => continue,
                Fixed::Empty => return Ok(()),
            }
            let Some(column) = self.sacks.filter(|_| std::mem::replace(&mut new, false)) else { break };
            let cutoff = self.cutoff() - offset;
            let fixed = knapsack::fix(&space.rows, column, &mut node, &mut multipliers, cutoff, self.watch);
            let (fixed, bound) = fixed.inspect_err(|_| self.unsettled = self.unsettled.min(parent))?;
            parent = parent.max(bound + offset);
            match fixed {
                Fixed::Same => break,
                Fixed::Moved => {}
                Fixed::Empty => return Ok(()),
            }
        }
        let value = parent.max(node.value() + offset);
        let node = Node { ascent: node, bound: value, multipliers };
        let below = self.branch(space, class, node, open);
        let Some(node) = below.inspect_err(|_| self.unsettled = self.unsettled.min(value))? else { return Ok(()) };
        let prices = node.prices().to_vec();
        self.explore(space.below(&node), &prices, value)
    }

    /// Takes the vertex as a plan where it is whole, or splits the node in two; returns it where it is to be searched as a
    /// space of its own.
    fn branch<'s>(
        &mut self,
        space: &'s Space,
        class: &[usize],
        whole: Node<'s>,
        open: &mut Open<'s>,
    ) -> Result<Option<Ascent<'s>>, Halt> {
        let node = &whole.ascent;
        let fractions = node.fractions();
        let mut choice = node.key.clone();
        let mut most: Vec<Candidate> = vec![];
        for &(row, pair, fraction) in &fractions {
            match most.last_mut() {
                Some(last) if last.row == row && fraction > last.fraction => *last = Candidate { row, pair, fraction },
                Some(last) if last.row == row => {}
                _ => most.push(Candidate { row, pair, fraction }),
            }
        }
        most.iter().for_each(|candidate| choice[candidate.row] = candidate.pair);
        let accepted = self.offer(space, &choice)?;
        most.retain(|candidate| candidate.fraction < 1.0 - WHOLE);
        if !most.is_empty()
            && (self.best.is_none() || self.nodes < REPAIR_EVERY || self.nodes.is_multiple_of(REPAIR_EVERY))
        {
            let mut repaired = choice.clone();
            let allowed = |pair: usize| !node.is_banned(pair);
            if repair(&space.rows, node.limits(), node.prices(), &allowed, &mut repaired) {
                if self.sacks.is_some() {
                    chains::improve(&space.rows, node.limits(), &allowed, &mut repaired);
                }
                self.offer(space, &repaired)?;
            }
        }
        if most.is_empty() && accepted {
            return Ok(None);
        }
        let pairs = space.rows.model.len();
        let left = (0..pairs).filter(|&pair| !node.is_banned(pair)).count();
        if pairs > SMALLEST_SPACE && left as f64 <= SHRUNK * pairs as f64 {
            return Ok(Some(whole.ascent));
        }
        // Rounding can leave a load outside its limits: to split there would change nothing.
        let (upper, lower) = node.limits()[self.n_limits..].split_at(self.n_kinds);
        let inside = |&(kind, load): &(usize, f64)| load.floor() < upper[kind] && -load.ceil() < lower[kind];
        if let Some((kind, load)) = divided_load(&space.kind, self.n_kinds, node, &fractions).filter(inside) {
            self.split_load(&whole, kind, load, open);
            return Ok(None);
        }
        let cutoff = self.cutoff() - space.offset();
        let chosen = if self.task.effort == Effort::Plain {
            most_divided(&most)
        } else {
            self.gains.choose(space, node, &most, node.value(), cutoff, self.watch)?
        };
        // Whole, but a limit is missed by less than the ascent can tell: split where a choice is left.
        if let Some(candidate) = chosen.or_else(|| undecided(&space.rows, node)) {
            split(&space.rows, class, whole, candidate, open);
        }
        Ok(None)
    }

    /// Shows a plan to the caller; whether it meets every limit.
    fn offer(&mut self, space: &Space, choice: &[usize]) -> Result<bool, Interrupted> {
        let Judged { meets, objective } = (self.accept)(&space.plan(choice))?;
        if let Some(objective) = objective.filter(|&objective| self.best.is_none_or(|best| objective < best)) {
            self.best = Some(objective);
        }
        Ok(meets)
    }

    /// Pushes "at least the next whole load" and "at most the last", the nearer one to be visited first.
    fn split_load<'s>(&self, node: &Node<'s>, kind: usize, load: f64, open: &mut Open<'s>) {
        let (mut fewer, mut more) = (node.clone(), node.clone());
        fewer.ascent.set_limit(self.n_limits + kind, load.floor());
        more.ascent.set_limit(self.n_limits + self.n_kinds + kind, -load.ceil());
        let nearer_last = if load - load.floor() < 0.5 { [more, fewer] } else { [fewer, more] };
        nearer_last.into_iter().for_each(|child| open.push(child));
    }
}

fn undecided(rows: &Rows, node: &Ascent<'_>) -> Option<Candidate> {
    let open = |row: usize| rows.pairs(row).filter(|&pair| !node.is_banned(pair)).count();
    let row = (0..rows.len()).find(|&row| open(row) > 1)?;
    Some(Candidate { row, pair: node.key[row], fraction: 1.0 })
}

/// Pushes "no equal row takes the model" and then, to be visited first, "this row takes it".
fn split<'s>(rows: &Rows, class: &[usize], node: Node<'s>, at: Candidate, open: &mut Open<'s>) {
    let offset = at.pair - rows.start[at.row];
    let same = |node: &Ascent<'_>, other: usize| {
        let (a, b) = (rows.pairs(at.row), rows.pairs(other));
        a.zip(b).all(|(p, q)| node.is_banned(p) == node.is_banned(q))
    };
    let equals: Vec<usize> =
        (0..rows.len()).filter(|&other| class[other] == class[at.row] && same(&node.ascent, other)).collect();
    let mut without = node.clone();
    if equals.into_iter().all(|other| without.ascent.ban(other, rows.start[other] + offset)) {
        open.nodes.push(without);
    }
    let mut with = node;
    if take(rows, &mut with.ascent, at) {
        open.push(with);
    }
}
