//! Samples that lie: first multipliers, boxes and scales come from them, so a wrong sample may cost passes, never a wrong claim.

mod common;

use common::{ladder, Instance};
use omnirouter_solver::{
    solve, DenseOracle, DualOracle, DualPoint, Goal, Interrupted, Limits, Prices, Rows, Screen, Settings, Solution,
    Status, Tally, Unwatched,
};

/// What is done to the rows of every sample.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    None,
    /// Every query looks like one made-up query: all quarters of the sample agree, so the box has no width.
    Alike,
    /// Nothing counts under any limit: all multipliers of the sample are 0.
    Free,
    /// Everything uses as much as the dearest pair, so that the sample has no plan.
    Scarce,
    /// Usage is dearest where it was cheapest.
    Reversed,
    /// The sample thinks that it is a tenth of what it is.
    WrongShare,
    /// Scales are chosen for numbers a million million times smaller.
    WrongScale,
}

const FAULTS: [Fault; 6] =
    [Fault::Alike, Fault::Free, Fault::Scarce, Fault::Reversed, Fault::WrongShare, Fault::WrongScale];

struct Corrupted<'a> {
    inner: DenseOracle<'a>,
    fault: Fault,
}

fn corrupt(rows: &mut Rows, fault: Fault) {
    match fault {
        Fault::None => {}
        Fault::Alike => {
            let width = rows.n_resources;
            for (pair, &model) in rows.model.iter().enumerate() {
                rows.objective[pair] = f64::from(model) / 16.0;
                rows.usage[pair * width..(pair + 1) * width].fill(1.0);
            }
        }
        Fault::Free => rows.usage.fill(0.0),
        Fault::Scarce => {
            let width = rows.n_resources;
            for r in 0..width {
                let most = rows.usage.iter().skip(r).step_by(width).fold(0.0, |most: f64, usage| most.max(usage.abs()));
                rows.usage.iter_mut().skip(r).step_by(width).for_each(|usage| *usage = most);
            }
        }
        Fault::Reversed => rows.usage.reverse(),
        Fault::WrongShare => rows.share.iter_mut().for_each(|share| *share *= 0.1),
        Fault::WrongScale => {
            rows.usage.iter_mut().for_each(|usage| *usage *= 1e-12);
            rows.objective.iter_mut().for_each(|objective| *objective *= 1e-12);
        }
    }
}

impl DualOracle for Corrupted<'_> {
    fn n_queries(&self) -> usize {
        self.inner.n_queries()
    }

    fn n_models(&self) -> usize {
        self.inner.n_models()
    }

    fn limits(&self) -> &Limits {
        self.inner.limits()
    }

    fn sign(&self) -> f64 {
        self.inner.sign()
    }

    fn goal_of(&self, goal: Goal, tally: &Tally) -> f64 {
        self.inner.goal_of(goal, tally)
    }

    fn rounding(&self, goal: Goal, prices: &Prices) -> f64 {
        self.inner.rounding(goal, prices)
    }

    fn evaluate(&mut self, goal: Goal, prices: &Prices) -> Result<DualPoint, Interrupted> {
        self.inner.evaluate(goal, prices)
    }

    fn screen(&mut self, goal: Goal, screen: &Screen) -> Result<Rows, Interrupted> {
        let mut rows = self.inner.screen(goal, screen)?;
        if screen.sample > 0 {
            corrupt(&mut rows, self.fault);
        }
        Ok(rows)
    }

    fn tally(&mut self, changed: &[(usize, i32)]) -> Result<Tally, Interrupted> {
        self.inner.tally(changed)
    }

    fn keep(&mut self) -> Result<(), Interrupted> {
        self.inner.keep()
    }

    fn assignment(&mut self) -> Result<Vec<i32>, Interrupted> {
        self.inner.assignment()
    }

    fn blocking(&mut self, query: usize) -> Result<Vec<usize>, Interrupted> {
        self.inner.blocking(query)
    }

    fn passes(&self) -> usize {
        self.inner.passes()
    }
}

fn solve_with(instance: &Instance, fault: Fault, start: Option<&[f64]>) -> Solution {
    let problem = instance.problem();
    let inner = DenseOracle::in_memory(&problem, 1, &Unwatched).expect("valid input");
    let solution = solve(&mut Corrupted { inner, fault }, &Settings::default(), start, &Unwatched);
    instance.check(&solution);
    solution
}

/// Two proofs about one problem: neither plan passes the other's bound, and both keep their promise.
fn assert_agree(clean: &Solution, other: &Solution, what: &str) {
    assert_eq!(other.status, Status::Optimal, "{what}: {:?}", other.info);
    assert!(other.bound >= clean.objective, "{what}: bound {} is passed by {}", other.bound, clean.objective);
    assert!(clean.bound >= other.objective, "{what}: bound {} is passed by {}", clean.bound, other.objective);
    assert!(other.dual_bound >= clean.objective, "{what}: {} < {}", other.dual_bound, clean.objective);
}

#[test]
fn samples_that_lie_cost_passes_and_no_claim() {
    for sorted in [false, true] {
        let instance = ladder(9_000, 6, 1, sorted);
        let clean = solve_with(&instance, Fault::None, None);
        assert!(clean.info.passes <= 3, "{:?}", clean.info);
        let mut widened = 0;
        for fault in FAULTS {
            let other = solve_with(&instance, fault, None);
            assert_agree(&clean, &other, &format!("{fault:?}, sorted: {sorted}"));
            widened += usize::from(other.info.passes > clean.info.passes);
        }
        assert!(widened >= 4, "only {widened} of {} faults cost a pass", FAULTS.len());
    }
}

#[test]
fn samples_that_lie_about_an_infeasible_problem_prove_nothing_wrong() {
    let mut instance = ladder(9_000, 6, 2, false);
    instance.budget = instance.budget.map(|budget| budget * 0.1);
    for fault in [Fault::None].into_iter().chain(FAULTS) {
        let solution = solve_with(&instance, fault, None);
        assert_eq!(solution.status, Status::Infeasible, "{fault:?}");
    }
}

#[test]
fn starts_that_lie_change_no_claim() {
    let instance = ladder(9_000, 6, 3, false);
    let clean = solve_with(&instance, Fault::None, None);
    let n_limits = clean.limits.len();
    for price in [1e-300, 1e-3, 1e3, 1e12, 1e99, 1e300, -1.0, f64::INFINITY, f64::NAN] {
        let start = vec![price; n_limits];
        assert_agree(&clean, &solve_with(&instance, Fault::None, Some(&start)), &format!("start {price}"));
    }
    let reversed: Vec<f64> = clean.duals.iter().rev().copied().collect();
    assert_agree(&clean, &solve_with(&instance, Fault::Alike, Some(&reversed)), "reversed");
}
