//! Pairs that no better plan uses: dearer than the cutoff by their reduced cost, or too large for what a limit has left.

use crate::ascent::Ascent;
use crate::rows::Rows;

/// Relative distance by which a pair must miss, so that rounding never removes a plan.
const SAFE: f64 = 1e-9;

/// What a round of fixing did to a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fixed {
    /// Nothing that moves the vertex.
    Same,
    /// A pair of the vertex is gone: the ascent has to go on.
    Moved,
    /// A row has no pair left: no better plan is here.
    Empty,
}

/// Bans pairs whose choice would lift the dual value past the cutoff: `value - least of the row + reduced cost`.
pub(crate) fn by_cost(rows: &Rows, node: &mut Ascent<'_>, value: f64, cutoff: f64) {
    let room = cutoff - value + SAFE * (1.0 + value.abs());
    if !room.is_finite() {
        return;
    }
    let prices: Vec<f64> = node.prices().iter().copied().chain([0.0]).collect();
    for row in 0..rows.len() {
        let key = node.key[row];
        let reduced = |pair: usize| rows.objective[pair] + rows.dot(pair, &prices);
        let most = reduced(key) + room;
        for pair in rows.pairs(row) {
            if pair != key && !node.is_banned(pair) && reduced(pair) > most {
                node.ban(row, pair);
            }
        }
    }
}

/// Bans pairs that pass a limit when every other row uses as little of it as it can, until there are no more.
pub(crate) fn by_room(rows: &Rows, node: &mut Ascent<'_>) -> Fixed {
    let in_vertex: Vec<usize> = node.fractions().into_iter().map(|(_, pair, _)| pair).collect();
    let mut out = Fixed::Same;
    loop {
        let (least, room) = least_use(rows, node);
        if room.iter().zip(node.limits()).any(|(room, limit)| *room < -SAFE * (1.0 + limit.abs())) {
            return Fixed::Empty;
        }
        let mut banned = false;
        for row in 0..rows.len() {
            for pair in rows.pairs(row) {
                if node.is_banned(pair) || fits(rows, node, &least, &room, row, pair) {
                    continue;
                }
                if node.key[row] == pair || in_vertex.contains(&pair) {
                    out = Fixed::Moved;
                }
                if !node.ban(row, pair) {
                    return Fixed::Empty;
                }
                banned = true;
            }
        }
        if !banned {
            return out;
        }
    }
}

/// Per row and resource column the limit and amount used at least, and what that leaves of each limit.
///
/// A column whose pairs count under several limits of which none is used by all (a load of a model) is used by 0 at least, or by
/// the least (negative) amount where amounts are negative.
fn least_use(rows: &Rows, node: &Ascent<'_>) -> (Vec<(u32, f64)>, Vec<f64>) {
    let width = rows.n_resources;
    let mut least = Vec::with_capacity(rows.len() * width);
    let mut room: Vec<f64> = node.limits().iter().copied().chain([f64::INFINITY]).collect();
    for row in 0..rows.len() {
        for column in 0..width {
            let mut open = rows.pairs(row).filter(|&pair| !node.is_banned(pair)).map(|pair| pair * width + column);
            let Some(first) = open.next() else { continue };
            let (limit, mut amount, mut one) = (rows.limit[first], rows.usage[first], true);
            for at in open {
                one &= rows.limit[at] == limit;
                amount = amount.min(rows.usage[at]);
            }
            if one {
                room[limit as usize] -= amount;
                least.push((limit, amount));
            } else {
                // Each limit by itself may be spared by the whole row; only what is given back counts.
                for pair in rows.pairs(row).filter(|&pair| !node.is_banned(pair)) {
                    let at = pair * width + column;
                    room[rows.limit[at] as usize] -= rows.usage[at].min(0.0);
                }
                least.push((u32::MAX, 0.0));
            }
        }
    }
    room.pop();
    (least, room)
}

fn fits(rows: &Rows, node: &Ascent<'_>, least: &[(u32, f64)], room: &[f64], row: usize, pair: usize) -> bool {
    let width = rows.n_resources;
    (0..width).all(|column| {
        let (limit, amount) = (rows.limit[pair * width + column], rows.usage[pair * width + column]);
        let Some(&room) = room.get(limit as usize) else { return true };
        let (shared, spared) = least[row * width + column];
        let extra = if shared == limit { amount - spared } else { amount - amount.min(0.0) };
        extra <= room + SAFE * (1.0 + node.limits()[limit as usize].abs())
    })
}
