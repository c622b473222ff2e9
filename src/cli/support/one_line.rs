//! Arguments that may stand on standard input instead, so that they do not stay in the history of the shell.

use std::io::{self, BufRead, IsTerminal, Read};

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::input;

/// Returns an argument, or the only line of standard input if it is `-`, without the blanks around it. `what`
/// names it, such as `code`.
///
/// # Errors
/// `usage` if standard input cannot be read, is not UTF-8, has several lines or more than `bytes_max` bytes.
pub async fn argument(
    context: &Context,
    argument: &str,
    what: &'static str,
    bytes_max: usize,
) -> Result<String, Failure> {
    if argument != "-" {
        return Ok(argument.to_owned());
    }
    if io::stdin().is_terminal() {
        context.note(&format!("type the {what} and press Enter"));
    }
    input::on_a_thread(context, move || read_line(what, bytes_max)).await?
}

fn read_line(what: &str, bytes_max: usize) -> Result<String, Failure> {
    let cannot_read = |problem: String| Failure::usage(format!("standard input cannot be read: {problem}"));
    let mut bytes = Vec::new();
    let mut input = io::stdin().lock().take(bytes_max as u64 + 1);
    let is_typed = io::stdin().is_terminal();
    let read = if is_typed { input.read_until(b'\n', &mut bytes) } else { input.read_to_end(&mut bytes) };
    read.map_err(|error| cannot_read(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| cannot_read("it is not UTF-8 text".to_owned()))?;
    // A text that was cut must not pass as a shorter one.
    if text.len() > bytes_max {
        return Err(cannot_read(format!("it has more than {bytes_max} bytes; write one {what}")));
    }
    if text.trim().lines().count() > 1 {
        return Err(cannot_read(format!("it has more than one line; write one {what}")));
    }
    Ok(text.trim().to_owned())
}
