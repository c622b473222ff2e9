//! Reaching a store: where it is, how it is opened, its transactions, its errors, its schema.

pub mod store;
pub mod location;
pub(crate) mod cluster;
pub mod error;
pub mod schema;
pub mod postgres;
pub mod postgres_transaction;
pub(crate) mod sqlite;
mod sqlite_file;
pub mod transaction;
pub mod statement;
pub(crate) mod locks;
pub(crate) mod watch;
pub(crate) mod patterns;
pub(crate) mod time_limit;
pub mod blocking;
