//! A redemption as it is stored.

use std::fmt;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::cart::Cart;
use crate::discount::grant::Granted;
use crate::money::Currency;
use crate::redemption::request::Digest;
use crate::redemption::state::State;
use crate::referral::state::ReferralState;
use crate::verdict::facts::Context;

/// One use of one code. `Debug` shows neither the code nor the identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Redemption {
    pub id: Uuid,
    pub campaign_no: i64,
    /// The name of the campaign.
    pub campaign: String,
    /// The version of the definition under which it was decided.
    pub version: u32,
    pub code: String,
    /// The identity; the mark and the digest of one that was forgotten.
    pub identity: Option<String>,
    pub order: Option<String>,
    pub state: State,
    /// A use that was rolled back and counts all the same.
    pub keep_use: bool,
    /// `None` if the request had no cart.
    pub discount: Option<LineDiscounts>,
    /// The price of the cart before any discount, in minor units.
    pub order_amount: Option<i64>,
    pub source: Option<String>,
    pub ad: Option<String>,
    pub affiliate: Option<String>,
    pub click_id: Option<Uuid>,
    pub actor: Option<String>,
    pub request_digest: Digest,
    pub confirm_digest: Option<Digest>,
    pub held_at: DateTime<Utc>,
    /// The deadline of the payment; `None` if it was confirmed at once.
    pub expires_at: Option<DateTime<Utc>>,
    /// `None` while it is held.
    pub ended_at: Option<DateTime<Utc>>,
    /// What a confirmation needs to decide again; `None` once none can come.
    pub context: Option<Context>,
    /// What it is to the referrer; `None` unless it is a confirmed use of a referral code, or was.
    pub referral: Option<Referred>,
}

/// What a redemption is to the referrer whose code was used. `Debug` does not show the code.
#[derive(Clone, PartialEq, Eq)]
pub struct Referred {
    pub state: ReferralState,
    /// The friend's own code to pass on, if there is one.
    pub issued_code: Option<String>,
}

/// What was granted, line by line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineDiscounts {
    pub currency: Currency,
    /// The sum, in minor units.
    pub amount: i64,
    /// The SKU and the amount of each line of the cart, in its order.
    pub lines: Vec<(String, i64)>,
}

impl LineDiscounts {
    /// Names the lines of a discount that was computed for this cart.
    pub fn of(granted: &Granted, cart: &Cart) -> Self {
        let skus = cart.lines().iter().map(|line| line.sku.clone());
        let lines = skus.zip(granted.lines.iter().copied()).collect();
        Self { currency: granted.currency, amount: granted.amount, lines }
    }
}

impl Redemption {
    /// Returns true if it takes of the limits.
    pub const fn counts(&self) -> bool {
        self.state.counts(self.keep_use)
    }

    /// Returns true if it is held and its deadline has come.
    pub fn is_overdue(&self, now: DateTime<Utc>) -> bool {
        self.state == State::Held && self.expires_at.is_some_and(|expires_at| expires_at <= now)
    }
}

impl fmt::Debug for Referred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Referred").field("state", &self.state).finish_non_exhaustive()
    }
}

impl fmt::Debug for Redemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redemption").field("id", &self.id).field("state", &self.state).finish_non_exhaustive()
    }
}
