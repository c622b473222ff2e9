//! The states of a redemption.

use schemars::JsonSchema;
use serde::Serialize;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The state of a redemption.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, JsonSchema, EnumString, IntoStaticStr, VariantArray)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case", const_into_str)]
pub enum State {
    /// It counts already and waits for the payment.
    Held,
    Confirmed,
    /// The shop gave it back before the payment.
    Released,
    /// The payment did not come in time.
    Expired,
    /// The order was cancelled or refunded after the payment.
    RolledBack,
}

impl State {
    /// Returns true if a redemption in this state takes of the limits; `keep_use` is that of the redemption.
    pub const fn counts(self, keep_use: bool) -> bool {
        match self {
            Self::Held | Self::Confirmed => true,
            Self::RolledBack => keep_use,
            Self::Released | Self::Expired => false,
        }
    }
}
