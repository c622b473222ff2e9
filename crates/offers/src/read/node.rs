//! Values of a document that know where they stand. A reader of a value returns `None` after it has recorded what is wrong.

use std::cell::RefCell;
use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, FixedOffset};
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::condition::attribute::TEXT_LENGTH_MAX;
use crate::money::{AMOUNT_MAX, Currency, Money};
use crate::problem::Problem;
use crate::report::day::YEARS;
use crate::text::cut;

/// The maximum number of problems that are reported.
pub const PROBLEMS_MAX: usize = 1000;
/// The longest part of a wrong value that a message repeats, in characters.
const SHOWN_CHARS_MAX: usize = 50;

/// The problems of one document, as they are found.
#[derive(Debug, Default)]
pub(super) struct Problems {
    found: RefCell<Vec<Problem>>,
    /// True if no message may repeat a text of the document: it may be a code, an identity or an e-mail address.
    repeats_nothing: bool,
}

impl Problems {
    /// Those of a document with texts that are nobody else's business.
    pub(super) fn of_request() -> Self {
        Self { repeats_nothing: true, ..Self::default() }
    }

    pub(super) fn add(&self, field: impl Into<String>, message: impl Into<String>) {
        let mut problems = self.found.borrow_mut();
        if problems.len() < PROBLEMS_MAX {
            problems.push(Problem::new(field, message));
        }
    }

    /// Returns what was read if there was no problem.
    pub(super) fn or<T>(self, read: Option<T>) -> Result<T, Vec<Problem>> {
        let problems = self.found.into_inner();
        match read {
            Some(read) if problems.is_empty() => Ok(read),
            _ => Err(problems),
        }
    }
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(super) struct Node<'a> {
    value: &'a Value,
    pub(super) pointer: String,
    problems: &'a Problems,
}

/// An object whose fields are all known.
#[derive(Debug)]
pub(super) struct Object<'a> {
    fields: &'a Map<String, Value>,
    node: Node<'a>,
}

impl<'a> Node<'a> {
    pub(super) const fn root(value: &'a Value, problems: &'a Problems) -> Self {
        Self { value, pointer: String::new(), problems }
    }

    /// Records a problem of this value.
    pub(super) fn wrong<T>(&self, message: impl Into<String>) -> Option<T> {
        self.problems.add(self.pointer.clone(), message);
        None
    }

    fn expected<T>(&self, what: &str) -> Option<T> {
        let found = match self.value {
            Value::String(_) if self.problems.repeats_nothing => "a text".to_owned(),
            value => found(value),
        };
        self.wrong(format!("found {found}; {what} is expected"))
    }

    fn child(&self, name: &str, value: &'a Value) -> Self {
        let name = name.replace('~', "~0").replace('/', "~1");
        Self { value, pointer: format!("{}/{name}", self.pointer), problems: self.problems }
    }

