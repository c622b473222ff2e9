//! One planned use of a code, and what becomes of it.

use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use crate::cart::Cart;
use crate::demo::chance::Chance;
use crate::redemption::request::Request;
use crate::redemption::transition::Action;

/// How long a code is usually held for the payment.
const HOLD_SECONDS: u32 = 1800;
const DAY_SECONDS: u32 = 86_400;

/// The code that is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOf {
    /// The one of a public campaign.
    Campaign,
    /// The one with this number of those that were minted.
    Number(u64),
    /// The one that the identity of the request owns.
    Identity,
    /// The one that the person with this number passes on.
    Referrer(usize),
}

/// A use of a code. `Debug` does not show the identity.
#[derive(Clone)]
pub struct PlannedUse {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub campaign: &'static str,
    pub code: CodeOf,
    /// The request, without its code.
    pub request: Request,
    /// What becomes of it, in the order of time.
    pub then: Vec<(DateTime<Utc>, Action)>,
}

impl fmt::Debug for PlannedUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedUse")
            .field("id", &self.id)
            .field("at", &self.at)
            .field("campaign", &self.campaign)
            .field("then", &self.then)
            .finish_non_exhaustive()
    }
}

/// A click on a link of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedClick {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub campaign: &'static str,
    pub source: Option<String>,
    pub ad: Option<String>,
    pub affiliate: Option<String>,
}

/// How a request goes on.
pub(super) struct Outcome {
    pub hold_seconds: u32,
    pub then: Vec<(DateTime<Utc>, Action)>,
}

/// Chooses how a use goes on that begins at this time.
pub(super) fn outcome(at: DateTime<Utc>, chance: &mut Chance) -> Outcome {
    if !chance.happens(300) {
        let then = rolled_back(at, chance).into_iter().collect();
        return Outcome { hold_seconds: 0, then };
    }
    // Some pay by transfer, which takes days.
    let is_slow = chance.happens(150);
    let hold_seconds = if is_slow { *chance.pick(&[3, 5, 7]) * DAY_SECONDS } else { HOLD_SECONDS };
    let after = |chance: &mut Chance| match is_slow {
        true => chance.seconds(u64::from(hold_seconds) / 5, u64::from(hold_seconds) * 9 / 10),
        false => chance.seconds(40, 900),
    };
    let deadline = at + TimeDelta::seconds(hold_seconds.into());
    let then = match chance.weighted(&[86, 8, 6]) {
        0 => {
            let paid = at + after(chance);
            [(paid, Action::Confirm { cart: None })].into_iter().chain(rolled_back(paid, chance)).collect()
        }
        1 => vec![(at + after(chance), Action::Release)],
        _ => vec![(deadline + chance.seconds(1, 30), Action::Expire)],
    };
    Outcome { hold_seconds, then }
}

fn rolled_back(paid: DateTime<Utc>, chance: &mut Chance) -> Option<(DateTime<Utc>, Action)> {
    let is_returned = chance.happens(38);
    let at = paid + chance.seconds(2 * 86_400, 15 * 86_400);
    let keep_use = chance.happens(150);
    is_returned.then_some((at, Action::RollBack { keep_use }))
}

/// Returns the request of a use, without its code.
pub(super) fn request(identity: Option<String>, cart: Option<Cart>, hold_seconds: u32, chance: &mut Chance) -> Request {
    let order = chance.happens(970).then(|| format!("W-{:09}", chance.below(1_000_000_000)));
    let actor = chance.happens(80).then(|| format!("till-{:02}", chance.between(1, 12)));
    Request { identity, order, cart, actor, hold_seconds, ..Request::of_code("") }
}
