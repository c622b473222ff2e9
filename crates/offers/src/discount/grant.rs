//! Computes what a discount takes off a cart, line by line.

use crate::cart::Cart;
use crate::discount::allocate::allocate;
use crate::discount::buy_get::BuyGet;
use crate::discount::left::Left;
use crate::discount::rule::{Discount, Effect, Selector, Target};
use crate::discount::units::{Run, runs, sort_cheapest_first, sum_by_line, take_units};
use crate::money::{Currency, share};

/// What a discount takes off, in minor units of the cart's currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    pub currency: Currency,
    /// The sum of `lines`; never 0.
    pub amount: i64,
    /// The amount off each line of the cart, in the cart's order; 0 for a line without discount.
    pub lines: Vec<i64>,
}

/// The reason why a discount takes nothing off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotGranted {
    #[error("the offer is in {offer} and the cart in {cart}; pay in {offer} to use it")]
    OtherCurrency { offer: Currency, cart: Currency },
    #[error("the cart has nothing that the offer takes anything off; add an item that it applies to")]
    Nothing,
}

/// Computes a discount on what earlier discounts have left of a cart. The total does not depend on the order of lines.
///
/// # Errors
/// `OtherCurrency` if the amount or the cap is in another currency than the cart, `Nothing` if the discount would be 0.
///
/// ```
/// use codemint_offers::cart::{Cart, Line};
/// use codemint_offers::discount::grant::grant;
/// use codemint_offers::discount::left::Left;
/// use codemint_offers::discount::rule::{Discount, Effect, Target};
/// use codemint_offers::money::Currency;
///
/// let line = Line { sku: "DOG-1".into(), groups: vec![], quantity: 1, unit_amount: 1999 };
/// let cart = Cart::new(Currency::from_code("EUR").unwrap(), vec![line]).unwrap();
/// let effect = Effect::Percent { basis_points: 2500 };
/// let discount = Discount { effect, target: Target::Order, limit_per_order: 0, cap: None };
///
/// let mut left = Left::of(&cart);
/// let granted = grant(&discount, &cart, &left).unwrap();
/// left.take_off(&granted.lines);
/// assert_eq!((granted.amount, left.lines()), (500, [1499].as_slice()));
/// ```
pub fn grant(discount: &Discount, cart: &Cart, left: &Left) -> Result<Granted, NotGranted> {
    check_currency(discount, cart.currency())?;
    let weights = weights(discount, cart, left);
    let sum: i64 = weights.iter().sum();
    let wished = match (&discount.effect, &discount.target) {
        (Effect::Percent { basis_points }, _) => share(sum, *basis_points),
        // Each unit has its amount already.
        (Effect::Amount(_), Target::Items { .. }) => sum,
        (Effect::Amount(off), _) => off.amount.min(sum),
    };
    let amount = discount.cap.map_or(wished, |cap| wished.min(cap.amount));
    if amount == 0 {
        return Err(NotGranted::Nothing);
    }
    Ok(Granted { currency: cart.currency(), amount, lines: allocate(amount, &weights) })
}

fn check_currency(discount: &Discount, cart: Currency) -> Result<(), NotGranted> {
    let amount = if let Effect::Amount(off) = &discount.effect { Some(off) } else { None };
    let foreign = amount.into_iter().chain(&discount.cap).find(|money| money.currency != cart);
    match foreign {
        Some(money) => Err(NotGranted::OtherCurrency { offer: money.currency, cart }),
        None => Ok(()),
    }
}

/// Returns the most that can be taken off each line: the price of what is discounted, or, for an amount off each unit, no
/// more than that amount.
fn weights(discount: &Discount, cart: &Cart, left: &Left) -> Vec<i64> {
    let lines = cart.lines().len();
    match &discount.target {
        Target::Order => left.lines().to_vec(),
        Target::Group { selector } => {
            let lines = cart.lines().iter().zip(left.lines());
            lines.map(|(line, left)| if selector.selects(line) { *left } else { 0 }).collect()
        }
        Target::Items { selector } => {
            let units = cheapest_units(selector, discount.limit_per_order, cart, left);
            match &discount.effect {
                Effect::Percent { .. } => sum_by_line(&units, lines, |price| price),
                Effect::Amount(off) => sum_by_line(&units, lines, |price| price.min(off.amount)),
            }
        }
        Target::BuyGet { buy, buy_quantity, get, get_quantity } => {
            let (buy_quantity, get_quantity) = (*buy_quantity, *get_quantity);
            let offer = BuyGet { buy, buy_quantity, get, get_quantity, limit: discount.limit_per_order };
            sum_by_line(&offer.discounted(cart, left), lines, |price| price)
        }
    }
}

/// Returns the selected units, the cheapest first, at most `limit` of them unless that is 0.
fn cheapest_units(selector: &Selector, limit: u64, cart: &Cart, left: &Left) -> Vec<Run> {
    let selected = cart.lines().iter().enumerate().filter(|(_, line)| selector.selects(line));
    let mut units: Vec<Run> = selected.flat_map(|(index, _)| runs(cart, left, index)).collect();
    if limit == 0 {
        return units;
    }
    sort_cheapest_first(&mut units);
    take_units(units, limit)
}
