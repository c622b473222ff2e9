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
pub mod admit;
mod relay;
pub mod dead;
mod properties;
pub mod dead_queue;
