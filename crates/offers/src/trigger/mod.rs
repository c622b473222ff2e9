//! Triggers: what happened at the shop, and which campaigns issue codes for it.

pub mod record;
pub mod result;
pub mod decide;
pub mod document;
pub mod event;
