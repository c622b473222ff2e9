//! The output of codes: a file that appears whole or not at all, or a stream.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::cli::support::encoder::Encoder;
use crate::cli::support::failure::Failure;
use crate::cli::support::file_mode::FileMode;
use crate::cli::support::output_format::Encoding;
use crate::cli::support::output_options::OutputOptions;
use crate::cli::support::progress::Bar;
use crate::cli::support::temporary::Temporary;
use crate::cli::support::text::shown_path;
use codemint_codes::batch::CodeBatch;
use codemint_store::connection::location::Location;

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

    /// Decides on the encoding, and checks that the options make sense for this target.
    ///
    /// # Errors
    /// If format and file name contradict each other, or if something that is not a file is to have a mode.
    pub fn encoding(&self, options: &OutputOptions) -> Result<Encoding, Failure> {
        let file = match self {
            Self::Stdout => None,
            Self::File(path) => Some(path.as_path()),
        };
        let encoding = Encoding::decide(file, options.format).map_err(Failure::usage)?;
        if let Some(mode) = options.mode.filter(|_| file.is_none_or(is_stream)) {
            return Err(Failure::usage(format!("--mode {mode}: {self} is no file that is created; omit --mode")));
        }
        if self.is_stdout() && encoding.is_xlsx() && io::stdout().is_terminal() {
            return Err(Failure::usage(
                "a terminal cannot show a spreadsheet; name a file, such as --output codes.xlsx",
            ));
        }
        Ok(encoding)
    }

    /// Returns the mode of the file to be replaced if users other than its owner and its group can access it.
    pub fn mode_open_to_others(&self) -> Option<u32> {
        let Self::File(path) = self else { return None };
        let metadata = fs::metadata(path).ok().filter(fs::Metadata::is_file)?;
        Some(metadata.permissions().mode() & 0o777).filter(|mode| mode & 0o007 != 0)
    }

    /// Opens the target for at most `codes` codes. A new file gets `mode`, or is private.
    pub fn open(&self, encoding: Encoding, codes: u64, mode: Option<FileMode>) -> Result<Sink, Failure> {
        let (stream, destination): (Box<dyn Write>, _) = match self {
            Self::Stdout => (Box::new(io::stdout().lock()), Destination::Stdout),
            Self::File(path) if is_stream(path) => {
                let stream = File::options().write(true).open(path).map_err(|error| cannot_write(path, &error))?;
                (Box::new(stream), Destination::Stream(path.clone()))
            }
            Self::File(path) => {
                let temporary = temporary_beside(path)?;
                let file = temporary.as_file().try_clone().map_err(|error| cannot_write(path, &error))?;
                (Box::new(file), Destination::Replace { temporary, path: path.clone(), mode })
            }
        };
        match Encoder::new(stream, encoding, codes) {
            Ok(encoder) => Ok(Sink { encoder, destination, bar: None }),
            Err(error) => Err(destination.failure(&error)),
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
    Replace { temporary: Temporary, path: PathBuf, mode: Option<FileMode> },
}

/// An open output. Dropped before `finish`, it leaves no file behind.
pub struct Sink {
    encoder: Encoder,
    destination: Destination,
    /// The progress bar, shown only while a file is written: lines on a screen are visible themselves.
    bar: Option<Bar>,
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
        self.encoder.write(batch).map_err(|error| self.destination.failure(&error))
    }

    /// Writes codes with the identities that they belong to.
    pub fn write_with_identities(&mut self, rows: &[(&str, &str)]) -> Result<(), Failure> {
        if let Some(bar) = &self.bar {
            bar.add(rows.len());
        }
        self.encoder.write_with_identities(rows).map_err(|error| self.destination.failure(&error))
    }

    /// Makes the file appear under its name, or flushes the stream.
    pub fn finish(self) -> Result<(), Failure> {
        let Self { encoder, destination, bar: _bar } = self;
        encoder.finish().map_err(|error| destination.failure(&error))?;
        let Destination::Replace { temporary, path, mode } = destination else { return Ok(()) };
        let failed = |error: &io::Error| cannot_write(&path, error);
        temporary.persist(&real_path(&path), mode).map_err(|error| failed(&error))?;
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
