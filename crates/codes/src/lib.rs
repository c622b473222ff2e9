//! What a code is, how codes are drawn, what a job plans, and what enters and leaves as JSON.
//!
//! Pure and synchronous: no I/O, no clock, no log, no randomness from the system. Every other crate may depend on this one.

pub mod mask;
mod mask_parser;
pub mod symbols;

pub mod check;
pub mod keyspace;
pub mod random;
pub mod slice;
pub mod draw;
pub mod free_ranks;

pub mod overlap;
pub mod policy;
pub mod rules;
pub mod capacity;
pub mod prefilter;
pub mod screening;
pub mod candidates;
mod allowed_draw;
mod crowded_slice;

pub mod denied;
mod denied_automaton;

pub mod batch;
pub mod spreadsheet;
pub mod explanation;
pub mod text;
pub mod typed;
pub mod identity;

pub mod job;
pub mod wire;
