//! Loads the configuration. All problems are reported together; secrets are never shown.

use std::path::PathBuf;

use crate::config::checks;
use crate::config::configuration::{Config, ConfigError};
use crate::config::layers::Layers;

/// The sources of the layers; the last one wins.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file named on the command line; it must exist.
    pub file: Option<PathBuf>,
    /// Keys set by flags, with the flag's name.
    pub flags: Vec<(&'static str, String, &'static str)>,
}

/// Reads all layers and checks them.
///
/// # Errors
/// All problems of all layers together.
pub fn load(sources: &Sources) -> Result<Config, ConfigError> {
    let mut layers = Layers::read(sources.file.as_deref());
    for (key, value, flag) in &sources.flags {
        layers.set_flag(key, value, flag);
    }
    checks::finish(layers)
}
