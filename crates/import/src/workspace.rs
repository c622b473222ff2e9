//! The storage of an import for what does not fit into memory: nameless files in one directory.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::error::ImportError;

/// The bounds of one sorter. There are two sorters, and the one for rejects uses an eighth of the memory.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub directory: PathBuf,
    /// The memory for records while they are collected, and for reading while they are merged.
    pub buffer_bytes: usize,
    /// The maximum number of sorted pieces that are merged at once, at least 2.
    pub pieces_merged_max: usize,
}

impl Workspace {
    /// Returns the bounds of the program: 24 MiB hold about half a million codes of 20 characters, and a merge of 128
    /// pieces reads 192 KiB at a time.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, buffer_bytes: 24 << 20, pieces_merged_max: 128 }
    }

    pub(crate) fn for_rejects(&self) -> Self {
        Self { buffer_bytes: self.buffer_bytes / 8, ..self.clone() }
    }

    /// Creates a file that disappears when it is closed, and that only its owner can read while it is open.
    pub(crate) fn file(&self) -> Result<File, ImportError> {
        self.with_directory(tempfile::tempfile_in(&self.directory))
    }

    /// Adds the directory to the error of a result.
    pub(crate) fn with_directory<T>(&self, result: io::Result<T>) -> Result<T, ImportError> {
        result.map_err(|source| ImportError::Temporary { directory: self.directory.clone(), source })
    }
}
