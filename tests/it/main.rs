//! All tests that need more than one function of the crate, as modules of one test program.

mod masks;
mod look_ups;
mod mask_texts;
mod keyspaces;
mod check_characters;
mod denied_words;

mod small_masks;
mod overlaps;
mod keyspace_order;
mod prefilters;
mod screenings;
mod rooms;

mod chance;
mod slices;
mod drawing;
mod golden_draws;
mod instruction_counts;
mod uniform_draws;
mod free_slices;

mod stores;
mod minting;
mod faults;

mod engine_steps;
mod filling;
mod filters_lie;
mod forbidden_codes;
mod policies_of_jobs;
mod admission;
mod counting;
mod contention;
mod old_stores;
mod guessing;
mod sharing;
mod partitions;
mod citus;
mod pgbouncer;
mod postgres_access;

mod wire_messages;
mod contract;

mod brokers;
mod broker_steps;
mod broker_connection;
mod broker_topology;
mod broker_publish;
mod broker_supervisor;
mod broker_users;
mod worker_jobs;
mod metrics;
mod worker_health;
mod admin_page;
mod operations;
mod worker_long;
mod worker_outages;
mod asyncapi;
mod integration;
mod bad_messages;
mod worker_messages;
mod worker_repeats;
mod worker_sharing;
mod worker_ends;
mod worker_failures;
mod worker_faults;
mod rolling_replacement;
mod upgrades;
#[cfg(feature = "failpoints")]
mod failpoints;
#[cfg(feature = "failpoints")]
mod killed_workers;
mod worker_starts;
mod write_orders;
mod full_disks;
mod lines;
mod schedule;
mod outbox;
mod audit;
mod alerts;
mod dashboards;
mod logs;
#[cfg(feature = "otel")]
mod traces;
mod secrets;
mod enqueue;

mod cli_steps;
mod cli_generate;
mod cli_output;
mod cli_interrupt;
mod cli_jobs;
mod pruning;
mod cli_verify;
mod cli_bench;
mod bench_verdicts;
mod cli_import;
mod cli_reserve;
mod cli_dead;
mod cli_input;
mod cli_mask;
mod cli_store;
mod configuration;
mod policies;

mod import_steps;
mod import_input;
mod import_sort;

mod laws;
mod hostile_input;

mod deployment;
mod deployment_compose;
mod deployment_kubernetes;
mod house;
