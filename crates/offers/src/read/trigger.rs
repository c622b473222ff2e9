//! Reads triggers.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use codemint_codes::wire::message::{Envelope, Undecodable, decode_document};
use serde_json::Value;

use crate::campaign::definition::{LIST_MAX, USE_CASE_AUTOMATIC, USE_CASE_PRESET, is_trigger};
use crate::problem::Problem;
use crate::read::condition::attributes;
use crate::read::node::{Node, Object, Problems};
use crate::read::request::identity_of;
use crate::trigger::record::{DEACTIVATION_YEARS, TRIGGER_ID_LENGTH_MAX, TRIGGER_MESSAGE_TYPE, Trigger};

/// Where the id of a trigger comes from.
#[derive(Clone, Copy, Debug)]
pub enum IdFrom<'a> {
    /// A path. The document may repeat it.
    Path(&'a str),
    /// The document, or, if it has none, what came with it.
    Document(Option<&'a str>),
}

/// Reads a trigger. No message repeats a text of the document: it may be an identity.
///
/// # Errors
/// Every problem.
pub fn read_trigger(value: &Value, id: IdFrom<'_>) -> Result<Trigger, Vec<Problem>> {
    let problems = Problems::of_request();
    let read = trigger(&Node::root(value, &problems), id);
    problems.or(read)
}

/// Reads a trigger from a message of the broker. Its id is the field `id`, or else the `message_id`.
///
/// # Errors
/// The problems of the message, with the place of the first.
pub fn decode_trigger(body: &[u8], envelope: &Envelope<'_>) -> Result<Trigger, Undecodable> {
    let value = decode_document(body, envelope, TRIGGER_MESSAGE_TYPE)?;
    read_trigger(&value, IdFrom::Document(envelope.message_id)).map_err(|problems| {
        let position =
            problems.first().map_or("/", |problem| if problem.field.is_empty() { "/" } else { &problem.field });
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Undecodable { reason: texts.join("; "), position: position.to_owned() }
    })
}

fn trigger(node: &Node<'_>, id_from: IdFrom<'_>) -> Option<Trigger> {
    let object = node.object(&["id", "type", "identity", "segments", "attributes", "deactivated_at"])?;
    let id = id(&object, id_from);
    let trigger_type = object.required("type").and_then(|node| trigger_type(&node));
    let identity = object.required("identity").and_then(|node| identity_of(&node));
    let segments = object.or("segments", BTreeSet::new(), |node| node.texts(LIST_MAX));
    let attributes = object.or("attributes", Default::default(), attributes);
    let deactivated_at = object.optional("deactivated_at", deactivation);
    Some(Trigger {
        id: id?,
        trigger_type: trigger_type?,
        identity: identity?,
        segments: segments?,
        attributes: attributes?,
        deactivated_at: deactivated_at?,
    })
}

fn id(object: &Object<'_>, from: IdFrom<'_>) -> Option<String> {
    let written = object.optional("id", Node::text)?;
    let id = match (from, written) {
        (IdFrom::Path(path), Some(written)) if written != path => {
            object.wrong("id", "the id differs from the one in the path; write the same, or leave it out");
            return None;
        }
        (IdFrom::Path(path), _) => path.to_owned(),
        (IdFrom::Document(_), Some(written)) => written,
        (IdFrom::Document(Some(other)), None) => other.to_owned(),
        (IdFrom::Document(None), None) => {
            object.wrong("id", "id is missing; name the trigger, for example by a UUID");
            return None;
        }
    };
    if !(1..=TRIGGER_ID_LENGTH_MAX).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
        object.wrong(
            "id",
            format!("an id has 1 to {TRIGGER_ID_LENGTH_MAX} printable ASCII characters without blanks, such as a UUID"),
        );
        return None;
    }
    Some(id)
}

fn trigger_type(node: &Node<'_>) -> Option<String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let text = node.text()?;
    if !is_trigger(&text) {
        let message =
            format!("{USE_CASE_PRESET} and {USE_CASE_AUTOMATIC} are no types of triggers; write what happened");
        return node.wrong(format!("{message}, such as location.created"));
    }
    if !text.chars().all(allowed) {
        return node.wrong("the type has other characters than a-z 0-9 . _ -; write one such as location.created");
    }
    Some(text)
}

fn deactivation(node: &Node<'_>) -> Option<DateTime<Utc>> {
    let at = node.instant()?.to_utc();
    if !DEACTIVATION_YEARS.contains(&at.year()) {
        let (first, last) = (DEACTIVATION_YEARS.start(), DEACTIVATION_YEARS.end());
        return node
            .wrong(format!("the time is outside of the years {first} to {last}; write the time of the deactivation"));
    }
    // As it is stored: a finer time would be later than itself.
    Some(at.trunc_subsecs(6))
}
