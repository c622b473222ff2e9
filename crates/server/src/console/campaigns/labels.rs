//! Names that people read for what the API names otherwise.

use codemint_offers::campaign::definition::{Definition, Kind, Purpose};
use codemint_offers::campaign::status::Status;
use url::form_urlencoded;

/// A word with the class of its badge: `good`, `warn`, `bad` or none.
#[derive(Clone, Copy, Debug)]
pub struct Badge {
    pub word: &'static str,
    pub class: &'static str,
}

pub fn status_badge(status: Status) -> Badge {
    let (word, class) = match status {
        Status::Active => ("active", "good"),
        Status::Scheduled => ("scheduled", "warn"),
        Status::Off => ("off", ""),
        Status::Exhausted => ("used up", "bad"),
        Status::Expired => ("ended", ""),
    };
    Badge { word, class }
}

pub fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Public => "one code for all",
        Kind::Private => "many codes",
        Kind::Restricted => "personal codes",
    }
}

/// Returns true if codes of the campaign are issued to customers, so that their number says something.
pub fn issues_codes(definition: &Definition) -> bool {
    definition.kind == Kind::Restricted || definition.purpose == Purpose::Referral
}

/// Returns the path of a campaign's page.
pub fn path_of(name: &str) -> String {
    format!("/campaigns/{}", encoded(name))
}

/// Returns a text as a segment of a path has it.
pub fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
