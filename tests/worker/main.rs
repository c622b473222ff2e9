//! Tests of the worker and its broker. They need PostgreSQL and RabbitMQ.

mod brokers;
mod broker_connection;
mod broker_topology;
mod broker_publish;
mod broker_supervisor;
mod broker_users;

mod worker_jobs;
mod worker_messages;
mod worker_repeats;
mod worker_sharing;
mod worker_starts;
mod worker_ends;
mod deadlines;
mod worker_failures;
mod worker_faults;
mod worker_outages;
mod worker_long;
mod redemptions;
mod triggers;
mod referrals;

mod rolling_replacement;
#[cfg(feature = "failpoints")]
mod failpoints;
#[cfg(feature = "failpoints")]
mod owner_failpoints;
#[cfg(feature = "failpoints")]
mod redemption_failpoints;
#[cfg(feature = "failpoints")]
mod killed_workers;
mod full_disks;
mod lines;

mod asyncapi;
mod audit;
mod logs;
#[cfg(feature = "otel")]
mod traces;
mod secrets;
mod enqueue;
mod cli_dlq;
