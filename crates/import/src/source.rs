//! Reads the raw bytes of an input: hashes and counts them, and skips a byte order mark.

use std::io::{self, BufRead, BufReader, Chain, Cursor, ErrorKind, Read};

use sha2::{Digest as _, Sha256};

use crate::error::ImportError;
use crate::progress::{Progress, proceed};

const BUFFER_BYTES: usize = 256 * 1024;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An input that reports its progress each time more bytes have been read.
pub(crate) struct Source<'a, R> {
    reader: BufReader<Chain<Cursor<Vec<u8>>, Hashing<R>>>,
    progress: Progress<'a>,
    bytes_reported: u64,
}

impl<'a, R: Read> Source<'a, R> {
    /// Opens an input and reads its first three bytes.
    pub fn open(input: R, progress: Progress<'a>) -> Result<Self, ImportError> {
        let mut input = Hashing { input, hash: Sha256::new(), bytes: 0 };
        let mut start = Vec::new();
        let read = (&mut input).take(BYTE_ORDER_MARK.len() as u64).read_to_end(&mut start);
        read.map_err(|source| ImportError::Read { bytes: input.bytes, source })?;
        if start == BYTE_ORDER_MARK {
            start.clear();
        }
        let reader = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(start).chain(input));
        Ok(Self { reader, progress, bytes_reported: 0 })
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
        self.reader.get_ref().get_ref().1.bytes
    }

    /// Returns the SHA-256 of all bytes, once the end has been reached.
    pub fn into_digest(self) -> [u8; 32] {
        let (_start, input) = self.reader.into_inner().into_inner();
        input.hash.finalize().into()
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
