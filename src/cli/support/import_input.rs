//! The input of an import: how it is opened, recognized and read, and the fix for one that is refused.

use std::io::Read;
use std::ops::ControlFlow;
use std::path::Path;

use clap::{Args, ValueEnum};
use tokio::sync::oneshot;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::input;
use crate::cli::support::text::quoted;
use codemint_import::detect::{Asked, Kind, detect};
use codemint_import::error::ImportError;
use codemint_import::looks::Advice;
use codemint_import::progress::Progress;
use codemint_import::reader::{self, Format, Options};
use codemint_import::rejects::Rejects;
use codemint_import::sorted::Sorted;
use codemint_import::workspace::Workspace;

// The arguments that name an input and describe its format. Without a doc comment, which would describe the command.
#[derive(Debug, Args)]
pub struct Input {
    /// Input file, or - for standard input
    #[arg(value_name = "INPUT")]
    pub path: String,
    /// Format of the input [default: by the file name extension, else by the content]
    #[arg(long, value_enum)]
    format: Option<InputFormat>,
    /// Column to read from a CSV file: its name in the header row, or its number with --no-header
    #[arg(long, value_name = "NAME")]
    column: Option<String>,
    /// The CSV file has no header row; --column is a number, counted from 1
    #[arg(long, requires = "column")]
    no_header: bool,
    /// Separator of the columns: a character, or tab [default: detected]
    #[arg(long, value_name = "CHARACTER", value_parser = separator)]
    delimiter: Option<u8>,
}

/// The format of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum InputFormat {
    /// A column of a CSV file
    Csv,
    /// One code per line, whatever the lines look like
    Txt,
    /// One object per line, {"code":"..."}
    Jsonl,
}

/// What was read from an input.
#[derive(Debug)]
pub struct Reading {
    pub format: Format,
    pub sorted: Sorted,
    pub rejects: Rejects,
}

fn separator(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        &[separator] if separator == b'\t' || separator.is_ascii_punctuation() && !b"\"'".contains(&separator) => {
            Ok(separator)
        }
        _ => Err("a separator is one sign such as ; or |, or the word tab".to_owned()),
    }
}

impl Input {
    /// Opens the input.
    ///
    /// # Errors
    /// `usage` if it cannot be opened or is a directory.
    pub fn open(&self) -> Result<Box<dyn Read + Send>, Failure> {
        input::open(&self.path)
    }

    /// Returns what is known about the input before it is read.
    ///
    /// # Errors
    /// `usage` if options of CSV files are combined with another format.
    pub fn asked(&self) -> Result<Asked, Failure> {
        let is_csv = self.column.is_some() || self.delimiter.is_some();
        if is_csv && self.format.is_some_and(|format| format != InputFormat::Csv) {
            return Err(Failure::usage(
                "--column, --no-header and --delimiter describe a CSV file; leave them out, or use --format csv",
            ));
        }
        let has_ending = |ending| has_ending(&self.path, ending);
        let kind = match self.format {
            Some(InputFormat::Csv) => Some(Kind::Csv),
            Some(InputFormat::Txt) => Some(Kind::Lines),
            Some(InputFormat::Jsonl) => Some(Kind::JsonLines),
            None if is_csv || has_ending("csv") || has_ending("tsv") => Some(Kind::Csv),
            None if has_ending("jsonl") || has_ending("ndjson") => Some(Kind::JsonLines),
            None => None,
        };
        let delimiter = self.delimiter.or(has_ending("tsv").then_some(b'\t'));
        Ok(Asked { kind, column: self.column.clone(), no_header: self.no_header, delimiter })
    }

    /// Returns the arguments of this input for a suggested command, with these options in place of its own.
    pub fn words_with(&self, options: &[String]) -> Vec<String> {
        let mut words = vec![self.path.clone()];
        words.extend_from_slice(options);
        if !options.iter().any(|option| option == "--column") {
            let format = self.format.and_then(|format| format.to_possible_value());
            words.extend(format.into_iter().flat_map(|format| ["--format".to_owned(), format.get_name().to_owned()]));
            words.extend(self.column.iter().flat_map(|column| ["--column".to_owned(), column.clone()]));
            words.extend(self.no_header.then(|| "--no-header".to_owned()));
        }
        if let Some(delimiter) = self.delimiter {
            let name = if delimiter == b'\t' { "tab".to_owned() } else { char::from(delimiter).to_string() };
            words.extend(["--delimiter".to_owned(), name]);
        }
        words
    }

    /// Returns the fix for an error; `repeated` returns the arguments of the import with more options.
    pub fn fix(
        &self,
        context: &Context,
        error: &ImportError,
        repeated: impl Fn(&[String]) -> String,
    ) -> Option<String> {
        let advice = error.advice()?;
        match &advice {
            Advice::Options(options) => Some(format!("try {}", context.command(repeated(options)))),
            _ => input::conversion(context, &self.path, &advice, |path| format!("import {}", quoted(path))),
        }
    }
}

fn has_ending(path: &str, ending: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// Reads on a separate thread: a read from a silent pipe cannot be stopped, and must not keep the process alive.
///
/// # Errors
/// `interrupted`; the inner result is that of detecting and reading the format.
pub async fn read(
    context: &Context,
    input: Box<dyn Read + Send>,
    asked: Asked,
    run_codes: u32,
) -> Result<Result<Reading, ImportError>, Failure> {
    let bar = context.progress.reading();
    let stop = context.stop.token().clone();
    let (send, receive) = oneshot::channel();
    std::thread::spawn(move || {
        let progress = |bytes| {
            bar.set_position(bytes);
            if stop.is_cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // The result is no longer awaited after a stop request.
        let _unheard = send.send(read_detected(input, &asked, run_codes, &progress));
    });
    let interrupted = || context.stop.interrupted("stopped while reading; nothing was imported");
    tokio::select! {
        read = receive => match read {
            Ok(Err(ImportError::Interrupted)) => Err(interrupted()),
            Ok(read) => Ok(read),
            Err(_) => Err(Failure::other("reading the input ended without a result")),
        },
        () = context.stop.token().cancelled() => Err(interrupted()),
    }
}

fn read_detected(
    input: impl Read,
    asked: &Asked,
    run_codes: u32,
    progress: Progress<'_>,
) -> Result<Reading, ImportError> {
    let (format, input) = detect(input, asked)?;
    let is_detected = asked.kind != Some(Kind::Lines);
    let options = Options { format, is_detected, run_codes, workspace: Workspace::new(std::env::temp_dir()) };
    let (sorted, rejects) = reader::read(input, &options, progress)?;
    Ok(Reading { format: options.format, sorted, rejects })
}
