//! Decodes an input to UTF-8 by its byte order mark, piece by piece. An input without a mark passes through unchanged.

use std::io::{self, Read};

const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";
/// The number of bytes that are read before anything is decoded: enough for a byte order mark and a line such as `sep=;`.
const START_BYTES: u64 = 32;
/// The number of bytes that are decoded at once.
const PIECE_BYTES: usize = 8 * 1024;
/// The maximum number of UTF-8 bytes for two bytes of UTF-16.
const UTF8_BYTES_PER_UNIT: usize = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16LittleEndian,
    Utf16BigEndian,
}

/// A text as UTF-8. Its first read returns all of its first bytes, so that a short first line is in one piece.
pub(crate) struct Decoded<R> {
    input: R,
    encoding: Encoding,
    /// Bytes of the input that have been read but not returned: the start, later a part of a character.
    pending: Vec<u8>,
}

impl<R: Read> Decoded<R> {
    /// Reads the first bytes of the input; they decide the encoding.
    pub fn open(mut input: R) -> Result<Self, (R, io::Error)> {
        let mut pending = Vec::new();
        if let Err(error) = (&mut input).take(START_BYTES).read_to_end(&mut pending) {
            return Err((input, error));
        }
        let (encoding, mark_bytes) = match &pending[..] {
            [0xff, 0xfe, ..] => (Encoding::Utf16LittleEndian, 2),
            [0xfe, 0xff, ..] => (Encoding::Utf16BigEndian, 2),
            start if start.starts_with(UTF8_MARK) => (Encoding::Utf8, UTF8_MARK.len()),
            _ => (Encoding::Utf8, 0),
        };
        pending.drain(..mark_bytes);
        Ok(Self { input, encoding, pending })
    }

    pub fn input(&self) -> &R {
        &self.input
    }

    pub fn into_input(self) -> R {
        self.input
    }

    fn read_utf16(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let units_max = (buffer.len() / UTF8_BYTES_PER_UNIT).max(2);
        loop {
            let whole = self.whole_units(units_max);
            if whole > 0 {
                let text = decode(&self.pending[..whole * 2], self.encoding);
                buffer[..text.len()].copy_from_slice(text.as_bytes());
                self.pending.drain(..whole * 2);
                return Ok(text.len());
            }
            let mut piece = [0; PIECE_BYTES];
            let read = self.input.read(&mut piece)?;
            if read == 0 {
                return Ok(self.take_broken_end(buffer));
            }
            self.pending.extend_from_slice(&piece[..read]);
        }
    }

    /// Returns the number of units that can be decoded now, without the first half of a pair at their end.
    fn whole_units(&self, units_max: usize) -> usize {
        let units = (self.pending.len() / 2).min(units_max);
        let last = self.pending[..units * 2].last_chunk().map_or(0, |&unit| self.encoding.unit(unit));
        units - usize::from((0xd800..0xdc00).contains(&last))
    }

    /// Returns one replacement character for bytes at the end that are no character.
    fn take_broken_end(&mut self, buffer: &mut [u8]) -> usize {
        if self.pending.is_empty() {
            return 0;
        }
        self.pending.clear();
        char::REPLACEMENT_CHARACTER.encode_utf8(buffer).len()
    }
}

impl Encoding {
    fn unit(self, bytes: [u8; 2]) -> u16 {
        if self == Self::Utf16BigEndian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) }
    }
}

fn decode(bytes: &[u8], encoding: Encoding) -> String {
    let units = bytes.as_chunks().0.iter().map(|&unit| encoding.unit(unit));
    char::decode_utf16(units).map(|decoded| decoded.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

impl<R: Read> Read for Decoded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.encoding != Encoding::Utf8 {
            return self.read_utf16(buffer);
        }
        if self.pending.is_empty() {
            return self.input.read(buffer);
        }
        let length = self.pending.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.pending[..length]);
        self.pending.drain(..length);
        Ok(length)
    }
}
