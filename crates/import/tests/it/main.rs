//! Tests of reading, checking and sorting codes from elsewhere. They need no server.

mod import_input;
mod import_sort;
mod hostile_input;
