//! Inputs of commands: a file or standard input.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use tokio::sync::oneshot;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::text::quoted;
use codemint_codes::text::printable;
use codemint_import::looks::Advice;

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

/// Returns how an input can be converted so that a command reads it; `repeated` returns the arguments of the command with
/// another input. `None` for advice about options.
pub fn conversion(context: &Context, path: &str, advice: &Advice, repeated: impl Fn(&str) -> String) -> Option<String> {
    let is_pipe = path == "-";
    let shown = quoted(path);
    Some(match advice {
        Advice::Options(_) => return None,
        Advice::Through(program) => {
            let convert = if is_pipe { (*program).to_owned() } else { format!("{program} {shown}") };
            format!("try {}", context.pipe(&convert, repeated("-")))
        }
        Advice::SaveAsCsv if is_pipe => "save the sheet as CSV, and use that file".to_owned(),
        Advice::SaveAsCsv => {
            let file = Path::new(path).with_extension("csv");
            let csv = Path::new(file.file_name().unwrap_or_default()).display().to_string();
            let command = context.command(repeated(&csv));
            format!(
                "save the sheet as CSV, for example with `soffice --headless --convert-to csv {shown}`, then {command}"
            )
        }
        Advice::ShowLine(_) if is_pipe => return None,
        Advice::ShowLine(line) => format!("`sed -n {line}p {shown}` shows this line"),
    })
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
