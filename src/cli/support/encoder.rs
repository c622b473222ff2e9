//! Encodes codes into a stream: as lines, compressed lines, or a spreadsheet.

use std::cell::Cell;
use std::io::{self, BufWriter, Write};
use std::rc::Rc;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::cli::support::output_format::{Encoding, LineStyle};
use crate::cli::support::xlsx::Workbook;
use codemint_codes::batch::CodeBatch;
use codemint_codes::wire::code_line::{CodeLine, OwnedCodeLine};

const BUFFER_BYTES: usize = 256 * 1024;

/// Writes codes to a stream. Dropped before `finish`, it adds nothing that would make the output look complete.
pub struct Encoder {
    // Dropped before the rows, see `Gated`.
    _gate: Gate,
    rows: Rows,
}

enum Rows {
    Plain(LineStyle, BufWriter<Gated>),
    Gzip(LineStyle, Box<BufWriter<GzEncoder<Gated>>>),
    Xlsx(Box<Workbook<BufWriter<Gated>>>),
}

impl Encoder {
    /// Begins an output of at most `codes` codes.
    pub fn new(stream: Box<dyn Write>, encoding: Encoding, codes: u64) -> io::Result<Self> {
        let gate = Gate::default();
        let gated = Gated { stream, is_closed: Rc::clone(&gate.0) };
        let mut rows = match encoding {
            Encoding::Lines { style, gzip: false } => Rows::Plain(style, BufWriter::with_capacity(BUFFER_BYTES, gated)),
            Encoding::Lines { style, gzip: true } => {
                let compressed = GzEncoder::new(gated, Compression::default());
                Rows::Gzip(style, Box::new(BufWriter::with_capacity(BUFFER_BYTES, compressed)))
            }
            Encoding::Xlsx | Encoding::XlsxWithIdentities => {
                let (stream, has_identities) =
                    (BufWriter::with_capacity(BUFFER_BYTES, gated), encoding.has_identities());
                Rows::Xlsx(Box::new(Workbook::new(stream, codes, has_identities)?))
            }
        };
        match &mut rows {
            Rows::Plain(style, writer) => writer.write_all(header_of(*style))?,
            Rows::Gzip(style, writer) => writer.write_all(header_of(*style))?,
            Rows::Xlsx(_) => {}
        }
        Ok(Self { _gate: gate, rows })
    }

    /// Writes codes with the identities that they belong to; an empty one stands for none.
    pub fn write_with_identities(&mut self, rows: &[(&str, &str)]) -> io::Result<()> {
        match &mut self.rows {
            Rows::Plain(style, writer) => write_pairs(*style, writer, rows),
            Rows::Gzip(style, writer) => write_pairs(*style, writer, rows),
            Rows::Xlsx(workbook) => workbook.write_with_identities(rows),
        }
    }

    pub fn write(&mut self, batch: &CodeBatch) -> io::Result<()> {
        match &mut self.rows {
            Rows::Plain(style, writer) => write_lines(*style, writer, batch),
            Rows::Gzip(style, writer) => write_lines(*style, writer, batch),
            Rows::Xlsx(workbook) => workbook.write(batch),
        }
    }

    /// Writes the end of the format and everything that is still buffered.
    pub fn finish(self) -> io::Result<()> {
        match self.rows {
            Rows::Plain(_, mut writer) => writer.flush(),
            Rows::Gzip(_, writer) => {
                let compressed = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
                compressed.finish()?.flush()
            }
            Rows::Xlsx(workbook) => workbook.finish(),
        }
    }
}

const fn header_of(style: LineStyle) -> &'static [u8] {
    match style {
        LineStyle::Csv => b"code\n",
        LineStyle::CsvWithIdentities => b"code,identity\n",
        LineStyle::Txt | LineStyle::Jsonl | LineStyle::JsonlWithIdentities => b"",
    }
}

fn write_pairs(style: LineStyle, writer: &mut impl Write, rows: &[(&str, &str)]) -> io::Result<()> {
    if style == LineStyle::CsvWithIdentities {
        let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(writer);
        rows.iter().try_for_each(|(code, identity)| csv.write_record([code, identity])).map_err(io_error)?;
        return csv.flush();
    }
    for (code, identity) in rows {
        let identity = Some(*identity).filter(|identity| !identity.is_empty());
        serde_json::to_writer(&mut *writer, &OwnedCodeLine { code, identity })?;
        writer.write_all(b"\n")?;
    }
    Ok(())
}

