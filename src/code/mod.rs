//! What a code is and how codes are drawn. Pure and synchronous: no I/O, no clock, no log.
//!
//! Everything else in the crate may call this room; it calls nothing of ours.

pub mod mask;
mod mask_parser;
pub mod symbols;

pub mod check;
pub mod keyspace;
pub mod random;
pub mod slice;
pub mod free_ranks;

pub mod overlap;
pub mod policy;
pub mod rules;
pub mod room;
pub mod prefilter;
pub mod screening;

pub mod denied;
mod denied_automaton;

pub mod batch;
