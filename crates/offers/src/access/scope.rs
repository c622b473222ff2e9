//! Scopes: what an API key permits.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};

use crate::text::cut;

/// One thing that an API key permits. No scope includes another.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    JsonSchema,
    EnumString,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "kebab-case")]
#[strum(
    serialize_all = "kebab-case",
    const_into_str,
    parse_err_ty = ScopeError,
    parse_err_fn = unknown_scope
)]
pub enum Scope {
    /// Validates and redeems codes, reads redemptions and own codes, resolves references.
    Redeem,
    /// Issues codes: triggers, assignments, referrals.
    Issue,
    /// Manages campaigns, codes, segments and affiliates.
    Manage,
    /// Reads reports and the audit log.
    Report,
    /// Gets the true reasons for unknown and dead codes.
    Explain,
    /// Manages keys and users.
    Admin,
}

/// The scopes of a key, each once.
///
/// ```
/// use codemint_offers::access::scope::{Scope, Scopes};
///
/// let scopes: Scopes = "issue, redeem".parse().expect("two scopes");
/// assert!(scopes.permits(Scope::Redeem) && !scopes.permits(Scope::Admin));
/// assert_eq!(scopes.to_string(), "redeem,issue");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Scopes(BTreeSet<Scope>);

/// The reason why a text is not a list of scopes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("a scope is missing; {}", advice())]
    Missing,
    #[error("unknown scope {}; {}", cut(.0, 20), advice())]
    Unknown(String),
}

fn advice() -> String {
    format!("write one or more of {}, separated by commas", names(Scope::VARIANTS).join(", "))
}

fn names<'a>(scopes: impl IntoIterator<Item = &'a Scope>) -> Vec<&'static str> {
    scopes.into_iter().map(|scope| scope.into_str()).collect()
}

fn unknown_scope(text: &str) -> ScopeError {
    if text.is_empty() { ScopeError::Missing } else { ScopeError::Unknown(text.to_owned()) }
}

impl Scopes {
    pub fn permits(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }

    /// Reads what [`Scopes::to_string`] wrote. A scope that this program does not know, but a newer one does, permits nothing
    /// here and is left out.
    pub fn of_stored(text: &str) -> Self {
        Self(text.split(',').filter_map(|scope| scope.parse().ok()).collect())
    }
}

/// Reads names of scopes between commas, in any order; blanks around a name do not matter.
impl FromStr for Scopes {
    type Err = ScopeError;

    fn from_str(text: &str) -> Result<Self, ScopeError> {
        text.split(',').map(|scope| scope.trim().parse()).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&names(&self.0).join(","))
    }
}
