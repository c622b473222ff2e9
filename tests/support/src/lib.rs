//! What tests and benchmarks share: private PostgreSQL and RabbitMQ servers, a pgbouncer, stores of both kinds, clients,
//! the program itself, a proxy that loses messages on demand, and the steps that many tests take. Nothing here is mocked.
//! Without the feature `servers`, only what the tests of the pure crates need is left.

pub mod tools;
pub mod schemas;
pub mod chance;
pub mod small_masks;
pub mod hostile_bytes;
pub mod laws;
pub mod import_steps;

#[cfg(feature = "servers")]
pub mod waiting;
#[cfg(feature = "servers")]
pub mod processes;
#[cfg(feature = "servers")]
pub mod postgres;
#[cfg(feature = "servers")]
pub mod pgbouncer;
#[cfg(feature = "servers")]
pub mod rabbitmq;
#[cfg(feature = "servers")]
pub mod roles;
#[cfg(feature = "servers")]
pub mod stores;
#[cfg(feature = "servers")]
pub mod cases;
#[cfg(feature = "servers")]
pub mod codemint;
#[cfg(feature = "servers")]
pub mod site;
#[cfg(feature = "servers")]
pub mod amqp;
#[cfg(feature = "servers")]
pub mod proxy;
#[cfg(feature = "servers")]
pub mod small_disk;
#[cfg(feature = "servers")]
pub mod oracle;
#[cfg(feature = "servers")]
pub mod engine_steps;
#[cfg(feature = "servers")]
pub mod cli_steps;
#[cfg(feature = "servers")]
pub mod broker_steps;
#[cfg(feature = "servers")]
pub mod worker_steps;
#[cfg(feature = "servers")]
pub mod bad_messages;
#[cfg(feature = "servers")]
pub mod authority;
#[cfg(feature = "servers")]
pub mod collector;
#[cfg(feature = "servers")]
pub mod prometheus;
#[cfg(feature = "servers")]
pub mod browser;
