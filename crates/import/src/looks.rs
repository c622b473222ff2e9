//! What an input looks like that cannot be imported as it is, and what to do about it.

use std::fmt;

use codemint_codes::text::{one_or_many, printable};

/// The names that a column of codes usually has, in lower case and without blanks, underscores and hyphens.
const CODE_COLUMNS: [&str; 16] = [
    "code",
    "codes",
    "coupon",
    "coupons",
    "couponcode",
    "couponcodes",
    "discountcode",
    "giftcode",
    "gutscheincode",
    "promocode",
    "promocodes",
    "promotioncode",
    "voucher",
    "vouchers",
    "vouchercode",
    "vouchercodes",
];
/// Parts of names of columns that may hold codes, the most telling one first.
const CODE_WORDS: [&str; 5] = ["code", "coupon", "voucher", "promo", "gutschein"];
/// The maximum number of columns that a message lists.
const COLUMNS_LISTED_MAX: usize = 20;

/// What an input looks like instead of codes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Looks {
    /// A zip archive, as files of spreadsheet programs are.
    Zip,
    /// A file of an old spreadsheet program.
    OldSpreadsheet,
    Gzip,
    Xz,
    Zstandard,
    Bzip2,
    /// Lines end with a carriage return alone.
    CarriageReturns,
    Utf16WithoutMark {
        is_big_endian: bool,
    },
    /// A JSON array that begins on this line.
    JsonArray {
        line: u64,
        of_objects: bool,
    },
    /// JSON without a code per line.
    JsonWithoutCode {
        line: u64,
    },
    /// A single line that is a usual name of a column.
    Header {
        line: u64,
        name: String,
    },
    /// Some lines are of another kind than the others.
    Mixed {
        line: u64,
        kind: OddKind,
        odd: u64,
        lines: u64,
    },
    /// Rows of columns. The names are empty if the first row does not look like a header: it may hold codes.
    Table {
        line: u64,
        separator: u8,
        columns: Vec<String>,
    },
}

/// The kind of an odd line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OddKind {
    /// It has this separator, which other lines have not.
    Row {
        separator: u8,
    },
    Json,
    /// It is the usual name of a column of codes, below the first line.
    Header,
}

/// What a command can do about an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advice {
    /// Repeat the import with these options.
    Options(Vec<String>),
    /// Convert the input with this program, which writes the import's input to standard output.
    Through(&'static str),
    /// Save the spreadsheet as CSV, and import that.
    SaveAsCsv,
    /// Look at this line of the input.
    ShowLine(u64),
}

impl Looks {
    /// Recognizes files that are not text by their first bytes.
    pub fn of_first_bytes(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [b'P', b'K', 3 | 5, 4 | 6, ..] => Some(Self::Zip),
            [0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1, ..] => Some(Self::OldSpreadsheet),
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::Zstandard),
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, 0x26, 0x53, 0x59, ..] => Some(Self::Bzip2),
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => None,
            _ => {
                let start = &bytes[..bytes.len().min(1024)];
                let zeros = |from| start.iter().skip(from).step_by(2).filter(|&&byte| byte == 0).count();
                let (even, odd) = (zeros(0), zeros(1));
                let is_utf16 = even + odd >= 2 && (even + odd) * 3 >= start.len();
                is_utf16.then_some(Self::Utf16WithoutMark { is_big_endian: even > odd })
            }
        }
    }

    pub fn advice(&self) -> Option<Advice> {
        let options = |words: &[&str]| Advice::Options(words.iter().map(|&word| word.to_owned()).collect());
        Some(match self {
            Self::Zip | Self::OldSpreadsheet => Advice::SaveAsCsv,
            Self::Gzip => Advice::Through("gzip -dc"),
            Self::Xz => Advice::Through("xz -dc"),
            Self::Zstandard => Advice::Through("zstd -dc"),
            Self::Bzip2 => Advice::Through("bzip2 -dc"),
            Self::CarriageReturns => Advice::Through("perl -pe 's/\\r/\\n/g'"),
            Self::Utf16WithoutMark { is_big_endian: true } => Advice::Through("iconv -f UTF-16BE -t UTF-8"),
            Self::Utf16WithoutMark { is_big_endian: false } => Advice::Through("iconv -f UTF-16LE -t UTF-8"),
            Self::JsonArray { of_objects: true, .. } => Advice::Through("jq -c '.[]'"),
            Self::JsonArray { of_objects: false, .. } => Advice::Through("jq -c '.[] | {code: .}'"),
            Self::JsonWithoutCode { .. } => Advice::Through("jq -c '{code: .NAME}'"),
            Self::Mixed { line, .. } => Advice::ShowLine(*line),
            Self::Header { name, .. } => options(&["--column", name]),
            Self::Table { columns, .. } => match best_column(columns) {
                Some(name) => options(&["--column", name]),
                None => options(&["--no-header", "--column", "1"]),
            },
        })
    }
}

