//! The arguments of the program.

use clap::{Parser, Subcommand};

use crate::cli::commands::audit::Audit;
use crate::cli::commands::dlq::DlqCommand;
use crate::cli::commands::enqueue::Enqueue;
use crate::cli::commands::export::Export;
use crate::cli::commands::generate::Generate;
use crate::cli::commands::health::Health;
use crate::cli::commands::import::Import;
use crate::cli::commands::jobs::JobsCommand;
use crate::cli::commands::mask::MaskCommand;
use crate::cli::commands::migrate::Migrate;
use crate::cli::commands::reserve::ReserveCommand;
use crate::cli::commands::settings::ConfigCommand;
use crate::cli::commands::shell::ShellCommand;
use crate::cli::commands::verify::Verify;
use crate::cli::commands::worker::Worker;
use crate::cli::support::global_options::GlobalOptions;

/// Mint unique, unguessable promo codes in bulk.
#[derive(Debug, Parser)]
#[command(
    name = "codemint",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:
  codemint generate 'MY_LITTLE_PROMO????##' --count 1000000 --output codes.csv
  codemint mask explain 'SPRING-[:safe:]{8}' --count 50000
  codemint jobs list

Exit codes: 0 done, 1 failure, 2 usage or configuration error, 3 negative result (a job or a check \
failed), 4 impossible request, 5 server unreachable, 130 or 143 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalOptions,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    Configured(Configured),
    #[command(flatten)]
    Shell(ShellCommand),
}

/// The commands that read the configuration.
#[derive(Debug, Subcommand)]
pub enum Configured {
    Generate(Generate),
    Worker(Worker),
    Health(Health),
    Enqueue(Enqueue),
    #[command(subcommand, visible_alias = "dead")]
    Dlq(DlqCommand),
    #[command(subcommand)]
    Mask(MaskCommand),
    #[command(subcommand)]
    Jobs(JobsCommand),
    Export(Export),
    Verify(Verify),
    Import(Import),
    #[command(subcommand)]
    Reserve(ReserveCommand),
    Audit(Audit),
    Migrate(Migrate),
    #[command(subcommand)]
    Config(ConfigCommand),
}
