//! Sums that do not depend on the order of their terms, so that blocks, threads and shards may be cut in any way.

use serde::{Deserialize, Serialize};

use crate::lanes::grid_units;

/// Bits of the coarse and of the fine part of a number.
const BITS: i32 = 46;
/// Numbers whose parts are summed in 64 bits.
const ADDED_TOGETHER: usize = 1 << 10;
/// The largest magnitude that has a grid.
pub(crate) const GRID_LARGEST: f64 = 1e300;

/// A sum of numbers on a grid of fixed steps: exact for numbers that lie on it, and the same bits in any order.
///
/// The step is `2^-92` of a power of two above the largest number, so float32 numbers lie on the grid unless they are smaller
/// than the largest by `2^67`, and float64 numbers unless by `2^38`; what lies off is rounded to it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GridSum {
    units: i128,
    step: f64,
    /// Adding this to a number leaves its multiple of the coarse step in the last bits.
    coarse: f64,
    fine: f64,
}

impl Default for GridSum {
    fn default() -> Self {
        Self::of(1.0)
    }
}

impl GridSum {
    /// For up to `2^32` numbers of at most this magnitude, itself at most [`GRID_LARGEST`].
    pub(crate) fn of(largest: f64) -> Self {
        let above = largest.clamp(1e-250, GRID_LARGEST).log2().ceil() as i32 + 2;
        let step = f64::powi(2.0, above - 2 * BITS);
        let coarse_step = f64::powi(2.0, above - BITS);
        // 1.5 * 2^52: sums with it have steps of one.
        let magic = 1.5 * f64::powi(2.0, 52);
        Self { units: 0, step, coarse: magic * coarse_step, fine: magic * step }
    }

    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        self.units += self.units_of(x);
    }

    /// Adds a number several times.
    pub(crate) fn add_times(&mut self, x: f64, count: u64) {
        self.units += self.units_of(x) * i128::from(count);
    }

    /// Adds many numbers.
    pub(crate) fn add_all(&mut self, numbers: &[f64]) {
        self.units += self.units_of_all(numbers);
    }

    /// Adds many numbers, or takes them away where `sign` is negative.
    pub(crate) fn add_all_times(&mut self, sign: f64, numbers: &[f64]) {
        let units = self.units_of_all(numbers);
        self.units += if sign < 0.0 { -units } else { units };
    }

    fn units_of_all(&self, numbers: &[f64]) -> i128 {
        let units = |some: &[f64]| {
            let (mut high, mut low) = (0, 0);
            grid_units::run(some, self.coarse, self.fine, &mut high, &mut low);
            (i128::from(high) << BITS) + i128::from(low)
        };
        numbers.chunks(ADDED_TOGETHER).map(units).sum()
    }

    #[inline]
    fn units_of(&self, x: f64) -> i128 {
        debug_assert!(3.0 * x.abs() <= self.coarse, "{x} is too large for {self:?}");
        let near = x + self.coarse;
        let high = near.to_bits() as i64 - self.coarse.to_bits() as i64;
        let rest = (x - (near - self.coarse)) + self.fine;
        let low = rest.to_bits() as i64 - self.fine.to_bits() as i64;
        (i128::from(high) << BITS) + i128::from(low)
    }

    /// The same grid, nothing on it.
    pub(crate) fn emptied(self) -> Self {
        Self { units: 0, ..self }
    }

    /// Adds another sum on the same grid.
    pub(crate) fn merge(&mut self, other: Self) {
        debug_assert_eq!(self.step, other.step);
        self.units += other.units;
    }

    /// Takes a part of the sum away again.
    pub(crate) fn take(&mut self, part: Self) {
        debug_assert_eq!(self.step, part.step);
        self.units -= part.units;
    }

    /// The sum of all numbers multiplied by a power of two.
    pub(crate) fn times(self, factor: f64) -> Self {
        let Self { units, step, coarse, fine } = self;
        Self { units, step: step * factor, coarse: coarse * factor, fine: fine * factor }
    }

    /// The sum, rounded once.
    pub(crate) fn value(&self) -> f64 {
        self.units as f64 * self.step
    }

    /// What rounding to the grid may have changed in a sum of `count` numbers.
    pub(crate) fn error(&self, count: usize) -> f64 {
        count as f64 * self.step
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sums::exact;

    fn sum(largest: f64, numbers: &[f64]) -> GridSum {
        let mut sum = GridSum::of(largest);
        numbers.iter().for_each(|&x| sum.add(x));
        sum
    }

    #[test]
    fn single_precision_sums_are_exact_and_rounded_once() {
        let mut state = 1_u64;
        let mut number = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let small = f64::powi(2.0, -((state >> 58) as i32));
            f64::from(((state >> 20) as i32) as f32) * small
        };
        let numbers: Vec<f64> = (0..10_000).map(|_| number()).collect();
        let largest = numbers.iter().fold(0.0, |most: f64, x| most.max(x.abs()));
        assert_eq!(sum(largest, &numbers).value(), exact(numbers.iter().copied()));
    }

    #[test]
    fn any_cut_gives_the_same_bits() {
        let numbers: Vec<f64> = (0..1000).map(|i| f64::from(i * i % 977) / 7.0).collect();
        let whole = sum(200.0, &numbers);
        for cut in [1, 13, 999] {
            let mut parts = sum(200.0, &numbers[cut..]);
            parts.merge(sum(200.0, &numbers[..cut]));
            assert_eq!(parts, whole);
        }
        assert!((whole.value() - exact(numbers.iter().copied())).abs() <= whole.error(numbers.len()));
    }

    #[test]
    fn many_are_added_like_one_by_one() {
        let numbers: Vec<f64> = (0..5003).map(|i| f64::from(i * i % 977 - 400) / 7.0).collect();
        let whole = sum(200.0, &numbers);
        let mut many = GridSum::of(200.0);
        many.add_all(&numbers);
        assert_eq!(many, whole);
        many.take(sum(200.0, &numbers[1..]));
        assert_eq!(many, sum(200.0, &numbers[..1]));
    }

    #[test]
    fn negative_numbers_and_scales() {
        let numbers = [-1.5, 0.25, 1e-9, -0.0];
        let once = sum(1.5, &numbers);
        assert_eq!(once.value(), exact(numbers.iter().copied()));
        assert_eq!(once.times(1024.0).value(), 1024.0 * once.value());
        assert_eq!(sum(0.0, &[0.0, 0.0]).value(), 0.0);
    }
}