fn write_lines(style: LineStyle, writer: &mut impl Write, batch: &CodeBatch) -> io::Result<()> {
    match style {
        LineStyle::Txt => writer.write_all(batch.as_lines().as_bytes()),
        LineStyle::Csv | LineStyle::CsvWithIdentities => {
            let mut rows = csv::WriterBuilder::new().has_headers(false).from_writer(writer);
            batch.iter().try_for_each(|code| rows.write_record([code])).map_err(io_error)?;
            rows.flush()
        }
        LineStyle::Jsonl | LineStyle::JsonlWithIdentities => {
            for code in batch.iter() {
                serde_json::to_writer(&mut *writer, &CodeLine { code })?;
                writer.write_all(b"\n")?;
            }
            Ok(())
        }
    }
}

/// Converts an error; the CSV library's own conversion loses the information that a pipe was closed.
fn io_error(error: csv::Error) -> io::Error {
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error,
        other => io::Error::other(format!("{other:?}")),
    }
}

/// A stream that passes on what is written until its gate is closed or a write fails, and drops the rest: compressors
/// write the end of their format even when they are dropped early.
struct Gated {
    stream: Box<dyn Write>,
    is_closed: Rc<Cell<bool>>,
}

/// Closes the gate of a stream when it is dropped.
#[derive(Default)]
struct Gate(Rc<Cell<bool>>);

impl Drop for Gate {
    fn drop(&mut self) {
        self.0.set(true);
    }
}

impl Write for Gated {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_closed.get() {
            return Ok(bytes.len());
        }
        let written = self.stream.write(bytes);
        if written.as_ref().is_err_and(|error| error.kind() != io::ErrorKind::Interrupted) {
            self.is_closed.set(true);
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.is_closed.get() { Ok(()) } else { self.stream.flush() }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::io::{self, Read, Write};
    use std::rc::Rc;

    use flate2::read::GzDecoder;

    use super::Encoder;
    use crate::cli::support::output_format::{Encoding, LineStyle};
    use codemint_codes::batch::CodeBatch;

    /// A stream whose bytes can be looked at, with room for a number of them.
    #[derive(Clone)]
    struct Small {
        bytes: Rc<RefCell<Vec<u8>>>,
        room: usize,
    }

    impl Small {
        fn new(room: usize) -> Self {
            Self { bytes: Rc::default(), room }
        }
    }

    impl Write for Small {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut held = self.bytes.borrow_mut();
            if held.len() + bytes.len() > self.room {
                return Err(io::ErrorKind::StorageFull.into());
            }
            held.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    const GZIP: Encoding = Encoding::Lines { style: LineStyle::Csv, gzip: true };

    fn codes() -> CodeBatch {
        CodeBatch::from_lines(
            (0..200_000).map(|number| format!("{:06}\n", number * 7919 % 1_000_003 % 1_000_000)).collect(),
        )
    }

    #[test]
    fn compressed_lines_are_those_of_the_plain_output() {
        let stream = Small::new(usize::MAX);
        let mut encoder = Encoder::new(Box::new(stream.clone()), GZIP, 200_000).expect("an encoder");
        encoder.write(&codes()).expect("codes");
        encoder.finish().expect("an end");
        let mut text = String::new();
        GzDecoder::new(&stream.bytes.borrow()[..]).read_to_string(&mut text).expect("the whole text");
        assert_eq!(text, format!("code\n{}", codes().as_lines()));
    }

    #[test]
    fn an_output_that_is_given_up_is_not_complete() {
        for encoding in [GZIP, Encoding::Xlsx] {
            let stream = Small::new(usize::MAX);
            let mut encoder = Encoder::new(Box::new(stream.clone()), encoding, 200_000).expect("an encoder");
            encoder.write(&codes()).expect("codes");
            let before = stream.bytes.borrow().len();
            drop(encoder);
            assert_eq!(stream.bytes.borrow().len(), before, "{encoding:?}");
            let mut text = Vec::new();
            assert!(GzDecoder::new(&stream.bytes.borrow()[..]).read_to_end(&mut text).is_err());
            assert!(zip::ZipArchive::new(io::Cursor::new(stream.bytes.borrow().clone())).is_err());
        }
    }

    #[test]
    fn a_full_disk_is_an_error_of_every_encoding() {
        let plain = Encoding::Lines { style: LineStyle::Jsonl, gzip: false };
        for (encoding, room) in [(plain, 100_000), (GZIP, 1_000), (Encoding::Xlsx, 3_000)] {
            let written = Encoder::new(Box::new(Small::new(room)), encoding, 200_000).and_then(|mut encoder| {
                encoder.write(&codes())?;
                encoder.finish()
            });
            assert_eq!(written.map_err(|error| error.kind()), Err(io::ErrorKind::StorageFull), "{encoding:?}");
        }
    }
}
