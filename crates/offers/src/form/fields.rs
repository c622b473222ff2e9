//! The fields of a form, as they were sent.

use chrono::{DateTime, Utc};
use url::form_urlencoded;

/// The field that carries the time of the last change of what the form was filled from.
const CHANGED_AT: &str = "changed_at";

/// The fields of a form as they were sent, several of one name included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads a form that a browser sends, which writes the ends of lines as CR LF.
    pub fn parse(encoded: &[u8]) -> Self {
        Self(
            form_urlencoded::parse(encoded)
                .map(|(name, value)| (name.into_owned(), value.replace("\r\n", "\n")))
                .collect(),
        )
    }

    /// Returns true if a name or a value has this character.
    pub fn contain(&self, wanted: char) -> bool {
        self.0.iter().any(|(name, value)| name.contains(wanted) || value.contains(wanted))
    }

    /// Returns the value without the blanks around it; empty if the field was not sent.
    pub fn text(&self, name: &str) -> &str {
        self.raw(name).trim()
    }

    /// Returns the value as it was sent; empty if the field was not sent.
    pub fn raw(&self, name: &str) -> &str {
        self.0.iter().find(|(found, _)| found == name).map_or("", |(_, value)| value)
    }

    /// Returns the value; `None` if it is empty or was not sent.
    pub fn filled(&self, name: &str) -> Option<&str> {
        Some(self.text(name)).filter(|text| !text.is_empty())
    }

    /// Returns true for a checkbox that is checked.
    pub fn is_checked(&self, name: &str) -> bool {
        !self.raw(name).is_empty()
    }

    /// Returns all values of fields of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(found, _)| found == name).map(|(_, value)| value.trim())
    }

    /// Returns the lines of a field that are not blank.
    pub fn lines<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.raw(name).lines().map(str::trim).filter(|line| !line.is_empty())
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(found, _)| found != name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Returns the time of the last change of what the form was filled from. Without one it is 1970, so that nothing matches it.
    pub fn changed_at(&self) -> DateTime<Utc> {
        self.text(CHANGED_AT).parse().unwrap_or_default()
    }

    pub fn set_changed_at(&mut self, at: DateTime<Utc>) {
        self.set(CHANGED_AT, at.to_rfc3339());
    }
}

impl From<Vec<(String, String)>> for Fields {
    fn from(fields: Vec<(String, String)>) -> Self {
        Self(fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_without_blanks_and_in_lines() {
        let fields = Fields::parse(b"name=+spring+&list=a%0D%0A%0D%0A+b+&on=1&tag=x&tag=y");
        assert_eq!((fields.text("name"), fields.raw("name"), fields.filled("none")), ("spring", " spring ", None));
        assert_eq!(fields.raw("list"), "a\n\n b ");
        assert_eq!(fields.lines("list").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(fields.all("tag").collect::<Vec<_>>(), ["x", "y"]);
        assert!(fields.is_checked("on") && !fields.is_checked("off"));
    }

    #[test]
    fn a_form_carries_the_exact_time_of_the_last_change() {
        for text in ["2027-03-01T10:00:00Z", "2027-03-01T10:00:00.120Z", "2027-03-01T10:00:00.123456Z"] {
            let changed_at: DateTime<Utc> = text.parse().expect("a time");
            let mut fields = Fields::default();
            fields.set_changed_at(changed_at);
            assert_eq!(fields.changed_at(), changed_at);
        }
        let mut fields = Fields::default();
        for text in ["", "now"] {
            fields.set(CHANGED_AT, text);
            assert_eq!(fields.changed_at(), DateTime::UNIX_EPOCH);
        }
    }
}
