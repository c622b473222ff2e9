//! Requests to use a code.

use std::fmt;

use codemint_codes::identity::IdentityKey;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::cart::Cart;
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
        let cart = cart.as_ref().map(cart_document);
        let document = json!([code, identity, order, cart, context_document(context), actor, click_id, hold_seconds]);
        Digest(*key.digest(&document.to_string()).as_bytes())
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
    let digest = Sha256::digest(cart_document(cart).to_string());
    let mut first = [0; 16];
    first.copy_from_slice(&digest[..16]);
    Digest(first)
}

/// Returns a context as JSON that [`read_context`](crate::read::request::read_context) reads as an equal one.
pub fn context_document(context: &Context) -> Value {
    let Context { source, ad, affiliate, segments, use_case, attributes } = context;
    json!({
        "source": source, "ad": ad, "affiliate": affiliate, "segments": segments, "use_case": use_case,
        "attributes": attributes,
    })
}

fn cart_document(cart: &Cart) -> Value {
    let lines = cart.lines().iter().map(|line| json!([line.sku, line.groups, line.quantity, line.unit_amount]));
    json!([cart.currency(), lines.collect::<Value>()])
}
