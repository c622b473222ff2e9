//! Affiliates: which references get an offer, decided by rules instead of a table of affiliates.

pub mod book;
pub mod document;
pub mod excluded;
pub mod exclusion;
pub mod rule;
