//! All tests that need more than one function of the crate: one program, modules inside.

#[path = "../support/mod.rs"]
mod support;

mod keyspaces;
mod mask_texts;
mod masks;

mod chance;
mod drawing;
mod golden_draws;
mod slices;
mod uniform_draws;

mod stores;
