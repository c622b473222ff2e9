//! The message broker: jobs come in, events go out. Only this module uses the client library of the broker.

pub mod settings;
pub mod error;
mod mismatch;

pub mod work;
pub mod supervisor;
pub mod connection;
pub mod topology;
pub mod publish;

pub mod intake;
pub mod admit;
pub mod relay;
pub mod dead;
pub mod dead_queue;
