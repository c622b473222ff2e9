//! Counts the answers to callers in the metrics.

use crate::answers::{RedeemError, Redeemed, Validation};
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::state::State;
use codemint_offers::referral::state::ReferralState;
use codemint_offers::verdict::reason::Reason;
use codemint_store::redemptions::transitions::Moved;
use codemint_store::referrals::rewards::Rewards;
use codemint_telemetry::metrics::{redemptions as metrics, referrals};

/// Counts the answer to a request to use a code, with all its reasons.
pub(crate) fn count_redeemed(answer: &Result<Redeemed, RedeemError>) {
    metrics::answered(
        match answer {
            Ok(Redeemed::Granted { is_new: true, .. }) => "created",
            Ok(Redeemed::Granted { is_new: false, .. }) => "repeated",
            Ok(Redeemed::DifferentRequest) => "different_request",
            Ok(Redeemed::Refused(reasons)) => refused(reasons),
            Err(error) => undecided(error),
        },
        1,
    );
    if let Ok(Redeemed::Granted { redemption, is_new: true }) = answer {
        count_referral(redemption);
    }
}

/// Counts the answer to an action on a redemption.
pub(crate) fn count_moved(answer: &Result<Moved, RedeemError>) {
    metrics::answered(
        match answer {
            Ok(Moved::Done { is_changed: false, .. }) => "repeated",
            Ok(Moved::Done { redemption, .. }) => outcome_of(redemption.state),
            Ok(Moved::DifferentRequest) => "different_request",
            Ok(Moved::Refused(reasons)) => refused(reasons),
            Ok(Moved::WrongState(_)) => "wrong_state",
            Ok(Moved::Unknown) => "unknown",
            Ok(Moved::Locked) => "failed",
            Err(error) => undecided(error),
        },
        1,
    );
    if let Ok(Moved::Done { redemption, is_changed: true }) = answer {
        count_referral(redemption);
    }
}

/// Counts referrers who were rewarded.
pub(crate) fn count_rewarded(rewards: &Rewards) {
    referrals::changed(ReferralState::Rewarded.into_str(), rewards.issued);
}

/// Counts the answer to a request that only asks, with all its reasons: guesses begin with these.
pub(crate) fn count_validated(answer: &Result<Validation, RedeemError>) {
    metrics::validated(match answer {
        Ok(validation) if validation.verdict.is_valid() => "valid",
        Ok(validation) => {
            refused(&validation.verdict.reasons);
            "invalid"
        }
        Err(_) => "failed",
    });
}

/// Counts holds that have expired.
pub(crate) fn count_expired(moved: &[Moved]) -> u64 {
    let has_expired = |moved: &&Moved| matches!(moved, Moved::Done { is_changed: true, .. });
    let expired = moved.iter().filter(has_expired).count() as u64;
    metrics::answered(outcome_of(State::Expired), expired);
    expired
}

/// Counts the referral of a redemption that has just changed, if the change has made or ended one.
fn count_referral(redemption: &Redemption) {
    let Some(state) = redemption.referral.as_ref().map(|referred| referred.state) else { return };
    let is_new = redemption.state == State::Confirmed && state == ReferralState::Pending;
    let is_ended = redemption.state == State::RolledBack && state == ReferralState::Void;
    if is_new || is_ended {
        referrals::changed(state.into_str(), 1);
    }
}

const fn outcome_of(state: State) -> &'static str {
    match state {
        State::Held => "created",
        changed => changed.into_str(),
    }
}

fn refused(reasons: &[Reason]) -> &'static str {
    reasons.iter().for_each(|reason| metrics::refused_because(reason.code.as_str()));
    "refused"
}

const fn undecided(error: &RedeemError) -> &'static str {
    match error {
        RedeemError::Busy => "busy",
        RedeemError::Identity(_) | RedeemError::Store(_) => "failed",
    }
}
