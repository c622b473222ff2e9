//! Access to the HTTP API: keys.

pub mod keys;
