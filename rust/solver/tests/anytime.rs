//! Stopped anywhere, a solve claims nothing wrong: `objective <= optimum <= bound` in every report and in what it returns.

mod common;

use std::cell::Cell;

use common::{ladder, tiny, Instance, Random};
use omnirouter_solver::{solve_problem, Interrupted, Progress, Settings, Solution, Status, Watch};

/// Stops at the k-th time that it is asked or told, and keeps the best claims it was told.
struct StopAt {
    left: Cell<usize>,
    bound: Cell<f64>,
    objective: Cell<f64>,
    minimise: bool,
}

impl StopAt {
    fn new(k: usize, minimise: bool) -> Self {
        let none = Cell::new(f64::NAN);
        Self { left: Cell::new(k), bound: none.clone(), objective: none, minimise }
    }

    fn count(&self) -> Result<(), Interrupted> {
        if self.left.get() == 0 {
            return Err(Interrupted::Stopped);
        }
        self.left.set(self.left.get() - 1);
        Ok(())
    }
}

impl Watch for StopAt {
    fn poll(&self) -> Result<(), Interrupted> {
        self.count()
    }

    fn report(&self, progress: &Progress) -> Result<(), Interrupted> {
        // The tightest bound and the best plan: f64::min and max leave NaN out.
        let (bound, objective) = (self.bound.get(), self.objective.get());
        if self.minimise {
            self.bound.set(bound.max(progress.bound));
            self.objective.set(objective.min(progress.objective));
        } else {
            self.bound.set(bound.min(progress.bound));
            self.objective.set(objective.max(progress.objective));
        }
        self.count()
    }
}

fn stopped_at(instance: &Instance, settings: &Settings, k: usize) -> (Solution, StopAt) {
    let watch = StopAt::new(k, instance.minimise_cost);
    let solution = solve_problem(&instance.problem(), settings, None, &watch).expect("valid input");
    (solution, watch)
}

/// False where either is NaN.
fn above(a: f64, b: f64) -> bool {
    a > b
}

/// Stops at each of `stops` and checks against the finished solve; how many were stopped without and with a plan.
fn judge(instance: &Instance, settings: &Settings, stops: impl Iterator<Item = usize>) -> (usize, usize) {
    let (finished, _) = stopped_at(instance, settings, usize::MAX);
    let side = if instance.minimise_cost { 1.0 } else { -1.0 };
    let (best, proven) = (side * finished.objective, side * finished.bound);
    let tolerance = 1e-9 * (1.0 + best.abs());
    let (mut without, mut with) = (0, 0);
    for k in stops {
        let (solution, watch) = stopped_at(instance, settings, k);
        instance.check_plan(&solution);
        // Neither proof is passed by the other's plan; NaN claims nothing.
        for (bound, objective) in [(solution.bound, solution.objective), (watch.bound.get(), watch.objective.get())] {
            assert!(!above(side * bound, best + tolerance), "stop {k}: bound {bound} is wrong: {finished:?}");
            assert!(
                !above(proven - tolerance, side * objective),
                "stop {k}: objective {objective} is wrong: {finished:?}"
            );
        }
        match solution.status {
            Status::Stopped if solution.assignment.is_none() => without += 1,
            Status::Stopped => with += 1,
            Status::Infeasible => assert_eq!(finished.status, Status::Infeasible, "stop {k}"),
            status => assert_eq!((status, finished.status), (Status::Optimal, Status::Optimal), "stop {k}"),
        }
        if finished.status == Status::Infeasible {
            assert!(solution.assignment.is_none());
        }
    }
    (without, with)
}

#[test]
fn every_stop_of_small_solves() {
    let settings = Settings { rel_gap: 0.0, ..Settings::default() };
    let mut stopped = 0;
    for seed in 0..400 {
        let (without, with) = judge(&tiny(seed), &settings, 0..40);
        stopped += without + with;
    }
    assert!(stopped > 1_000, "{stopped}");
}

#[test]
fn every_stop_of_an_exact_search() {
    let settings = Settings { rel_gap: 0.0, node_limit: 3_000, ..Settings::default() };
    // Dear models are good on the same queries: all ratios are close, and the search is long.
    let mut instance = ladder(100, 10, 4, false);
    let mut random = Random::new(4);
    instance.cost.iter_mut().for_each(|cost| *cost = random.unit());
    instance.acc = instance.cost.iter().map(|cost| 0.5 * cost + 0.01 * random.unit()).collect();
    instance.budget = Some(50.0);
    let (without, with) = judge(&instance, &settings, 0..300);
    assert!(without > 0 && with > 20, "{without} {with}");
}

#[test]
fn every_stop_of_a_solve_with_samples() {
    let instance = ladder(9_000, 6, 5, false);
    let settings = Settings { rel_gap: 0.0, ..Settings::default() };
    let (_, watch) = stopped_at(&instance, &settings, usize::MAX);
    let polls = usize::MAX - watch.left.get();
    let (without, with) = judge(&instance, &settings, 0..polls);
    assert!(without > 10 && with > 3, "{without} {with} of {polls}");
}

#[test]
fn every_stop_of_a_diagnosis() {
    let settings = Settings::default();
    let mut instance = ladder(300, 5, 6, false);
    instance.min_accuracy_sum = Some(290.0);
    let (finished, _) = stopped_at(&instance, &settings, usize::MAX);
    assert_eq!(finished.status, Status::Infeasible);
    judge(&instance, &settings, 0..200);
}
