//! Codemint mints unique, unguessable promo codes in bulk into SQLite or PostgreSQL, and survives every crash.
//!
//! The modules are listed in reading order; ARCHITECTURE.md has an overview.

pub mod failpoint;
pub mod files;
pub mod telemetry;

pub mod code;
pub mod job;
pub mod wire;
pub mod import;

pub mod entropy;
pub mod store;
pub mod mint;
pub mod runner;
pub mod broker;
pub mod admin;
pub mod bench;

pub mod config;
pub mod policy;
pub mod cli;
