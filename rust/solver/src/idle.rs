//! Prices that nothing needs.

use crate::ascent::{Ascent, KEY_TOLERANCE, TINY};
use crate::basis::Basic;

impl Ascent<'_> {
    /// Drops pinned prices, at the top, that may as well be zero: where whole queries meet a limit exactly, its price is free
    /// between two values. Only those that no tie depends on are looked at.
    pub(crate) fn drop_idle(&mut self) {
        let mut idle = self.idle();
        while idle.contains(&true) && self.keep_needed(&mut idle) {}
        for k in (0..self.prices().len()).filter(|&k| idle[k]) {
            let mut direction = vec![0.0; idle.len()];
            direction[k] = -1.0;
            self.move_along(&direction, self.prices()[k]);
            self.basis.unpin(k);
        }
    }

    /// Per limit, and for "no limit", whether its price is pinned, that limit is just met, and no basic pair depends on it.
    fn idle(&self) -> Vec<bool> {
        let mut idle = vec![false; self.prices().len() + 1];
        for (position, amount) in self.basis.amounts(self.residual()).into_iter().enumerate() {
            if let Basic::Pinned(k) = self.basis.at(position) {
                let alone = self.basis.edge(position, 1.0).iter().enumerate().all(|(l, &rate)| l == k || rate == 0.0);
                idle[k] = alone && amount.abs() <= TINY * (1.0 + self.limits()[k].abs());
            }
        }
        idle
    }

    /// Takes back the prices without which, all others of them gone, a pair would be cheaper than its row's key. Whether there
    /// are any.
    fn keep_needed(&self, idle: &mut [bool]) -> bool {
        let gone: Vec<f64> =
            self.prices().iter().chain([&0.0]).zip(&*idle).map(|(&p, &idle)| if idle { p } else { 0.0 }).collect();
        let (rows, width) = (self.rows, self.rows.n_resources);
        let limits = |pair: usize| rows.limit[pair * width..(pair + 1) * width].iter().map(|&k| k as usize);
        let mut some = false;
        self.each_priced(true, |row, priced| {
            let key = self.key[row];
            let of_key = rows.dot(key, &gone);
            let least = priced[key - rows.start[row]] - of_key;
            for (pair, &x) in rows.pairs(row).zip(priced) {
                if x - rows.dot(pair, &gone) < least - KEY_TOLERANCE {
                    limits(pair).chain(limits(key)).for_each(|k| some |= std::mem::take(&mut idle[k]));
                }
            }
        });
        some
    }
}
