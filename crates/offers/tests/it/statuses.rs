//! The status of a campaign at one moment.

use chrono::{DateTime, Utc};
use codemint_offers::campaign::status::{Counts, Status, status};
use serde_json::{Value, json};

use crate::steps::definition;

fn at(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

fn status_of(changes: &Value, counts: &Counts, now: &str) -> Status {
    status(&definition(changes), counts, at(now))
}

const MARCH: &str = "2027-03-10T12:00:00Z";

#[test]
fn a_campaign_starts_at_its_first_instant_and_is_over_at_its_end() {
    let march = json!({ "starts_at": "2027-03-01T00:00:00+01:00", "ends_at": "2027-04-01T00:00:00+02:00" });
    let of = |now| status_of(&march, &Counts::default(), now);
    assert_eq!([of("2027-02-28T22:59:59.999Z"), of("2027-02-28T23:00:00Z")], [Status::Scheduled, Status::Active]);
    assert_eq!([of("2027-03-31T21:59:59.999Z"), of("2027-03-31T22:00:00Z")], [Status::Active, Status::Expired]);
}

#[test]
fn a_campaign_that_is_off_shows_it_unless_it_has_ended() {
    let off = |ends_at: Value| json!({ "active": false, "starts_at": "2027-05-01T00:00:00Z", "ends_at": ends_at });
    assert_eq!(status_of(&off(Value::Null), &Counts::default(), MARCH), Status::Off);
    let ended = json!({ "active": false, "ends_at": "2027-01-01T00:00:00Z" });
    assert_eq!(status_of(&ended, &Counts::default(), MARCH), Status::Expired);
}

#[test]
fn a_campaign_is_exhausted_when_nothing_further_can_be_granted() {
    let counts = Counts { held: 1, redeemed: 2, discount: 300, ..Counts::default() };
    let public = |limits: Value| json!({ "kind": "public", "mask": "SPRING", "limits": limits });
    let budget = |amount: i64| json!({ "limits": { "budget": { "currency": "EUR", "amount": amount } } });
    for (changes, expected) in [
        (json!({ "limits": { "redeemed": 3 } }), Status::Exhausted),
        (json!({ "limits": { "redeemed": 4 } }), Status::Active),
        (budget(300), Status::Exhausted),
        (budget(301), Status::Active),
        (public(json!({ "per_code": 3 })), Status::Exhausted),
        (public(json!({ "per_code": 4 })), Status::Active),
        (json!({ "limits": { "per_code": 3, "per_identity": 1 } }), Status::Active),
        (json!({ "limits": {} }), Status::Active),
    ] {
        assert_eq!(status_of(&changes, &counts, MARCH), expected, "{changes}");
    }
}
