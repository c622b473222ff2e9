//! What is known about codes that customers typed: whose they are, how often they were used, and why they would be refused now.

use std::fmt;
use std::sync::Arc;

use codemint_codes::typed::{Missing, Typed, TypedError};
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::request::Request;
use codemint_offers::verdict::reason::Reason;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::redemptions::reads::{CodeUses, RedemptionFilter};
use futures_util::future::try_join_all;

use crate::answers::RedeemError;
use crate::code_book::KnownCode;
use crate::redeeming::Redeemer;

/// The number of codes that are looked up at the same time.
const AT_ONCE: usize = 8;

/// What is known about a text that a customer typed.
#[derive(Debug)]
pub enum Found {
    Code(Box<FoundCode>),
    /// The code exists, but no campaign has it.
    WithoutCampaign,
    Missing(Missing),
    /// The text can be no code.
    NoCode(TypedError),
}

/// A code of a campaign. `Debug` does not show it.
pub struct FoundCode {
    /// The code as it is stored.
    pub code: String,
    pub definition: Arc<Definition>,
    pub owner: Owner,
    pub uses: CodeUses,
    /// The newest redemptions, newest first.
    pub redemptions: Vec<Redemption>,
    /// The identity for whom the verdict holds.
    pub asked_for: Option<String>,
    /// Why it would be refused now; empty if it would be granted.
    pub reasons: Vec<Reason>,
}

/// The owner of a code. `Debug` does not show the identity.
#[derive(Clone, PartialEq, Eq)]
pub enum Owner {
    /// The campaign does not bind its codes.
    Anybody,
    /// Nobody yet: the code is in the pool.
    Pool,
    /// The identity; `None` if it was forgotten.
    Identity(Option<String>),
    /// Neither an identity nor the pool has it: it was revoked, or is bound at this moment.
    Nobody,
}

/// Looks up texts as the redeemer finds them, and answers in their order, with at most `newest` redemptions of each. Verdicts hold for
/// this identity, or else for the owner of the code.
///
/// # Errors
/// `Busy` if too many requests wait; `Store` if the store failed.
pub async fn look_up(
    store: &Store,
    redeemer: &Redeemer,
    typed: &[&str],
    identity: Option<&str>,
    newest: u32,
) -> Result<Vec<Found>, RedeemError> {
    let known = redeemer.find_codes(typed).await.map_err(failed)?;
    let pairs: Vec<(&str, Option<KnownCode>)> = typed.iter().copied().zip(known).collect();
    let look_up = LookUp { store, redeemer, identity, newest };
    let mut found = Vec::with_capacity(pairs.len());
    for some in pairs.chunks(AT_ONCE) {
        found.extend(try_join_all(some.iter().map(|(text, known)| look_up.find(text, known.as_ref()))).await?);
    }
    Ok(found)
}

struct LookUp<'a> {
    store: &'a Store,
    redeemer: &'a Redeemer,
    identity: Option<&'a str>,
    newest: u32,
}

impl LookUp<'_> {
    async fn find(&self, text: &str, known: Option<&KnownCode>) -> Result<Found, RedeemError> {
        match known {
            Some(known) => self.describe(known).await,
            None => self.explain(text).await.map_err(failed),
        }
    }

    async fn describe(&self, known: &KnownCode) -> Result<Found, RedeemError> {
        let KnownCode { code, campaign_no, .. } = known;
        let owned = self.store.read_owned(*campaign_no, code, code).await.map_err(failed)?;
        let owner = owned.into_iter().next().map(|owned| match owned.identity {
            Some(_) => Owner::Identity(owned.identity_text),
            None => Owner::Pool,
        });
        let owner_text = if let Some(Owner::Identity(text)) = &owner { text.clone() } else { None };
        let asked_for = self.identity.map(str::to_owned).or(owner_text);
        let request = Request { identity: asked_for.clone(), ..Request::of_code(code.as_str()) };
        let validation = self.redeemer.validate(request, true).await?;
        // The import that it came from may have been withdrawn meanwhile.
        let Some(definition) = validation.definition else { return Ok(Found::Missing(Missing::NeverMinted)) };
        let filter = RedemptionFilter { code: Some(code.clone()), limit: self.newest, ..RedemptionFilter::default() };
        let is_bound = definition.kind == Kind::Restricted;
        Ok(Found::Code(Box::new(FoundCode {
            owner: owner.unwrap_or(if is_bound { Owner::Nobody } else { Owner::Anybody }),
            uses: self.store.count_uses(*campaign_no, code).await.map_err(failed)?,
            redemptions: self.store.list_redemptions(&filter).await.map_err(failed)?,
            code: code.clone(),
            definition,
            asked_for,
            reasons: validation.verdict.reasons,
        })))
    }

    async fn explain(&self, text: &str) -> Result<Found, StoreError> {
        let typed: Typed = match text.parse() {
            Ok(typed) => typed,
            Err(error) => return Ok(Found::NoCode(error)),
        };
        if !self.store.find_codes(&[typed.written().to_owned()]).await?.is_empty() {
            return Ok(Found::WithoutCampaign);
        }
        self.redeemer.judge_missing(&typed).await.map(Found::Missing)
    }
}

fn failed(error: StoreError) -> RedeemError {
    RedeemError::Store(Arc::new(error))
}

impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anybody => "Anybody",
            Self::Pool => "Pool",
            Self::Identity(_) => "Identity",
            Self::Nobody => "Nobody",
        })
    }
}

impl fmt::Debug for FoundCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FoundCode")
            .field("campaign", &self.definition.name)
            .field("reasons", &self.reasons)
            .finish_non_exhaustive()
    }
}
