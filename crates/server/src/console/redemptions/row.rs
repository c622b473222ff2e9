//! A redemption as a line of a table.

use std::fmt;

use chrono_tz::Tz;
use codemint_codes::identity::FORGOTTEN;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::state::State;

use crate::console::campaigns::labels::{Badge, path_of};
use crate::console::shown::{minute, money};

/// A redemption with texts ready to show.
pub struct RedemptionRow {
    pub path: String,
    pub when: String,
    pub state: Badge,
    pub code: String,
    pub campaign: String,
    pub campaign_path: String,
    pub order: Option<String>,
    pub identity: Option<String>,
    pub discount: Option<String>,
}

impl RedemptionRow {
    pub fn new(redemption: &Redemption, zone: Tz) -> Self {
        Self {
            path: format!("/redemptions/{}", redemption.id),
            when: minute(redemption.held_at, zone),
            state: state_badge(redemption),
            code: redemption.code.clone(),
            campaign: redemption.campaign.clone(),
            campaign_path: path_of(&redemption.campaign),
            order: redemption.order.clone(),
            identity: identity_text(redemption),
            discount: redemption.discount.as_ref().map(|discount| money(discount.amount, discount.currency.code())),
        }
    }
}

/// Returns the identity as people read it.
pub fn identity_text(redemption: &Redemption) -> Option<String> {
    let is_forgotten = |identity: &String| identity.starts_with(FORGOTTEN);
    redemption
        .identity
        .as_ref()
        .map(|identity| if is_forgotten(identity) { "erased".to_owned() } else { identity.clone() })
}

pub fn state_badge(redemption: &Redemption) -> Badge {
    let (word, class) = match redemption.state {
        State::Held => ("held", "warn"),
        State::Confirmed => ("confirmed", "good"),
        State::Released => ("released", ""),
        State::Expired => ("expired", ""),
        State::RolledBack if redemption.keep_use => ("rolled back, still counted", "bad"),
        State::RolledBack => ("rolled back", "bad"),
    };
    Badge { word, class }
}

impl fmt::Debug for RedemptionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedemptionRow").field("path", &self.path).finish_non_exhaustive()
    }
}
