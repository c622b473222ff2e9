//! Records of the sort: a key of up to 255 bytes and a number.
//!
//! A record is written as the length of its key, the key, and the number in big-endian order. The order of records is
//! the order of these bytes: shorter keys first, then by key, then by number.

/// A record in the format of the files.
pub(crate) struct Record<'a> {
    pub bytes: &'a [u8],
}

impl<'a> Record<'a> {
    pub fn key(&self) -> &'a [u8] {
        &self.bytes[1..self.bytes.len() - NUMBER_BYTES]
    }

    pub fn number(&self) -> u64 {
        self.bytes.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

/// Returns the record that begins at the offset.
pub(crate) fn record_at(bytes: &[u8], offset: usize) -> &[u8] {
    &bytes[offset..][..usize::from(bytes[offset]) + FRAME_BYTES]
}

pub(crate) const NUMBER_BYTES: usize = 8;
/// The number of bytes of a record in addition to its key.
pub(crate) const FRAME_BYTES: usize = 1 + NUMBER_BYTES;
