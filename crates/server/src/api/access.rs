//! Who may do what: each request names an API key, and each path needs a scope of it.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use codemint_offers::access::key::ApiKey;
use codemint_offers::access::record::KeyRecord;
use codemint_offers::access::scope::{Scope, Scopes};
use codemint_store::records::actor::Caller;

use crate::api::observing::Seen;
use crate::api::problem::{Problem, SCOPE_MISSING, UNAUTHENTICATED};
use crate::api::service::Api;

/// A scope that a path needs.
pub trait Need {
    const SCOPE: Scope;
}

macro_rules! needs {
    ($($name:ident),*) => {$(
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Need for $name {
            const SCOPE: Scope = Scope::$name;
        }
    )*};
}

needs!(Redeem, Issue, Manage, Report, Admin);

/// A caller whose key has the scope that the path needs.
#[derive(Clone, Debug)]
pub struct Allowed<N: Need> {
    pub key: Arc<KeyRecord>,
    need: PhantomData<N>,
}

impl<N: Need> Allowed<N> {
    pub fn caller(&self) -> Caller {
        Caller::Key(self.key.id)
    }

    /// Returns true if the caller gets the true reasons for unknown and dead codes.
    pub fn explains(&self) -> bool {
        self.key.scopes.permits(Scope::Explain)
    }
}

impl<N: Need> FromRequestParts<Arc<Api>> for Allowed<N> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, Problem> {
        let sent = sent_key(&parts.headers)?;
        let seen = parts.extensions.get::<Seen>();
        let Some(key) = api.keys.find(&sent.digest()).await? else {
            if let Some(seen) = seen {
                api.limits.note_unknown_key(seen.client)?;
            }
            return Err(unknown_key());
        };
        if let Some(seen) = seen {
            let _first = seen.caller.set(Caller::Key(key.id));
        }
        api.limits.admit(key.id)?;
        require(&key.scopes, N::SCOPE)?;
        Ok(Self { key, need: PhantomData })
    }
}

fn sent_key(headers: &HeaderMap) -> Result<ApiKey, Problem> {
    let advice = "send the header Authorization: Bearer cm_…, with a key that `codemint keys create` has made";
    let value = headers.get(AUTHORIZATION).ok_or_else(|| Problem::new(UNAUTHENTICATED, advice))?;
    let token = value.to_str().ok().and_then(|text| text.split_once(' '));
    let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
    token.and_then(|token| token.parse().ok()).ok_or_else(|| Problem::new(UNAUTHENTICATED, advice))
}

fn unknown_key() -> Problem {
    Problem::new(UNAUTHENTICATED, "this API key is unknown, expired or revoked")
}

/// # Errors
/// If the key does not have the scope.
fn require(scopes: &Scopes, scope: Scope) -> Result<(), Problem> {
    let name: &'static str = scope.into();
    match scopes.permits(scope) {
        true => Ok(()),
        false => Err(Problem::new(SCOPE_MISSING, format!("this needs the scope {name}; the key has {scopes}"))),
    }
}
