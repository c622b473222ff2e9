//! The output of codes: a file that appears whole or not at all, or a stream.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::support::failure::Failure;
use crate::cli::support::progress::Bar;
use crate::cli::support::temporary::Temporary;
use crate::cli::support::text::shown_path;
use codemint_codes::batch::CodeBatch;
use codemint_store::connection::location::Location;

const BUFFER_BYTES: usize = 256 * 1024;

/// The format of written codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Header row `code`, then one code per row
    Csv,
    /// One code per line, nothing else
    Txt,
    /// One object per line, {"code":"..."}
    Jsonl,
}

/// The target that `--output` names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    Stdout,
    File(PathBuf),
}

impl From<&str> for Target {
    fn from(text: &str) -> Self {
        if text == "-" { Self::Stdout } else { Self::File(PathBuf::from(text)) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => f.write_str(&shown_path(path)),
        }
    }
}

impl Target {
    pub fn is_stdout(&self) -> bool {
        *self == Self::Stdout
    }

    /// Returns the directory for temporary files of this output.
    pub fn directory(&self) -> PathBuf {
        match self {
            Self::File(path) if !is_stream(path) => directory_of(path),
            _ => std::env::temp_dir(),
        }
    }

    /// Checks before any work is done that the output can be written.
    ///
    /// # Errors
    /// If the target is a directory or the store itself, or nothing can be created beside it.
    pub fn check_writable(&self, store: &Location) -> Result<(), Failure> {
        match self {
            Self::File(path) if store.file().is_some_and(|file| is_of_store(path, file)) => {
                Err(Failure::usage(format!("--output {} is the store itself; name another file", shown_path(path))))
            }
            Self::File(path) if path.as_os_str().is_empty() => {
                Err(Failure::usage("--output names no file; name one, or - for standard output"))
            }
            Self::File(path) if path.is_dir() => {
                Err(Failure::usage(format!("--output {} is a directory; name a file in it", shown_path(path))))
            }
            Self::File(path) if !is_stream(path) => temporary_beside(path).map(drop),
            _ => Ok(()),
        }
    }

    /// Opens the target for writing.
    pub fn open(&self, format: Option<Format>) -> Result<Sink, Failure> {
        let (stream, destination): (Box<dyn Write>, _) = match self {
            Self::Stdout => (Box::new(io::stdout().lock()), Destination::Stdout),
            Self::File(path) if is_stream(path) => {
                let stream = File::options().write(true).open(path).map_err(|error| cannot_write(path, &error))?;
                (Box::new(stream), Destination::Stream(path.clone()))
            }
            Self::File(path) => {
                let temporary = temporary_beside(path)?;
                let file = temporary.as_file().try_clone().map_err(|error| cannot_write(path, &error))?;
                (Box::new(file), Destination::Replace { temporary, path: path.clone() })
            }
        };
        let format = format.unwrap_or_else(|| self.format_by_name());
        let mut sink = Sink { writer: BufWriter::with_capacity(BUFFER_BYTES, stream), format, destination, bar: None };
        if format == Format::Csv {
            sink.put(|writer| writer.write_all(b"code\n"))?;
        }
        Ok(sink)
    }

    fn format_by_name(&self) -> Format {
        let ending = match self {
            Self::File(path) => path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase),
            Self::Stdout => None,
        };
        match ending.as_deref() {
            Some("txt") => Format::Txt,
            Some("jsonl" | "ndjson") => Format::Jsonl,
            _ => Format::Csv,
        }
    }
}

/// Returns true for a device or a pipe, which is written in place because a file cannot replace it.
fn is_stream(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

/// Returns true for the file of a store and for its logs. The file need not exist yet.
pub fn is_of_store(path: &Path, file: &Path) -> bool {
    let place = |path: &Path| {
        let path = real_path(path);
        (fs::canonicalize(directory_of(&path)).ok(), path.file_name().unwrap_or_default().to_owned())
    };
    ["", "-wal", "-shm", "-journal"].iter().any(|ending| {
        let mut beside = real_path(file).into_os_string();
        beside.push(ending);
        place(path) == place(Path::new(&beside))
    })
}

/// Follows a link, so that it stays and its target is replaced. A link that points to nothing is replaced itself.
fn real_path(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

pub fn directory_of(path: &Path) -> PathBuf {
    let path = real_path(path);
    match path.parent() {
        Some(directory) if !directory.as_os_str().is_empty() => directory.to_owned(),
        _ => PathBuf::from("."),
    }
}

pub fn temporary_beside(path: &Path) -> Result<Temporary, Failure> {
    Temporary::create(&directory_of(path)).map_err(|error| cannot_write(path, &error))
}

/// Returns a failure that names the requested file; the error itself may name a temporary file, unknown to the user.
pub fn cannot_write(place: &Path, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        io::ErrorKind::NotFound if !directory_of(place).is_dir() => {
            "its directory does not exist; create it or name another file".to_owned()
        }
        kind if error.get_ref().is_some() => kind.to_string(),
        _ => error.to_string(),
    };
    Failure::other(format!("failed to write {}: {reason}", shown_path(place)))
}

enum Destination {
    Stdout,
    Stream(PathBuf),
    Replace { temporary: Temporary, path: PathBuf },
}

/// An open output. Dropped before `finish`, it leaves no file behind.
pub struct Sink {
    writer: BufWriter<Box<dyn Write>>,
    format: Format,
    destination: Destination,
    /// The progress bar, shown only while a file is written: lines on a screen are visible themselves.
    bar: Option<Bar>,
}

/// Converts an error; the CSV library's own conversion loses the information that a pipe was closed.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

#[derive(Serialize)]
struct CodeLine<'a> {
    code: &'a str,
}

impl Sink {
    pub fn show_progress(&mut self, bar: Bar) {
        self.bar = Some(bar).filter(|_| matches!(self.destination, Destination::Replace { .. }));
    }

    /// Writes a batch of codes.
    pub fn write(&mut self, batch: &CodeBatch) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.add(batch.len());
        }
        match self.format {
            Format::Txt => self.put(|writer| writer.write_all(batch.as_lines().as_bytes())),
            Format::Csv => self.put(|writer| {
                let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(writer);
                batch.iter().try_for_each(|code| rows.write_record([code])).map_err(io_error)?;
                rows.flush()
            }),
            Format::Jsonl => self.put(|writer| {
                for code in batch.iter() {
                    serde_json::to_writer(&mut *writer, &CodeLine { code })?;
                    writer.write_all(b"\n")?;
                }
                Ok(())
            }),
        }
    }

    fn put(&mut self, write: impl FnOnce(&mut BufWriter<Box<dyn Write>>) -> io::Result<()>) -> Result<(), Failure> {
        write(&mut self.writer).map_err(|error| self.destination.failure(&error))
    }

    /// Makes the file appear under its name, or flushes the stream.
    pub fn finish(mut self) -> Result<(), Failure> {
        self.put(|writer| writer.flush())?;
        let Destination::Replace { temporary, path } = self.destination else { return Ok(()) };
        let failed = |error: &io::Error| cannot_write(&path, error);
        temporary.persist(&real_path(&path)).map_err(|error| failed(&error))?;
        // The new name survives a power cut only once its directory is synced.
        File::open(directory_of(&path)).and_then(|directory| directory.sync_all()).map_err(|error| failed(&error))?;
        Ok(())
    }
}

impl Destination {
    fn failure(&self, error: &io::Error) -> Failure {
        match self {
            Self::Stdout => Failure::stdout(error),
            Self::Stream(path) | Self::Replace { path, .. } => cannot_write(path, error),
        }
    }
}
