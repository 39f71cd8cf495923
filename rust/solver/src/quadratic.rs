//! The top of a quadratic model of the dual, as far as prices stay above zero.

/// Times that prices which would pass below zero are held there.
const HOLDS: usize = 8;

/// A quadratic model around some prices.
pub(crate) struct Quadratic<'q, C, R> {
    pub(crate) prices: &'q [f64],
    /// Per limit: use beyond it.
    pub(crate) slope: &'q [f64],
    /// How much less is used of one limit when the price of another rises; symmetric.
    pub(crate) curvature: C,
    /// Added to the diagonal of the curvature.
    pub(crate) ridge: R,
}

impl<C: Fn(usize, usize) -> f64, R: Fn(usize) -> f64> Quadratic<'_, C, R> {
    /// The step to the top, by the prices that may move.
    pub(crate) fn step(&self, movable: impl Fn(usize) -> bool) -> Vec<f64> {
        let Self { prices, slope, curvature, ridge } = self;
        let n = slope.len();
        let rises = |k: usize| prices[k] > 0.0 || slope[k] > 0.0;
        let mut free: Vec<usize> = (0..n).filter(|&k| rises(k) && movable(k)).collect();
        let mut step = vec![0.0; n];
        for _ in 0..HOLDS {
            // What is held at zero moves the others.
            let held: Vec<usize> = (0..n).filter(|k| !free.contains(k) && step[*k] != 0.0).collect();
            let goal = |&k: &usize| slope[k] - held.iter().map(|&l| curvature(k, l) * step[l]).sum::<f64>();
            let goal: Vec<f64> = free.iter().map(goal).collect();
            let mut matrix = Vec::with_capacity(free.len() * free.len());
            for &k in &free {
                matrix.extend(free.iter().map(|&l| curvature(k, l) + if k == l { ridge(k) } else { 0.0 }));
            }
            let solved = solve_positive(&mut matrix, goal);
            free.iter().zip(&solved).for_each(|(&k, &x)| step[k] = x);
            let below: Vec<usize> = free.iter().copied().filter(|&k| prices[k] + step[k] < 0.0).collect();
            if below.is_empty() {
                break;
            }
            below.iter().for_each(|&k| step[k] = -prices[k]);
            free.retain(|k| !below.contains(k));
        }
        step
    }
}

/// Solves a positive definite system of which the upper half is given, line by line (Gauss without pivoting).
fn solve_positive(matrix: &mut [f64], mut x: Vec<f64>) -> Vec<f64> {
    let n = x.len();
    for k in 0..n {
        let (done, below) = matrix.split_at_mut((k + 1) * n);
        let line = &done[k * n..];
        let (of_k, pivot) = (x[k], line[k].max(f64::MIN_POSITIVE));
        for (other, l) in below.chunks_exact_mut(n).zip(k + 1..) {
            let factor = line[l] / pivot;
            if factor != 0.0 {
                other[l..].iter_mut().zip(&line[l..]).for_each(|(x, y)| *x -= factor * y);
                x[l] -= factor * of_k;
            }
        }
    }
    for k in (0..n).rev() {
        let line = &matrix[k * n..(k + 1) * n];
        let known = line[k + 1..].iter().zip(&x[k + 1..]).map(|(a, b)| a * b).sum::<f64>();
        x[k] = (x[k] - known) / line[k].max(f64::MIN_POSITIVE);
    }
    x
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positive_systems_are_solved() {
        let x = solve_positive(&mut [4.0, 2.0, 0.0, 0.0, 5.0, 1.0, 0.0, 0.0, 3.0], vec![8.0, 15.0, 11.0]);
        [1.0, 2.0, 3.0].iter().zip(x).for_each(|(a, b)| assert!((a - b).abs() < 1e-12));
    }

    #[test]
    fn a_step_does_not_pass_below_zero_and_moves_the_others_for_it() {
        let curvature = |k: usize, l: usize| [[1.0, 0.5], [0.5, 1.0]][k][l];
        let model = Quadratic { prices: &[0.1, 0.2], slope: &[-0.3, 0.05], curvature, ridge: |_| 0.0 };
        // The first alone would fall by more than it has; with it at zero, the second has 0.05 + 0.5 * 0.1 to rise by.
        let step = model.step(|_| true);
        assert!((step[0] + 0.1).abs() < 1e-12 && (step[1] - 0.1).abs() < 1e-12, "{step:?}");
        assert_eq!(model.step(|k| k == 1), vec![0.0, 0.05]);
    }
}
