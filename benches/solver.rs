//! Criterion benches of the solver alone: `cargo bench`. Instances are simulated from a seed.

#![allow(missing_docs)] // criterion_group! makes public functions without them

use criterion::{criterion_group, criterion_main, BenchmarkId, Criterion, Throughput};
use omnirouter_solver::{
    solve_problem, Input, Matrix, Problem, Relation, Resource, Scope, Sense, Settings, Unwatched, Usage,
};

/// Accuracies k/16 and lognormal-like costs of models on a ladder of price and quality.
fn instance(n: usize, m: usize) -> (Vec<f32>, Vec<f32>) {
    let mut state = 1_u64;
    let mut unit = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1_u64 << 24) as f32
    };
    let (mut acc, mut cost) = (Vec::with_capacity(n * m), Vec::with_capacity(n * m));
    for _ in 0..n {
        let difficulty = unit();
        for j in 0..m {
            let quality = (0.4 + 0.5 * j as f32 / m as f32 + 0.5 * unit() - 0.5 * difficulty).clamp(0.0, 1.0);
            acc.push((quality * 16.0).round() / 16.0);
            cost.push(1e-4 * (4.0 * j as f32 / m as f32).exp() * (0.5 + 2.0 * unit() * unit()));
        }
    }
    (acc, cost)
}

fn solve_budget_and_caps(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("budget_and_caps");
    for (n, m) in [(64, 10), (256, 32), (10_000, 10), (100_000, 10)] {
        let (acc, cost) = instance(n, m);
        let cheapest: f32 = cost.chunks(m).map(|row| row.iter().copied().fold(f32::INFINITY, f32::min)).sum();
        let caps = (0..m).map(|j| (n as f64 * (0.5 + j as f64) * 3.0 / (m * m) as f64).ceil()).collect();
        let resource = |name: &str, usage, scope, limits| Resource {
            name: name.into(),
            usage,
            scope,
            relation: Relation::AtMost,
            limits,
        };
        let problem = Problem {
            n_queries: n,
            n_models: m,
            inputs: vec![
                Input { name: "acc".into(), data: Matrix::F32(&acc), nonnegative: false, at_most: f64::INFINITY },
                Input { name: "cost".into(), data: Matrix::F32(&cost), nonnegative: true, at_most: f64::INFINITY },
            ],
            objective: 0,
            sense: Sense::Maximise,
            resources: vec![
                resource("budget", Usage::Dense(1), Scope::All, vec![6.0 * f64::from(cheapest)]),
                resource("caps", Usage::One(1.0), Scope::Model, caps),
            ],
            allowed: None,
        };
        group.throughput(Throughput::Elements((n * m) as u64));
        group.sample_size(20);
        group.bench_function(BenchmarkId::from_parameter(format!("{n}x{m}")), |bencher| {
            bencher.iter(|| solve_problem(&problem, &Settings::default(), None, &Unwatched));
        });
    }
    group.finish();
}

criterion_group!(benches, solve_budget_and_caps);
criterion_main!(benches);
