//! The entry point of the program; everything else is in the library.

use std::process::ExitCode;

/// A server answers many short requests at the same time: the system's allocator takes a quarter of its processor time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    codemint::cli::dispatch::run().await
}
