//! Access to the HTTP API: keys, what they permit, and whether they may be used.

pub mod scope;
pub mod key;
pub mod record;
pub mod guessing;
pub mod client_address;
pub mod document;
