//! Rules that the source must follow. They need no server: the tests read manifests and source files.

mod source;
mod paths;
mod packages;
mod circles;
mod orphans;
mod sizes;
mod migrations;
mod statements;
mod requirements;
mod documents;
