//! Sums in float64 that can be trusted to the last bit, because limits are compared exactly.

use serde::{Deserialize, Serialize};

/// A running sum with its rounding errors carried along (Neumaier 1974): about twice the precision of a plain sum.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Sum {
    high: f64,
    low: f64,
}

impl Sum {
    #[inline]
    pub(crate) fn add(&mut self, x: f64) {
        let total = self.high + x;
        self.low += if self.high.abs() >= x.abs() { (self.high - total) + x } else { (x - total) + self.high };
        self.high = total;
    }

    pub(crate) fn value(&self) -> f64 {
        self.high + self.low
    }
}

/// A sum kept exactly and rounded once (Shewchuk 1997; what Python's `math.fsum` computes).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Exact {
    partials: Vec<f64>,
}

impl Exact {
    pub(crate) fn add(&mut self, number: f64) {
        let mut x = number;
        let mut kept = 0;
        for at in 0..self.partials.len() {
            let mut y = self.partials[at];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                self.partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        self.partials.truncate(kept);
        self.partials.push(x);
    }

    pub(crate) fn value(&self) -> f64 {
        round_once(&self.partials)
    }
}

/// Adds non-overlapping partials, smallest first in the list, with the half-way case decided by the next one.
fn round_once(partials: &[f64]) -> f64 {
    let Some((&last, rest)) = partials.split_last() else { return 0.0 };
    let mut high = last;
    let mut low = 0.0;
    let mut left = rest.len();
    while left > 0 {
        let x = high;
        left -= 1;
        let y = rest[left];
        high = x + y;
        low = y - (high - x);
        if low != 0.0 {
            break;
        }
    }
    if left > 0 && ((low < 0.0 && rest[left - 1] < 0.0) || (low > 0.0 && rest[left - 1] > 0.0)) {
        let y = low * 2.0;
        let x = high + y;
        if y == x - high {
            high = x;
        }
    }
    high
}

/// The sum of so many numbers as numpy adds a contiguous float64 array: halves of halves, down to blocks of at most 128 that
/// are added in eight running sums. The numbers may come bit by bit, from one chunk or machine after the other.
///
/// A limit that a user computed with numpy from a plan must accept that very plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Pairwise {
    /// What is left to do, the next step last.
    steps: Vec<Step>,
    /// Sums that wait for their other half.
    done: Vec<f64>,
    block: Vec<f64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
enum Step {
    Add(u64),
    Join,
}

impl Pairwise {
    /// For `count` numbers to come.
    pub(crate) fn new(count: u64) -> Self {
        let mut sum = Self { steps: vec![Step::Add(count)], done: Vec::new(), block: Vec::new() };
        sum.halve();
        sum
    }

    /// Divides the next step until it is a block.
    fn halve(&mut self) {
        while let Some(&Step::Add(count)) = self.steps.last().filter(|&step| matches!(step, Step::Add(n) if *n > 128)) {
            let half = count / 2 - (count / 2) % 8;
            self.steps.pop();
            self.steps.extend([Step::Join, Step::Add(count - half), Step::Add(half)]);
        }
    }

    pub(crate) fn add(&mut self, x: f64) {
        self.block.push(x);
        if self.steps.last() != Some(&Step::Add(self.block.len() as u64)) {
            return;
        }
        self.steps.pop();
        let mut sum = add_block(&self.block);
        self.block.clear();
        while self.steps.last() == Some(&Step::Join) {
            self.steps.pop();
            sum += self.done.pop().unwrap_or(0.0);
        }
        self.done.push(sum);
        self.halve();
    }

    /// The sum; of the numbers so far where some are missing.
    pub(crate) fn value(&self) -> f64 {
        self.done.iter().sum::<f64>() + add_block(&self.block)
    }
}

/// Up to 128 numbers.
fn add_block(numbers: &[f64]) -> f64 {
    if numbers.len() < 8 {
        return numbers.iter().fold(-0.0, |sum, &x| sum + x);
    }
    let mut r: [f64; 8] = [0.0; 8];
    r.copy_from_slice(&numbers[..8]);
    let whole = numbers.len() - numbers.len() % 8;
    for eight in numbers[8..whole].chunks_exact(8) {
        for (sum, &x) in r.iter_mut().zip(eight) {
            *sum += x;
        }
    }
    let sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    numbers[whole..].iter().fold(sum, |sum, &x| sum + x)
}

/// What numbers of a plan add up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Summed {
    /// Usage under a limit.
    Limit(usize),
    /// All of an input.
    Input(usize),
}

/// Numbers of a plan, added in the order of the rows: exactly and as numpy adds them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OrderedSum {
    pub(crate) of: Summed,
    exact: Exact,
    pairwise: Pairwise,
}

impl OrderedSum {
    /// For `count` numbers.
    pub(crate) fn new(of: Summed, count: u64) -> Self {
        Self { of, exact: Exact::default(), pairwise: Pairwise::new(count) }
    }

    pub(crate) fn add(&mut self, x: f64) {
        self.exact.add(x);
        self.pairwise.add(x);
    }

    /// The exact sum, rounded once.
    pub(crate) fn exact(&self) -> f64 {
        self.exact.value()
    }

    /// Whether one of the two sums is at most `limit`, and the sum that decides.
    pub(crate) fn fits(&self, limit: f64) -> (bool, f64) {
        let (once, numpy) = (self.exact.value(), self.pairwise.value());
        (once.min(numpy) <= limit, if once <= limit || numpy > limit { once } else { numpy })
    }
}

/// The sum of all numbers, rounded once.
#[cfg(test)]
pub(crate) fn exact(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut sum = Exact::default();
    numbers.for_each(|x| sum.add(x));
    sum.value()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exact_rounds_once() {
        assert_eq!(exact([0.1; 10].into_iter()), 1.0);
        assert_eq!(exact([1e16, 1.0, -1e16].into_iter()), 1.0);
        assert_eq!(exact([1e100, 1.0, -1e100, 1e-30].into_iter()), 1.0);
        assert_eq!(exact(std::iter::empty()), 0.0);
    }

    #[test]
    fn running_sum_recovers_what_plain_addition_loses() {
        let mut sum = Sum::default();
        [1e16, 1.0, -1e16].into_iter().for_each(|x| sum.add(x));
        assert_eq!(sum.value(), 1.0);
    }

    /// The same sum, written as numpy does: one recursion over an array.
    fn recursive(numbers: &[f64]) -> f64 {
        let n = numbers.len();
        if n <= 128 {
            return add_block(numbers);
        }
        let half = n / 2 - (n / 2) % 8;
        recursive(&numbers[..half]) + recursive(&numbers[half..])
    }

    #[test]
    fn pairwise_adds_in_the_order_of_the_recursion() {
        for n in [0, 1, 7, 8, 9, 127, 128, 129, 255, 257, 1000, 4099, 65_537] {
            let numbers: Vec<f64> = (0..n).map(|i: i64| (i * i % 977) as f64 / 7.0).collect();
            let mut sum = Pairwise::new(numbers.len() as u64);
            numbers.iter().for_each(|&x| sum.add(x));
            assert_eq!(sum.value(), recursive(&numbers), "{n}");
        }
    }

    #[test]
    fn pairwise_sums_of_integers_are_exact() {
        let mut sum = Pairwise::new(1000);
        (0..1000).for_each(|i| sum.add(f64::from(i)));
        assert_eq!(sum.value(), 499_500.0);
    }
}
