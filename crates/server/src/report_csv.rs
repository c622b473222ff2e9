//! Reports as CSV, for spreadsheets.

use codemint_offers::report::document::ReportRow;

/// Spreadsheets take a text that begins with one of these for a formula. Whoever clicks on a link chooses the texts.
const FORMULA_STARTS: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// Returns all rows with a header line. A key that a spreadsheet would take for a formula begins with an apostrophe.
///
/// # Errors
/// The library may fail, but writing into memory does not.
pub fn csv(rows: &[ReportRow]) -> Result<Vec<u8>, csv::Error> {
    let mut csv = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
    csv.write_record([
        "key",
        "issued",
        "clicks",
        "redeemed",
        "rolled_back",
        "conversion",
        "discount",
        "revenue",
        "currency",
    ])?;
    for line in rows.iter().flat_map(ReportRow::lines) {
        let key = line.key.to_owned();
        let key = if key.starts_with(FORMULA_STARTS) { format!("'{key}") } else { key };
        csv.serialize((key, line))?;
    }
    csv.into_inner().map_err(|error| csv::Error::from(error.into_error()))
}
