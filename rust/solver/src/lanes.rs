//! The innermost loops, compiled for several instruction sets and chosen at run time.
//!
//! Every version does the same additions and multiplications in the same order (never fused), so all give the same bits.

/// Defines a module with one loop compiled plainly and for wider instructions, and `run`, which picks the widest at hand.
macro_rules! wide {
    ($(#[$doc:meta])* fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $body:block) => {
        $(#[$doc])*
        pub(crate) mod $name {
            #[inline(always)]
            pub(crate) fn plain($($arg: $ty),*) $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            pub(crate) fn avx2($($arg: $ty),*) {
                plain($($arg),*);
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
            pub(crate) fn avx512($($arg: $ty),*) {
                plain($($arg),*);
            }

            #[inline]
            #[allow(unsafe_code)]
            pub(crate) fn run($($arg: $ty),*) {
                #[cfg(target_arch = "x86_64")]
                {
                    let has_512 = is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512dq");
                    if has_512 && is_x86_feature_detected!("avx512vl") {
                        // SAFETY: the processor has the instructions this version was compiled for.
                        return unsafe { avx512($($arg),*) };
                    }
                    if is_x86_feature_detected!("avx2") {
                        // SAFETY: as above.
                        return unsafe { avx2($($arg),*) };
                    }
                }
                plain($($arg),*);
            }
        }
    };
}

wide! {
    /// `out += weight * data`, single precision data.
    fn add_scaled_f32(out: &mut [f64], weight: f64, data: &[f32]) {
        for (r, &x) in out.iter_mut().zip(data) {
            *r += weight * f64::from(x);
        }
    }
}

wide! {
    /// `out += weight * data`, double precision data.
    fn add_scaled_f64(out: &mut [f64], weight: f64, data: &[f64]) {
        for (r, &x) in out.iter_mut().zip(data) {
            *r += weight * x;
        }
    }
}

wide! {
    /// `out += v * a + w * b`, added one after the other: the two matrices of most problems in one go.
    fn add_two_scaled_f32(out: &mut [f64], v: f64, a: &[f32], w: f64, b: &[f32]) {
        for ((r, &x), &y) in out.iter_mut().zip(a).zip(b) {
            *r = (*r + v * f64::from(x)) + w * f64::from(y);
        }
    }
}

wide! {
    /// `out += values[at]`
    fn add_gathered(out: &mut [f64], values: &[f64], at: &[u32]) {
        for (x, &at) in out.iter_mut().zip(at) {
            *x += values[at as usize];
        }
    }
}

wide! {
    /// `out += factor * values[at]`
    fn add_gathered_times(out: &mut [f64], factor: &[f64], values: &[f64], at: &[u32]) {
        for ((x, &at), &factor) in out.iter_mut().zip(at).zip(factor) {
            *x += factor * values[at as usize];
        }
    }
}

wide! {
    /// The product of a square matrix, line by line, with a vector; each sum in eight parts, by position.
    fn times_vector(out: &mut [f64], matrix: &[f64], vector: &[f64]) {
        const PARTS: usize = 8;
        for (product, line) in out.iter_mut().zip(matrix.chunks_exact(vector.len())) {
            let ends = (line.chunks_exact(PARTS).remainder(), vector.chunks_exact(PARTS).remainder());
            let mut parts = [0.0; PARTS];
            for (a, b) in line.chunks_exact(PARTS).zip(vector.chunks_exact(PARTS)) {
                (0..PARTS).for_each(|part| parts[part] += a[part] * b[part]);
            }
            let end: f64 = ends.0.iter().zip(ends.1).map(|(a, b)| a * b).sum();
            *product = parts.iter().sum::<f64>() + end;
        }
    }
}

wide! {
    /// For rows of priced pairs that fall behind or catch up at given rates: where each row's key is overtaken first (infinity
    /// for never), and how far behind the second choice is now. Pairs whose price is infinite count for nothing.
    ///
    /// `start` are the first pairs of the rows and the end, `key` the rows' keys, both as positions in `now`, which loses the prices of
    /// the keys.
    fn crossings(
        start: &[usize],
        key: &[usize],
        now: &mut [f64],
        rate: &[f64],
        flat: f64,
        at: &mut [f64],
        margin: &mut [f64],
    ) {
        const LANES: usize = 4;
        for (row, &key) in key.iter().enumerate() {
            let pairs = start[row]..start[row + 1];
            // A key is not behind itself.
            let (key_now, key_rate) = (std::mem::replace(&mut now[key], f64::INFINITY), rate[key]);
            let (now_of_row, rate_of_row) = (now[pairs.clone()].chunks_exact(LANES), rate[pairs].chunks_exact(LANES));
            let mut first = [f64::INFINITY; LANES];
            let mut second = [f64::INFINITY; LANES];
            let rest = now_of_row.remainder().iter().zip(rate_of_row.remainder());
            for (now, rate) in now_of_row.zip(rate_of_row) {
                for lane in 0..LANES {
                    let (behind, closing) = (now[lane] - key_now, key_rate - rate[lane]);
                    let crossing = if closing > flat { behind / closing } else { f64::INFINITY };
                    first[lane] = if crossing < first[lane] { crossing } else { first[lane] };
                    second[lane] = if behind < second[lane] { behind } else { second[lane] };
                }
            }
            for (lane, (now, rate)) in rest.enumerate() {
                let (behind, closing) = (now - key_now, key_rate - rate);
                let crossing = if closing > flat { behind / closing } else { f64::INFINITY };
                first[lane] = if crossing < first[lane] { crossing } else { first[lane] };
                second[lane] = if behind < second[lane] { behind } else { second[lane] };
            }
            (at[row], margin[row]) = (first[0], second[0]);
            for lane in 1..LANES {
                at[row] = if first[lane] < at[row] { first[lane] } else { at[row] };
                margin[row] = if second[lane] < margin[row] { second[lane] } else { margin[row] };
            }
        }
    }
}

wide! {
    /// Of each row of priced pairs the least price, and how many are above it by at most `span`.
    ///
    /// `start` are the first pairs of the rows and the end, as positions in `priced`.
    fn least_and_near(start: &[usize], priced: &[f64], span: f64, least: &mut [f64], near: &mut [u32]) {
        const LANES: usize = 8;
        for (row, (least, near)) in least.iter_mut().zip(near).enumerate() {
            let of_row = &priced[start[row]..start[row + 1]];
            let mut low = f64::INFINITY;
            if of_row.len() >= 2 * LANES {
                let mut lows = [f64::INFINITY; LANES];
                for eight in of_row.chunks_exact(LANES) {
                    for (low, &x) in lows.iter_mut().zip(eight) {
                        *low = if x < *low { x } else { *low };
                    }
                }
                let rest = of_row.chunks_exact(LANES).remainder();
                low = lows.iter().chain(rest).fold(low, |least, &x| if x < least { x } else { least });
            } else {
                for &x in of_row {
                    low = if x < low { x } else { low };
                }
            }
            let bar = low + span;
            let mut count = 0;
            for &x in of_row {
                count += u32::from(x <= bar);
            }
            (*least, *near) = (low, count);
        }
    }
}

/// Rows, or entries of a row, that are compared side by side.
pub(crate) const LANES: usize = 8;

wide! {
    /// Of each row of a tile with `m` columns the least entry and its position, the first of equals.
    fn minima(tile: &[f64], m: usize, least: &mut [f64], at: &mut [u32]) {
        const LANES: usize = super::LANES;
        let rows = least.len();
        if m >= 2 * LANES {
            for row in 0..rows {
                let entries = &tile[row * m..(row + 1) * m];
                let (mut best, mut best_at) = ([f64::INFINITY; LANES], [0_u64; LANES]);
                let whole = m - m % LANES;
                for j in (0..whole).step_by(LANES) {
                    let eight = &entries[j..j + LANES];
                    for lane in 0..LANES {
                        let better = eight[lane] < best[lane];
                        best_at[lane] = if better { (j + lane) as u64 } else { best_at[lane] };
                        best[lane] = if better { eight[lane] } else { best[lane] };
                    }
                }
                let (mut value, mut position) = super::first_least(best, best_at);
                for (j, &entry) in entries.iter().enumerate().skip(whole) {
                    if entry < value {
                        (value, position) = (entry, j as u64);
                    }
                }
                (least[row], at[row]) = (value, position as u32);
            }
            return;
        }
        let whole = rows - rows % LANES;
        for row in (0..whole).step_by(LANES) {
            let (mut best, mut best_at) = ([f64::INFINITY; LANES], [0_u64; LANES]);
            for j in 0..m {
                for lane in 0..LANES {
                    let entry = tile[(row + lane) * m + j];
                    let better = entry < best[lane];
                    best_at[lane] = if better { j as u64 } else { best_at[lane] };
                    best[lane] = if better { entry } else { best[lane] };
                }
            }
            for lane in 0..LANES {
                (least[row + lane], at[row + lane]) = (best[lane], best_at[lane] as u32);
            }
        }
        for row in whole..rows {
            (least[row], at[row]) = (f64::INFINITY, 0);
            for j in 0..m {
                if tile[row * m + j] < least[row] {
                    (least[row], at[row]) = (tile[row * m + j], j as u32);
                }
            }
        }
    }
}

wide! {
    /// Writes `(base + v * a) + w * b` for each row of two matrices in single precision, with the least of each row and its
    /// position, the first of equals. For rows of at least [`LANES`] entries.
    #[allow(clippy::too_many_arguments)] // the inside of one loop
    fn least_of_two_scaled_f32(
        tile: &mut [f64],
        base: &[f64],
        v: f64,
        a: &[f32],
        w: f64,
        b: &[f32],
        least: &mut [f64],
        at: &mut [u32],
    ) {
        const LANES: usize = super::LANES;
        let m = base.len();
        let whole = m - m % LANES;
        let rows = tile.chunks_exact_mut(m).zip(a.chunks_exact(m)).zip(b.chunks_exact(m));
        for (((row, a), b), (least, at)) in rows.zip(least.iter_mut().zip(at.iter_mut())) {
            let (mut best, mut best_at) = ([f64::INFINITY; LANES], [0_u64; LANES]);
            let eights = row.chunks_exact_mut(LANES).zip(base.chunks_exact(LANES));
            let eights = eights.zip(a.chunks_exact(LANES).zip(b.chunks_exact(LANES)));
            let mut first = 0;
            for ((out, base), (a, b)) in eights {
                for lane in 0..LANES {
                    let x = (base[lane] + v * f64::from(a[lane])) + w * f64::from(b[lane]);
                    out[lane] = x;
                    let better = x < best[lane];
                    best_at[lane] = if better { first + lane as u64 } else { best_at[lane] };
                    best[lane] = if better { x } else { best[lane] };
                }
                first += LANES as u64;
            }
            let (mut value, mut position) = super::first_least(best, best_at);
            for j in whole..m {
                let x = (base[j] + v * f64::from(a[j])) + w * f64::from(b[j]);
                row[j] = x;
                if x < value {
                    (value, position) = (x, j as u64);
                }
            }
            (*least, *at) = (value, position as u32);
        }
    }
}

/// The least of the lanes and its position, the first of equals: halves against halves and without a branch, since which lane it
/// is in is hard to foresee.
#[inline(always)]
fn first_least(mut best: [f64; LANES], mut at: [u64; LANES]) -> (f64, u64) {
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in 0..width {
            let (x, y) = (best[lane], best[lane + width]);
            let (p, q) = (at[lane], at[lane + width]);
            let later = (y < x) | ((y == x) & (q < p));
            best[lane] = if later { y } else { x };
            at[lane] = if later { q } else { p };
        }
    }
    (best[0], at[0])
}

/// A number of which the last bits count in ones.
pub(crate) const FIRST: f64 = 4_503_599_627_370_496.0;

wide! {
    /// For rows whose pairs lie in columns of `least.len()` numbers, an even number of columns: the least of
    /// `objective + (price * used + base)` of each row, its position (the first of equals), and the second least.
    ///
    /// Positions are counted from [`FIRST`], so that they are the last bits of what `at` holds.
    ///
    /// Two columns at a time, since what is kept of each row is loaded and stored each time. Positions move between two
    /// arrays: storing over what has been loaded would become a masked store, which some processors are slow at.
    #[allow(clippy::too_many_arguments)] // the inside of one loop
    fn least_of_columns(
        objective: &[f64],
        used: &[f64],
        base: &[f64],
        price: f64,
        least: &mut [f64],
        second: &mut [f64],
        at: &mut [f64],
        at_before: &mut [f64],
    ) {
        let rows = least.len();
        least.fill(f64::INFINITY);
        second.fill(f64::INFINITY);
        at.fill(super::FIRST);
        let columns = objective.chunks_exact(2 * rows).zip(used.chunks_exact(2 * rows));
        let mut position = super::FIRST;
        for ((objective, used), base) in columns.zip(base.chunks_exact(2)) {
            at_before.copy_from_slice(at);
            let (x, y) = objective.split_at(rows);
            let (u, v) = used.split_at(rows);
            let kept = least.iter_mut().zip(second.iter_mut()).zip(at.iter_mut()).zip(at_before.iter());
            for ((((x, y), u), v), (((least, second), at), at_before)) in x.iter().zip(y).zip(u).zip(v).zip(kept) {
                let (x, y) = (x + (price * u + base[0]), y + (price * v + base[1]));
                let later = y < x;
                let (low, high) = (if later { y } else { x }, if later { x } else { y });
                let low_at = if later { position + 1.0 } else { position };
                let better = low < *least;
                let loser = if better { *least } else { low };
                let behind = if high < *second { high } else { *second };
                *second = if loser < behind { loser } else { behind };
                *at = if better { low_at } else { *at_before };
                *least = if better { low } else { *least };
            }
            position += 2.0;
        }
    }
}

wide! {
    /// Sums of the coarse and the fine units of numbers on a grid; see [`crate::grid::GridSum`].
    fn grid_units(numbers: &[f64], coarse: f64, fine: f64, high: &mut i64, low: &mut i64) {
        const LANES: usize = super::LANES;
        // Bits are summed as they come; those of the two constants, which all numbers have, are taken away at the end.
        let (mut highs, mut lows) = ([0_i64; LANES], [0_i64; LANES]);
        let mut chunks = numbers.chunks_exact(LANES);
        for some in &mut chunks {
            for lane in 0..LANES {
                let near = some[lane] + coarse;
                let rest = (some[lane] - (near - coarse)) + fine;
                highs[lane] = highs[lane].wrapping_add(near.to_bits() as i64);
                lows[lane] = lows[lane].wrapping_add(rest.to_bits() as i64);
            }
        }
        for &x in chunks.remainder() {
            let near = x + coarse;
            let rest = (x - (near - coarse)) + fine;
            highs[0] = highs[0].wrapping_add(near.to_bits() as i64);
            lows[0] = lows[0].wrapping_add(rest.to_bits() as i64);
        }
        let sum = |lanes: [i64; LANES], bits: u64| {
            let all = lanes.iter().fold(0_i64, |sum, &lane| sum.wrapping_add(lane));
            all.wrapping_sub((bits as i64).wrapping_mul(numbers.len() as i64))
        };
        (*high, *low) = (sum(highs, coarse.to_bits()), sum(lows, fine.to_bits()));
    }
}

wide! {
    /// For each row of a tile of priced pairs, how far each is behind the chosen one, less the slack and what the prices of
    /// their models' limits can make up for in the box: `far = (priced - chosen) - (slack + width_chosen) - width`; and how
    /// many are not out of reach.
    fn behind(far: &mut [f64], m: usize, least: &[f64], at: &[u32], width: &[f64], slack: f64, near: &mut [u32]) {
        for (((row, &chosen), &at), near) in far.chunks_exact_mut(m).zip(least).zip(at).zip(near) {
            let shared = slack + width[at as usize];
            let mut count = 0_u64;
            for (far, &w) in row.iter_mut().zip(width) {
                *far = ((*far - chosen) - shared) - w;
                count += u64::from(*far <= 0.0);
            }
            *near = count as u32;
        }
    }
}

wide! {
    /// [`behind`](mod@behind), then [`less_reach_f32`](mod@less_reach_f32), in one go: what most screening passes do.
    #[allow(clippy::too_many_arguments)] // the inside of one loop
    fn behind_with_reach_f32(
        far: &mut [f64],
        m: usize,
        least: &[f64],
        at: &[u32],
        of_model: &[f64],
        slack: f64,
        width: f64,
        data: &[f32],
        near: &mut [u32],
    ) {
        let rows = far.chunks_exact_mut(m).zip(data.chunks_exact(m)).zip(least.iter().zip(at)).zip(near);
        for (((row, data), (&least, &at)), near) in rows {
            let (shared, chosen) = (slack + of_model[at as usize], f64::from(data[at as usize]));
            let mut count = 0_u64;
            for ((far, &x), &w) in row.iter_mut().zip(data).zip(of_model) {
                let left = (((*far - least) - shared) - w) - width * (f64::from(x) - chosen).abs();
                *far = left;
                count += u64::from(left <= 0.0);
            }
            *near = count as u32;
        }
    }
}

wide! {
    /// Less what the price of one matrix can make up for: `far -= width * |data - chosen|`, single precision data.
    fn less_reach_f32(far: &mut [f64], m: usize, at: &[u32], width: f64, data: &[f32]) {
        for ((row, &at), data) in far.chunks_exact_mut(m).zip(at).zip(data.chunks_exact(m)) {
            let chosen = f64::from(data[at as usize]);
            for (far, &x) in row.iter_mut().zip(data) {
                *far -= width * (f64::from(x) - chosen).abs();
            }
        }
    }
}

wide! {
    /// The same for double precision data.
    fn less_reach_f64(far: &mut [f64], m: usize, at: &[u32], width: f64, data: &[f64]) {
        for ((row, &at), data) in far.chunks_exact_mut(m).zip(at).zip(data.chunks_exact(m)) {
            let chosen = data[at as usize];
            for (far, &x) in row.iter_mut().zip(data) {
                *far -= width * (x - chosen).abs();
            }
        }
    }
}

wide! {
    /// How many pairs of each row are not out of reach.
    fn count_near(far: &[f64], m: usize, near: &mut [u32]) {
        for (row, near) in far.chunks_exact(m).zip(near) {
            *near = row.iter().map(|&far| u32::from(far <= 0.0)).sum();
        }
    }
}

wide! {
    /// The largest magnitude, as bits, and whether anything is below zero (not 0). The bits of magnitudes are ordered like
    /// the magnitudes, with infinity and NaN above all numbers. Single precision data.
    fn extremes_f32(data: &[f32], most: &mut u32, negative: &mut u32) {
        for &x in data {
            let magnitude = x.to_bits() & 0x7fff_ffff;
            *most = if magnitude > *most { magnitude } else { *most };
            *negative |= u32::from(x < 0.0);
        }
    }
}

wide! {
    /// The same for double precision data.
    fn extremes_f64(data: &[f64], most: &mut u64, negative: &mut u64) {
        for &x in data {
            let magnitude = x.to_bits() & 0x7fff_ffff_ffff_ffff;
            *most = if magnitude > *most { magnitude } else { *most };
            *negative |= u64::from(x < 0.0);
        }
    }
}

#[cfg(test)]
mod tests;
