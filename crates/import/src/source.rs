//! Reads the raw bytes of an input: hashes and counts them, and decodes them by their byte order mark.

use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use sha2::{Digest as _, Sha256};

use crate::encoding::Decoded;
use crate::error::ImportError;
use crate::progress::{Progress, proceed};

const BUFFER_BYTES: usize = 256 * 1024;

/// An input that reports its progress each time more bytes have been read.
pub(crate) struct Source<'a, R> {
    reader: BufReader<Decoded<Hashing<R>>>,
    progress: Progress<'a>,
    bytes_reported: u64,
}

impl<'a, R: Read> Source<'a, R> {
    /// Opens an input and reads its first bytes.
    pub fn open(input: R, progress: Progress<'a>) -> Result<Self, ImportError> {
        let decoded = Decoded::open(Hashing { input, hash: Sha256::new(), bytes: 0 });
        let decoded = decoded.map_err(|(input, source)| ImportError::Read { bytes: input.bytes, source })?;
        Ok(Self { reader: BufReader::with_capacity(BUFFER_BYTES, decoded), progress, bytes_reported: 0 })
    }

    /// Returns the bytes that have been read but not consumed; empty at the end of the input.
    pub fn fill(&mut self) -> Result<&[u8], ImportError> {
        let bytes = self.bytes_read();
        if bytes != self.bytes_reported {
            self.bytes_reported = bytes;
            proceed(self.progress, bytes)?;
        }
        self.reader.fill_buf().map_err(|source| ImportError::Read { bytes, source })
    }

    pub fn consume(&mut self, bytes: usize) {
        self.reader.consume(bytes);
    }

    pub fn bytes_read(&self) -> u64 {
        self.reader.get_ref().input().bytes
    }

    /// Returns the SHA-256 of all bytes, once the end has been reached.
    pub fn into_digest(self) -> [u8; 32] {
        self.reader.into_inner().into_input().hash.finalize().into()
    }
}

struct Hashing<R> {
    input: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.input.read(buffer) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(read) => {
                    self.hash.update(&buffer[..read]);
                    self.bytes += read as u64;
                    return Ok(read);
                }
            }
        }
    }
}
