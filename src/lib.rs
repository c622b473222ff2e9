//! Codemint mints unique, unguessable promo codes in bulk into SQLite or PostgreSQL, and survives every crash.
//!
//! This package is the program. The crates that it is built from are in `crates`; ARCHITECTURE.md has the picture.

pub mod config;
pub mod cli;
