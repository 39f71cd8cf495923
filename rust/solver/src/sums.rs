//! Sums in float64 that can be trusted to the last bit, because limits are compared exactly.

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

/// The sum of all numbers, rounded once (Shewchuk 1997; what Python's `math.fsum` computes).
pub(crate) fn exact(numbers: impl Iterator<Item = f64>) -> f64 {
    let mut partials: Vec<f64> = Vec::new();
    for number in numbers {
        let mut x = number;
        let mut kept = 0;
        for at in 0..partials.len() {
            let mut y = partials[at];
            if x.abs() < y.abs() {
                std::mem::swap(&mut x, &mut y);
            }
            let high = x + y;
            let low = y - (high - x);
            if low != 0.0 {
                partials[kept] = low;
                kept += 1;
            }
            x = high;
        }
        partials.truncate(kept);
        partials.push(x);
    }
    round_once(&partials)
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

/// The sum as numpy adds a contiguous float64 array: pairwise, in blocks of 128 with eight running sums.
///
/// A limit that a user computed with numpy from a plan must accept that very plan.
pub(crate) fn pairwise(numbers: &[f64]) -> f64 {
    let n = numbers.len();
    if n < 8 {
        return numbers.iter().fold(-0.0, |sum, &x| sum + x);
    }
    if n <= 128 {
        let mut r: [f64; 8] = [0.0; 8];
        r.copy_from_slice(&numbers[..8]);
        let whole = n - n % 8;
        for eight in numbers[8..whole].chunks_exact(8) {
            for (sum, &x) in r.iter_mut().zip(eight) {
                *sum += x;
            }
        }
        let sum = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
        return numbers[whole..].iter().fold(sum, |sum, &x| sum + x);
    }
    let half = n / 2 - (n / 2) % 8;
    pairwise(&numbers[..half]) + pairwise(&numbers[half..])
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

    #[test]
    fn pairwise_agrees_with_exact_on_integers() {
        let numbers: Vec<f64> = (0..1000).map(f64::from).collect();
        for n in [0, 1, 7, 8, 9, 127, 128, 129, 255, 1000] {
            assert_eq!(pairwise(&numbers[..n]), exact(numbers[..n].iter().copied()));
        }
    }
}
