//! The permissions of a written file: it holds codes, so it is private unless the user decides otherwise.

use std::fmt;
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;

/// Permissions that a file of codes may have: its owner can read it, nobody can run it, and not everyone can change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMode(u32);

impl FileMode {
    /// The permissions of a new file: only its owner can access it.
    pub const PRIVATE: Self = Self(0o600);

    pub fn permissions(self) -> Permissions {
        Permissions::from_mode(self.0)
    }
}

impl fmt::Display for FileMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Parses permissions in octal digits, such as `0640`, `640` or `0o640`.
pub fn file_mode(text: &str) -> Result<FileMode, String> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = (1..=4).contains(&digits.len()) && digits.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
    let mode = if is_octal { u32::from_str_radix(digits, 8).ok() } else { None };
    let problem = match mode {
        None => "write octal digits",
        Some(mode) if mode > 0o777 => "a file of codes has no special permissions",
        Some(mode) if mode & 0o111 != 0 => "a file of codes is not a program",
        Some(mode) if mode & 0o002 != 0 => "everyone could change the file",
        Some(mode) if mode & 0o400 == 0 => "its owner could not read the file",
        Some(mode) => return Ok(FileMode(mode)),
    };
    Err(format!("{problem}; use 0600 for the owner alone, 0640 to let the group read, or 0644 to let everyone read"))
}

#[cfg(test)]
mod tests {
    use super::file_mode;

    #[test]
    fn a_mode_is_read_in_octal_and_dangerous_or_senseless_ones_are_refused() {
        let shown = |text: &str| file_mode(text).map(|mode| mode.to_string());
        for (text, mode) in
            [("0600", "0600"), ("600", "0600"), ("0o640", "0640"), ("0644", "0644"), ("0660", "0660"), ("400", "0400")]
        {
            assert_eq!(shown(text), Ok(mode.to_owned()), "{text}");
        }
        for (text, problem) in [
            ("", "write octal digits"),
            ("0o", "write octal digits"),
            ("0680", "write octal digits"),
            ("00600", "write octal digits"),
            ("u=rw", "write octal digits"),
            ("-600", "write octal digits"),
            ("+600", "write octal digits"),
            ("4600", "no special permissions"),
            ("0700", "not a program"),
            ("0666", "everyone could change"),
            ("0602", "everyone could change"),
            ("0", "its owner could not read"),
            ("0240", "its owner could not read"),
        ] {
            let error = shown(text).expect_err(text);
            assert!(error.contains(problem) && error.contains("use 0600"), "{text}: {error}");
        }
    }
}
