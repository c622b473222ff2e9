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
    /// A name occurs twice in an object. The error has the position; `field` is the name if the object is the outermost.
    Repeated {
        field: Option<String>,
        at: Error,
    },
}

/// Reads an object. The parser rejects values that are nested deeper than 128 levels.
pub(super) fn read_fields(text: &[u8]) -> Result<Fields<'_>, FieldsError> {
    let mut field = None;
    let mut parser = Deserializer::from_slice(text);
    let seed = DistinctNames { is_outermost: true, repeated: &mut field };
    let kind = seed.deserialize(&mut parser).and_then(|kind| parser.end().map(|()| kind));
    match kind {
        Ok(OBJECT) => serde_json::from_slice(text).map_err(FieldsError::NotJson),
        Ok(other) => Err(FieldsError::NotObject(other)),
        // The visitor below has no other error of its own.
        Err(at) if at.classify() == Category::Data => Err(FieldsError::Repeated { field, at }),
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

/// Visits a whole value, fails at the second of two equal names of an object, and returns the kind of the value.
struct DistinctNames<'r> {
    is_outermost: bool,
    repeated: &'r mut Option<String>,
}

impl DistinctNames<'_> {
    fn inner(&mut self) -> DistinctNames<'_> {
        DistinctNames { is_outermost: false, repeated: self.repeated }
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
        while items.next_element_seed(self.inner())?.is_some() {}
        Ok(ARRAY)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<&'static str, A::Error> {
        let mut names = BTreeSet::new();
        while let Some(name) = fields.next_key::<String>()? {
            if names.contains(&name) {
                *self.repeated = Some(name).filter(|_| self.is_outermost);
                return Err(A::Error::custom("a name occurs twice"));
            }
            names.insert(name);
            fields.next_value_seed(self.inner())?;
        }
        Ok(OBJECT)
    }
}
