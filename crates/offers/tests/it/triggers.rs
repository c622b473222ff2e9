//! Triggers: what campaigns do about them, and what is wrong with their documents.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use codemint_codes::identity::IdentityKey;
use codemint_codes::wire::message::Envelope;
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::read::trigger::{IdFrom, decode_trigger, read_trigger};
use codemint_offers::trigger::decide::{Decision, TriggerFacts, decide, is_concerned};
use codemint_offers::trigger::document::{TriggerDocument, TriggerRequest};
use codemint_offers::trigger::event::TriggerEvent;
use codemint_offers::trigger::record::Trigger;
use codemint_offers::trigger::result::{HandledTrigger, SkipReason, TriggerResult};
use proptest::prelude::{any, prop_assert, prop_assert_eq, proptest};
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};
use strum::VariantArray;

use crate::steps::{cases, definition};

const NOW: &str = "2027-03-10T12:00:00Z";

fn now() -> DateTime<Utc> {
    NOW.parse().expect("a time")
}

/// A restricted campaign for the segment `trial` that new locations concern, with these changes.
fn campaign(changes: &Value) -> Definition {
    let mut document =
        json!({ "kind": "restricted", "use_cases": ["location.created", "preset"], "segments": ["trial"] });
    for (name, value) in changes.as_object().expect("fields") {
        document[name] = value.clone();
    }
    definition(&document)
}

fn trigger(changes: &Value) -> Trigger {
    let mut document = json!({ "type": "location.created", "identity": "loc-1", "segments": ["trial"] });
    for (name, value) in changes.as_object().expect("fields") {
        document[name] = value.clone();
    }
    read_trigger(&document, IdFrom::Path("t-1")).expect("a trigger")
}

fn decided(campaign: &Definition, trigger: &Trigger, has_code: bool, is_due: bool) -> Decision {
    let facts = TriggerFacts {
        trigger_type: &trigger.trigger_type,
        attributes: &trigger.attributes,
        segments: &trigger.segments,
        deactivated_at: trigger.deactivated_at,
        has_code,
        is_due,
    };
    decide(campaign, &facts, now())
}

#[test]
fn each_reason_to_skip_a_trigger_stands_alone() {
    let vip = json!({ "compare": { "attribute": "vip", "op": "eq", "value": true } });
    let large = json!({ "compare": { "attribute": "order.amount", "op": "ge",
        "value": { "currency": "EUR", "amount": 5000 } } });
    for (campaign_changes, trigger_changes, expected) in [
        (json!({}), json!({}), None),
        (json!({ "active": false }), json!({}), Some(SkipReason::CampaignNotActive)),
        (json!({ "starts_at": "2027-03-10T12:00:01Z" }), json!({}), Some(SkipReason::NotStarted)),
        (json!({ "starts_at": NOW }), json!({}), None),
        (json!({ "ends_at": NOW }), json!({}), Some(SkipReason::Expired)),
        (json!({}), json!({ "type": "onboarding.finished" }), Some(SkipReason::UseCaseNotMet)),
        (json!({}), json!({ "segments": ["gold"] }), Some(SkipReason::SegmentNotMet)),
        (json!({}), json!({ "segments": [] }), Some(SkipReason::SegmentNotMet)),
        (json!({ "sources": ["mail"] }), json!({}), Some(SkipReason::SourceNotMet)),
        (json!({ "sources": ["mail"] }), json!({ "attributes": { "source": "ad" } }), Some(SkipReason::SourceNotMet)),
        (json!({ "sources": ["mail"] }), json!({ "attributes": { "source": "mail" } }), None),
        (json!({ "condition": vip }), json!({}), Some(SkipReason::ConditionNotMet)),
        (json!({ "condition": vip }), json!({ "attributes": { "vip": false } }), Some(SkipReason::ConditionNotMet)),
        (json!({ "condition": vip }), json!({ "attributes": { "vip": true } }), None),
        // What only the order can answer is decided when the code is used.
        (json!({ "condition": { "all": [vip, large] } }), json!({ "attributes": { "vip": true } }), None),
        (json!({ "condition": { "all": [vip, large] } }), json!({}), Some(SkipReason::ConditionNotMet)),
        (json!({ "expression": "attributes.vip" }), json!({ "attributes": { "vip": true } }), None),
        (json!({ "expression": "attributes.vip" }), json!({}), Some(SkipReason::ConditionNotMet)),
        (json!({ "wait_days_after_deactivation": 30 }), json!({}), Some(SkipReason::WaitsForDeactivation)),
    ] {
        let expected = expected.map_or(Decision::Issue, Decision::Skip);
        let found = decided(&campaign(&campaign_changes), &trigger(&trigger_changes), false, false);
        assert_eq!(found, expected, "{campaign_changes} {trigger_changes}");
    }
    // At noon in Greenwich, it is the next day on Kiritimati.
    let on_the_11th = json!({ "compare": { "attribute": "order.day", "op": "eq", "value": { "day": "2027-03-11" } } });
    for (zone, expected) in
        [("Pacific/Kiritimati", Decision::Issue), ("Pacific/Pago_Pago", Decision::Skip(SkipReason::ConditionNotMet))]
    {
        let changes = json!({ "zone": zone, "condition": on_the_11th });
        assert_eq!(decided(&campaign(&changes), &trigger(&json!({})), false, false), expected, "{zone}");
    }
    let issued = decided(&campaign(&json!({})), &trigger(&json!({})), true, false);
    assert_eq!(issued, Decision::Skip(SkipReason::AlreadyGenerated));
}

