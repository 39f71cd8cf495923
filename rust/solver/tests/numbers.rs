//! The ends of float64: what is taken is summed right, what is not is refused by name.

mod common;

use common::{ladder, tiny, Instance, Random};
use omnirouter_solver::{solve_problem, Settings, Status, Unwatched, LARGEST, SMALLEST};

const EXACT: Settings =
    Settings { rel_gap: 0.0, time_limit: f64::INFINITY, threads: 1, seed: 0, node_limit: 1_000_000 };

fn refused(instance: &Instance) -> String {
    match solve_problem(&instance.problem(), &EXACT, None, &Unwatched) {
        Err(error) => error.to_string(),
        Ok(solution) => panic!("taken: {solution:?}"),
    }
}

#[test]
fn numbers_out_of_range_are_refused_by_name() {
    let fine = ladder(8, 3, 1, false);
    assert_eq!(fine.solve(&EXACT).status, Status::Optimal);
    for huge in [1.01 * LARGEST, 1e300, f64::MAX] {
        let mut instance = fine.clone();
        instance.cost[4] = huge;
        assert!(refused(&instance).starts_with("cost[1, 1] is"), "{}", refused(&instance));
        instance = fine.clone();
        instance.acc[5] = -huge;
        assert!(refused(&instance).starts_with("acc[1, 2] is"), "{}", refused(&instance));
        instance = fine.clone();
        instance.budget = Some(-huge);
        assert!(refused(&instance).starts_with("budget[0] is"), "{}", refused(&instance));
        instance = fine.clone();
        instance.min_accuracy_sum = Some(huge);
        assert!(refused(&instance).starts_with("min_accuracy[0] is"), "{}", refused(&instance));
        // A limit that nothing can pass is no limit.
        (instance.budget, instance.min_accuracy_sum) = (Some(huge), Some(-huge));
        assert_eq!(instance.solve(&EXACT).status, Status::Optimal);
        instance = fine.clone();
        instance.tokens = Some((vec![huge; 8], vec![1.0; 3]));
        assert!(refused(&instance).starts_with("tokens.usage[0] is"), "{}", refused(&instance));
    }
    for tiny in [SMALLEST / 2.0, 5e-324] {
        let mut instance = fine.clone();
        instance.cost.fill(tiny);
        assert!(refused(&instance).starts_with("the largest magnitude in cost is"), "{}", refused(&instance));
        instance = fine.clone();
        instance.tokens = Some((vec![tiny; 8], vec![1.0; 3]));
        assert!(refused(&instance).starts_with("the largest magnitude in tokens.usage is"), "{}", refused(&instance));
    }
}

#[test]
fn more_models_than_sixteen_bits_name_are_refused() {
    let m = (1 << 16) + 1;
    let mut instance = ladder(1, m, 1, false);
    (instance.caps, instance.budget) = (None, None);
    assert!(refused(&instance).contains("65537 models"));
    let mut instance = ladder(1, m - 1, 1, false);
    (instance.caps, instance.budget) = (None, None);
    instance.acc.fill(0.0);
    instance.acc[m - 2] = 1.0;
    assert_eq!(instance.solve(&EXACT).assignment, Some(vec![m as i32 - 2]));
}

/// Multiplies money, accuracy and tokens by powers of two.
fn scaled(instance: &Instance, money: f64, accuracy: f64) -> Instance {
    let times = |values: &[f64], factor: f64| values.iter().map(|x| x * factor).collect::<Vec<f64>>();
    let mut out = instance.clone();
    out.cost = times(&instance.cost, money);
    out.acc = times(&instance.acc, accuracy);
    out.budget = instance.budget.map(|limit| limit * money);
    out.min_accuracy_sum = instance.min_accuracy_sum.map(|limit| limit * accuracy);
    out.groups = instance.groups.clone().map(|(groups, limits)| (groups, times(&limits, money)));
    out.group_floors = instance.group_floors.as_ref().map(|limits| times(limits, accuracy));
    out.pair_tokens =
        instance.pair_tokens.as_ref().map(|(tokens, limits)| (times(tokens, money), times(limits, money)));
    out
}

#[test]
fn powers_of_two_as_far_as_the_range_goes_change_no_bit_of_the_plan() {
    let powers = [(300, 0), (-300, 0), (0, 300), (0, -300), (300, -300), (-300, 300), (320, 320)];
    for seed in 0..300 {
        let instance = tiny(seed);
        let plain = instance.solve(&EXACT);
        for (money, accuracy) in powers {
            let other = scaled(&instance, f64::powi(2.0, money), f64::powi(2.0, accuracy)).solve(&EXACT);
            assert_eq!(other.status, plain.status, "seed {seed}, 2^{money}, 2^{accuracy}: {instance:?}");
            assert_eq!(other.assignment, plain.assignment, "seed {seed}, 2^{money}, 2^{accuracy}: {instance:?}");
        }
    }
}

/// Magnitudes of eight decades in one matrix, with negative zeros and subnormals: equal to exhaustive search up to 1e-12 of
/// the largest number, the documented resolution.
#[test]
fn mixed_magnitudes_equal_exhaustive_search() {
    let factors = [1e4, 1e2, 1.0, 1.0, 1e-2, 1e-4, 1e-310, 5e-324, -0.0];
    for seed in 0..3_000_u64 {
        let mut instance = tiny(seed);
        let mut random = Random::new(seed ^ 0xabcd);
        for value in instance.cost.iter_mut().chain(instance.acc.iter_mut()) {
            *value *= factors[random.below(factors.len())];
        }
        (instance.acc[0], instance.cost[0]) = (0.5, 0.5);
        let solution = instance.solve(&EXACT);
        instance.check_plan(&solution);
        let (tight, loose) = (instance.brute_force(-1e-12), instance.brute_force(1e-12));
        let side = if instance.minimise_cost { 1.0 } else { -1.0 };
        let objective = if instance.minimise_cost { &instance.cost } else { &instance.acc };
        let resolution = 1e-12 * (solution.bound.abs() + objective.iter().fold(0.0, |most: f64, x| most.max(*x)));
        match solution.status {
            Status::Optimal | Status::Feasible => {
                let loose = loose.expect("a plan was found, so there is one");
                assert!(
                    side * solution.objective >= side * loose - resolution,
                    "seed {seed}: {instance:?} {solution:?}"
                );
                if let Some(tight) = tight {
                    let (best, found, bound) = (side * tight, side * solution.objective, side * solution.bound);
                    assert!(bound <= best + resolution, "seed {seed}: {best} {instance:?} {solution:?}");
                    let far = solution.status == Status::Optimal && found > best + resolution;
                    assert!(!far, "seed {seed}: {best} {instance:?} {solution:?}");
                }
            }
            Status::Infeasible => assert_eq!(tight, None, "seed {seed}: {instance:?} {solution:?}"),
            other => assert_eq!(other, Status::IterationLimit, "seed {seed}"),
        }
    }
}
