//! Tests of what is deployed and of programs around Codemint. They need all servers, and a browser, Prometheus, Node.js,
//! Python, valgrind, systemd, tools of Kubernetes and the previous version; `tests/run` installs them.

mod console;
mod operations;
mod integration;
mod upgrades;
mod upgrade_in_flight;
mod backup;
mod traffic;
mod replica;
mod instruction_counts;

mod alerts;
mod dashboards;
mod metrics_format;

mod deployment;
mod deployment_compose;
mod deployment_kubernetes;
