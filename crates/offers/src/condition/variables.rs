//! The facts of a request as values of CEL.

use std::sync::Arc;

use cel::Value;
use cel::objects::Map;

use crate::condition::attribute::Attribute;
use crate::condition::facts::Facts;

pub(super) fn attributes(facts: &Facts<'_>) -> Value {
    map(facts.attributes.iter().map(|(name, attribute)| (name.clone(), value(attribute))))
}

/// Without a cart only the day is known: an expression that needs more is refused with the name that is missing.
pub(super) fn order(facts: &Facts<'_>) -> Value {
    let day = ("day".to_owned(), text(&facts.day.to_string()));
    let of_cart = facts.cart.into_iter().flat_map(|cart| {
        [
            ("amount".to_owned(), Value::Int(cart.amount())),
            ("currency".to_owned(), text(cart.currency().code())),
            // At most 10^12.
            ("quantity".to_owned(), Value::Int(cart.quantity() as i64)),
        ]
    });
    map(of_cart.chain([day]))
}

pub(super) fn segments(facts: &Facts<'_>) -> Value {
    Value::List(Arc::new(facts.segments.iter().map(|name| text(name)).collect()))
}

fn text(value: &str) -> Value {
    Value::String(Arc::new(value.to_owned()))
}

fn map(entries: impl Iterator<Item = (String, Value)>) -> Value {
    let entries = entries.map(|(name, value)| (name.into(), value)).collect();
    Value::Map(Map { map: Arc::new(entries) })
}

/// Days are texts such as `2027-03-01`, whose order is that of time; money is a map of `currency` and `amount`.
fn value(attribute: &Attribute) -> Value {
    match attribute {
        Attribute::Text(found) => text(found),
        Attribute::Integer(found) => Value::Int(*found),
        Attribute::Boolean(found) => Value::Bool(*found),
        Attribute::Day { day } => text(&day.to_string()),
        Attribute::Money(money) => {
            map([("currency".to_owned(), text(money.currency.code())), ("amount".to_owned(), Value::Int(money.amount))]
                .into_iter())
        }
    }
}
