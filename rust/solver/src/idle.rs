//! Prices that nothing needs.

use crate::ascent::{Ascent, TINY};
use crate::basis::Basic;

impl Ascent<'_> {
    /// Drops pinned prices, at the top, that may as well be zero: where whole queries meet a limit exactly, its price is free
    /// between two values. Only those that no tie depends on are looked at.
    pub(crate) fn drop_idle(&mut self) {
        let idle = self.idle();
        if !idle.contains(&true) {
            return;
        }
        let room = self.room(&idle);
        for k in 0..self.prices().len() {
            let (price, room) = (self.prices()[k], room[k]);
            if idle[k] && room >= price {
                let mut direction = vec![0.0; idle.len()];
                direction[k] = -1.0;
                self.move_along(&direction, price);
                self.basis.unpin(k);
            }
        }
    }

    /// Per limit, and for "no limit", whether its price is pinned, that limit is just met, and no basic pair depends on it.
    fn idle(&self) -> Vec<bool> {
        let n_limits = self.prices().len();
        let amounts = self.basis.amounts(self.residual());
        let mut idle = vec![false; n_limits + 1];
        for (position, amount) in amounts.into_iter().enumerate() {
            if let Basic::Pinned(k) = self.basis.at(position) {
                let alone = self.basis.edge(position, 1.0).iter().enumerate().all(|(l, &rate)| l == k || rate == 0.0);
                idle[k] = alone && amount.abs() <= TINY * (1.0 + self.limits()[k].abs());
            }
        }
        idle
    }

    /// How far each idle price can fall, even if all do, before a key changes.
    fn room(&self, idle: &[bool]) -> Vec<f64> {
        let mut room = vec![f64::INFINITY; idle.len()];
        let mut change = vec![0.0; idle.len()];
        let width = self.rows.n_resources;
        self.each_priced(true, |row, priced| {
            let key = self.key[row];
            let least = priced[key - self.rows.start[row]];
            let terms = |pair: usize| {
                let at = pair * width..(pair + 1) * width;
                self.rows.usage[at.clone()].iter().zip(&self.rows.limit[at]).map(|(&usage, &k)| (usage, k as usize))
            };
            for (pair, &x) in self.rows.pairs(row).zip(priced) {
                let both = || terms(pair).chain(terms(key).map(|(usage, k)| (-usage, k))).filter(|&(_, k)| idle[k]);
                both().for_each(|(more, k)| change[k] += more);
                // What the pair gains on the key is shared by the prices that may fall.
                let sharing = both().filter(|&(_, k)| change[k] > 0.0).count() as f64;
                for (_, k) in both() {
                    if change[k] > 0.0 {
                        room[k] = room[k].min((x - least) / (sharing * change[k]));
                    }
                }
                both().for_each(|(_, k)| change[k] = 0.0);
            }
        });
        room
    }
}
