//! What conditions are decided on. Everything is handed in; nothing is looked up.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;

use crate::cart::Cart;
use crate::condition::attribute::Attribute;
use crate::money::Money;

/// The price of the cart before any discount: money.
pub const ORDER_AMOUNT: &str = "order.amount";
/// The number of units in the cart: an integer.
pub const ORDER_QUANTITY: &str = "order.quantity";
/// The day of the decision in the campaign's zone: a day.
pub const ORDER_DAY: &str = "order.day";

/// The facts of one request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The attributes that the shop sent.
    pub attributes: &'a BTreeMap<String, Attribute>,
    /// The segments that the buyer belongs to.
    pub segments: &'a BTreeSet<String>,
    pub cart: Option<&'a Cart>,
    /// The day of the decision in the campaign's zone.
    pub day: NaiveDate,
}

impl<'a> Facts<'a> {
    /// Returns an attribute: one of the order's, or one that the shop sent. `None` if it is missing.
    pub fn attribute(&self, name: &str) -> Option<Cow<'a, Attribute>> {
        match name {
            ORDER_AMOUNT => self.cart.map(|cart| Cow::Owned(Attribute::Money(order_amount(cart)))),
            // At most 10^12.
            ORDER_QUANTITY => self.cart.map(|cart| Cow::Owned(Attribute::Integer(cart.quantity() as i64))),
            ORDER_DAY => Some(Cow::Owned(Attribute::Day { day: self.day })),
            other => self.attributes.get(other).map(Cow::Borrowed),
        }
    }
}

fn order_amount(cart: &Cart) -> Money {
    Money { currency: cart.currency(), amount: cart.amount() }
}