/// A definition that is read has types of triggers only if it is restricted. Should another kind have them all the same, its codes would
/// be given to one identity each, though anybody may use them.
#[test]
fn triggers_concern_restricted_campaigns_alone() {
    let restricted = campaign(&json!({}));
    assert!(is_concerned(&restricted, "location.created"));
    assert!(!is_concerned(&restricted, "location.moved"));
    for kind in [Kind::Public, Kind::Private] {
        let other = Definition { kind, ..restricted.clone() };
        assert!(!is_concerned(&other, "location.created"), "{kind:?}");
        let decision = decided(&other, &trigger(&json!({})), false, false);
        assert_eq!(decision, Decision::Skip(SkipReason::UseCaseNotMet), "{kind:?}");
    }
}

/// The documents promise the first reason that applies: a campaign that is against everything names one after the other.
#[test]
fn of_several_reasons_the_first_is_told() {
    let mut changes = json!({ "active": false, "ends_at": NOW, "starts_at": "2027-03-01T00:00:00Z", "sources": ["mail"],
        "condition": { "compare": { "attribute": "vip", "op": "eq", "value": true } } });
    let mut sent = json!({ "type": "onboarding.finished", "segments": ["gold"] });
    let told = |changes: &Value, sent: &Value, has_code| decided(&campaign(changes), &trigger(sent), has_code, false);
    assert_eq!(told(&changes, &sent, true), Decision::Skip(SkipReason::Expired));
    (changes["ends_at"], changes["starts_at"]) = (json!("2027-03-20T00:00:00Z"), json!("2027-03-11T00:00:00Z"));
    assert_eq!(told(&changes, &sent, true), Decision::Skip(SkipReason::CampaignNotActive));
    changes["active"] = json!(true);
    assert_eq!(told(&changes, &sent, true), Decision::Skip(SkipReason::NotStarted));
    changes["starts_at"] = json!("2027-03-01T00:00:00Z");
    assert_eq!(told(&changes, &sent, true), Decision::Skip(SkipReason::UseCaseNotMet));
    sent["type"] = json!("location.created");
    assert_eq!(told(&changes, &sent, true), Decision::Skip(SkipReason::AlreadyGenerated));
    assert_eq!(told(&changes, &sent, false), Decision::Skip(SkipReason::SegmentNotMet));
    sent["segments"] = json!(["trial"]);
    assert_eq!(told(&changes, &sent, false), Decision::Skip(SkipReason::SourceNotMet));
    sent["attributes"] = json!({ "source": "mail" });
    assert_eq!(told(&changes, &sent, false), Decision::Skip(SkipReason::ConditionNotMet));
    // A campaign that waits says so before it looks at segments.
    changes["wait_days_after_deactivation"] = json!(30);
    assert_eq!(told(&changes, &sent, false), Decision::Skip(SkipReason::WaitsForDeactivation));
}

#[test]
fn a_campaign_that_waits_decides_everything_else_when_the_days_are_over() {
    let waits = campaign(&json!({ "wait_days_after_deactivation": 30 }));
    let gone = trigger(&json!({ "deactivated_at": "2027-03-01T01:00:00+01:00", "segments": [] }));
    let due_at = "2027-03-31T00:00:00Z".parse().expect("a time");
    assert_eq!(decided(&waits, &gone, false, false), Decision::Wait { due_at });
    assert_eq!(decided(&waits, &gone, true, false), Decision::Skip(SkipReason::AlreadyGenerated));
    assert_eq!(decided(&waits, &gone, false, true), Decision::Skip(SkipReason::SegmentNotMet));
    let member = trigger(&json!({ "deactivated_at": "2027-03-01T01:00:00+01:00" }));
    assert_eq!(decided(&waits, &member, false, true), Decision::Issue);
    let off = campaign(&json!({ "wait_days_after_deactivation": 30, "active": false }));
    for is_due in [false, true] {
        assert_eq!(decided(&off, &gone, false, is_due), Decision::Skip(SkipReason::CampaignNotActive));
    }
    // It no longer waits, and the trigger does not concern it any more.
    let other = campaign(&json!({ "use_cases": ["location.added"] }));
    assert_eq!(decided(&other, &member, false, true), Decision::Skip(SkipReason::UseCaseNotMet));
}