    /// Reads an object and records fields that it should not have.
    pub(super) fn object(&self, known: &[&str]) -> Option<Object<'a>> {
        let object = self.object_unchecked()?;
        for (name, value) in object.fields.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
            let message = format!("unknown field; the fields here are {}", known.join(", "));
            let is_name = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
            let node = if is_name || !self.problems.repeats_nothing { self.child(name, value) } else { self.clone() };
            node.wrong::<()>(message);
        }
        Some(object)
    }

    /// Reads an object whose fields are checked later.
    pub(super) fn object_unchecked(&self) -> Option<Object<'a>> {
        let Value::Object(fields) = self.value else { return self.expected("an object") };
        Some(Object { fields, node: self.clone() })
    }

    /// Reads an object with arbitrary names.
    pub(super) fn entries(&self, max: usize) -> Option<Vec<(String, Node<'a>)>> {
        let Value::Object(fields) = self.value else { return self.expected("an object") };
        if fields.len() > max {
            return self.wrong(format!("found {} fields; at most {max} are allowed", fields.len()));
        }
        Some(fields.iter().map(|(name, value)| (name.clone(), self.child(name, value))).collect())
    }

    pub(super) fn list(&self, min: usize, max: usize) -> Option<Vec<Node<'a>>> {
        let Value::Array(values) = self.value else { return self.expected("a list") };
        if !(min..=max).contains(&values.len()) {
            return self.wrong(format!("found {} values; {min} to {max} are allowed", values.len()));
        }
        Some(values.iter().enumerate().map(|(index, value)| self.child(&index.to_string(), value)).collect())
    }

    /// Reads a set of texts of one line. A text that occurs twice counts once.
    pub(super) fn texts(&self, max: usize) -> Option<BTreeSet<String>> {
        let read: Vec<Option<String>> = self.list(0, max)?.iter().map(Self::text).collect();
        read.into_iter().collect()
    }

    /// Reads a text of one line of at most [`TEXT_LENGTH_MAX`] characters.
    pub(super) fn text(&self) -> Option<String> {
        let text = self.any_text(TEXT_LENGTH_MAX)?;
        if text.trim().is_empty() || text.chars().any(char::is_control) {
            return self.wrong("the text is empty or contains control characters; write plain text of one line");
        }
        Some(text)
    }

    /// Reads a text of several lines.
    pub(super) fn lines(&self, chars_max: usize) -> Option<String> {
        let text = self.any_text(chars_max)?;
        let odd = |character: char| character.is_control() && !matches!(character, '\n' | '\r' | '\t');
        if text.trim().is_empty() || text.chars().any(odd) {
            return self.wrong("the text is empty or contains control characters; write plain text, or leave it out");
        }
        Some(text)
    }

    fn any_text(&self, chars_max: usize) -> Option<String> {
        let Value::String(text) = self.value else { return self.expected("a text") };
        let length = text.chars().count();
        if length > chars_max {
            return self.wrong(format!("the text has {length} characters; at most {chars_max} are allowed"));
        }
        Some(text.clone())
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        self.value.as_bool().or_else(|| self.expected("true or false"))
    }

    pub(super) fn integer(&self, min: i64, max: i64) -> Option<i64> {
        let number = self.value.as_i64().filter(|number| (min..=max).contains(number));
        number.or_else(|| self.expected(&format!("a whole number from {min} to {max}")))
    }

    /// Reads a whole number that is not negative; `max` is at most `i64::MAX`.
    pub(super) fn count(&self, min: u64, max: u64) -> Option<u64> {
        let number = self.value.as_u64().filter(|number| (min..=max).contains(number));
        number.or_else(|| self.expected(&format!("a whole number from {min} to {max}")))
    }

    pub(super) fn choice<T: Copy>(&self, choices: &[(&str, T)]) -> Option<T> {
        let found = self.value.as_str().and_then(|text| choices.iter().find(|(name, _)| *name == text));
        let names = || choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        found.map(|(_, choice)| *choice).or_else(|| self.expected(&format!("one of {}", names())))
    }

    /// Reads an instant with its offset from UTC.
    pub(super) fn instant(&self) -> Option<DateTime<FixedOffset>> {
        let text = self.value.as_str();
        let instant = text.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        instant.or_else(|| self.expected("a time with its offset, such as 2027-03-01T00:00:00+01:00,"))
    }

    /// Reads an instant whose year in UTC has four digits: with more, its text is not read again.
    pub(super) fn instant_of_four_digits(&self) -> Option<DateTime<FixedOffset>> {
        let instant = self.instant()?;
        let has_four_digits = YEARS.contains(&instant.to_utc().year());
        let advice = "in UTC the year does not have four digits; write another time, or null for none";
        has_four_digits.then_some(instant).or_else(|| self.wrong(advice))
    }

    pub(super) fn currency(&self) -> Option<Currency> {
        let known = self.value.as_str().and_then(Currency::from_code);
        known.or_else(|| self.expected("the ISO 4217 code of a currency with minor units, such as EUR,"))
    }

    /// Reads an amount, in minor units.
    pub(super) fn amount(&self, min: i64) -> Option<i64> {
        let amount = self.value.as_i64().filter(|amount| (min..=AMOUNT_MAX).contains(amount));
        let wanted = || format!("a whole number of minor units (1999 for 19.99) from {min} to {AMOUNT_MAX}");
        amount.or_else(|| self.expected(&wanted()))
    }

    /// Reads an object of `currency` and `amount`.
    pub(super) fn money(&self, min: i64) -> Option<Money> {
        let object = self.object(&["currency", "amount"])?;
        let currency = object.required("currency").and_then(|node| node.currency());
        let amount = object.required("amount").and_then(|node| node.amount(min));
        Some(Money { currency: currency?, amount: amount? })
    }

    /// Reads a UUID.
    pub(super) fn id(&self) -> Option<Uuid> {
        let id = self.value.as_str().and_then(|text| text.parse().ok());
        id.or_else(|| self.expected("a UUID"))
    }

    /// Records problems whose pointers begin at this value.
    pub(super) fn add_below(&self, problems: Vec<Problem>) {
        for Problem { field, message } in problems {
            self.problems.add(format!("{}{field}", self.pointer), message);
        }
    }

    pub(super) const fn value(&self) -> &'a Value {
        self.value
    }
}

impl<'a> Object<'a> {
    /// Returns a field; `None` if it is left out or null, which means the same.
    pub(super) fn get(&self, name: &str) -> Option<Node<'a>> {
        let value = self.fields.get(name).filter(|value| !value.is_null())?;
        Some(self.node.child(name, value))
    }

    /// Returns a field; records a problem if it is left out or null.
    pub(super) fn required(&self, name: &str) -> Option<Node<'a>> {
        self.get(name).or_else(|| {
            self.node.problems.add(self.pointer(name), format!("{name} is missing"));
            None
        })
    }

    /// Reads a field, or returns the default if it is left out.
    pub(super) fn or<T>(&self, name: &str, default: T, read: impl FnOnce(&Node<'a>) -> Option<T>) -> Option<T> {
        self.get(name).map_or(Some(default), |node| read(&node))
    }

    /// Reads a field that may be left out. The outer `None` means that it is wrong.
    pub(super) fn optional<T>(&self, name: &str, read: impl FnOnce(&Node<'a>) -> Option<T>) -> Option<Option<T>> {
        self.get(name).map_or(Some(None), |node| read(&node).map(Some))
    }

    /// Returns the number of fields, null or not, known or not.
    pub(super) fn len(&self) -> usize {
        self.fields.len()
    }

    fn pointer(&self, name: &str) -> String {
        format!("{}/{name}", self.node.pointer)
    }

    pub(super) fn wrong(&self, name: &str, message: impl Into<String>) {
        self.node.problems.add(self.pointer(name), message);
    }
}

/// Describes a value: scalars as they are, cut to a few characters, others by their kind.
fn found(value: &Value) -> String {
    match value {
        Value::Object(_) => "an object".to_owned(),
        Value::Array(_) => "a list".to_owned(),
        scalar => cut(&scalar.to_string(), SHOWN_CHARS_MAX),
    }
}
