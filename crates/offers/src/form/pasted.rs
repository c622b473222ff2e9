//! Codes that a person pastes, one a line.

use codemint_codes::typed::TYPED_BYTES_MAX;

use crate::form::fields::Fields;
use crate::problem::Problem;

/// The maximum number of codes that are pasted at once.
pub const PASTED_MAX: usize = 100;

/// Reads the codes of a field, one a line; blank lines do not count.
///
/// # Errors
/// One problem of the field, without the codes themselves.
pub fn pasted_codes<'a>(fields: &'a Fields, name: &str) -> Result<Vec<&'a str>, Problem> {
    let wrong = |advice: String| Problem::new(name, advice);
    let codes: Vec<&str> = fields.lines(name).collect();
    if codes.is_empty() {
        return Err(wrong("paste a code as the customer typed it".to_owned()));
    }
    if codes.len() > PASTED_MAX {
        return Err(wrong(format!("these are {} codes; paste at most {PASTED_MAX} at once", codes.len())));
    }
    match codes.iter().position(|code| code.len() > TYPED_BYTES_MAX) {
        Some(place) => Err(wrong(format!("code {} is longer than any code; write one code a line", place + 1))),
        None => Ok(codes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pasted(text: &str) -> Result<Vec<String>, String> {
        let mut fields = Fields::default();
        fields.set("codes", text);
        let codes = pasted_codes(&fields, "codes");
        codes.map(|codes| codes.into_iter().map(str::to_owned).collect()).map_err(|problem| problem.message)
    }

    #[test]
    fn codes_are_read_one_a_line() {
        assert_eq!(
            pasted(" SPRING 1234 \r\n\r\nsummer-5\n"),
            Ok(vec!["SPRING 1234".to_owned(), "summer-5".to_owned()])
        );
        assert!(pasted(" \n ").is_err_and(|advice| advice.starts_with("paste a code")));
        assert!(pasted(&"A\n".repeat(100)).is_ok());
        assert!(pasted(&"A\n".repeat(101)).is_err_and(|advice| advice.contains("101 codes")));
        let long = format!("A\n{}", "B".repeat(257));
        assert!(pasted(&long).is_err_and(|advice| advice.starts_with("code 2 ") && !advice.contains('B')));
    }
}
