//! A redemption as a line of a table.

use std::fmt;

use chrono_tz::Tz;
use codemint_codes::identity::FORGOTTEN;
use codemint_offers::access::role::Role;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::state::State;
use codemint_offers::referral::address::seen_by;

use crate::console::campaigns::labels::{Badge, path_of};
use crate::console::shown::{minute, money};

/// A redemption with texts ready to show.
pub struct RedemptionRow {
    pub path: String,
    pub when: String,
    pub state: Badge,
    /// True if it was rolled back and its use counts all the same.
    pub is_kept: bool,
    pub code: String,
    pub campaign: String,
    pub campaign_path: String,
    pub order: Option<String>,
    pub identity: Option<String>,
    pub discount: Option<String>,
}

impl RedemptionRow {
    pub fn new(redemption: &Redemption, zone: Tz, role: Role) -> Self {
        Self {
            path: format!("/redemptions/{}", redemption.id),
            when: minute(redemption.held_at, zone),
            state: state_badge(redemption.state),
            is_kept: redemption.state == State::RolledBack && redemption.keep_use,
            code: redemption.code.clone(),
            campaign: redemption.campaign.clone(),
            campaign_path: path_of(&redemption.campaign),
            order: redemption.order.clone(),
            identity: identity_text(redemption, role),
            discount: redemption.discount.as_ref().map(|discount| money(discount.amount, discount.currency.code())),
        }
    }
}

/// Returns the identity as people of a role read it.
pub fn identity_text(redemption: &Redemption, role: Role) -> Option<String> {
    let is_forgotten = |identity: &str| identity.starts_with(FORGOTTEN);
    redemption
        .identity
        .as_deref()
        .map(|identity| if is_forgotten(identity) { "erased".to_owned() } else { seen_by(role, identity) })
}

pub fn state_badge(state: State) -> Badge {
    let (word, class) = match state {
        State::Held => ("held", "warn"),
        State::Confirmed => ("confirmed", "good"),
        State::Released => ("released", ""),
        State::Expired => ("expired", ""),
        State::RolledBack => ("rolled back", "bad"),
    };
    Badge { word, class }
}

impl fmt::Debug for RedemptionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedemptionRow").field("path", &self.path).finish_non_exhaustive()
    }
}
