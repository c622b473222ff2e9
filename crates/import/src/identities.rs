//! Reads a list of identities: one per line, or the column `identity` of a CSV text.

use std::io::{Cursor, Read};

use strum::IntoStaticStr;

use crate::columns::{Column, each_field, header};
use crate::detect::{HEAD_BYTES, decoded, has_only_carriage_returns};
use crate::error::ImportError;
use crate::lines::{Content, each_line};
use crate::looks::{Looks, plain_name};
use crate::progress::Progress;
use crate::separator::{SEPARATORS, most_frequent, separator_line};
use crate::source::Source;
use codemint_codes::identity::{IDENTITY_LENGTH_MAX, IdentityError, check_identity};

/// The name of the column, in lower case.
const COLUMN: &str = "identity";

/// Other names that such a column usually has, in lower case and without blanks, underscores and hyphens.
const OTHER_COLUMNS: [&str; 24] = [
    "account",
    "accountid",
    "client",
    "clientid",
    "customer",
    "customerid",
    "customerno",
    "customernumber",
    "email",
    "emailaddress",
    "id",
    "identifier",
    "identities",
    "kunde",
    "kundennummer",
    "location",
    "locationid",
    "mail",
    "member",
    "memberid",
    "user",
    "userid",
    "username",
    "uuid",
];

/// The reason why a line holds no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum InvalidIdentity {
    #[error("the identity is empty")]
    Empty,
    #[error("the identity has more than {IDENTITY_LENGTH_MAX} characters")]
    TooLong,
    #[error("the identity is not UTF-8 text")]
    NotUtf8,
    #[error("the identity contains control characters")]
    NotText,
    #[error("the identity contains invisible characters, such as a zero-width blank or a change of direction")]
    Invisible,
    #[error("the row has no field for the column {COLUMN}")]
    NoField,
    #[error("the row has more fields than the header")]
    ExtraFields,
}

/// The format of a list of identities.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListFormat {
    /// One identity per line.
    Lines,
    /// The column `identity` of a CSV text with this separator.
    Csv { delimiter: u8 },
}

/// Passes what stands on each line to `take`, with the number of the line: an identity without the blanks around it, or the
/// reason why there is none. `is_csv` is true if the name of the file says so; otherwise a header with the column decides.
///
/// # Errors
/// If the input cannot be read, is not text, or does not look like a list: JSON, lines in quotation marks, or a first line
/// that is the usual name of another column. If a CSV text of several columns has not exactly one column `identity`, or
/// if its quotation marks are not closed; `Interrupted`.
///
/// ```
/// use std::ops::ControlFlow;
/// use codemint_import::identities::{ListFormat, each_identity};
///
/// let mut found = Vec::new();
/// let proceed = |_bytes| ControlFlow::Continue(());
/// let csv = "name;identity\nAnn; customer-17 \n";
/// let format = each_identity(csv.as_bytes(), false, &proceed, |line, identity| {
///     found.push((line, identity.map(str::to_owned)));
/// })?;
/// assert_eq!(format, ListFormat::Csv { delimiter: b';' });
/// assert_eq!(found, [(2, Ok("customer-17".to_owned()))]);
/// # Ok::<(), codemint_import::error::ImportError>(())
/// ```
pub fn each_identity(
    mut input: impl Read,
    is_csv: bool,
    progress: Progress<'_>,
    mut take: impl FnMut(u64, Result<&str, InvalidIdentity>),
) -> Result<ListFormat, ImportError> {
    let mut head = Vec::new();
    let read = (&mut input).take(HEAD_BYTES as u64).read_to_end(&mut head);
    read.map_err(|source| ImportError::Read { bytes: head.len() as u64, source })?;
    let (format, column) = format_of(&head, is_csv)?;
    let mut source = Source::open(Cursor::new(head).chain(input), progress)?;
    let take = |line, content: Content<'_>| {
        take(line, identity_of(&content));
        Ok(())
    };
    match format {
        ListFormat::Lines => each_line(&mut source, take)?,
        ListFormat::Csv { delimiter } => each_field(&mut source, Column::Named(&column), delimiter, take)?,
    }
    Ok(format)
}

/// Decides on the format of a list, and on the name of its column.
fn format_of(head: &[u8], is_csv: bool) -> Result<(ListFormat, String), ImportError> {
    if let Some(looks) = Looks::of_first_bytes(head) {
        return Err(ImportError::Unsuitable(looks));
    }
    let text = decoded(head)?;
    let named = separator_line(&text).map(|(separator, _length)| separator);
    for delimiter in named.into_iter().chain(SEPARATORS) {
        // The header begins after blank lines and a line such as `sep=;`, which its reader skips.
        let Ok(names) = header(&text[..], delimiter) else { continue };
        let mut columns = names.into_iter().filter(|name| name.trim().eq_ignore_ascii_case(COLUMN));
        match (columns.next(), columns.count()) {
            (None, _) => {}
            (Some(column), 0) => return Ok((ListFormat::Csv { delimiter }, column)),
            (Some(column), more) => return Err(ImportError::ColumnRepeated { column, times: more + 1 }),
        }
    }
    check_lines(&text, named, is_csv)?;
    Ok((ListFormat::Lines, COLUMN.to_owned()))
}

/// Refuses a text without a column `identity` whose lines would not be identities. A line `identity` before them makes any of
/// them identities.
fn check_lines(text: &[u8], named: Option<u8>, is_csv: bool) -> Result<(), ImportError> {
    if has_only_carriage_returns(text) {
        return Err(ImportError::Unsuitable(Looks::CarriageReturns));
    }
    let mut lines = (1..).zip(text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii));
    let Some((line, first_row)) = lines.find(|(_, row)| !row.is_empty()) else { return Ok(()) };
    if let [b'{' | b'[', ..] = first_row {
        return Err(ImportError::JsonIdentities { line });
    }
    let likely = named.unwrap_or_else(|| most_frequent(first_row));
    // Whole rows would be taken for identities.
    let has_columns = SEPARATORS.iter().any(|separator| first_row.contains(separator));
    if (is_csv || named.is_some() || has_columns) && header(text, likely)?.len() > 1 {
        return Err(ImportError::NoIdentityColumn);
    }
    let name = std::str::from_utf8(first_row).unwrap_or_default().trim_matches(['"', '\'']);
    if let Some(name) = OTHER_COLUMNS.into_iter().find(|known| *known == plain_name(name)) {
        return Err(ImportError::OtherIdentityColumn { line, name });
    }
    match first_row {
        [b'"', .., b'"'] => Err(ImportError::QuotedIdentities { line }),
        _ => Ok(()),
    }
}

fn identity_of<'a>(content: &Content<'a>) -> Result<&'a str, InvalidIdentity> {
    let bytes = match *content {
        Content::Blank => return Err(InvalidIdentity::Empty),
        Content::NoField | Content::NotJson => return Err(InvalidIdentity::NoField),
        Content::ExtraFields => return Err(InvalidIdentity::ExtraFields),
        Content::Text { is_cut_off: true, .. } => return Err(InvalidIdentity::TooLong),
        Content::Text { bytes, .. } => bytes,
    };
    let text = std::str::from_utf8(bytes).map_err(|_| InvalidIdentity::NotUtf8)?;
    check_identity(text).map_err(|error| match error {
        IdentityError::Empty => InvalidIdentity::Empty,
        IdentityError::TooLong(_) => InvalidIdentity::TooLong,
        IdentityError::NotText => InvalidIdentity::NotText,
        IdentityError::Invisible => InvalidIdentity::Invisible,
    })
}
