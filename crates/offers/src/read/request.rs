//! Reads the parts of a request that a verdict needs: the cart and the context.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::campaign::definition::LIST_MAX;
use crate::cart::{Cart, LINES_MAX, Line, QUANTITY_MAX};
use crate::problem::Problem;
use crate::read::condition::attributes;
use crate::read::node::{Node, Problems};
use crate::verdict::facts::Context;

/// The maximum number of groups of a line.
const GROUPS_MAX: usize = 100;

/// Reads a cart. Pointers begin below the cart, as in `/lines/0/sku`.
///
/// # Errors
/// Every problem.
pub fn read_cart(value: &Value) -> Result<Cart, Vec<Problem>> {
    let problems = Problems::default();
    let read = cart(&Node::root(value, &problems));
    let (currency, lines) = problems.or(read)?;
    Cart::new(currency, lines)
}

fn cart(node: &Node<'_>) -> Option<(crate::money::Currency, Vec<Line>)> {
    let object = node.object(&["currency", "lines"])?;
    let currency = object.required("currency").and_then(|node| node.currency());
    let lines = object.required("lines").and_then(|node| node.list(1, LINES_MAX));
    let lines: Vec<Option<Line>> = lines?.iter().map(line).collect();
    Some((currency?, lines.into_iter().collect::<Option<_>>()?))
}

fn line(node: &Node<'_>) -> Option<Line> {
    let object = node.object(&["sku", "groups", "quantity", "unit_amount"])?;
    let sku = object.required("sku").and_then(|node| node.text());
    let groups = object.or("groups", BTreeSet::new(), |node| node.texts(GROUPS_MAX));
    let quantity = object.required("quantity").and_then(|node| node.count(1, QUANTITY_MAX));
    let unit_amount = object.required("unit_amount").and_then(|node| node.amount(0));
    let groups = groups?.into_iter().collect();
    Some(Line { sku: sku?, groups, quantity: quantity?, unit_amount: unit_amount? })
}

/// Reads a context. Pointers begin below the context, as in `/attributes/city`.
///
/// # Errors
/// Every problem.
pub fn read_context(value: &Value) -> Result<Context, Vec<Problem>> {
    let problems = Problems::default();
    let read = context(&Node::root(value, &problems));
    problems.or(read)
}

fn context(node: &Node<'_>) -> Option<Context> {
    let object = node.object(&["source", "ad", "affiliate", "segments", "use_case", "attributes"])?;
    let text = |name| object.optional(name, |node: &Node<'_>| node.text());
    let (source, ad, affiliate, use_case) = (text("source"), text("ad"), text("affiliate"), text("use_case"));
    let segments = object.or("segments", BTreeSet::new(), |node| node.texts(LIST_MAX));
    let attributes = object.or("attributes", Default::default(), attributes);
    Some(Context {
        source: source?,
        ad: ad?,
        affiliate: affiliate?,
        segments: segments?,
        use_case: use_case?,
        attributes: attributes?,
    })
}
