//! The options of commands that write codes: format, order and permissions.

use std::fmt::Write as _;

use clap::{Args, ValueEnum};

use crate::cli::support::failure::Failure;
use crate::cli::support::file_mode::{FileMode, file_mode};
use crate::cli::support::output_format::Format;

/// The order of written codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Order {
    /// Ascending byte order, job by job
    Code,
    /// Random order, all orders equally likely
    Random,
}

#[derive(Debug, Args)]
pub struct OutputOptions {
    /// Format of the codes; .gz at the end of the file name compresses lines [default: by the file name extension, else csv]
    #[arg(long, value_enum)]
    pub format: Option<Format>,
    /// Order of the codes
    #[arg(long, value_enum, default_value_t = Order::Code)]
    pub order: Order,
    /// Permissions of the output file in octal, such as 0640 [default: those of the file it replaces, else 0600]
    #[arg(long, value_name = "MODE", value_parser = file_mode)]
    pub mode: Option<FileMode>,
}

impl OutputOptions {
    /// Formats the options for a suggested command, each after a space.
    pub fn repeated(&self) -> String {
        let mut options = String::new();
        // Writing to a `String` does not fail.
        if let Some(format) = self.format.and_then(|format| format.to_possible_value()) {
            let _written = write!(options, " --format {}", format.get_name());
        }
        if self.order == Order::Random {
            options.push_str(" --order random");
        }
        if let Some(mode) = self.mode {
            let _written = write!(options, " --mode {mode}");
        }
        options
    }

    /// Checks that no option is given without an output.
    pub fn check_unused(&self) -> Result<(), Failure> {
        match self.repeated() {
            options if options.is_empty() => Ok(()),
            options => Err(Failure::usage(format!(
                "{} needs --output FILE, or --output - for standard output",
                options.trim_start()
            ))),
        }
    }
}
