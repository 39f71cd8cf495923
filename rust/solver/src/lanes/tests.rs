use super::*;
use crate::sample::mix;

fn numbers(n: usize, seed: u64) -> Vec<f64> {
    // Few distinct values, so that ties are common.
    (0..n as u64).map(|i| (mix(seed ^ mix(i)) % 23) as f64 / 7.0).collect()
}

#[test]
fn minima_are_the_first_of_the_least() {
    for m in [1, 2, 3, 7, 8, 10, 15, 16, 17, 31, 64, 100] {
        for rows in [1, 7, 8, 9, 64] {
            let mut tile = numbers(rows * m, m as u64);
            tile[0] = f64::INFINITY;
            let (mut least, mut at) = (vec![0.0; rows], vec![0; rows]);
            minima::run(&tile, m, &mut least, &mut at);
            for (row, entries) in tile.chunks(m).enumerate() {
                let best = entries.iter().copied().fold(f64::INFINITY, f64::min);
                assert_eq!(least[row], best, "m {m} rows {rows}");
                let first = entries.iter().position(|&x| x == best).unwrap_or(0);
                assert_eq!(at[row] as usize, first, "m {m} rows {rows}");
            }
        }
    }
}

#[test]
fn pricing_and_comparing_at_once_is_pricing_then_comparing() {
    for m in [8, 9, 16, 17, 64] {
        const ROWS: usize = 5;
        let single = |seed: u64| numbers(ROWS * m, seed).iter().map(|&x| x as f32).collect::<Vec<f32>>();
        let (a, b, base) = (single(1), single(2), numbers(m, 3));
        let mut tile = base.repeat(ROWS);
        let mut apart = (vec![0.0; ROWS], vec![0; ROWS]);
        add_two_scaled_f32::run(&mut tile, -1.0, &a, 0.5, &b);
        minima::run(&tile, m, &mut apart.0, &mut apart.1);
        let (mut out, mut least, mut at) = (vec![0.0; ROWS * m], vec![0.0; ROWS], vec![0; ROWS]);
        least_of_two_scaled_f32::run(&mut out, &base, -1.0, &a, 0.5, &b, &mut least, &mut at);
        assert_eq!((out, (least, at)), (tile, apart), "m {m}");
    }
}

#[test]
fn columns_give_the_first_of_the_least_and_the_second() {
    const ROWS: usize = 24;
    for m in [2, 4, 10] {
        let (objective, used) = (numbers(ROWS * m, 1), numbers(ROWS * m, 2));
        let base = numbers(m, 3);
        let mut out = vec![vec![0.0; ROWS]; 4];
        let [least, second, at, before] = &mut out[..] else { unreachable!() };
        least_of_columns::run(&objective, &used, &base, 0.3, least, second, at, before);
        for row in 0..ROWS {
            let priced = |j: usize| objective[j * ROWS + row] + (0.3 * used[j * ROWS + row] + base[j]);
            let mut order: Vec<usize> = (0..m).collect();
            order.sort_by(|&a, &b| priced(a).total_cmp(&priced(b)).then(a.cmp(&b)));
            assert_eq!((least[row], second[row]), (priced(order[0]), priced(order[1])));
            assert_eq!(at[row], FIRST + order[0] as f64);
        }
    }
}

/// What the loops read and write.
#[derive(Clone, Debug, PartialEq)]
struct State {
    out: Vec<f64>,
    data: Vec<f64>,
    other_data: Vec<f64>,
    starts: Vec<usize>,
    single: Vec<f32>,
    other: Vec<f32>,
    at: Vec<u32>,
    near: Vec<u32>,
    least: Vec<f64>,
    second: Vec<f64>,
    places: Vec<f64>,
    before: Vec<f64>,
    bits: (u64, u64),
    units: (i64, i64),
}

#[cfg(target_arch = "x86_64")]
#[test]
fn every_instruction_set_gives_the_same_bits() {
    // Rows shorter than two vectors take ways of their own.
    [10, 17].into_iter().for_each(instruction_sets_agree);
}

