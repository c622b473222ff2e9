//! The page that finds a code.

pub mod find;
mod found;
