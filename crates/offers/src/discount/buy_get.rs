//! Chooses the discounted units of "buy X, get Y": as many whole multiples as the cart allows, and of the choices that allow
//! them the cheapest.

use crate::cart::Cart;
use crate::discount::left::Left;
use crate::discount::rule::Selector;
use crate::discount::units::{Run, runs};

/// The terms of the offer.
#[derive(Clone, Copy, Debug)]
pub(super) struct BuyGet<'a> {
    pub(super) buy: &'a Selector,
    pub(super) buy_quantity: u64,
    pub(super) get: &'a Selector,
    pub(super) get_quantity: u64,
    /// The maximum number of multiples; 0 is unlimited.
    pub(super) limit: u64,
}

/// The number of units by what they may be used for.
#[derive(Clone, Copy, Debug, Default)]
struct Supply {
    buy_only: u64,
    get_only: u64,
    both: u64,
}

impl BuyGet<'_> {
    /// Returns the units that are discounted.
    pub(super) fn discounted(self, cart: &Cart, left: &Left) -> Vec<Run> {
        let mut supply = Supply::default();
        let mut candidates: Vec<(Run, bool)> = Vec::with_capacity(2 * cart.lines().len());
        for (index, line) in cart.lines().iter().enumerate() {
            let (buys, gets) = (self.buy.selects(line), self.get.selects(line));
            match (buys, gets) {
                (true, true) => supply.both += line.quantity,
                (true, false) => supply.buy_only += line.quantity,
                (false, true) => supply.get_only += line.quantity,
                (false, false) => {}
            }
            if gets {
                candidates.extend(runs(cart, left, index).map(|run| (run, buys)));
            }
        }
        let multiples = self.multiples(supply);
        let needed_as_bought = (multiples * self.buy_quantity).saturating_sub(supply.buy_only);
        cheapest(candidates, multiples * self.get_quantity, supply.both - needed_as_bought)
    }

    /// Returns the largest number of multiples that the cart has distinct units for.
    fn multiples(self, supply: Supply) -> u64 {
        let Supply { buy_only, get_only, both } = supply;
        let buying = (buy_only + both) / self.buy_quantity;
        let getting = (get_only + both) / self.get_quantity;
        let together = (buy_only + get_only + both) / (self.buy_quantity + self.get_quantity);
        let most = buying.min(getting).min(together);
        if self.limit == 0 { most } else { most.min(self.limit) }
    }
}

/// Returns the `count` cheapest units, at most `both_max` of them of those that may also be bought. Taking the cheapest that
/// is still allowed gives the smallest sum, because the two kinds are disjoint and only one is bounded.
fn cheapest(mut candidates: Vec<(Run, bool)>, count: u64, both_max: u64) -> Vec<Run> {
    candidates.sort_unstable_by_key(|(run, _)| (run.price, run.line));
    let (mut rest, mut both_rest) = (count, both_max);
    let mut taken = Vec::with_capacity(candidates.len());
    for (run, is_both) in candidates {
        let count = if is_both { run.count.min(rest).min(both_rest) } else { run.count.min(rest) };
        rest -= count;
        both_rest -= if is_both { count } else { 0 };
        taken.push(Run { count, ..run });
    }
    taken
}
