//! Commands for packagers and shells: completions, manual pages, the version.

use std::fmt;
use std::io::{Write, stdout};
use std::path::PathBuf;

use clap::{Args, Command, Subcommand};
use clap_complete::Shell;
use serde::Serialize;

use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::print_report;
use crate::cli::support::text::shown_path;
use codemint_codes::draw::GENERATOR_VERSION;

/// The commands that need neither configuration nor store.
#[derive(Debug, Subcommand)]
pub enum ShellCommand {
    Completions(Completions),
    Man(Man),
    Version(Version),
}

impl ShellCommand {
    /// Runs the command; `program` is the whole command line, which completions and manual pages describe.
    pub fn run(self, program: Command) -> Result<(), Failure> {
        match self {
            Self::Completions(command) => command.run(program),
            Self::Man(command) => command.run(program),
            Self::Version(command) => command.run(),
        }
    }
}

/// Print a completion script for a shell
#[derive(Debug, Args)]
#[command(after_help = "Example:
  codemint completions bash > /etc/bash_completion.d/codemint")]
pub struct Completions {
    /// Shell to complete for
    shell: Shell,
}

impl Completions {
    fn run(self, mut program: Command) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut program, "codemint", &mut script);
        stdout().write_all(&script).map_err(|error| Failure::stdout(&error))
    }
}

/// Write manual pages, one per command, into a directory
#[derive(Debug, Args)]
pub struct Man {
    /// Target directory, created if it does not exist
    directory: PathBuf,
}

impl Man {
    fn run(self, program: Command) -> Result<(), Failure> {
        let directory = &self.directory;
        std::fs::create_dir_all(directory)
            .and_then(|()| clap_mangen::generate_to(program, directory))
            .map_err(|error| Failure::other(format!("failed to write into {}: {error}", shown_path(directory))))
    }
}

/// Print the versions of the program and of its code generator; a job needs the generator version that created it
#[derive(Debug, Args)]
pub struct Version {
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Versions {
    version: &'static str,
    generator_version: u32,
}

impl fmt::Display for Versions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "codemint {} (generator version {})", self.version, self.generator_version)
    }
}

impl Version {
    fn run(self) -> Result<(), Failure> {
        let versions = Versions { version: env!("CARGO_PKG_VERSION"), generator_version: GENERATOR_VERSION };
        print_report(self.json, &versions)
    }
}
