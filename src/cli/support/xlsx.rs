//! Spreadsheets: one or two columns of text cells, written as a stream, with as many sheets as the codes need.
//!
//! A workbook is a ZIP archive of XML parts (ECMA-376). The cells have the format "text", so that no program takes a code
//! for a number, a date or a formula, not even after it was edited.

use std::fmt::Write as _;
use std::io::{self, Write};

use zip::result::ZipError;
use zip::write::{SimpleFileOptions, StreamWriter, ZipWriter};

use codemint_codes::batch::CodeBatch;

/// The maximum number of rows of a sheet, in every program; the first one is the header.
const SHEET_ROWS_MAX: u64 = 1_048_576;
/// More sheets than any program opens in the memory of a common computer.
const SHEETS_MAX: u64 = 16;
/// The maximum number of codes of a workbook.
pub const CODES_MAX: u64 = SHEETS_MAX * (SHEET_ROWS_MAX - 1);

const BUFFER_BYTES: usize = 64 * 1024;

const XML: &str = r#"<?xml version="1.0" encoding="UTF-8" standalone="yes"?>"#;
const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
const RELATIONSHIPS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const CONTENT_TYPES: &str = "http://schemas.openxmlformats.org/package/2006/content-types";
const SPREADSHEET_TYPE: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml";

/// The styles: 0 is the default, 1 is text (49 is the number of the format `@`).
const STYLES: &str = r#"<fonts count="1"><font><sz val="11"/><name val="Calibri"/></font></fonts><fills count="2"><fill><patternFill patternType="none"/></fill><fill><patternFill patternType="gray125"/></fill></fills><borders count="1"><border><left/><right/><top/><bottom/><diagonal/></border></borders><cellStyleXfs count="1"><xf numFmtId="0" fontId="0" fillId="0" borderId="0"/></cellStyleXfs><cellXfs count="2"><xf numFmtId="0" fontId="0" fillId="0" borderId="0" xfId="0"/><xf numFmtId="49" fontId="0" fillId="0" borderId="0" xfId="0" applyNumberFormat="1"/></cellXfs><cellStyles count="1"><cellStyle name="Normal" xfId="0" builtinId="0"/></cellStyles>"#;

/// What stands before the rows of a sheet: the header stays visible, and the column is wide enough for most codes.
const BEFORE_ROWS: &str = r#"<sheetViews><sheetView workbookViewId="0"><pane ySplit="1" topLeftCell="A2" activePane="bottomLeft" state="frozen"/></sheetView></sheetViews><cols><col min="1" max="2" width="30" style="1" customWidth="1"/></cols><sheetData>"#;
/// What stands behind the rows: codes of digits are not marked as numbers by mistake.
const AFTER_ROWS: &str = r#"</sheetData><ignoredErrors><ignoredError sqref="A1:B1048576" numberStoredAsText="1"/></ignoredErrors></worksheet>"#;

/// A workbook that is being written.
pub struct Workbook<W: Write> {
    archive: ZipWriter<StreamWriter<W>>,
    /// The maximum number of rows of a sheet, with its header.
    sheet_rows: u64,
    /// The number of sheets that the workbook announces.
    sheets: u64,
    /// The number of the current sheet, from 1.
    sheet: u64,
    /// The number of rows of the current sheet.
    rows: u64,
    /// Rows that were not written yet.
    buffer: String,
    /// The names of the columns.
    header: &'static [&'static str],
}

impl<W: Write> Workbook<W> {
    /// Begins a workbook for at most `codes` codes, which must be at most [`CODES_MAX`], perhaps with a column of identities.
    pub fn new(stream: W, codes: u64, has_identities: bool) -> io::Result<Self> {
        Self::with_sheet_rows(SHEET_ROWS_MAX, stream, codes, has_identities)
    }

