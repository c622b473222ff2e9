//! API keys: their texts, what they permit, and whether they may be used.

use chrono::{DateTime, TimeDelta, Utc};
use codemint_offers::access::document::{CreatedKeyDocument, KeyDocument};
use codemint_offers::access::key::{ApiKey, KeyDigest, NotAKey};
use codemint_offers::access::record::{
    KEY_NAME_LENGTH_MAX, KeyError, KeyRecord, KeyState, check_key_expiry, check_key_name,
};
use codemint_offers::access::scope::{Scope, ScopeError, Scopes};
use proptest::collection::vec;
use proptest::prelude::{any, proptest};
use proptest::sample::subsequence;
use serde_json::json;
use sha2::{Digest, Sha256};
use strum::VariantArray;
use uuid::Uuid;

use crate::steps::cases;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn record() -> KeyRecord {
    KeyRecord {
        id: Uuid::from_u128(7),
        name: Some("shop".to_owned()),
        scopes: "redeem,issue".parse().expect("scopes"),
        created_at: at("2027-03-01T00:00:00Z"),
        expires_at: None,
        revoked_at: None,
        last_used_at: None,
    }
}

fn digest_of(text: &str) -> Option<KeyDigest> {
    text.parse::<ApiKey>().ok().map(|key| key.digest())
}

