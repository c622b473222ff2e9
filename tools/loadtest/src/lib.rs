//! `codemint-loadtest`: mints real jobs in a schema or file of its own, measures how fast that goes and what limits it,
//! and removes the schema or file. Nothing of it is part of the product; it uses the store and the worker as they are.
//!
//! Pure are [`figures`], [`spread`] and [`verdict`]: they run nothing and print nothing.

pub mod run;
mod arguments;
mod plan;
mod place;
mod schema;
mod file;
mod measure;
mod sampling;
pub mod probe;
mod cpu;
pub mod figures;
pub mod spread;
pub mod verdict;
mod report;
mod failure;
mod stop;
mod text;
