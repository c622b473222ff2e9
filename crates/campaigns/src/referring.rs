//! Referrers whom the shop names.

use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::referrals::referrers::{NewReferrer, PutReferrer};
use codemint_telemetry::metrics::referrals as metrics;

/// Gives a person a code of a referral campaign to pass on, and counts the answer; see [`Store::put_referrer`].
///
/// # Errors
/// If the store failed: the same request again finds out what was done.
pub async fn put_referrer(store: &Store, new: &NewReferrer) -> Result<PutReferrer, StoreError> {
    let answer = store.put_referrer(new).await;
    metrics::named(match &answer {
        Ok(PutReferrer::Done { is_new: true, .. }) => "new",
        Ok(PutReferrer::Done { is_new: false, .. }) => "repeated",
        Ok(PutReferrer::DifferentRequest) => "different_request",
        Ok(PutReferrer::NotReferral | PutReferrer::Refused(_)) => "refused",
        Err(_) => "failed",
    });
    answer
}
