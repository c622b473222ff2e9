//! Units of a cart as runs of equal prices. No work and no memory depends on a quantity.

use crate::cart::Cart;
use crate::discount::left::Left;

/// Units of one line at one price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) price: i64,
    pub(super) count: u64,
    pub(super) line: usize,
}

/// Returns the units of a line. What earlier discounts have left may not divide evenly: then some units are one minor unit
/// dearer than the others.
pub(super) fn runs(cart: &Cart, left: &Left, line: usize) -> impl Iterator<Item = Run> {
    let quantity = cart.lines()[line].quantity;
    // At most 10^15, and not negative.
    let amount = left.lines()[line] as u64;
    let (price, dearer) = ((amount / quantity) as i64, amount % quantity);
    let runs = [Run { price, count: quantity - dearer, line }, Run { price: price + 1, count: dearer, line }];
    runs.into_iter().filter(|run| run.count > 0)
}

/// Sorts runs by price; of equal prices, the earlier line comes first.
pub(super) fn sort_cheapest_first(runs: &mut [Run]) {
    runs.sort_unstable_by_key(|run| (run.price, run.line));
}

/// Cuts runs off after `count` units.
pub(super) fn take_units(runs: Vec<Run>, count: u64) -> Vec<Run> {
    let mut rest = count;
    let taken = runs.into_iter().map(|run| {
        let count = run.count.min(rest);
        rest -= count;
        Run { count, ..run }
    });
    taken.take_while(|run| run.count > 0).collect()
}

/// Returns the sum of a value of the units, for each of the lines, in minor units.
pub(super) fn sum_by_line(runs: &[Run], lines: usize, value: impl Fn(i64) -> i64) -> Vec<i64> {
    let mut sums = vec![0; lines];
    for run in runs {
        // No more than the line, which is in bounds.
        sums[run.line] += value(run.price) * run.count as i64;
    }
    sums
}
