//! The working basis of the ascent: one basic variable per limit, and the inverse of their columns.

use crate::lanes::times_vector;

/// A basic variable besides the keys of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Basic {
    /// What a limit leaves unused; its price is zero.
    Slack(usize),
    /// A limit whose price is held at its starting value.
    Pinned(usize),
    /// A pair tied with the key of its row.
    Pair {
        /// Its row.
        row: usize,
        /// The pair.
        pair: usize,
    },
}

/// Pivots smaller than this are refused.
const SMALLEST_PIVOT: f64 = 1e-8;
/// Limits from which on sums over them are taken in parts.
const WIDE: usize = 64;
/// Updates after which the inverse is computed afresh.
const STALE_AFTER: usize = 64;

/// One basic variable per limit, and the inverse of the matrix of their columns, row by row.
#[derive(Clone)]
pub(crate) struct Basis {
    at: Vec<Basic>,
    inverse: Vec<f64>,
    updates: usize,
}

impl Basis {
    /// Slacks where the price is zero, pins elsewhere: every column a unit vector.
    pub(crate) fn pinned(prices: &[f64]) -> Self {
        let n = prices.len();
        let at = prices.iter().enumerate();
        let at = at.map(|(k, &price)| if price > 0.0 { Basic::Pinned(k) } else { Basic::Slack(k) }).collect();
        let mut inverse = vec![0.0; n * n];
        (0..n).for_each(|k| inverse[k * n + k] = 1.0);
        Self { at, inverse, updates: 0 }
    }

    pub(crate) fn at(&self, position: usize) -> Basic {
        self.at[position]
    }

    fn line(&self, position: usize) -> &[f64] {
        let n = self.at.len();
        &self.inverse[position * n..(position + 1) * n]
    }

    /// Values of the basic variables, given what the keys leave of each limit.
    pub(crate) fn amounts(&self, residual: &[f64]) -> Vec<f64> {
        if residual.len() < WIDE {
            return (0..self.at.len()).map(|p| self.line(p).iter().zip(residual).map(|(a, b)| a * b).sum()).collect();
        }
        let mut amounts = vec![0.0; self.at.len()];
        times_vector::run(&mut amounts, &self.inverse, residual);
        amounts
    }

    /// The same for a column, of which few entries are not zero.
    fn image(&self, column: &[f64]) -> Vec<f64> {
        let entries: Vec<(usize, f64)> = column.iter().copied().enumerate().filter(|(_, x)| *x != 0.0).collect();
        (0..self.at.len()).map(|p| self.line(p)).map(|line| entries.iter().map(|&(k, x)| line[k] * x).sum()).collect()
    }

    /// The direction of the prices when a variable leaves, with a zero at the end for "no limit".
    pub(crate) fn edge(&self, position: usize, up: f64) -> Vec<f64> {
        self.line(position).iter().map(|rate| up * rate).chain([0.0]).collect()
    }

    /// Squared length of that direction.
    pub(crate) fn edge_norm(&self, position: usize) -> f64 {
        self.line(position).iter().map(|rate| rate * rate).sum::<f64>().max(1e-30)
    }

    /// Positions of the basic pairs of a row.
    pub(crate) fn positions_of(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let of_row = move |basic: &Basic| matches!(basic, Basic::Pair { row: r, .. } if *r == row);
        (0..self.at.len()).filter(move |&p| of_row(&self.at[p]))
    }

    /// The basic pairs as (row, position), in row order.
    pub(crate) fn shared_rows(&self) -> Vec<(usize, usize)> {
        let pairs = self.at.iter().enumerate().filter_map(|(position, basic)| match basic {
            Basic::Pair { row, .. } => Some((*row, position)),
            _ => None,
        });
        let mut pairs: Vec<(usize, usize)> = pairs.collect();
        pairs.sort_unstable();
        pairs
    }

    /// Limits whose slack or pin is basic at another position than `leaving`.
    pub(crate) fn slacks(&self, leaving: usize) -> Vec<bool> {
        let mut out = vec![false; self.at.len()];
        for (position, basic) in self.at.iter().enumerate() {
            if let (Basic::Slack(k) | Basic::Pinned(k), true) = (basic, position != leaving) {
                out[*k] = true;
            }
        }
        out
    }

