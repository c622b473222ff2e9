//! Verdicts: may this code be used for this order now, and for how much.

pub mod facts;
pub mod reason;
pub mod decide;
