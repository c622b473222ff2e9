//! Reads small files that the user names, up to a size limit.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Opens a file; the error is a message for people.
pub fn open(path: &Path) -> Result<File, String> {
    File::open(path).map_err(|error| format!("cannot be read: {error}"))
}

/// Reads at most `length_max` bytes, counted while reading: a device or a pipe has no size and may never end.
pub fn read_at_most(file: File, length_max: u64) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    file.take(length_max).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    Ok(bytes)
}

/// Reads the whole text; the error is a message for people, in which `expected` describes what the file should contain.
///
/// # Errors
/// If the file cannot be read, has more than `bytes_max` bytes, or is not UTF-8.
pub fn read_text(path: &Path, bytes_max: u64, expected: &str) -> Result<String, String> {
    let bytes = read_at_most(open(path)?, bytes_max + 1)?;
    if bytes.len() as u64 > bytes_max {
        return Err(format!("has more than {bytes_max} bytes; expected {expected}"));
    }
    String::from_utf8(bytes).map_err(|error| {
        let read = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = read.iter().filter(|&&byte| byte == b'\n').count() + 1;
        format!("line {line} is not UTF-8 text")
    })
}