#[cfg(target_arch = "x86_64")]
#[allow(unsafe_code)]
fn instruction_sets_agree(m: usize) {
    const ROWS: usize = 59;
    let even = m - m % 2;
    let single = |seed: u64| numbers(ROWS * m, seed).iter().map(|&x| x as f32 * 1.1).collect();
    let start = State {
        out: numbers(ROWS * m, 1),
        data: numbers(ROWS * m, 2),
        other_data: numbers(ROWS * m, 5),
        starts: (0..=ROWS).map(|row| row * m).collect(),
        single: single(3),
        other: single(4),
        at: (0..ROWS as u32).map(|row| row % m as u32).collect(),
        near: vec![0; ROWS],
        least: vec![0.0; ROWS],
        second: vec![0.0; ROWS],
        places: vec![0.0; ROWS],
        before: vec![0.0; ROWS],
        bits: (0, 0),
        units: (0, 0),
    };
    let two = is_x86_feature_detected!("avx2");
    let five = is_x86_feature_detected!("avx512dq") && is_x86_feature_detected!("avx512vl");
    macro_rules! agree {
        ($name:ident, $s:ident => $($arg:expr),*) => {{
            let run = |version: &dyn Fn(&mut State)| {
                let mut state = start.clone();
                version(&mut state);
                state
            };
            let plain = run(&|$s: &mut State| $name::plain($($arg),*));
            assert_ne!(plain, start);
            // SAFETY: run only where the processor has the instructions.
            if two {
                assert_eq!(run(&|$s: &mut State| unsafe { $name::avx2($($arg),*) }), plain);
            }
            if five {
                assert_eq!(run(&|$s: &mut State| unsafe { $name::avx512($($arg),*) }), plain);
            }
        }};
    }
    agree!(add_scaled_f32, s => &mut s.out, 0.3, &s.single);
    agree!(add_scaled_f64, s => &mut s.out, 0.3, &s.data);
    agree!(add_two_scaled_f32, s => &mut s.out, 0.3, &s.single, 0.7, &s.other);
    agree!(least_of_two_scaled_f32, s => &mut s.out, &s.data[..m], 0.3, &s.single, 0.7, &s.other, &mut s.least, &mut s.at);
    agree!(add_gathered, s => &mut s.out, &s.data[..ROWS], &s.at);
    agree!(add_gathered_times, s => &mut s.out, &s.data, &s.data[..ROWS], &s.at);
    agree!(times_vector, s => &mut s.out, &s.data, &s.other_data[..m]);
    agree!(crossings, s => &s.starts, &s.starts[..ROWS], &mut s.data, &s.other_data, 1e-11, &mut s.least, &mut s.out);
    agree!(least_and_near, s => &s.starts, &s.data, 0.5, &mut s.least, &mut s.near);
    agree!(minima, s => &s.out, m, &mut s.least, &mut s.at);
    agree!(least_of_columns, s => &s.data[..even * ROWS], &s.other_data[..even * ROWS], &s.data[..even], 0.3, &mut s.least,
        &mut s.second, &mut s.places, &mut s.before);
    agree!(grid_units, s => &s.out, 1e9, 1e3, &mut s.units.0, &mut s.units.1);
    agree!(behind, s => &mut s.out, m, &s.data[..ROWS], &s.at, &s.data[..m], 0.1, &mut s.near);
    agree!(less_reach_f32, s => &mut s.out, m, &s.at, 0.3, &s.single);
    agree!(behind_with_reach_f32, s => &mut s.out, m, &s.data[..ROWS], &s.at, &s.data[..m], 0.1, 0.3, &s.single, &mut s.near);
    agree!(less_reach_f64, s => &mut s.out, m, &s.at, 0.3, &s.data);
    agree!(count_near, s => &s.out, m, &mut s.near);
    agree!(extremes_f32, s => &s.single, &mut s.near[0], &mut s.at[0]);
    agree!(extremes_f64, s => &s.data, &mut s.bits.0, &mut s.bits.1);
}

#[test]
fn one_loop_over_a_row_says_what_three_say() {
    const ROWS: usize = 40;
    for m in [1, 7, 16, 33] {
        let single: Vec<f32> = numbers(ROWS * m, 3).iter().map(|&x| x as f32).collect();
        let (mut priced, width) = (numbers(ROWS * m, 1), numbers(m, 2));
        // Forbidden pairs; the first of a row is none.
        (0..ROWS * m).filter(|at| at % m % 3 == 1).for_each(|at| priced[at] = f64::INFINITY);
        let (mut least, mut at) = (vec![0.0; ROWS], vec![0; ROWS]);
        minima::plain(&priced, m, &mut least, &mut at);
        let (mut apart, mut near_apart) = (priced.clone(), vec![0; ROWS]);
        behind::plain(&mut apart, m, &least, &at, &width, 0.1, &mut near_apart);
        less_reach_f32::plain(&mut apart, m, &at, 0.3, &single);
        count_near::plain(&apart, m, &mut near_apart);
        let (mut together, mut near) = (priced, vec![0; ROWS]);
        behind_with_reach_f32::plain(&mut together, m, &least, &at, &width, 0.1, 0.3, &single, &mut near);
        assert_eq!((together, near), (apart, near_apart));
    }
}
