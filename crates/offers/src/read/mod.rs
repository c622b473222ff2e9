//! Reads documents field by field and collects every problem, each under its JSON pointer.

pub mod node;
pub mod discount;
pub mod affiliate;
pub mod condition;
pub mod campaign;
mod agreement;
pub mod request;
pub mod referral;
pub mod trigger;
