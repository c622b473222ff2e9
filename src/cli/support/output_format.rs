//! The format of written codes: what `--format` and the ending of the file's name require together.

use std::path::Path;

use clap::ValueEnum;
use codemint_codes::text::grouped;

use crate::cli::support::text::{counted, shown_path};
use crate::cli::support::xlsx;

/// The ending of the only compressed format.
const COMPRESSED: &str = "csv.gz";

/// The format that a user asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Header row `code`, then one code per row; with the identities of a list, `code,identity`
    Csv,
    /// One code per line, nothing else
    Txt,
    /// One object per line, {"code":"..."}, with the identity if the codes belong to a list
    Jsonl,
    /// Spreadsheet with one column of text, at most 16,777,200 codes
    Xlsx,
}

/// How codes become bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    Lines {
        style: LineStyle,
        gzip: bool,
    },
    Xlsx,
    /// A second column `identity` follows.
    XlsxWithIdentities,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineStyle {
    Csv,
    Txt,
    Jsonl,
    /// A second column `identity` follows.
    CsvWithIdentities,
    JsonlWithIdentities,
}

/// The reason why nothing can be written as requested, with what can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    #[error(
        "--output {file} ends with .{ending}, a format that is not written; csv, txt, jsonl and xlsx are; name it {instead}"
    )]
    NotWritten { file: String, ending: String, instead: String },
    #[error(
        "--output {file} ends with .{ending}, which names no format; add --format csv (or txt, jsonl, xlsx), or name it {instead}"
    )]
    Unknown { file: String, ending: String, instead: String },
    #[error("--format {format} contradicts the ending of --output {file}; omit --format, or name the file {instead}")]
    Contradiction { file: String, format: &'static str, instead: String },
    #[error("--output {file}: a spreadsheet is compressed already; name it {instead}")]
    CompressedTwice { file: String, instead: String },
    #[error(
        "a spreadsheet holds at most {}, and there are {}; use --format csv, or export fewer jobs into each file",
        counted(xlsx::CODES_MAX.into(), "code"),
        grouped((*codes).into())
    )]
    TooManyCodes { codes: u64 },
}

/// What the ending of a file name stands for.
#[derive(Clone, Copy)]
enum Ending {
    Format(Format),
    /// A format that is not written, and the ending of the nearest one that is.
    NotWritten(&'static str),
    Unknown,
}

impl Format {
    const fn name(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Txt => "txt",
            Self::Jsonl => "jsonl",
            Self::Xlsx => "xlsx",
        }
    }

    /// Returns true if a file with the ending of `other` may hold this format: CSV is text, and so are lines without a
    /// header a CSV file.
    fn fits_ending_of(self, other: Self) -> bool {
        let is_text = |format| matches!(format, Self::Csv | Self::Txt);
        self == other || is_text(self) && is_text(other)
    }
}

impl Encoding {
    /// Decides on the encoding of a file, or of a stream without a name.
    ///
    /// # Errors
    /// If the ending names a format that is not written, no format at all, or another one than `format`.
    pub fn decide(file: Option<&Path>, format: Option<Format>) -> Result<Self, FormatError> {
        let Some(file) = file else { return Ok(Self::of(format.unwrap_or(Format::Csv), false)) };
        let gzip = ending_of(file).is_some_and(|ending| ending == "gz");
        let plain = if gzip { file.with_extension("") } else { file.to_owned() };
        let by_name = ending_of(&plain).map(|ending| (meaning_of(&ending), ending));
        let shown = || shown_path(file);
        let instead = |ending: &str| shown_path(&plain.with_extension(ending));
        let decided = match (format, by_name) {
            (_, Some((Ending::NotWritten(nearest), ending))) => {
                let ending = if gzip { format!("{ending}.gz") } else { ending };
                let instead = instead(nearest_of(&plain, nearest));
                return Err(FormatError::NotWritten { file: shown(), ending, instead });
            }
            (Some(format), Some((Ending::Format(named), _))) if !format.fits_ending_of(named) => {
                let (format, instead) = (format.name(), instead(format.name()));
                return Err(FormatError::Contradiction { file: shown(), format, instead });
            }
            (None, Some((Ending::Unknown, ending))) => {
                let instead = instead(&format!("{ending}.csv"));
                return Err(FormatError::Unknown { file: shown(), ending, instead });
            }
            (None, Some((Ending::Format(named), _))) => named,
            (format, _) => format.unwrap_or(Format::Csv),
        };
        if gzip && decided == Format::Xlsx {
            return Err(FormatError::CompressedTwice { file: shown(), instead: instead("xlsx") });
        }
        Ok(Self::of(decided, gzip))
    }

