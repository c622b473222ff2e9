//! Jobs: their requests, plans and states, and how they end. Pure: no I/O, no clock.

pub mod request;
pub mod options;
pub mod plan;
pub mod restriction;
pub mod record;
pub mod state;
pub mod withdrawal;
