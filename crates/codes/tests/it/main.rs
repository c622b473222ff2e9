//! Tests of everything that decides about codes. They need no server.

mod masks;
mod mask_texts;
mod keyspaces;
mod keyspace_order;
mod check_characters;
mod denied_words;
mod typed_codes;

mod overlaps;
mod prefilters;
mod screenings;
mod capacities;

mod restrictions;
mod slices;
mod drawing;
mod golden_draws;
mod uniform_draws;
mod free_slices;

mod spreadsheets;
mod texts;
mod wire_messages;
mod contract;
mod hostile_input;
