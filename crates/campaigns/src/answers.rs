//! Answers to requests to use codes.

use std::sync::Arc;

use codemint_codes::identity::IdentityError;
use codemint_offers::campaign::definition::Definition;
use codemint_offers::cart::Cart;
use codemint_offers::redemption::document::ValidationDocument;
use codemint_offers::redemption::ledger::Remaining;
use codemint_offers::redemption::record::{LineDiscounts, Redemption};
use codemint_offers::verdict::decide::Verdict;
use codemint_offers::verdict::reason::{Reason, ReasonCode, shown};
use codemint_store::connection::error::StoreError;

/// The reason why a request was not decided.
#[derive(Clone, Debug, thiserror::Error)]
pub enum RedeemError {
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("too many requests are waiting; try again")]
    Busy,
    /// Whether it was carried out is unknown; the same request finds out.
    #[error(transparent)]
    Store(Arc<StoreError>),
}

/// The answer to a request to use a code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    Granted {
        redemption: Box<Redemption>,
        /// False if the same request was granted before.
        is_new: bool,
    },
    /// Another request was granted under the same id.
    DifferentRequest,
    /// Not empty.
    Refused(Vec<Reason>),
}

/// The answer to a request that only asks.
#[derive(Clone, Debug)]
pub struct Validation {
    /// `None` if the code belongs to no campaign, or if the caller may not know to which.
    pub definition: Option<Arc<Definition>>,
    pub verdict: Verdict,
    pub remaining: Remaining,
}

impl Validation {
    /// Returns the document of the answer to a request with this cart.
    pub fn document(self, cart: Option<&Cart>) -> ValidationDocument {
        let Self { definition, verdict, remaining } = self;
        match definition {
            Some(definition) if verdict.is_valid() => {
                let granted = verdict.discount.as_ref().zip(cart);
                let discount = granted.map(|(granted, cart)| LineDiscounts::of(granted, cart));
                ValidationDocument::valid(&definition, discount, remaining)
            }
            None if verdict.is_valid() => ValidationDocument::refused(vec![ReasonCode::CodeNotFound.into()]),
            _ => ValidationDocument::refused(verdict.reasons),
        }
    }

    /// Hides what the caller may not know.
    pub(crate) fn shown(self, explains: bool) -> Self {
        let Self { definition, verdict: Verdict { discount, reasons }, remaining } = self;
        let known = reasons.clone();
        let reasons = shown(reasons, explains);
        match reasons == known {
            true => Self { definition, verdict: Verdict { discount, reasons }, remaining },
            false => Self { definition: None, verdict: Verdict { discount, reasons }, remaining: Remaining::default() },
        }
    }
}
