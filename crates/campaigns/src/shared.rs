//! What all requests of a process share.

use std::sync::atomic::AtomicBool;

use uuid::Uuid;

use crate::code_book::{CodeBook, KnownCode};
use codemint_codes::identity::IdentityKey;
use codemint_offers::redemption::request::Request;
use codemint_offers::referral::address::strict_form;
use codemint_store::connection::store::Store;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_store::redemptions::facts::{AddressForm, Asked};

/// What all requests of a process share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub store: Store,
    pub book: CodeBook,
    pub key: IdentityKey,
    pub definitions: DefinitionCache,
    pub emits_events: bool,
    pub audits: bool,
    /// The last batch met a limit that was reached.
    pub met_limits: AtomicBool,
}

impl Shared {
    /// Returns the request with what is known about its code.
    pub(crate) fn asked(&self, id: Uuid, request: Request, code: KnownCode) -> Asked {
        asked(&self.key, id, request, code)
    }
}

/// Returns a request with what is known about its code; identities are digested under this key.
pub(crate) fn asked(key: &IdentityKey, id: Uuid, request: Request, code: KnownCode) -> Asked {
    let KnownCode { code, campaign_no, may_vanish } = code;
    let identity = request.identity.as_deref().map(|identity| key.digest(identity).to_string());
    let form_of = |text: String| AddressForm { digest: key.digest(&text).to_string(), text };
    let address = request.identity.as_deref().and_then(strict_form).map(form_of);
    let request_digest = request.digest(key);
    Asked { id, request_digest, request, code, campaign_no, may_vanish, identity, address }
}