#[test]
fn golden_keys_have_a_fixed_text_and_the_sha_256_of_their_bytes() {
    let ascending = std::array::from_fn(|at| at as u8);
    for (bytes, text) in [
        ([0; 32], "cm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ([0xff; 32], "cm___________________________________________8"),
        ([0xfb; 32], "cm_-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_v7-_s"),
        (ascending, "cm_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
    ] {
        let key = ApiKey::new(bytes);
        assert_eq!(key.text(), text);
        assert_eq!(text.len(), ApiKey::TEXT_LENGTH);
        assert_eq!(key.digest().as_bytes()[..], Sha256::digest(bytes)[..]);
    }
}

#[test]
fn only_the_exact_text_of_a_key_is_one_and_no_error_repeats_it() {
    let text = ApiKey::new([0xfb; 32]).text();
    assert!(text.parse::<ApiKey>().is_ok());
    let body = &text[3..];
    for wrong in [
        String::new(),
        body.to_owned(),
        format!(" {text}"),
        format!("{text}\n"),
        format!("{text}="),
        format!("Bearer {text}"),
        format!("CM_{body}"),
        format!("cm-{body}"),
        text[..45].to_owned(),
        format!("cm_{}", "A".repeat(100_000)),
        text.replace('-', "+"),
        format!("cm_{}é", &body[..41]),
        // The bits after the last byte are not zero: the same bytes by another text.
        format!("{}t", &text[..45]),
    ] {
        let error = wrong.parse::<ApiKey>().expect_err(&wrong);
        assert_eq!(error, NotAKey);
        assert_eq!(error.to_string(), "an API key is cm_ and 43 characters of A-Z, a-z, 0-9, - and _");
    }
}

#[test]
fn neither_a_key_nor_its_digest_is_shown_by_debug() {
    let key = ApiKey::new([0xfb; 32]);
    let created = CreatedKeyDocument::new(&record(), &key);
    for shown in [format!("{key:?}"), format!("{:?}", key.digest()), format!("{created:#?}")] {
        assert!(shown.contains("(secret)"), "{shown}");
        assert!(!shown.contains(&key.text()) && !shown.contains("fb") && !shown.contains("251"), "{shown}");
    }
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn prop_a_key_is_read_back_from_its_text(bytes in any::<[u8; 32]>()) {
        let key = ApiKey::new(bytes);
        let digest = digest_of(&key.text()).expect("a key");
        assert!(digest.matches(&key.digest()));
        assert!(KeyDigest::of_stored(digest.as_bytes()).is_some_and(|stored| stored.matches(&digest)));
    }

    #[test]
    fn prop_any_text_is_a_key_in_one_way_or_is_refused(text in "(cm_)?[A-Za-z0-9_-]{41,45}=?") {
        if let Ok(key) = text.parse::<ApiKey>() {
            assert_eq!(key.text(), text);
        }
    }

    #[test]
    fn prop_digests_that_differ_in_one_bit_do_not_match(bytes in any::<[u8; 32]>(), bit in 0..256_usize) {
        let mut other = bytes;
        other[bit / 8] ^= 1 << (bit % 8);
        let [digest, other] = [bytes, other].map(|bytes| KeyDigest::of_stored(&bytes).expect("a digest"));
        assert!(digest.matches(&digest) && !digest.matches(&other) && !other.matches(&digest));
    }

    #[test]
    fn prop_bytes_of_another_length_are_no_digest(bytes in vec(any::<u8>(), 0..80)) {
        assert_eq!(KeyDigest::of_stored(&bytes).is_some(), bytes.len() == KeyDigest::LENGTH_BYTES);
    }

    #[test]
    fn prop_scopes_are_read_back_and_permit_what_they_name(chosen in subsequence(Scope::VARIANTS, 1..=6)) {
        let names: Vec<&str> = chosen.iter().rev().map(|scope| scope.into_str()).collect();
        let scopes: Scopes = names.join(" ,").parse().expect("scopes");
        assert_eq!(Scopes::of_stored(&scopes.to_string()), scopes);
        for scope in Scope::VARIANTS {
            assert_eq!(scopes.permits(*scope), chosen.contains(scope));
        }
    }
}

#[test]
fn scopes_are_listed_by_the_error_about_one_that_is_not() {
    let all = "redeem, issue, manage, report, explain, admin";
    let read = |text: &str| text.parse::<Scopes>();
    assert_eq!(read("admin,redeem,admin").expect("scopes").to_string(), "redeem,admin");
    for text in ["", " ", ",", "redeem,", "redeem,,issue"] {
        let error = read(text).expect_err(text);
        assert_eq!(error, ScopeError::Missing);
        assert_eq!(error.to_string(), format!("a scope is missing; write one or more of {all}, separated by commas"));
    }
    for (text, named) in
        [("Redeem", "Redeem"), ("redeem issue", "redeem issue"), ("a\x1b[2J", r"a\u{1b}[2J"), ("all", "all")]
    {
        let error = read(text).expect_err(text).to_string();
        assert_eq!(error, format!("unknown scope {named}; write one or more of {all}, separated by commas"));
    }
    let long = read(&"x".repeat(1_000_000)).expect_err("too long").to_string();
    assert!(long.starts_with("unknown scope xxxxxxxxxxxxxxxxxxxx...; "), "{long}");
}

#[test]
fn a_scope_of_a_newer_program_permits_nothing() {
    assert_eq!(Scopes::of_stored("redeem,teleport").to_string(), "redeem");
    let unknown = Scopes::of_stored("teleport");
    assert!(Scope::VARIANTS.iter().all(|scope| !unknown.permits(*scope)));
}

#[test]
fn a_key_is_usable_until_it_expires_or_is_revoked() {
    const EXPIRY: &str = "2027-06-01T00:00:00Z";
    for (expires_at, revoked_at, now, expected) in [
        (None, None, "2027-03-01T00:00:00Z", KeyState::Usable),
        (None, None, "9000-01-01T00:00:00Z", KeyState::Usable),
        // The clock of the caller is behind that of the store.
        (None, None, "2027-02-01T00:00:00Z", KeyState::Usable),
        (Some(EXPIRY), None, "2027-05-31T23:59:59.999999Z", KeyState::Usable),
        (Some(EXPIRY), None, EXPIRY, KeyState::Expired),
        (Some(EXPIRY), None, "2027-06-01T00:00:00.000001Z", KeyState::Expired),
        (None, Some("2027-04-01T00:00:00Z"), "2027-05-01T00:00:00Z", KeyState::Revoked),
        (None, Some("2027-04-01T00:00:00Z"), "2027-03-31T23:59:00Z", KeyState::Revoked),
        (Some(EXPIRY), Some("2027-04-01T00:00:00Z"), "2027-07-01T00:00:00Z", KeyState::Revoked),
    ] {
        let key = KeyRecord { expires_at: expires_at.map(at), revoked_at: revoked_at.map(at), ..record() };
        assert_eq!(key.state(at(now)), expected, "{expires_at:?} {revoked_at:?} {now}");
    }
}

#[test]
fn a_use_is_noted_once_an_hour() {
    const NOW: &str = "2027-03-01T12:00:00Z";
    for (last_used_at, is_noted) in [
        (None, true),
        (Some("2027-03-01T10:00:00Z"), true),
        (Some("2027-03-01T11:00:00Z"), true),
        (Some("2027-03-01T11:00:00.001Z"), false),
        (Some(NOW), false),
        // The clock of another process is ahead.
        (Some("2027-03-01T13:00:00Z"), false),
    ] {
        let key = KeyRecord { last_used_at: last_used_at.map(at), ..record() };
        assert_eq!(key.notes_use(at(NOW)), is_noted, "{last_used_at:?}");
    }
}

#[test]
fn a_name_is_plain_text_without_a_key() {
    let key = ApiKey::new([0xfb; 32]).text();
    let longest = "é".repeat(KEY_NAME_LENGTH_MAX);
    for (text, expected) in [
        (" Shop in Köln ", Ok("Shop in Köln")),
        ("acm_backend", Ok("acm_backend")),
        (&*longest, Ok(&*longest)),
        ("", Err(KeyError::NameLength(0))),
        (" \t", Err(KeyError::NameLength(0))),
        (&format!("{longest}x"), Err(KeyError::NameLength(101))),
        ("a\nb", Err(KeyError::NameNotText)),
        ("a\0", Err(KeyError::NameNotText)),
        (&key, Err(KeyError::NameHasKey)),
        (&format!("cm_ the key is {key}é"), Err(KeyError::NameHasKey)),
    ] {
        assert_eq!(check_key_name(text), expected, "{text:?}");
    }
    let message = KeyError::NameHasKey.to_string();
    assert_eq!(
        message,
        "the name contains a key, and names are not secret; write plain text, and revoke that key if it is in use"
    );
    assert_eq!(KeyError::NameLength(0).to_string(), "the name of a key has 1 to 100 characters, got 0");
}

#[test]
fn a_key_expires_in_the_future_and_in_a_year_of_four_digits() {
    let now = at("2027-03-01T12:00:00.5Z");
    for (expires_at, expected) in [
        ("2027-03-01T12:00:00.501Z", Ok(())),
        ("9999-12-31T23:59:59Z", Ok(())),
        (
            "2027-03-01T12:00:00.5Z",
            Err("the key would have expired at 2027-03-01T12:00:00Z; choose a time in the future"),
        ),
        (
            "1999-01-01T00:00:00Z",
            Err("the key would have expired at 1999-01-01T00:00:00Z; choose a time in the future"),
        ),
        (
            "+10000-01-01T00:00:00Z",
            Err("a key expires before the year 10000; choose an earlier time, or none for a key that does not expire"),
        ),
    ] {
        let checked = check_key_expiry(at(expires_at), now).map_err(|error| error.to_string());
        assert_eq!(checked, expected.map_err(str::to_owned), "{expires_at}");
    }
    assert!(check_key_expiry(DateTime::<Utc>::MAX_UTC, now).is_err());
    assert!(check_key_expiry(now + TimeDelta::nanoseconds(1), now).is_ok());
}

#[test]
fn only_the_document_of_a_new_key_shows_it() {
    let key = ApiKey::new([0; 32]);
    let record = KeyRecord { expires_at: Some(at("2027-06-01T00:00:00Z")), ..record() };
    let created = serde_json::to_value(CreatedKeyDocument::new(&record, &key)).expect("JSON");
    assert_eq!(
        created,
        json!({
            "id": "00000000-0000-0000-0000-000000000007", "key": key.text(), "scopes": ["redeem", "issue"],
            "expires_at": "2027-06-01T00:00:00Z",
        })
    );
    let listed = serde_json::to_value(KeyDocument::new(&record, at("2027-06-01T00:00:00Z"))).expect("JSON");
    assert_eq!(
        listed,
        json!({
            "id": "00000000-0000-0000-0000-000000000007", "name": "shop", "state": "expired",
            "scopes": ["redeem", "issue"], "created_at": "2027-03-01T00:00:00Z", "expires_at": "2027-06-01T00:00:00Z",
            "revoked_at": null, "last_used_at": null,
        })
    );
}
