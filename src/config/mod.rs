//! Configuration: defaults, then a file, then the environment, then flags.

pub mod load;
pub mod configuration;
pub mod settings;
mod layers;
mod environment;
mod values;
mod checks;
pub mod policy_files;
pub mod tls_files;