/// Returns the name of the column that most likely holds the codes.
pub fn best_column(names: &[String]) -> Option<&str> {
    let exact = names.iter().find(|name| is_usual_name(name));
    let containing = |word: &&str| names.iter().find(|name| name.to_lowercase().contains(word));
    exact.or_else(|| CODE_WORDS.iter().find_map(containing)).or(names.first()).map(String::as_str)
}

/// Returns true for a usual name of a column of codes, however it is written.
pub(crate) fn is_usual_name(name: &str) -> bool {
    CODE_COLUMNS.contains(&plain_name(name).as_str())
}

/// Returns the name of a column in lower case, without blanks, underscores and hyphens.
pub(crate) fn plain_name(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, ' ' | '_' | '-')).collect::<String>().to_lowercase()
}

/// Returns true for a usual name of a column in one word that is not in upper case, as codes are. Does not allocate.
pub(crate) fn is_name_and_no_code(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_lowercase)
        && CODE_COLUMNS.iter().any(|name| text.eq_ignore_ascii_case(name.as_bytes()))
}

/// Returns true for a row that looks like names of columns and not like codes.
pub(crate) fn is_header(names: &[String]) -> bool {
    let is_name = |name: &String| {
        name.chars().any(char::is_lowercase) && !name.chars().any(|c| c.is_ascii_digit()) || name.is_empty()
    };
    names.iter().any(|name| is_usual_name(name))
        || names.iter().all(is_name) && names.iter().any(|name| !name.is_empty())
}

/// Returns a name from outside for a message.
pub(crate) fn quoted_name(name: &str) -> String {
    format!("\"{}\"", printable(name))
}

/// Returns the names of columns for a message.
pub(crate) fn listed(columns: &[String], shown: impl Fn(&String) -> String) -> String {
    let names: Vec<String> = columns.iter().take(COLUMNS_LISTED_MAX).map(shown).collect();
    let more = columns.len().saturating_sub(COLUMNS_LISTED_MAX);
    if more > 0 { format!("{} and {more} more", names.join(", ")) } else { names.join(", ") }
}

fn separator_name(separator: u8) -> String {
    match separator {
        b',' => "commas".to_owned(),
        b';' => "semicolons".to_owned(),
        b'\t' => "tabs".to_owned(),
        other => format!("{:?}", char::from(other)),
    }
}

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zip => f.write_str("the input is a zip archive, as .xlsx and .ods files are, not text"),
            Self::OldSpreadsheet => f.write_str("the input is a file of a spreadsheet program (.xls), not text"),
            Self::Gzip => f.write_str("the input is compressed"),
            Self::Xz => f.write_str("the input is compressed (.xz)"),
            Self::Zstandard => f.write_str("the input is compressed (.zst)"),
            Self::Bzip2 => f.write_str("the input is compressed (.bz2)"),
            Self::CarriageReturns => f.write_str("the lines of the input end with a carriage return alone"),
            Self::Utf16WithoutMark { .. } => f.write_str("the input is not text, or UTF-16 without a byte order mark"),
            Self::JsonArray { line, .. } => write!(f, "line {line} begins a JSON array, not one code per line"),
            Self::JsonWithoutCode { line } => {
                write!(f, "line {line} is JSON, but not an object with a text \"code\" on one line")
            }
            Self::Mixed { line, kind, odd, lines } => {
                let kind = match kind {
                    OddKind::Row { separator } => {
                        format!(
                            "{} {}, unlike the others",
                            one_or_many(*odd, "has", "have"),
                            separator_name(*separator)
                        )
                    }
                    OddKind::Json => format!("{} JSON, unlike the others", one_or_many(*odd, "is", "are")),
                    OddKind::Header => one_or_many(*odd, "is the name of a column", "are names of columns").to_owned(),
                };
                write!(
                    f,
                    "{odd} of {lines} lines {kind}; the first is line {line}; if each line is a code, add --format txt"
                )
            }
            Self::Header { line, name } => {
                write!(
                    f,
                    "line {line} is {}, the name of a column; if it is a code, add --format txt",
                    quoted_name(name)
                )
            }
            Self::Table { line, separator, columns } if columns.is_empty() => write!(
                f,
                "line {line} does not look like a header of columns, nor, with its {}, like one code per line; if each line is a code, add --format txt",
                separator_name(*separator)
            ),
            Self::Table { line, separator, columns } => write!(
                f,
                "line {line} is a header of columns separated by {}, and --column is missing; name the column of the codes: {}",
                separator_name(*separator),
                listed(columns, |name| printable(name))
            ),
        }
    }
}
