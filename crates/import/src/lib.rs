//! Imports codes from another system: reads them once, checks them, sorts them on disk and returns them in runs, in
//! bounded memory.
//!
//! The module knows no store and prints nothing. All its functions block, so callers use a blocking thread. Temporary
//! files have no names, so nothing is left behind, however the process ends.

pub mod reader;
pub mod sorted;
pub mod identities;
pub mod identity_list;
pub mod rows;
pub mod rejects;
pub mod reason;
pub mod progress;
pub mod error;

pub mod detect;
pub mod looks;
mod separator;
mod odd_lines;

mod source;
mod encoding;
mod lines;
mod json_lines;
mod cut;
mod quotes;
pub mod columns;

pub mod preview;
pub mod damage;
pub mod likeness;

pub mod workspace;
mod sorter;
mod merge;
mod record;
