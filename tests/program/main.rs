//! Tests of the command line and its configuration. They need PostgreSQL.

mod cli_generate;
mod waiting_for_room;
mod cli_output;
mod exports;
mod spreadsheets;
mod outside_texts;
mod plain_words;
mod cli_interrupt;
mod cli_jobs;
mod pruning;
mod withdrawing;
mod cli_verify;

mod cli_import;
mod cli_reserve;
mod campaigns;
mod campaign_codes;
mod owners;
mod earlier_codes;
mod killed_lists;
mod segments;
mod reports;
mod demo;
mod affiliates;
mod stories;
mod triggers;
mod redemptions;
mod redemption_pruning;
mod referrals;
#[cfg(feature = "failpoints")]
mod referral_failpoints;
mod identities;
mod keys;
mod users;
mod tutorial;
mod cli_code;
mod cli_input;
mod cli_mask;
mod cli_store;
mod cli_waits;
mod store_file;
mod guessing;
mod postgres_access;

mod configuration;
mod configuration_law;
mod hostile_configurations;
mod policies;
