//! The store of jobs and codes: an embedded SQLite file or a PostgreSQL server. No other crate contains SQL.
//!
//! Both offer the same closed set of operations. This crate never draws codes, prints, or decides how a job ends.

pub mod connection;
pub mod admission;
pub mod minting;
pub mod records;
pub mod campaigns;
pub mod affiliates;
pub mod redemptions;
pub mod figures;
pub mod referrals;
pub mod triggers;
pub mod access;
pub mod upkeep;
pub mod demo;
