//! The fields of a JSON object as they were written: numbers keep their digits, and no object has a name twice.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;
use serde_json::{Deserializer, Error};

/// The fields of an object, by name, each as its text.
pub(super) type Fields<'a> = BTreeMap<String, &'a RawValue>;

/// The reason why a text is not an object with distinct names.
#[derive(Debug)]
pub(super) enum FieldsError {
    NotJson(Error),
    /// The kind of the value instead, such as "an array".
    NotObject(&'static str),
    Repeated(Repeated),
}

/// A name that occurs twice in an object.
#[derive(Debug)]
pub struct Repeated {
    /// The names and numbers on the way to the second one, and its name: one name if the object is the outermost.
    pub path: Vec<String>,
    /// The line of the second one, from 1, and its column.
    pub line: usize,
    pub column: usize,
}

impl Repeated {
    /// Returns the place as a JSON pointer, such as `/discount/effect`.
    pub fn pointer(&self) -> String {
        self.path
            .iter()
            .fold(String::new(), |pointer, name| pointer + "/" + &name.replace('~', "~0").replace('/', "~1"))
    }
}

/// Returns the first name that occurs twice in an object of a JSON text; `None` if there is none, or if the text is not JSON.
///
/// ```
/// use codemint_codes::wire::fields::find_repeated;
///
/// let repeated = find_repeated(br#"{"title": "a", "limits": {"issued": 1, "issued": 2}}"#);
/// assert_eq!(repeated.map(|repeated| repeated.pointer()), Some("/limits/issued".to_owned()));
/// ```
pub fn find_repeated(text: &[u8]) -> Option<Repeated> {
    match read_kind(text) {
        Err(FieldsError::Repeated(repeated)) => Some(repeated),
        _ => None,
    }
}

/// Reads an object. The parser rejects values that are nested deeper than 128 levels.
pub(super) fn read_fields(text: &[u8]) -> Result<Fields<'_>, FieldsError> {
    match read_kind(text)? {
        OBJECT => serde_json::from_slice(text).map_err(FieldsError::NotJson),
        other => Err(FieldsError::NotObject(other)),
    }
}

/// Reads a value whose objects have distinct names, and returns its kind.
fn read_kind(text: &[u8]) -> Result<&'static str, FieldsError> {
    let mut path = Vec::new();
    let mut parser = Deserializer::from_slice(text);
    let kind = DistinctNames { path: &mut path }.deserialize(&mut parser);
    match kind.and_then(|kind| parser.end().map(|()| kind)) {
        Ok(kind) => Ok(kind),
        // The visitor below has no other error of its own.
        Err(at) if at.classify() == Category::Data => {
            path.reverse();
            Err(FieldsError::Repeated(Repeated { path, line: at.line(), column: at.column() }))
        }
        Err(error) => Err(FieldsError::NotJson(error)),
    }
}

/// Returns the kind of a value that was written as this text.
pub(super) fn kind_of(value: &RawValue) -> &'static str {
    match value.get().as_bytes() {
        [b'n', ..] => NULL,
        [b't' | b'f', ..] => BOOLEAN,
        [b'"', ..] => STRING,
        [b'[', ..] => ARRAY,
        [b'{', ..] => OBJECT,
        _ => NUMBER,
    }
}

pub(super) const NULL: &str = "null";
pub(super) const STRING: &str = "a string";
pub(super) const NUMBER: &str = "a number";
pub(super) const BOOLEAN: &str = "a boolean";
const ARRAY: &str = "an array";
const OBJECT: &str = "an object";

/// Visits a whole value, fails at the second of two equal names of an object, and returns the kind of the value. A failure leaves
/// in `path` the way back from the second name.
struct DistinctNames<'p> {
    path: &'p mut Vec<String>,
}

impl DistinctNames<'_> {
    fn inner(&mut self) -> DistinctNames<'_> {
        DistinctNames { path: self.path }
    }
}

impl<'de> DeserializeSeed<'de> for DistinctNames<'_> {
    type Value = &'static str;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<&'static str, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DistinctNames<'_> {
    type Value = &'static str;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<&'static str, E> {
        Ok(NULL)
    }

    fn visit_bool<E>(self, _: bool) -> Result<&'static str, E> {
        Ok(BOOLEAN)
    }

    fn visit_i64<E>(self, _: i64) -> Result<&'static str, E> {
        Ok(NUMBER)
    }

    fn visit_u64<E>(self, _: u64) -> Result<&'static str, E> {
        Ok(NUMBER)
    }

    fn visit_f64<E>(self, _: f64) -> Result<&'static str, E> {
        Ok(NUMBER)
    }

    fn visit_str<E>(self, _: &str) -> Result<&'static str, E> {
        Ok(STRING)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<&'static str, A::Error> {
        let mut number = 0_usize;
        loop {
            match items.next_element_seed(self.inner()) {
                Ok(Some(_kind)) => number += 1,
                Ok(None) => return Ok(ARRAY),
                Err(error) => {
                    self.path.push(number.to_string());
                    return Err(error);
                }
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<&'static str, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            let kind = match names.contains(&name) {
                true => Err(A::Error::custom("a name occurs twice")),
                false => fields.next_value_seed(self.inner()),
            };
            if let Err(error) = kind {
                self.path.push(name);
                return Err(error);
            }
            names.insert(name);
        }
        Ok(OBJECT)
    }
}
