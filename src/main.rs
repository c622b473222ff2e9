//! The entry point of the program; everything else is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    codemint::cli::dispatch::run().await
}
