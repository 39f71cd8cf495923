//! Every plan of tiny instances is tried: the solver must find the best one, or prove that there is none.

mod common;

use std::ops::Range;

use common::tiny;
use omnirouter_solver::{Settings, Status};

#[test]
fn tiny_instances_equal_exhaustive_search() {
    let (solved, infeasible) = judge(0..20_000);
    assert!(solved > 5_000 && infeasible > 2_000, "{solved} {infeasible}");
}

#[test]
#[ignore = "slow without optimisation; `make test-all` runs it"]
fn a_hundred_thousand_more_equal_exhaustive_search() {
    let (solved, infeasible) = judge(20_000..120_000);
    assert!(solved > 25_000 && infeasible > 10_000, "{solved} {infeasible}");
}

/// How many of the instances of these seeds were solved, and how many proven infeasible; panics where one is wrong.
fn judge(seeds: Range<u64>) -> (usize, usize) {
    let settings = Settings { rel_gap: 0.0, ..Settings::default() };
    let (mut solved, mut infeasible) = (0, 0);
    for seed in seeds {
        let instance = tiny(seed);
        let solution = instance.solve(&settings);
        instance.check(&solution);
        // Sums of thirds miss their limits by an ulp; there, either verdict of a plain sum is accepted.
        let (tight, loose) = (instance.brute_force(-1e-12), instance.brute_force(1e-12));
        match solution.status {
            Status::Optimal => {
                let side = if instance.minimise_cost { 1.0 } else { -1.0 };
                let loose = loose.expect("a plan was found, so there is one");
                assert!(side * solution.objective >= side * loose - 1e-9, "seed {seed}: {loose} {solution:?}");
                let far = tight.is_some_and(|tight| side * solution.objective > side * tight + 1e-9);
                assert!(!far, "seed {seed}: best {tight:?} {instance:?} {solution:?}");
                solved += 1;
            }
            Status::Infeasible => {
                assert_eq!(tight, None, "seed {seed}: {instance:?} {solution:?}");
                infeasible += 1;
            }
            _ => panic!("seed {seed}: {solution:?} {instance:?}"),
        }
    }
    (solved, infeasible)
}
