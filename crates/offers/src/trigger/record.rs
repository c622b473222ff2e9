//! What a trigger says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use codemint_codes::identity::IdentityKey;
use serde::Serialize;
use serde_json::{Value, json};

use crate::condition::attribute::Attribute;
use crate::redemption::request::Digest;

/// The longest id of a trigger, in characters.
pub const TRIGGER_ID_LENGTH_MAX: usize = 100;
/// The `type` property of a message with a trigger, if it has one.
pub const TRIGGER_MESSAGE_TYPE: &str = "codemint.trigger.v1";
/// The years in which a deactivation may lie.
pub const DEACTIVATION_YEARS: std::ops::RangeInclusive<i32> = 1970..=2999;

/// Something that happened at the shop. `Debug` does not show the identity.
#[derive(Clone, PartialEq, Eq)]
pub struct Trigger {
    /// Named by the shop: the same id is the same trigger.
    pub id: String,
    /// Such as `location.created`.
    pub trigger_type: String,
    /// The identity that may get a code.
    pub identity: String,
    /// The segments that the shop states, besides the stored ones.
    pub segments: BTreeSet<String>,
    pub attributes: BTreeMap<String, Attribute>,
    /// When the identity was deactivated, for campaigns that wait for days after it.
    pub deactivated_at: Option<DateTime<Utc>>,
}

impl Trigger {
    /// Returns the digest of everything that the trigger says, under the store's key: it holds an identity, and a reader of the
    /// digest must not be able to guess it. Fields that are left out are equal to their defaults.
    pub fn digest(&self, key: &IdentityKey) -> Digest {
        let text = serde_json::to_string(&(&self.trigger_type, &self.identity, Stated::of(self))).unwrap_or_default();
        Digest(*key.digest(&text).as_bytes())
    }

    /// Returns what the trigger states besides its type and identity, as JSON.
    pub fn payload(&self) -> Value {
        serde_json::to_value(Stated::of(self)).unwrap_or_default()
    }

    /// Returns the document from which [`read_trigger`](crate::read::trigger::read_trigger) reads the stored trigger again.
    pub fn stored_document(trigger_type: &str, identity: &str, payload: &Value) -> Value {
        let mut document = json!({ "type": trigger_type, "identity": identity });
        for (name, value) in payload.as_object().into_iter().flatten() {
            document[name] = value.clone();
        }
        document
    }
}

impl fmt::Debug for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trigger")
            .field("id", &self.id)
            .field("trigger_type", &self.trigger_type)
            .finish_non_exhaustive()
    }
}

/// What a trigger states besides its type and identity. Digests are made of its text, so it never changes.
#[derive(Serialize)]
struct Stated<'a> {
    attributes: &'a BTreeMap<String, Attribute>,
    deactivated_at: Option<String>,
    segments: &'a BTreeSet<String>,
}

impl<'a> Stated<'a> {
    fn of(trigger: &'a Trigger) -> Self {
        let Trigger { attributes, segments, deactivated_at, .. } = trigger;
        let deactivated_at = deactivated_at.map(|at| at.to_rfc3339_opts(SecondsFormat::Micros, true));
        Self { attributes, deactivated_at, segments }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Stated;
    use crate::read::trigger::{IdFrom, read_trigger};

    #[test]
    fn the_text_of_a_digest_never_changes() {
        let document = json!({
            "type": "location.created", "identity": "loc-1", "segments": ["b", "a"], "attributes": { "vip": true, "age": 4 },
            "deactivated_at": "2027-03-01T00:00:00+01:00",
        });
        let trigger = read_trigger(&document, IdFrom::Path("t-1")).expect("a trigger");
        assert_eq!(
            serde_json::to_string(&Stated::of(&trigger)).expect("JSON"),
            r#"{"attributes":{"age":4,"vip":true},"deactivated_at":"2027-02-28T23:00:00.000000Z","segments":["a","b"]}"#
        );
    }
}
