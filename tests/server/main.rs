//! Tests of what a worker answers over HTTP: health, readiness and metrics. They need PostgreSQL and RabbitMQ.

mod worker_health;
mod metrics;
