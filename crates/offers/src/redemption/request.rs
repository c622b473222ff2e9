//! Requests to use a code.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use codemint_codes::identity::IdentityKey;
use serde::Serialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::cart::{Cart, Line};
use crate::condition::attribute::Attribute;
use crate::money::Currency;
use crate::verdict::facts::Context;

/// The shortest hold, in seconds; 0 confirms at once.
pub const HOLD_SECONDS_MIN: u32 = 60;
/// The longest hold, in seconds: a week.
pub const HOLD_SECONDS_MAX: u32 = 604_800;

/// A request to use a code, or to find out whether it may be used. `Debug` shows neither the code nor the identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// The code as it was typed.
    pub code: String,
    pub identity: Option<String>,
    /// The shop's reference of the order.
    pub order: Option<String>,
    pub cart: Option<Cart>,
    pub context: Context,
    /// Who asks, as far as the shop knows: a session or a terminal.
    pub actor: Option<String>,
    pub click_id: Option<Uuid>,
    /// How long the redemption waits for the payment; 0 confirms it at once.
    pub hold_seconds: u32,
}

/// The first half of a digest of a request or a cart, by which a repeated one is recognized.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 16]);

impl Request {
    /// Returns a request that states nothing but the code.
    pub fn of_code(code: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            identity: None,
            order: None,
            cart: None,
            context: Context::default(),
            actor: None,
            click_id: None,
            hold_seconds: 0,
        }
    }

    /// Returns the digest of everything that the request says, under the store's key: it holds an identity, and a reader of
    /// the digest must not be able to guess it. Fields that are left out are equal to their defaults.
    pub fn digest(&self, key: &IdentityKey) -> Digest {
        let Self { code, identity, order, cart, context, actor, click_id, hold_seconds } = self;
        let (cart, context) = (cart.as_ref().map(CartText::of), ContextText::of(context));
        let text = text_of(&(code, identity, order, cart, context, actor, click_id, hold_seconds));
        Digest(*key.digest(&text).as_bytes())
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("order", &self.order)
            .field("hold_seconds", &self.hold_seconds)
            .finish_non_exhaustive()
    }
}

/// Returns the digest of a cart with which a redemption is confirmed.
pub fn digest_of_cart(cart: &Cart) -> Digest {
    let digest = Sha256::digest(text_of(&CartText::of(cart)));
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Digest(first)
}

/// Returns a context as JSON that [`read_context`](crate::read::request::read_context) reads as an equal one.
pub fn context_document(context: &Context) -> Value {
    serde_json::to_value(ContextText::of(context)).unwrap_or_default()
}

/// Returns the text of which a digest is made. Stores hold the digests, so it never changes: fields stand in alphabetical order.
fn text_of(value: &impl Serialize) -> String {
    // Nothing in a request can fail to be written: all keys are texts.
    serde_json::to_string(value).unwrap_or_default()
}

/// A context as JSON.
#[derive(Debug, Serialize)]
struct ContextText<'a> {
    ad: &'a Option<String>,
    affiliate: &'a Option<String>,
    attributes: &'a BTreeMap<String, Attribute>,
    segments: &'a BTreeSet<String>,
    source: &'a Option<String>,
    use_case: &'a Option<String>,
}

impl<'a> ContextText<'a> {
    fn of(context: &'a Context) -> Self {
        let Context { source, ad, affiliate, segments, use_case, attributes } = context;
        Self { ad, affiliate, attributes, segments, source, use_case }
    }
}

/// A cart as JSON: its currency and its lines.
#[derive(Debug, Serialize)]
struct CartText<'a>(Currency, Vec<(&'a str, &'a [String], u64, i64)>);

impl<'a> CartText<'a> {
    fn of(cart: &'a Cart) -> Self {
        let line = |line: &'a Line| (&*line.sku, &*line.groups, line.quantity, line.unit_amount);
        Self(cart.currency(), cart.lines().iter().map(line).collect())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{CartText, ContextText, text_of};
    use crate::read::request::read_request;

    #[test]
    fn the_text_of_a_digest_never_changes() {
        let document = json!({
            "code": "SPRING",
            "cart": { "currency": "EUR", "lines": [
                { "sku": "DOG-1", "groups": ["dogs", "pets"], "quantity": 2, "unit_amount": 1999 },
                { "sku": "\"q\"", "quantity": 1, "unit_amount": 0 },
            ] },
            "context": { "source": "mail", "segments": ["b", "a"], "attributes": { "vip": true, "age": 40, "city": "Köln" } },
        });
        let request = read_request(&document).expect("a request");
        assert_eq!(
            text_of(&ContextText::of(&request.context)),
            r#"{"ad":null,"affiliate":null,"attributes":{"age":40,"city":"Köln","vip":true},"segments":["a","b"],"source":"mail","use_case":null}"#
        );
        assert_eq!(
            text_of(&CartText::of(&request.cart.expect("a cart"))),
            r#"["EUR",[["DOG-1",["dogs","pets"],2,1999],["\"q\"",[],1,0]]]"#
        );
    }
}