    fn with_sheet_rows(sheet_rows: u64, stream: W, codes: u64, has_identities: bool) -> io::Result<Self> {
        let sheets = codes.div_ceil(sheet_rows - 1).clamp(1, SHEETS_MAX);
        let (archive, buffer) = (ZipWriter::new_stream(stream), String::with_capacity(BUFFER_BYTES));
        let header: &[&str] = if has_identities { &["code", "identity"] } else { &["code"] };
        let mut workbook = Self { archive, sheet_rows, sheets, sheet: 0, rows: 0, buffer, header };
        for (name, text) in parts(sheets) {
            workbook.start_part(&name)?;
            workbook.archive.write_all(text.as_bytes())?;
        }
        workbook.start_sheet()?;
        Ok(workbook)
    }

    /// Appends codes.
    ///
    /// # Errors
    /// If the stream fails, or if there are more codes than announced.
    pub fn write(&mut self, batch: &CodeBatch) -> io::Result<()> {
        batch.iter().try_for_each(|code| self.write_row(&[code]))
    }

    /// Appends codes with their identities; an empty one stands for none.
    ///
    /// # Errors
    /// Those of [`Workbook::write`].
    pub fn write_with_identities(&mut self, rows: &[(&str, &str)]) -> io::Result<()> {
        rows.iter().try_for_each(|(code, identity)| self.write_row(&[code, identity]))
    }

    fn write_row(&mut self, cells: &[&str]) -> io::Result<()> {
        if self.rows == self.sheet_rows {
            self.end_sheet()?;
            self.start_sheet()?;
        }
        self.push_row(cells);
        if self.buffer.len() >= BUFFER_BYTES {
            self.write_buffer()?;
        }
        Ok(())
    }

    /// Ends the workbook, which is complete only then.
    pub fn finish(mut self) -> io::Result<()> {
        self.end_sheet()?;
        while self.sheet < self.sheets {
            self.start_sheet()?;
            self.end_sheet()?;
        }
        self.archive.finish().map_err(io_error)?.into_inner().flush()
    }

