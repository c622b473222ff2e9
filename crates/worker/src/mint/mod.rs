//! Mints one chunk, from claim to commit. It knows store and code, but no broker, command line or job loop.

pub mod engine;
pub mod task;
mod prepared;
mod screen;
pub mod times;
pub mod error;
