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

#[cfg(test)]
mod tests {
    use super::*;

    fn key_in_csv(key: &str) -> String {
        let row = ReportRow {
            key: key.to_owned(),
            issued: 0,
            clicks: 1,
            redeemed: 0,
            rolled_back: 0,
            conversion: None,
            discount: None,
            revenue: None,
            currency: None,
            amounts: Vec::new(),
        };
        let written = csv(&[row]).expect("CSV");
        let mut read = csv::Reader::from_reader(&*written);
        read.records().next().expect("a row").expect("a row")[0].to_owned()
    }

    #[test]
    fn a_key_that_a_spreadsheet_would_compute_begins_with_an_apostrophe() {
        for start in ["=", "+", "-", "@", "\t", "\r"] {
            let key = format!("{start}1+1");
            assert_eq!(key_in_csv(&key), format!("'{key}"), "{start:?}");
        }
        for key in ["", "mail", "a=b", "1-2", "'=1", "2027-03-01", "\"=1\"", "a\nb"] {
            assert_eq!(key_in_csv(key), key);
        }
    }
}