    fn start_part(&mut self, name: &str) -> io::Result<()> {
        let deflated = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Deflated);
        self.archive.start_file(name, deflated).map_err(io_error)
    }

    fn start_sheet(&mut self) -> io::Result<()> {
        if self.sheet == self.sheets {
            return Err(io::Error::other("there are more codes than the job has counted"));
        }
        (self.sheet, self.rows) = (self.sheet + 1, 0);
        self.start_part(&format!("xl/worksheets/sheet{}.xml", self.sheet))?;
        self.buffer.push_str(&format!("{XML}<worksheet xmlns=\"{MAIN}\">{BEFORE_ROWS}"));
        self.push_row(self.header);
        Ok(())
    }

    fn end_sheet(&mut self) -> io::Result<()> {
        self.buffer.push_str(AFTER_ROWS);
        self.write_buffer()
    }

    fn push_row(&mut self, cells: &[&str]) {
        self.rows += 1;
        let row = self.rows;
        // Writing to a `String` does not fail.
        let _written = write!(self.buffer, r#"<row r="{row}">"#);
        for (column, text) in ["A", "B"].into_iter().zip(cells).filter(|(_, text)| !text.is_empty()) {
            let _written = write!(self.buffer, r#"<c r="{column}{row}" s="1" t="inlineStr"><is><t>"#);
            push_escaped(&mut self.buffer, text);
            self.buffer.push_str("</t></is></c>");
        }
        self.buffer.push_str("</row>");
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        self.archive.write_all(self.buffer.as_bytes())?;
        self.buffer.clear();
        Ok(())
    }
}

/// Converts an error; the archive library's own conversion hides the error of the system.
fn io_error(error: ZipError) -> io::Error {
    match error {
        ZipError::Io(error) => error,
        other => other.into(),
    }
}

/// Appends a text without control characters as XML text. Programs decode sequences such as `_x0041_`, so the underscore of
/// what looks like one becomes `_x005F_`, and the two characters that XML excludes become such sequences.
fn push_escaped(xml: &mut String, text: &str) {
    if !text.contains(['&', '<', '>', '\u{fffe}', '\u{ffff}']) && !text.contains("_x") {
        return xml.push_str(text);
    }
    for (at, c) in text.char_indices() {
        match c {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '\u{fffe}' => xml.push_str("_xFFFE_"),
            '\u{ffff}' => xml.push_str("_xFFFF_"),
            '_' if text[at..].starts_with("_x") => xml.push_str("_x005F_"),
            c => xml.push(c),
        }
    }
}

/// Returns the parts before the sheets, with their names. The first one identifies the archive as a workbook.
fn parts(sheets: u64) -> [(String, String); 5] {
    let each = |part: &dyn Fn(u64) -> String| (1..=sheets).map(part).collect::<String>();
    let overrides = each(&|no| {
        format!(r#"<Override PartName="/xl/worksheets/sheet{no}.xml" ContentType="{SPREADSHEET_TYPE}.worksheet+xml"/>"#)
    });
    let content_types = format!(
        r#"{XML}<Types xmlns="{CONTENT_TYPES}"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="{SPREADSHEET_TYPE}.sheet.main+xml"/><Override PartName="/xl/styles.xml" ContentType="{SPREADSHEET_TYPE}.styles+xml"/>{overrides}</Types>"#
    );
    let root = format!(
        r#"{XML}<Relationships xmlns="{RELATIONSHIPS}"><Relationship Id="rId1" Type="{OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>"#
    );
    let names = each(&|no| format!(r#"<sheet name="Codes {no}" sheetId="{no}" r:id="rId{no}"/>"#));
    let workbook = format!(r#"{XML}<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{names}</sheets></workbook>"#);
    let targets = each(&|no| {
        format!(r#"<Relationship Id="rId{no}" Type="{OFFICE}/worksheet" Target="worksheets/sheet{no}.xml"/>"#)
    });
    let styles_no = sheets + 1;
    let relationships = format!(
        r#"{XML}<Relationships xmlns="{RELATIONSHIPS}">{targets}<Relationship Id="rId{styles_no}" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>"#
    );
    let styles = format!(r#"{XML}<styleSheet xmlns="{MAIN}">{STYLES}</styleSheet>"#);
    [
        ("[Content_Types].xml", content_types),
        ("_rels/.rels", root),
        ("xl/workbook.xml", workbook),
        ("xl/_rels/workbook.xml.rels", relationships),
        ("xl/styles.xml", styles),
    ]
    .map(|(name, text)| (name.to_owned(), text))
}

#[cfg(test)]
mod tests {
    use std::io::{self, Cursor, Read};

    use zip::ZipArchive;

    use super::{CODES_MAX, SHEET_ROWS_MAX, Workbook};
    use codemint_codes::batch::CodeBatch;

    fn part(archive: &mut ZipArchive<Cursor<Vec<u8>>>, name: &str) -> String {
        let mut text = String::new();
        archive.by_name(name).expect(name).read_to_string(&mut text).expect("text");
        text
    }

    /// Writes a workbook with sheets of four rows.
    fn written(announced: u64, batches: &[CodeBatch]) -> io::Result<ZipArchive<Cursor<Vec<u8>>>> {
        let mut bytes = Vec::new();
        let mut workbook = Workbook::with_sheet_rows(4, &mut bytes, announced, false)?;
        batches.iter().try_for_each(|batch| workbook.write(batch))?;
        workbook.finish()?;
        Ok(ZipArchive::new(Cursor::new(bytes)).expect("an archive"))
    }

    fn numbers(codes: std::ops::Range<u64>) -> CodeBatch {
        CodeBatch::from_lines(codes.map(|number| format!("{number:08}\n")).collect())
    }

    #[test]
    fn a_code_is_an_escaped_cell_of_text_below_the_header() {
        let mut archive = written(2, &[CodeBatch::from_lines("=A<>&\"'\n00012'7\n".to_owned())]).expect("a workbook");
        let sheet = part(&mut archive, "xl/worksheets/sheet1.xml");
        for cell in [
            r#"<row r="1"><c r="A1" s="1" t="inlineStr"><is><t>code</t></is></c></row>"#,
            r#"<row r="2"><c r="A2" s="1" t="inlineStr"><is><t>=A&lt;&gt;&amp;"'</t></is></c></row>"#,
            r#"<row r="3"><c r="A3" s="1" t="inlineStr"><is><t>00012'7</t></is></c></row></sheetData>"#,
        ] {
            assert!(sheet.contains(cell), "{cell} is missing in {sheet}");
        }
        assert_eq!(archive.len(), 6);
        assert_eq!(archive.by_index(0).expect("a part").name().expect("a name"), "[Content_Types].xml");
        assert!(part(&mut archive, "xl/styles.xml").contains(r#"<xf numFmtId="49" "#));
    }

    #[test]
    fn regression_codes_that_do_not_fit_a_sheet_follow_on_the_next_one() {
        assert_eq!((SHEET_ROWS_MAX, CODES_MAX), (1_048_576, 16_777_200));
        let batches = [numbers(0..2), numbers(2..3), numbers(5..6)];
        let mut archive = written(3, &batches[..2]).expect("a workbook");
        assert_eq!(archive.len(), 6, "one sheet");
        let sheet = part(&mut archive, "xl/worksheets/sheet1.xml");
        assert_eq!(sheet.matches("<row ").count(), 4);
        assert!(sheet.contains(r#"<c r="A4" s="1" t="inlineStr"><is><t>00000002</t>"#), "{sheet}");

        let mut archive = written(4, &batches).expect("a workbook");
        assert_eq!(archive.len(), 7, "two sheets");
        let second = part(&mut archive, "xl/worksheets/sheet2.xml");
        assert_eq!(second.matches("<row ").count(), 2, "{second}");
        assert!(second.contains("<t>code</t>") && second.contains("<t>00000005</t>"), "{second}");
        let workbook = part(&mut archive, "xl/workbook.xml");
        assert!(workbook.contains(r#"<sheet name="Codes 2" sheetId="2" r:id="rId2"/>"#), "{workbook}");
        assert!(written(3, &batches).is_err(), "more codes than announced");
    }

    #[test]
    fn a_code_with_its_identity_is_a_row_of_two_cells_of_text() {
        let mut bytes = Vec::new();
        let mut workbook = Workbook::with_sheet_rows(4, &mut bytes, 2, true).expect("a workbook");
        workbook.write_with_identities(&[("A1", "=a_x0041_\u{ffff}&"), ("B2", "")]).expect("rows");
        workbook.finish().expect("an end");
        let mut archive = ZipArchive::new(Cursor::new(bytes)).expect("an archive");
        let sheet = part(&mut archive, "xl/worksheets/sheet1.xml");
        for row in [
            r#"<is><t>code</t></is></c><c r="B1" s="1" t="inlineStr"><is><t>identity</t></is></c></row>"#,
            r#"<is><t>A1</t></is></c><c r="B2" s="1" t="inlineStr"><is><t>=a_x005F_x0041__xFFFF_&amp;</t></is></c></row>"#,
            r#"<row r="3"><c r="A3" s="1" t="inlineStr"><is><t>B2</t></is></c></row>"#,
        ] {
            assert!(sheet.contains(row), "{row} is missing in {sheet}");
        }
    }

    #[test]
    fn announced_sheets_without_codes_have_a_header() {
        let mut archive = written(4, &[]).expect("a workbook");
        assert_eq!(part(&mut archive, "xl/worksheets/sheet2.xml").matches("<row ").count(), 1);
        assert_eq!(written(0, &[]).expect("a workbook").len(), 6);
    }
}