    /// Puts a variable in the place of another. False when the pivot is too small to trust.
    pub(crate) fn exchange(&mut self, position: usize, entering: Basic, column: &[f64]) -> bool {
        let n = self.at.len();
        let image = self.image(column);
        let largest = image.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        if image[position].abs() <= SMALLEST_PIVOT * largest.max(SMALLEST_PIVOT) {
            return false;
        }
        let pivot: Vec<f64> = self.line(position).iter().map(|x| x / image[position]).collect();
        for (p, factor) in image.into_iter().enumerate() {
            if p != position && factor != 0.0 {
                let line = &mut self.inverse[p * n..(p + 1) * n];
                line.iter_mut().zip(&pivot).for_each(|(x, y)| *x -= factor * y);
            }
        }
        self.inverse[position * n..(position + 1) * n].copy_from_slice(&pivot);
        self.at[position] = entering;
        self.updates += 1;
        true
    }

    /// The same basis where rows and pairs have other names.
    pub(crate) fn renamed(&self, row_of: impl Fn(usize) -> usize, pair_of: impl Fn(usize) -> usize) -> Self {
        let renamed = |basic: &Basic| match *basic {
            Basic::Pair { row, pair } => Basic::Pair { row: row_of(row), pair: pair_of(pair) },
            other => other,
        };
        Self { at: self.at.iter().map(renamed).collect(), inverse: self.inverse.clone(), updates: self.updates }
    }

    /// Puts a slack or a pinned price in the place of a basic variable: of those that are not basic the one that tells most.
    pub(crate) fn untie(&mut self, position: usize, prices: &[f64]) {
        let line = self.line(position);
        let k = (0..line.len()).max_by(|&a, &b| line[a].abs().total_cmp(&line[b].abs())).unwrap_or(0);
        let mut unit = vec![0.0; line.len()];
        unit[k] = 1.0;
        self.exchange(position, if prices[k] > 0.0 { Basic::Pinned(k) } else { Basic::Slack(k) }, &unit);
    }

    /// Makes a basic pair the key of its row, and the old key basic in its place; returns the new key.
    ///
    /// Columns are relative to the key, so the columns of the row change sign or shift; the inverse follows by one row.
    pub(crate) fn swap_key(&mut self, position: usize, old_key: usize) -> usize {
        let Basic::Pair { row, pair } = self.at[position] else { return old_key };
        let n = self.at.len();
        let mut line = vec![0.0; n];
        for p in self.positions_of(row) {
            line.iter_mut().zip(self.line(p)).for_each(|(sum, x)| *sum -= x);
        }
        self.inverse[position * n..(position + 1) * n].copy_from_slice(&line);
        self.at[position] = Basic::Pair { row, pair: old_key };
        pair
    }

    /// Whether rounding errors may have piled up.
    pub(crate) fn is_stale(&self) -> bool {
        self.updates >= STALE_AFTER
    }

    /// Inverts the matrix of the given columns (Gauss-Jordan with row pivoting). False when it is singular.
    pub(crate) fn invert(&mut self, columns: &[Vec<f64>]) -> bool {
        let n = self.at.len();
        let mut left: Vec<Vec<f64>> = (0..n).map(|k| columns.iter().map(|column| column[k]).collect()).collect();
        let mut right: Vec<Vec<f64>> = (0..n).map(|k| (0..n).map(|l| f64::from(u8::from(k == l))).collect()).collect();
        for p in 0..n {
            let pivot_row = (p..n).max_by(|&a, &b| left[a][p].abs().total_cmp(&left[b][p].abs())).unwrap_or(p);
            if left[pivot_row][p].abs() < 1e-11 {
                return false;
            }
            left.swap(p, pivot_row);
            right.swap(p, pivot_row);
            let factor = 1.0 / left[p][p];
            left[p].iter_mut().for_each(|x| *x *= factor);
            right[p].iter_mut().for_each(|x| *x *= factor);
            let (pivot_left, pivot_right) = (left[p].clone(), right[p].clone());
            for k in (0..n).filter(|&k| k != p) {
                let factor = left[k][p];
                if factor != 0.0 {
                    left[k].iter_mut().zip(&pivot_left).for_each(|(x, y)| *x -= factor * y);
                    right[k].iter_mut().zip(&pivot_right).for_each(|(x, y)| *x -= factor * y);
                }
            }
        }
        self.inverse = right.concat();
        self.updates = 0;
        true
    }

    /// Prices at which each basic column costs what is given.
    pub(crate) fn solve_prices(&self, ties: &[f64]) -> Vec<f64> {
        let mut prices = vec![0.0; ties.len()];
        for (position, tie) in ties.iter().enumerate() {
            prices.iter_mut().zip(self.line(position)).for_each(|(price, x)| *price += tie * x);
        }
        prices
    }
}