#[test]
fn a_stored_trigger_states_the_same_however_fine_its_time_is() {
    let sent = trigger(&json!({ "deactivated_at": "2027-03-01T00:00:00.123456789Z" }));
    let stored = Trigger::stored_document(&sent.trigger_type, &sent.identity, &sent.payload());
    assert_eq!(read_trigger(&stored, IdFrom::Path("t-1")), Ok(sent));
}

#[test]
fn a_broken_trigger_is_refused_with_every_problem_and_without_its_texts() {
    let broken = json!({
        "type": "Location Created", "identity": "\u{200b}secret-7", "segments": [7], "attributes": { "a": [] },
        "deactivated_at": "2027-03-01", "more": 1,
    });
    let problems = read_trigger(&broken, IdFrom::Path("has blank")).expect_err("problems");
    let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
    let expected = ["/more", "/id", "/type", "/identity", "/segments/0", "/attributes/a", "/deactivated_at"];
    assert_eq!(fields, expected);
    assert!(problems.iter().all(|problem| !problem.to_string().contains("secret-7")), "{problems:?}");
    let missing = read_trigger(&json!({}), IdFrom::Document(None)).expect_err("problems");
    assert_eq!(missing.iter().map(|problem| &*problem.field).collect::<Vec<_>>(), ["/id", "/type", "/identity"]);
    for (document, id, field) in [
        (json!({ "id": "b" }), IdFrom::Path("a"), "/id"),
        (json!({ "id": "x".repeat(101) }), IdFrom::Document(None), "/id"),
        (json!({ "type": "preset" }), IdFrom::Path("a"), "/type"),
        (json!({ "deactivated_at": "3000-01-01T00:00:00Z" }), IdFrom::Path("a"), "/deactivated_at"),
    ] {
        let mut full = json!({ "type": "location.created", "identity": "loc-1" });
        for (name, value) in document.as_object().expect("fields") {
            full[name] = value.clone();
        }
        let problems = read_trigger(&full, id).expect_err("a problem");
        assert_eq!(problems.iter().map(|problem| &*problem.field).collect::<Vec<_>>(), [field], "{document}");
    }
}

