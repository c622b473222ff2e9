//! Inputs of commands: a file or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tokio::sync::oneshot;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use codemint_codes::text::printable;

/// Opens an input; `-` is standard input.
///
/// # Errors
/// `usage` if it cannot be opened or is a directory.
pub fn open(path: &str) -> Result<Box<dyn Read + Send>, Failure> {
    if path == "-" {
        return Ok(Box::new(io::stdin()));
    }
    let cannot_read = |problem: String| Failure::usage(format!("{} cannot be read: {problem}", shown(path)));
    let file = File::open(path).map_err(|error| cannot_read(error.to_string()))?;
    let metadata = file.metadata().map_err(|error| cannot_read(error.to_string()))?;
    if metadata.is_dir() {
        return Err(cannot_read("it is a directory; name a file".to_owned()));
    }
    Ok(Box::new(file))
}

/// Returns true if the name of an input says that it is CSV.
pub fn is_named_csv(path: &str) -> bool {
    let ending = Path::new(path).extension();
    ending.is_some_and(|found| ["csv", "tsv"].iter().any(|csv| found.eq_ignore_ascii_case(csv)))
}

/// Formats the name of an input within a sentence.
pub fn shown(path: &str) -> String {
    if path == "-" { "standard input".to_owned() } else { printable(path) }
}

/// Reads on a separate thread: a read from a silent pipe cannot be stopped, and must not keep the process alive.
///
/// # Errors
/// `interrupted` on a stop request.
pub async fn on_a_thread<T: Send + 'static>(
    context: &Context,
    read: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let (send, receive) = oneshot::channel();
    // The result is no longer awaited after a stop request.
    std::thread::spawn(move || drop(send.send(read())));
    tokio::select! {
        read = receive => read.map_err(|_| Failure::other("reading the input ended without a result")),
        () = context.stop.token().cancelled() => Err(context.stop.interrupted("stopped while reading; nothing was changed")),
    }
}
