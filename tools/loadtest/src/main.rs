//! The entry point of the load test; everything else is in the library.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    codemint_loadtest::run::run().await
}
