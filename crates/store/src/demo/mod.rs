//! What only a demo needs: a store that is empty before, and times of the past afterwards.

pub mod begin;
pub mod dating;
pub mod reads;
