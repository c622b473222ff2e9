//! Tests of reading, checking and sorting codes from elsewhere. They need no server.

mod import_input;
mod import_sort;
mod import_detect;
mod import_exact;
mod identities;
mod hostile_input;
mod identity_lists;
mod rows;
