//! The message broker: jobs come in, events go out. Only this module uses the client library of the broker.

pub mod settings;
pub mod error;
mod mismatch;

pub mod work;
pub mod supervisor;
pub mod connection;
pub mod topology;
pub mod publish;

pub(crate) mod intake;
mod settle;
mod admission;
mod admitter;
pub mod admit;
mod admit_jobs;
mod admit_triggers;
mod relay;
pub mod dead;
mod properties;
pub mod dead_queue;
