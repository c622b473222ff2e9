//! Where an import keeps what does not fit into memory: nameless files in one directory.

use std::fs::File;
use std::io;
use std::path::PathBuf;

use crate::error::ImportError;

/// Bounds of one sorter; there are two, and that of the rejects takes an eighth.
#[derive(Clone, Debug)]
pub struct Workspace {
    pub directory: PathBuf,
    /// Memory for records while they are collected, and for reading while they are merged.
    pub buffer_bytes: usize,
    /// Most sorted pieces that are merged at once, at least 2.
    pub pieces_merged_max: usize,
}

impl Workspace {
    /// The bounds for real: 24 MiB hold about half a million codes of 20 characters, and a merge of 128 pieces reads
    /// 192 KiB at a time.
    pub fn new(directory: PathBuf) -> Self {
        Self { directory, buffer_bytes: 24 << 20, pieces_merged_max: 128 }
    }

    pub(super) fn for_rejects(&self) -> Self {
        Self { buffer_bytes: self.buffer_bytes / 8, ..self.clone() }
    }

    /// A file that is gone when it is closed, and that only its owner can read while it is open.
    pub(super) fn file(&self) -> Result<File, ImportError> {
        self.named(tempfile::tempfile_in(&self.directory))
    }

    /// The result, with the directory in its error.
    pub(super) fn named<T>(&self, result: io::Result<T>) -> Result<T, ImportError> {
        result.map_err(|source| ImportError::Temporary { directory: self.directory.clone(), source })
    }
}
