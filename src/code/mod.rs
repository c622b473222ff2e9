//! Codes: what they are and how they are drawn. Pure and synchronous: no I/O, no clock, no log.
//!
//! All other modules of the crate may call this module; it calls none of them.

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