#[test]
fn a_message_is_named_by_its_id_or_else_by_its_message_id() {
    let decode = |body: &str, message_id| {
        let envelope = Envelope { message_id, message_type: Some("codemint.trigger.v1"), ..Envelope::default() };
        decode_trigger(body.as_bytes(), &envelope)
    };
    let id = |body: &str, message_id| decode(body, message_id).expect("a trigger").id;
    assert_eq!(id(r#"{ "id": "a", "type": "t", "identity": "i" }"#, Some("b")), "a");
    assert_eq!(id(r#"{ "type": "t", "identity": "i" }"#, Some("b")), "b");
    let unnamed = decode(r#"{ "type": "t" }"#, None).expect_err("a problem");
    assert_eq!(unnamed.position, "/id");
    assert!(unnamed.reason.contains("id is missing") && unnamed.reason.contains("identity is missing"), "{unnamed:?}");
    let twice = decode(r#"{ "id": "a", "type": "t", "identity": "secret-7", "identity": "j" }"#, None);
    let twice = twice.expect_err("a problem");
    assert!(twice.reason.contains("two fields of the same name") && !twice.reason.contains("secret"), "{twice:?}");
    let job = Envelope { message_type: Some("codemint.job.v1"), ..Envelope::default() };
    assert_eq!(decode_trigger(b"{}", &job).expect_err("a problem").position, "property type");
}

#[test]
fn the_same_trigger_has_the_same_digest_however_it_is_written() {
    let key = IdentityKey::new(&[7; 32]).expect("a key");
    let digest = |changes: &Value| trigger(changes).digest(&key);
    let same = json!({ "segments": ["trial", "trial"], "attributes": {}, "deactivated_at": null });
    assert_eq!(digest(&same), digest(&json!({})));
    let at = |text: &str| digest(&json!({ "deactivated_at": text }));
    assert_eq!(at("2027-03-01T01:00:00+01:00"), at("2027-03-01T00:00:00Z"));
    for other in [
        json!({ "type": "location.added" }),
        json!({ "identity": "loc-2" }),
        json!({ "segments": ["gold"] }),
        json!({ "attributes": { "a": 1 } }),
        json!({ "deactivated_at": "2027-03-01T00:00:00Z" }),
    ] {
        assert_ne!(digest(&other), digest(&json!({})), "{other}");
    }
}

#[test]
fn an_answer_has_the_codes_and_an_event_has_none() {
    let due_at = now();
    let results = vec![
        ("a".to_owned(), TriggerResult::Issued { code: "SECRET-1".to_owned() }),
        ("b".to_owned(), TriggerResult::Skipped { reason: SkipReason::AlreadyGenerated }),
        ("c".to_owned(), TriggerResult::Waiting { due_at }),
    ];
    let handled = HandledTrigger { id: "t-1".to_owned(), results };
    let answer = json!({
        "id": "t-1",
        "issued": [{ "campaign": "a", "code": "SECRET-1" }],
        "skipped": [{ "campaign": "b", "reason": "already-generated" }],
        "waiting": [{ "campaign": "c", "due_at": NOW }],
    });
    assert_eq!(serde_json::to_value(TriggerDocument::from(&handled)).expect("JSON"), answer);
    let event = serde_json::to_value(TriggerEvent::of(&handled, now())).expect("JSON");
    assert_eq!(event["data"]["issued"], json!(["a"]));
    assert_eq!(event["subject"], "t-1");
    assert!(!event.to_string().contains("SECRET"), "{event}");
}

#[test]
fn each_reason_has_the_same_name_in_the_store_and_in_answers() {
    for reason in SkipReason::VARIANTS {
        let name: &str = reason.into();
        assert_eq!(serde_json::to_value(reason).expect("JSON"), name);
        assert_eq!(name.parse::<SkipReason>(), Ok(*reason));
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn prop_a_code_is_issued_only_to_members_of_an_active_campaign_and_never_twice(
        (active, has_code, is_due) in any::<(bool, bool, bool)>(),
        days in 0_u64..3,
        is_member in any::<bool>(),
        is_deactivated in any::<bool>(),
    ) {
        let campaign = campaign(&json!({ "active": active, "wait_days_after_deactivation": days }));
        let segments = if is_member { json!(["trial", "gold"]) } else { json!(["gold"]) };
        let deactivated_at = if is_deactivated { json!("2027-03-09T00:00:00Z") } else { json!(null) };
        let trigger = trigger(&json!({ "segments": segments, "deactivated_at": deactivated_at }));
        let found = decided(&campaign, &trigger, has_code, is_due);
        prop_assert_eq!(found, decided(&campaign, &trigger, has_code, is_due));
        let has_waited = days == 0 || is_due;
        prop_assert_eq!(found == Decision::Issue, active && !has_code && has_waited && is_member);
        if let Decision::Wait { .. } = found {
            prop_assert!(days > 0 && is_deactivated && !is_due && active && !has_code);
        }
    }

    #[test]
    fn prop_a_stored_trigger_is_read_as_the_same(number in any::<i64>(), text in "[a-z ]{0,8}x", at in 0_i64..32_000_000_000) {
        let at = DateTime::<Utc>::from_timestamp(at, 123_456_000).expect("a time");
        let written = trigger(&json!({ "attributes": { "n": number, "t": text }, "deactivated_at": at }));
        let stored = Trigger::stored_document(&written.trigger_type, &written.identity, &written.payload());
        prop_assert_eq!(read_trigger(&stored, IdFrom::Path("t-1")).expect("a trigger"), written);
    }
}

#[test]
fn what_is_read_fits_the_schema() {
    let schema: Value = SchemaSettings::draft07().into_generator().into_root_schema_for::<TriggerRequest>().into();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let names: BTreeSet<&str> = schema["properties"].as_object().expect("fields").keys().map(String::as_str).collect();
    assert_eq!(names, ["attributes", "deactivated_at", "id", "identity", "segments", "type"].into());
    for document in [
        json!({ "id": "t-1", "type": "location.created", "identity": "loc-1" }),
        json!({ "type": "t", "identity": "i", "segments": [], "attributes": { "a": 1 }, "deactivated_at": NOW }),
        json!({ "type": "t", "identity": "i", "segments": null, "attributes": null, "deactivated_at": null, "id": null }),
    ] {
        assert!(read_trigger(&document, IdFrom::Document(Some("t-1"))).is_ok(), "{document}");
        assert!(validator.is_valid(&document), "{document}");
    }
    assert!(!validator.is_valid(&json!({ "type": "t" })));
}