    const fn of(format: Format, gzip: bool) -> Self {
        match format {
            Format::Csv => Self::Lines { style: LineStyle::Csv, gzip },
            Format::Txt => Self::Lines { style: LineStyle::Txt, gzip },
            Format::Jsonl => Self::Lines { style: LineStyle::Jsonl, gzip },
            Format::Xlsx => Self::Xlsx,
        }
    }

    pub const fn is_csv(self) -> bool {
        matches!(self, Self::Lines { style: LineStyle::Csv | LineStyle::CsvWithIdentities, .. })
    }

    /// Returns the encoding of codes with the identities that they belong to; plain lines still hold codes only.
    pub const fn with_identities(self) -> Self {
        match self {
            Self::Lines { style: LineStyle::Csv, gzip } => Self::Lines { style: LineStyle::CsvWithIdentities, gzip },
            Self::Lines { style: LineStyle::Jsonl, gzip } => {
                Self::Lines { style: LineStyle::JsonlWithIdentities, gzip }
            }
            Self::Lines { style, gzip } => Self::Lines { style, gzip },
            Self::Xlsx | Self::XlsxWithIdentities => Self::XlsxWithIdentities,
        }
    }

    /// Returns true if identities are written beside codes.
    pub const fn has_identities(self) -> bool {
        matches!(
            self,
            Self::XlsxWithIdentities
                | Self::Lines { style: LineStyle::CsvWithIdentities | LineStyle::JsonlWithIdentities, .. }
        )
    }

    /// Returns true for a spreadsheet.
    pub const fn is_xlsx(self) -> bool {
        matches!(self, Self::Xlsx | Self::XlsxWithIdentities)
    }

    /// Checks that the format holds this number of codes.
    pub fn check_count(self, codes: u64) -> Result<(), FormatError> {
        let fits = !self.is_xlsx() || codes <= xlsx::CODES_MAX;
        if fits { Ok(()) } else { Err(FormatError::TooManyCodes { codes }) }
    }
}

/// Returns the ending of a file name in lower case.
fn ending_of(file: &Path) -> Option<String> {
    file.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase()).filter(|ending| !ending.is_empty())
}

/// Returns the ending to replace the last one with. What is compressed keeps its own: `codes.csv.zip` becomes `codes.csv.gz`.
fn nearest_of<'a>(file: &Path, nearest: &'a str) -> &'a str {
    let inner = ending_of(&file.with_extension("")).map(|ending| meaning_of(&ending));
    match inner {
        Some(Ending::Format(Format::Csv | Format::Txt | Format::Jsonl)) if nearest == COMPRESSED => "gz",
        _ => nearest,
    }
}

