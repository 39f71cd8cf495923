//! However the rows are cut, the answer has the same bits.

mod common;

use std::convert::Infallible;

use common::{large, tiny, Instance};
use omnirouter_solver::{
    solve, ChunkedOracle, DenseOracle, Failure, OwnedProblem, Settings, Solution, Source, Status, Unwatched,
};

/// All but the times.
fn untimed(mut solution: Solution) -> String {
    (solution.info.relax_time, solution.info.search_time, solution.info.total_time) = (0.0, 0.0, 0.0);
    format!("{solution:?}")
}

fn in_parts(instance: &Instance, cuts: &[usize], settings: &Settings) -> Solution {
    let problem = instance.problem();
    let mut oracle = DenseOracle::in_parts(&problem, cuts, settings.threads, &Unwatched).expect("valid input");
    solve(&mut oracle, settings, None, &Unwatched)
}

#[test]
fn parts_of_tiny_instances_give_the_same_bits() {
    let settings = Settings { rel_gap: 0.0, ..Settings::default() };
    for seed in 0..2_000 {
        let instance = tiny(seed);
        let whole = untimed(instance.solve(&settings));
        let one_each: Vec<usize> = (1..instance.n).collect();
        assert_eq!(untimed(in_parts(&instance, &one_each, &settings)), whole, "seed {seed}");
        let with_empty_ones = [0, instance.n / 2, instance.n / 2, instance.n];
        assert_eq!(untimed(in_parts(&instance, &with_empty_ones, &settings)), whole, "seed {seed}");
    }
}

#[test]
fn parts_of_a_sampled_instance_give_the_same_bits() {
    let instance = large(1, 20_000, 5);
    let settings = Settings { threads: 2, ..Settings::default() };
    let whole = instance.solve(&settings);
    instance.check(&whole);
    assert_eq!(whole.status, Status::Optimal);
    for cuts in [vec![10_000], vec![1, 7_777, 7_778, 19_999], (100..20_000).step_by(997).collect()] {
        assert_eq!(untimed(in_parts(&instance, &cuts, &settings)), untimed(whole.clone()), "{cuts:?}");
    }
}

/// Rows that are read again and again, in chunks of a size; from one reading on, with another number.
struct Chunks {
    rows: Instance,
    size: usize,
    at: usize,
    readings: usize,
    changes_in: usize,
}

impl Source for Chunks {
    type Chunk = OwnedProblem;
    type Error = Infallible;

    fn rewind(&mut self) -> Result<(), Infallible> {
        self.at = 0;
        self.readings += 1;
        if self.readings == self.changes_in {
            let last = self.rows.acc.len() - 1;
            self.rows.acc[last] += 1e-9;
        }
        Ok(())
    }

    fn next_chunk(&mut self) -> Result<Option<OwnedProblem>, Infallible> {
        let rows = self.at..self.rows.n.min(self.at + self.size);
        self.at = rows.end;
        Ok((!rows.is_empty()).then(|| OwnedProblem::of(&self.rows.problem(), rows)))
    }
}

fn chunked<'f>(
    instance: &'f Instance,
    size: usize,
    n_queries: usize,
    changes_in: usize,
    settings: &Settings,
) -> Result<ChunkedOracle<'f, Chunks>, Failure<Infallible>> {
    let source = Chunks { rows: instance.clone(), size, at: 0, readings: 0, changes_in };
    ChunkedOracle::read(source, instance.problem().rows(0..0), n_queries, settings, &Unwatched)
}

#[test]
fn chunks_give_the_same_bits_and_are_read_once_per_pass() {
    let instance = large(2, 20_000, 5);
    let settings = Settings::default();
    let whole = instance.solve(&settings);
    for size in [999, 8_192, 20_000] {
        let mut oracle = chunked(&instance, size, instance.n, 0, &settings).expect("a good source");
        let solution = solve(&mut oracle, &settings, None, &Unwatched);
        assert!(oracle.failure().is_none());
        // The first reading comes on top; so does one more where sums are near a limit.
        assert!((1..=2).contains(&(oracle.readings() - solution.info.passes)));
        assert_eq!(untimed(solution), untimed(whole.clone()), "{size}");
    }
}

#[test]
fn tiny_chunks_give_the_same_bits() {
    let settings = Settings { rel_gap: 0.0, threads: 1, ..Settings::default() };
    for seed in 0..500 {
        let instance = tiny(seed);
        let mut oracle = chunked(&instance, 2, instance.n, 0, &settings).expect("a good source");
        let solution = solve(&mut oracle, &settings, None, &Unwatched);
        assert_eq!(untimed(solution), untimed(instance.solve(&settings)), "seed {seed}");
    }
}

#[test]
fn a_source_that_changes_is_refused() {
    let instance = large(3, 12_000, 5);
    let settings = Settings::default();
    let mut oracle = chunked(&instance, 5_000, instance.n, 2, &settings).expect("there is one reading yet");
    solve(&mut oracle, &settings, None, &Unwatched);
    assert!(matches!(oracle.failure(), Some(Failure::Changed(2))));
}

#[test]
fn a_source_with_another_number_of_rows_is_refused() {
    let instance = large(3, 100, 5);
    let refused = chunked(&instance, 64, 99, 0, &Settings::default());
    let Err(Failure::Input(error)) = refused else { panic!("accepted") };
    assert_eq!(error.to_string(), "the source has 100 entries, expected 99 = n_queries");
}
