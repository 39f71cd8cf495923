//! Which queries a sample takes: a rule that every part of the rows can follow by itself.

use std::ops::Range;

/// One query from each of `size` equal stretches of `0..n`, chosen by a hash of the stretch; `None` takes all.
pub(crate) fn sample(n: usize, size: usize, seed: u64) -> Option<Vec<usize>> {
    if size == 0 || size >= n {
        return None;
    }
    let bound = |s: usize| (s as u128 * n as u128 / size as u128) as usize;
    Some(
        (0..size).map(|s| bound(s) + (mix(seed ^ mix(s as u64)) % (bound(s + 1) - bound(s)) as u64) as usize).collect(),
    )
}

/// Of some queries (sorted), the rows of those that are in a stretch.
pub(crate) fn own_rows(queries: &[usize], stretch: Range<usize>) -> Vec<usize> {
    let at = |query: usize| queries.partition_point(|&other| other < query);
    queries[at(stretch.start)..at(stretch.end)].iter().map(|query| query - stretch.start).collect()
}

/// SplitMix64 (Steele, Lea and Flood 2014): a hash good enough to sample with.
pub(crate) fn mix(x: u64) -> u64 {
    let mut z = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
