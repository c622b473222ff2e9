//! Tests of the store, of minting and of imports with the library. They need PostgreSQL and pgbouncer.

mod stores;
mod look_ups;
mod minting;
mod faults;

mod filling;
mod filters_lie;
mod forbidden_codes;
mod policies_of_jobs;
mod admission;
mod waiting;
mod counting;
mod contention;
mod sharing;
mod old_stores;

mod partitions;
mod citus;
mod cluster;
mod citus_files;
mod pgbouncer;
mod write_orders;

mod campaigns;
mod affiliates;
mod restricted;
mod issuing;
mod triggers;
mod trigger_pruning;
mod redeeming;
mod redemption_model;
mod redemption_bug_classes;
mod redemption_histories;
mod referrals;
mod referral_events;
mod referral_model;
mod referral_races;
mod owners_oracle;
mod api_keys;
mod people;
mod invitations;
mod figures;
mod outbox;
mod clocks;
mod schedule;
