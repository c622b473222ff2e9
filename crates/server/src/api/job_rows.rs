//! The rows of codes that clients read: CSV or JSON lines, as `codemint export` writes them.

use std::io;

use codemint_codes::wire::code_line::{CodeLine, OwnedCodeLine};

/// The format of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RowFormat {
    style: Style,
    /// The identities that codes belong to are written beside them.
    has_owners: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Style {
    Csv,
    JsonLines,
}

impl RowFormat {
    pub(super) const fn csv(has_owners: bool) -> Self {
        Self { style: Style::Csv, has_owners }
    }

    pub(super) const fn json_lines(has_owners: bool) -> Self {
        Self { style: Style::JsonLines, has_owners }
    }

    pub(super) const fn has_owners(self) -> bool {
        self.has_owners
    }

    pub(super) const fn content_type(self) -> &'static str {
        match self.style {
            Style::Csv => "text/csv; charset=utf-8",
            Style::JsonLines => "application/x-ndjson",
        }
    }

    /// Returns the line before all rows, if there is one.
    pub(super) const fn header(self) -> &'static [u8] {
        match (self.style, self.has_owners) {
            (Style::Csv, false) => b"code\n",
            (Style::Csv, true) => b"code,identity\n",
            (Style::JsonLines, _) => b"",
        }
    }

    /// Encodes codes with the identities that they belong to; an empty one stands for none.
    pub(super) fn encode(self, rows: &[(&str, &str)]) -> io::Result<Vec<u8>> {
        match self.style {
            Style::Csv => self.encode_csv(rows),
            Style::JsonLines => self.encode_json(rows),
        }
    }

    fn encode_csv(self, rows: &[(&str, &str)]) -> io::Result<Vec<u8>> {
        let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        for (code, identity) in rows {
            let written = if self.has_owners { csv.write_record([code, identity]) } else { csv.write_record([code]) };
            written.map_err(io::Error::other)?;
        }
        csv.into_inner().map_err(|error| error.into_error())
    }

    fn encode_json(self, rows: &[(&str, &str)]) -> io::Result<Vec<u8>> {
        let mut lines = Vec::new();
        for (code, identity) in rows {
            if self.has_owners {
                let identity = Some(*identity).filter(|identity| !identity.is_empty());
                serde_json::to_writer(&mut lines, &OwnedCodeLine { code, identity })?;
            } else {
                serde_json::to_writer(&mut lines, &CodeLine { code })?;
            }
            lines.push(b'\n');
        }
        Ok(lines)
    }
}
