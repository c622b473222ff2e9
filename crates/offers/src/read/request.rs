//! Reads the parts of a request that a verdict needs: the cart and the context.

use std::collections::BTreeSet;

use codemint_codes::identity::check_identity;
use codemint_codes::typed::{Typed, TypedError};
use serde_json::Value;

use crate::campaign::definition::LIST_MAX;
use crate::cart::{Cart, GROUPS_MAX, LINES_MAX, Line, QUANTITY_MAX};
use crate::problem::Problem;
use crate::read::condition::attributes;
use crate::read::node::{Node, Object, Problems};
use crate::redemption::request::{HOLD_SECONDS_MAX, HOLD_SECONDS_MIN, Request};
use crate::verdict::facts::Context;

/// Reads a cart. Pointers begin below the cart, as in `/lines/0/sku`.
///
/// # Errors
/// Every problem.
pub fn read_cart(value: &Value) -> Result<Cart, Vec<Problem>> {
    let problems = Problems::of_request();
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

/// Reads a request to use a code, or to find out whether it may be used. Pointers begin at the request, as in
/// `/cart/lines/0/sku`.
///
/// # Errors
/// Every problem.
pub fn read_request(value: &Value) -> Result<Request, Vec<Problem>> {
    let problems = Problems::of_request();
    let read = request(&Node::root(value, &problems));
    problems.or(read)
}

fn request(node: &Node<'_>) -> Option<Request> {
    let fields = ["code", "identity", "order", "cart", "context", "actor", "click_id", "hold_seconds"];
    let object = node.object(&fields)?;
    let text = |name| object.optional(name, |node: &Node<'_>| node.text());
    let code = object.required("code").and_then(|node| typed_code(&node));
    let (order, actor) = (text("order"), text("actor"));
    let identity = object.optional("identity", identity_of);
    let cart = object.optional("cart", cart_of);
    let context = object.or("context", Context::default(), context);
    let click_id = object.optional("click_id", |node| node.id());
    Some(Request {
        code: code?,
        identity: identity?,
        order: order?,
        cart: cart?,
        context: context?,
        actor: actor?,
        click_id: click_id?,
        hold_seconds: hold_seconds(&object)?,
    })
}

/// A message never repeats a code, not even a wrong one.
fn typed_code(node: &Node<'_>) -> Option<String> {
    let Value::String(text) = node.value() else { return node.wrong("the code is not a text; send one") };
    match text.parse::<Typed>() {
        // Buyers type anything: a character that no code has makes it a code that does not exist.
        Ok(_) | Err(TypedError::NotPrintable { .. }) => Some(text.clone()),
        Err(error) => node.wrong(error.to_string()),
    }
}

/// A message never repeats an identity.
pub(super) fn identity_of(node: &Node<'_>) -> Option<String> {
    let Value::String(text) = node.value() else { return node.wrong("the identity is not a text; send one") };
    match check_identity(text) {
        Ok(identity) => Some(identity.to_owned()),
        Err(error) => node.wrong(error.to_string()),
    }
}

fn hold_seconds(object: &Object<'_>) -> Option<u32> {
    object.or("hold_seconds", 0, |node| {
        let seconds = node.value().as_u64().and_then(|seconds| u32::try_from(seconds).ok());
        let valid = seconds.filter(|seconds| *seconds == 0 || (HOLD_SECONDS_MIN..=HOLD_SECONDS_MAX).contains(seconds));
        let allowed = format!(
            "a whole number of seconds is expected, from {HOLD_SECONDS_MIN} to {HOLD_SECONDS_MAX}, or 0 to confirm at once"
        );
        valid.or_else(|| node.wrong(allowed))
    })
}

/// Reads the cart of a confirmation, if it has one.
///
/// # Errors
/// Every problem.
pub fn read_confirmation(value: &Value) -> Result<Option<Cart>, Vec<Problem>> {
    let problems = Problems::of_request();
    let node = Node::root(value, &problems);
    let read = node.object(&["cart"]).and_then(|object| object.optional("cart", cart_of));
    problems.or(read)
}

/// Reads whether a roll-back keeps the use counted.
///
/// # Errors
/// Every problem.
pub fn read_rollback(value: &Value) -> Result<bool, Vec<Problem>> {
    let problems = Problems::of_request();
    let node = Node::root(value, &problems);
    let read = node.object(&["keep_use"]).and_then(|object| object.or("keep_use", false, |node| node.boolean()));
    problems.or(read)
}

fn cart_of(node: &Node<'_>) -> Option<Cart> {
    let (currency, lines) = cart(node)?;
    Cart::new(currency, lines).map_err(|problems| node.add_below(problems)).ok()
}

/// Reads a context. Pointers begin below the context, as in `/attributes/city`.
///
/// # Errors
/// Every problem.
pub fn read_context(value: &Value) -> Result<Context, Vec<Problem>> {
    let problems = Problems::of_request();
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
