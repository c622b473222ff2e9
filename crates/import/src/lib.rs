//! Codes that come from another system: read once, checked, sorted on disk and handed out in runs, in bounded memory.
//!
//! Knows no store and prints nothing; everything here blocks, so callers give it a blocking thread. Temporary files have
//! no names, so that nothing is left behind, however the process ends.

pub mod intake;
pub mod sorted;
pub mod rejects;
pub mod error;

mod source;
mod lines;
pub mod columns;

pub mod workspace;
mod sorter;
mod merge;