fn meaning_of(ending: &str) -> Ending {
    match ending {
        "csv" => Ending::Format(Format::Csv),
        "txt" => Ending::Format(Format::Txt),
        "jsonl" | "ndjson" => Ending::Format(Format::Jsonl),
        "xlsx" => Ending::Format(Format::Xlsx),
        "json" => Ending::NotWritten("jsonl"),
        "xls" | "xlsm" | "xlsb" | "xltx" | "ods" | "fods" | "numbers" => Ending::NotWritten("xlsx"),
        "zip" | "bz2" | "xz" | "zst" | "lz4" | "br" | "7z" | "rar" | "tar" | "tgz" => Ending::NotWritten(COMPRESSED),
        "tsv" | "tab" | "xml" | "html" | "pdf" | "doc" | "docx" | "yaml" | "yml" | "parquet" | "avro" | "sql"
        | "db" | "sqlite" => Ending::NotWritten("csv"),
        _ => Ending::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Encoding, Format, FormatError, LineStyle};

    const fn lines(style: LineStyle, gzip: bool) -> Encoding {
        Encoding::Lines { style, gzip }
    }

    fn decide(file: &str, format: Option<Format>) -> Result<Encoding, FormatError> {
        Encoding::decide(Some(Path::new(file)), format)
    }

    #[test]
    fn the_format_follows_from_the_ending_or_from_the_flag() {
        use Format::{Csv, Jsonl, Txt, Xlsx};
        let cases = [
            ("codes.csv", None, lines(LineStyle::Csv, false)),
            ("CODES.CSV", None, lines(LineStyle::Csv, false)),
            ("codes", None, lines(LineStyle::Csv, false)),
            (".csv", None, lines(LineStyle::Csv, false)),
            ("v1.2/codes", None, lines(LineStyle::Csv, false)),
            ("codes.", None, lines(LineStyle::Csv, false)),
            ("codes.txt", None, lines(LineStyle::Txt, false)),
            ("codes.jsonl", None, lines(LineStyle::Jsonl, false)),
            ("codes.ndjson", None, lines(LineStyle::Jsonl, false)),
            ("codes.xlsx", None, Encoding::Xlsx),
            ("codes.csv.gz", None, lines(LineStyle::Csv, true)),
            ("codes.txt.GZ", None, lines(LineStyle::Txt, true)),
            ("codes.jsonl.gz", None, lines(LineStyle::Jsonl, true)),
            ("codes.gz", None, lines(LineStyle::Csv, true)),
            ("codes.gz", Some(Jsonl), lines(LineStyle::Jsonl, true)),
            ("codes.txt", Some(Csv), lines(LineStyle::Csv, false)),
            ("codes.csv", Some(Txt), lines(LineStyle::Txt, false)),
            ("codes.csv.gz", Some(Txt), lines(LineStyle::Txt, true)),
            ("codes.xlsx", Some(Xlsx), Encoding::Xlsx),
            ("codes", Some(Xlsx), Encoding::Xlsx),
            ("codes.2026-11-01", Some(Txt), lines(LineStyle::Txt, false)),
        ];
        for (file, format, encoding) in cases {
            assert_eq!(decide(file, format), Ok(encoding), "{file} {format:?}");
        }
        assert_eq!(Encoding::decide(None, None), Ok(lines(LineStyle::Csv, false)));
        assert_eq!(Encoding::decide(None, Some(Xlsx)), Ok(Encoding::Xlsx));
    }

    #[test]
    fn regression_an_ending_that_contradicts_or_is_not_written_is_refused_with_the_right_name() {
        use Format::{Csv, Jsonl, Txt, Xlsx};
        let cases = [
            (
                "codes.json",
                None,
                "ends with .json, a format that is not written; csv, txt, jsonl and xlsx are; name it codes.jsonl",
            ),
            ("codes.json", Some(Jsonl), "name it codes.jsonl"),
            (
                "codes.json.gz",
                None,
                "ends with .json.gz, a format that is not written; csv, txt, jsonl and xlsx are; name it codes.jsonl",
            ),
            (
                "codes.XLS",
                None,
                "ends with .xls, a format that is not written; csv, txt, jsonl and xlsx are; name it codes.xlsx",
            ),
            ("codes.ods", Some(Xlsx), "name it codes.xlsx"),
            ("codes.csv.zip", None, "name it codes.csv.gz"),
            ("dir/codes.zip", None, "name it dir/codes.csv.gz"),
            ("codes.tsv", None, "name it codes.csv"),
            ("codes.xslx", None, "ends with .xslx, which names no format; add --format csv (or txt, jsonl, xlsx)"),
            ("codes.2026", None, "or name it codes.2026.csv"),
            ("codes.xlsx", Some(Csv), "--format csv contradicts the ending of --output codes.xlsx; omit --format, or"),
            ("codes.csv", Some(Xlsx), "or name the file codes.xlsx"),
            ("codes.jsonl", Some(Txt), "or name the file codes.txt"),
            ("codes.csv", Some(Jsonl), "or name the file codes.jsonl"),
            ("codes.xlsx.gz", None, "a spreadsheet is compressed already; name it codes.xlsx"),
            ("codes.gz", Some(Xlsx), "a spreadsheet is compressed already; name it codes.xlsx"),
        ];
        for (file, format, message) in cases {
            let error = decide(file, format).expect_err(file).to_string();
            assert!(error.contains(message), "{file} {format:?}: {error}");
        }
    }

    #[test]
    fn a_spreadsheet_holds_a_bounded_number_of_codes() {
        assert_eq!(Encoding::Xlsx.check_count(16_777_200), Ok(()));
        let error = Encoding::Xlsx.check_count(16_777_201).expect_err("too many").to_string();
        assert!(error.contains("at most 16,777,200 codes, and there are 16,777,201; use --format csv"), "{error}");
        assert_eq!(lines(LineStyle::Csv, false).check_count(u64::MAX), Ok(()));
    }
}
