//! The worker: from a message to codes in the store to an event. The broker's library is used in this crate alone.

pub mod broker;
pub mod runner;
pub mod mint;
pub mod files;
