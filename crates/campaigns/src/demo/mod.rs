//! Fills a store with a demo, as planned by `offers`: everything goes the ways of the real program, at times of the past.

pub mod error;
pub mod founding;
mod places;
pub mod filling;
