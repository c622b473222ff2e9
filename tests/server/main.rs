//! Tests of what is answered over HTTP: the API, and the health, readiness and metrics of a process. They need PostgreSQL and
//! RabbitMQ.

mod worker_health;
mod metrics;
mod api_redemption;
mod api_referrals;
mod api_triggers;
mod api_campaigns;
mod api_access;
mod api_document;
mod api_page;
mod console_access;
mod console_campaigns;
mod api_jobs;
mod api_lists;
mod api_affiliates;
mod api_audit;
mod api_links;
mod api_reports;
mod api_limits;
mod api_proxies;
mod api_connections;
mod api_faults;
mod api_crashes;
mod api_tls;
mod contract;
