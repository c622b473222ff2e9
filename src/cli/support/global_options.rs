//! The options that every command takes, and how suggested commands repeat them.

use std::path::PathBuf;

use clap::{ArgAction, Args};

use crate::cli::support::text::quoted;
use crate::config::load::Sources;
use codemint_store::connection::location::Location;

#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalOptions {
    /// Configuration file [default: codemint.toml in the working directory, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// URL of the store: sqlite://FILE or postgres://USER@HOST/DATABASE [default: sqlite://codemint.db]
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// Log format on standard error: text or json [default: text on a terminal, json elsewhere]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Log more: -v for info, -vv for debug, -vvv for trace
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Print only data and errors: no notes, no warnings, no progress
    #[arg(short, long, global = true)]
    pub quiet: bool,
}

impl GlobalOptions {
    pub fn invocation(&self, store: &Location) -> String {
        let config = self.config.as_ref().map(|file| format!(" --config {}", quoted(&file.display().to_string())));
        let store = self.store.as_ref().map(|_| format!(" --store {}", quoted(&store.to_string())));
        format!("codemint{}{}", config.unwrap_or_default(), store.unwrap_or_default())
    }

    pub fn sources(&self) -> Sources {
        let level = match (self.quiet, self.verbose) {
            (true, _) => Some(("error", "--quiet")),
            (false, 0) => None,
            (false, 1) => Some(("info", "--verbose")),
            (false, 2) => Some(("debug", "--verbose")),
            (false, _) => Some(("trace", "--verbose")),
        };
        let mut flags = Vec::new();
        flags.extend(self.store.clone().map(|url| ("store.url", url, "--store")));
        flags.extend(self.log_format.clone().map(|format| ("log.format", format, "--log-format")));
        flags.extend(level.map(|(level, flag)| ("log.level", level.to_owned(), flag)));
        Sources { file: self.config.clone(), flags }
    }
}
