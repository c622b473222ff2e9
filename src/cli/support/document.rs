//! JSON documents that commands read, and the report of what is wrong with one.

use std::io::Read;

use serde::Serialize;
use serde_json::Value;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::input;
use crate::cli::support::terminal::print_json;
use crate::cli::support::text::counted;
use codemint_codes::text::{grouped, printable};
use codemint_codes::wire::fields::find_repeated;
use codemint_offers::problem::Problem;

/// The largest document, in bytes.
const DOCUMENT_BYTES_MAX: u64 = 1 << 20;
/// The mark of UTF-8 that some editors write.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// A document and where it came from.
#[derive(Debug)]
pub struct Document {
    pub value: Value,
    path: String,
    as_json: bool,
}

#[derive(Serialize)]
struct Errors {
    errors: Vec<FieldError>,
}

#[derive(Serialize)]
struct FieldError {
    field: String,
    message: String,
}

/// Reads a document from a file; `-` is standard input. With `as_json`, what is wrong is also reported on standard output.
///
/// # Errors
/// `usage` if the file cannot be read, `impossible` if it is too large or is not JSON.
pub async fn read(context: &Context, path: &str, as_json: bool) -> Result<Document, Failure> {
    let opened = input::open(path)?;
    let bytes = input::on_a_thread(context, move || {
        let mut bytes = Vec::new();
        opened.take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut bytes).map(|_read| bytes)
    });
    let cannot_read = |error| Failure::usage(format!("{} cannot be read: {error}", input::shown(path)));
    let bytes = bytes.await?.map_err(cannot_read)?;
    let refused = |problem: String| {
        if as_json {
            print_json(&Errors { errors: vec![FieldError { field: String::new(), message: problem.clone() }] })?;
        }
        Err(Failure::impossible(format!("{} {problem}", input::shown(path))))
    };
    if bytes.len() as u64 > DOCUMENT_BYTES_MAX {
        return refused(format!("has more than {} bytes; shorten it", grouped(DOCUMENT_BYTES_MAX.into())));
    }
    let text = bytes.strip_prefix(MARK).unwrap_or(&bytes);
    match serde_json::from_slice(text) {
        Ok(value) => {
            let document = Document { value, path: path.to_owned(), as_json };
            match find_repeated(text) {
                Some(repeated) => Err(document.refuse(vec![Problem::repeated(&repeated)])),
                None => Ok(document),
            }
        }
        Err(error) => refused(format!("is not JSON: {}", printable(&error.to_string()))),
    }
}

impl Document {
    /// Returns the document without these fields, which only answers have: what a command prints may be changed and read again.
    pub fn without(mut self, fields: &[&str]) -> Self {
        if let Value::Object(document) = &mut self.value {
            document.retain(|name, _| !fields.contains(&name.as_str()));
        }
        self
    }

    /// Returns the failure of a document with these problems, and reports them for programs if that was requested.
    pub fn refuse(&self, problems: Vec<Problem>) -> Failure {
        refuse(&input::shown(&self.path), self.as_json, problems)
    }
}

/// Returns the failure of a document with these problems, and reports them for programs if that was requested. `what` names
/// the document.
pub fn refuse(what: &str, as_json: bool, problems: Vec<Problem>) -> Failure {
    let head = format!("{what} has {}; nothing was changed", counted(problems.len() as u128, "problem"));
    if as_json {
        let error = |problem: Problem| FieldError { field: problem.field, message: problem.message };
        let errors = problems.into_iter().map(error).collect();
        return print_json(&Errors { errors }).err().unwrap_or_else(|| Failure::impossible(head));
    }
    let lines = problems.iter().map(|problem| format!("\n  {}", printable(&problem.to_string())));
    Failure::impossible(lines.fold(head, |message, line| message + &line))
}
