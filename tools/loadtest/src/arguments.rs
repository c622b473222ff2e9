//! The arguments of the program.

use clap::Parser;

/// Measure how fast a server or disk takes codes and what limits it, in a schema or file that is removed afterwards
#[derive(Debug, Parser)]
#[command(
    name = "codemint-loadtest",
    version,
    after_help = "Examples:
  codemint-loadtest
  codemint-loadtest --store postgres://owner@db/shop --jobs 10 --workers 4
  codemint-loadtest --store postgres://owner@db/shop --mask 'SPRING-[:safe:]{8}' --codes 200000 --json

Mints real jobs in a schema of its own, codemint_loadtest_..., and drops the schema, also after Ctrl-C.
Stores of Codemint in the same database are neither read nor changed. The next load test drops what a
killed one has left. Without a server, a temporary SQLite file in the working directory is measured.
The user needs the right to create a schema in the database. A URL with a password is better set as
CODEMINT__STORE__URL. docs/loadtest.md explains the figures."
)]
pub struct Arguments {
    /// URL of the server and database, postgres://USER@HOST/DATABASE; by default CODEMINT__STORE__URL
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// Number of codes over all jobs
    #[arg(short = 'n', long, value_name = "N", default_value = "1000000", allow_negative_numbers = true, value_parser = whole_number)]
    pub codes: i128,
    /// Number of jobs, 1 to 10000
    #[arg(long, value_name = "N", default_value = "1", allow_negative_numbers = true, value_parser = whole_number)]
    pub jobs: i128,
    /// Mask of the codes; a small one measures how crowded it becomes
    #[arg(long, default_value = "LOADTEST-[:safe:]{10}")]
    pub mask: String,
    /// Number of chunks minted at once, 1 to 64
    #[arg(long, value_name = "N", default_value = "2", allow_negative_numbers = true, value_parser = whole_number)]
    pub workers: i128,
    /// Codes per transaction, 1 to 1048576
    #[arg(long, value_name = "N", default_value = "100000")]
    pub chunk_size: u64,
    /// Deny vulgar and offensive words, as deny.builtin does
    #[arg(long)]
    pub deny_builtin: bool,
    /// Report as JSON
    #[arg(long)]
    pub json: bool,
    /// Print nothing but the report and errors
    #[arg(short, long)]
    pub quiet: bool,
}

/// Parses a count. The type is wider than any allowed count, so that a later check can name what is wrong with it.
fn whole_number(text: &str) -> Result<i128, String> {
    text.parse().map_err(|_| "write a whole number in digits, such as 50000".to_owned())
}
