//! Redemptions: uses of codes, their states, and what they take of the limits.

pub mod state;
pub mod request;
pub mod record;
pub mod document;
pub mod ledger;
pub mod decide;
pub mod transition;
pub mod tally;
pub mod event;
