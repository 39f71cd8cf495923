//! Where to split a node: on the load of a kind of pairs, or on one pair of a divided row.

use std::collections::HashMap;

use crate::ascent::{Ascended, Ascent};
use crate::oracle::{Interrupted, Watch};
use crate::rows::Rows;
use crate::space::Space;

/// Loads closer than this to a whole number count as whole.
const LOAD_WHOLE: f64 = 1e-6;
/// Kinds of pairs, and parts of the rows, that a search counts loads for.
const MOST_KINDS: usize = 48;
const MOST_PARTS: usize = 4;
/// Ratio of neighbours in sorted order at which the rows are parted.
const JUMP: f64 = 1.5;
/// Trials of a pair, either way, after which its past gains are trusted.
const TRUSTED: f64 = 4.0;
/// Steps of a trial, and trials in a row without a better candidate before the choice is made.
const TRIAL_STEPS: usize = 12;
const TRIALS: usize = 6;

/// What splits on pairs have gained so far (Benichou et al. 1971; Achterberg, Koch and Martin 2005).
pub(crate) struct Gains {
    /// Per pair of the whole search: sum and number of gains per unit of fraction, when taken and when refused.
    taken: HashMap<usize, (f64, f64)>,
    refused: HashMap<usize, (f64, f64)>,
    all: [(f64, f64); 2],
}

/// A pair of a divided row, with its fraction at the vertex.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    pub(crate) row: usize,
    pub(crate) pair: usize,
    pub(crate) fraction: f64,
}

impl Gains {
    pub(crate) fn new() -> Self {
        Self { taken: HashMap::new(), refused: HashMap::new(), all: [(0.0, 0.0); 2] }
    }

    fn note(&mut self, origin: usize, side: usize, gain: f64) {
        let table = if side == 0 { &mut self.taken } else { &mut self.refused };
        for sum in [table.entry(origin).or_default(), &mut self.all[side]] {
            sum.0 += gain;
            sum.1 += 1.0;
        }
    }

    fn expected(&self, origin: usize, side: usize) -> f64 {
        let table = if side == 0 { &self.taken } else { &self.refused };
        let of = |sum: &(f64, f64)| sum.0 / sum.1.max(1.0);
        table.get(&origin).map_or_else(|| of(&self.all[side]), of)
    }

    fn trials(&self, origin: usize) -> f64 {
        let of = |table: &HashMap<usize, (f64, f64)>| table.get(&origin).map_or(0.0, |sum| sum.1);
        of(&self.taken).min(of(&self.refused))
    }

    fn score(&self, origin: usize, fraction: f64) -> f64 {
        product(self.expected(origin, 0) * (1.0 - fraction), self.expected(origin, 1) * fraction)
    }

    /// The candidate whose split promises most; those with a short past are tried.
    pub(crate) fn choose(
        &mut self,
        space: &Space,
        node: &Ascent<'_>,
        candidates: &[Candidate],
        value: f64,
        cutoff: f64,
        watch: &dyn Watch,
    ) -> Result<Option<Candidate>, Interrupted> {
        let mut ranked: Vec<(f64, Candidate)> =
            candidates.iter().map(|&c| (self.score(space.origin[c.pair], c.fraction), c)).collect();
        ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.row.cmp(&b.1.row)));
        let (mut best, mut in_vain) = (None::<(f64, Candidate)>, 0);
        for (mut score, candidate) in ranked {
            let origin = space.origin[candidate.pair];
            if in_vain >= TRIALS {
                break;
            }
            if self.trials(origin) < TRUSTED {
                let mut gains = [0.0; 2];
                for (side, gain) in gains.iter_mut().enumerate() {
                    let mut child = node.clone();
                    let possible = if side == 0 {
                        take(&space.rows, &mut child, candidate)
                    } else {
                        child.ban(candidate.row, candidate.pair)
                    };
                    let ended = if possible { child.run_for(cutoff, watch, TRIAL_STEPS)? } else { Ascended::Cutoff };
                    let room = if cutoff.is_finite() { cutoff - value } else { 1.0 + value.abs() };
                    *gain = match ended {
                        Ascended::Cutoff | Ascended::Unbounded(_) => room,
                        Ascended::Optimal | Ascended::Stalled => (child.value() - value).clamp(0.0, room),
                    };
                    let moved = if side == 0 { 1.0 - candidate.fraction } else { candidate.fraction };
                    self.note(origin, side, *gain / moved.max(1e-6));
                }
                score = product(gains[0], gains[1]);
            }
            in_vain += 1;
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, candidate));
                in_vain = 0;
            }
        }
        Ok(best.map(|(_, candidate)| candidate))
    }
}

/// The candidate whose largest part is smallest.
pub(crate) fn most_divided(candidates: &[Candidate]) -> Option<Candidate> {
    candidates.iter().copied().min_by(|a, b| a.fraction.total_cmp(&b.fraction))
}

/// Both sides must gain for a split to be worth something.
fn product(taken: f64, refused: f64) -> f64 {
    taken.max(1e-7) * refused.max(1e-7)
}

/// Bans every other pair of the row.
pub(crate) fn take(rows: &Rows, node: &mut Ascent<'_>, of: Candidate) -> bool {
    let others: Vec<usize> = rows.pairs(of.row).filter(|&p| p != of.pair && !node.is_banned(p)).collect();
    others.into_iter().all(|other| node.ban(of.row, other))
}

/// The kind of pairs whose load is farthest from a whole number at the vertex.
pub(crate) fn divided_load(
    kind: &[u32],
    n_kinds: usize,
    node: &Ascent<'_>,
    fractions: &[(usize, usize, f64)],
) -> Option<(usize, f64)> {
    if n_kinds == 0 {
        return None;
    }
    let mut loads = vec![0.0; n_kinds];
    node.key.iter().for_each(|&pair| loads[kind[pair] as usize] += 1.0);
    for &(row, pair, fraction) in fractions {
        loads[kind[pair] as usize] += fraction - f64::from(u8::from(pair == node.key[row]));
    }
    let far = |load: f64| (load - load.round()).abs();
    let (kind, load) = loads.into_iter().enumerate().max_by(|a, b| far(a.1).total_cmp(&far(b.1)))?;
    (far(load) > LOAD_WHOLE).then_some((kind, load))
}

/// The models that any pair has, in order.
pub(crate) fn models(rows: &Rows) -> Vec<u32> {
    let mut models = rows.model.clone();
    models.sort_unstable();
    models.dedup();
    models
}

/// The kind of each pair, and their number: the model, and how much is at stake in the row.
///
/// Rows are sorted by the spread of what their pairs cost and use, and parted where that jumps: counting the dear ones on a
/// model is what a cover inequality of the knapsack would do.
pub(crate) fn kinds(rows: &Rows) -> (Vec<u32>, usize) {
    let models = models(rows);
    let n_models = models.len();
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
        let of_model = |pair: usize| models.binary_search(&rows.model[pair]).unwrap_or(0);
        rows.pairs(row).for_each(|pair| kind[pair] = (part * n_models + of_model(pair)) as u32);
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
pub(crate) fn classes(rows: &Rows) -> Vec<usize> {
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
