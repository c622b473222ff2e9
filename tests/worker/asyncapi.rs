//! docs/asyncapi.yaml: its names match the code, its examples fit its schemas, and a worker accepts its topology.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use codemint::config::settings::SETTINGS;
use codemint_codes::wire::event::{EVENT_CONTENT_TYPE, EventKind};
use codemint_codes::wire::message::{Envelope, JOB_CONTENT_TYPE, JOB_MESSAGE_TYPE, decode};
use codemint_offers::read::trigger::decode_trigger;
use codemint_offers::redemption::state::State;
use codemint_offers::referral::state::ReferralState;
use codemint_offers::trigger::event::{TRIGGER_HANDLED, TRIGGER_HANDLED_KEY};
use codemint_offers::trigger::record::TRIGGER_MESSAGE_TYPE;
use codemint_worker::broker::dead::{
    EXPIRATION_HEADER, FROM_HEADER, POSITION_HEADER, REASON_HEADER, TIME_HEADER, USER_HEADER,
};
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::Value;
use strum::VariantArray;

use codemint_test_support::schemas::{assert_fits, validator};
use codemint_test_support::site::Site;
use codemint_test_support::stores::TestStore;

fn docs() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs")
}

fn document() -> Value {
    let text = fs::read_to_string(docs().join("asyncapi.yaml")).expect("the document");
    yaml_serde::from_str(&text).expect("YAML")
}

/// The text at a JSON pointer.
fn text<'a>(document: &'a Value, pointer: &str) -> &'a str {
    document.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer} is not a text"))
}

fn setting(key: &str) -> &'static str {
    SETTINGS.iter().find(|setting| setting.key == key).expect("a key").default
}

fn collect_references(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
            fields.values().for_each(|field| collect_references(field, found));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_references(item, found)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves() {
    let document = document();
    let mut references = Vec::new();
    collect_references(&document, &mut references);
    assert!(references.len() > 30, "{references:?}");
    for reference in references {
        match reference.strip_prefix('#') {
            Some(pointer) => assert!(document.pointer(pointer).is_some(), "{reference}"),
            None => assert!(docs().join(&reference).is_file(), "{reference}"),
        }
    }
}

#[test]
fn names_in_the_document_match_the_code() {
    let document = document();
    for (pointer, key) in [
        ("/channels/jobs/bindings/amqp/exchange/name", "amqp.jobs_exchange"),
        ("/channels/jobs/address", "amqp.jobs_queue"),
        ("/channels/jobsQueue/bindings/amqp/queue/name", "amqp.jobs_queue"),
        ("/channels/jobsQueue/bindings/amqp/x-arguments/x-dead-letter-exchange", "amqp.dead_exchange"),
        ("/channels/triggers/bindings/amqp/exchange/name", "amqp.triggers_exchange"),
        ("/channels/triggers/address", "amqp.triggers_queue"),
        ("/channels/triggersQueue/bindings/amqp/queue/name", "amqp.triggers_queue"),
        ("/channels/triggersQueue/bindings/amqp/x-arguments/x-dead-letter-exchange", "amqp.dead_exchange"),
        ("/channels/dead/bindings/amqp/exchange/name", "amqp.dead_exchange"),
        ("/channels/deadQueue/bindings/amqp/queue/name", "amqp.dead_queue"),
        ("/channels/events/bindings/amqp/exchange/name", "amqp.events_exchange"),
    ] {
        assert_eq!(text(&document, pointer), setting(key), "{pointer}");
    }
    let limit = &document["channels"]["jobsQueue"]["bindings"]["amqp"]["x-arguments"]["x-delivery-limit"];
    assert_eq!(limit.to_string(), setting("amqp.delivery_limit"));
    assert_eq!(text(&document, "/components/messages/job/name"), JOB_MESSAGE_TYPE);
    assert_eq!(text(&document, "/components/messages/trigger/name"), TRIGGER_MESSAGE_TYPE);
    assert_eq!(text(&document, "/components/messages/triggerHandled/name"), TRIGGER_HANDLED);
    assert_eq!(text(&document, "/channels/triggerEvents/address"), TRIGGER_HANDLED_KEY);
    assert_eq!(text(&document, "/defaultContentType"), JOB_CONTENT_TYPE);
    assert_eq!(text(&document, "/components/messageTraits/event/contentType"), EVENT_CONTENT_TYPE);
    let headers = &document["components"]["messages"]["dead"]["headers"];
    let always = BTreeSet::from([REASON_HEADER, POSITION_HEADER, TIME_HEADER, FROM_HEADER]);
    let required = headers["required"].as_array().expect("required headers");
    assert_eq!(required.iter().filter_map(Value::as_str).collect::<BTreeSet<_>>(), always);
    let described = headers["properties"].as_object().expect("headers");
    let ours = &always | &BTreeSet::from([USER_HEADER, EXPIRATION_HEADER]);
    assert_eq!(described.keys().map(String::as_str).collect::<BTreeSet<_>>(), ours);
}

#[test]
fn events_in_the_document_match_the_code() {
    let document = document();
    let messages = document["channels"]["events"]["messages"].as_object().expect("messages");
    assert_eq!(messages.len(), EventKind::VARIANTS.len());
    let keys = document["channels"]["events"]["parameters"]["happening"]["enum"].as_array().expect("keys");
    let keys: Vec<String> = keys.iter().map(|key| format!("job.{}", key.as_str().expect("a text"))).collect();
    assert_eq!(keys, EventKind::VARIANTS.iter().map(|kind| kind.routing_key()).collect::<Vec<_>>());
    for kind in EventKind::VARIANTS {
        let name = kind.routing_key().replace("job.", "");
        let message = format!("/components/messages/{name}");
        assert_eq!(text(&document, &format!("{message}/name")), kind.event_type());
        assert_eq!(text(&document, &format!("{message}/bindings/amqp/messageType")), kind.event_type());
        assert_eq!(text(&document, &format!("{message}/examples/0/payload/type")), kind.event_type());
    }
}

#[test]
fn events_about_redemptions_in_the_document_match_the_code() {
    let document = document();
    let keys = document["channels"]["redemptionEvents"]["parameters"]["happening"]["enum"].as_array().expect("keys");
    let keys: BTreeSet<&str> = keys.iter().filter_map(Value::as_str).collect();
    let states = State::VARIANTS.iter().filter(|state| **state != State::Held).map(|state| state.into_str());
    assert_eq!(keys, states.collect());
    let examples = document["components"]["messages"]["redemption"]["examples"].as_array().expect("examples");
    let types: BTreeSet<&str> = examples.iter().filter_map(|example| example["payload"]["type"].as_str()).collect();
    let expected: BTreeSet<String> = keys.iter().map(|key| format!("codemint.redemption.{key}.v1")).collect();
    assert_eq!(types, expected.iter().map(String::as_str).collect());
    let page = fs::read_to_string(docs().join("integration.md")).expect("the page");
    for key in keys.iter().map(|key| format!("redemption.{key}")).chain(["campaign.exhausted".to_owned()]) {
        assert!(
            page.contains(&format!("| `{key}` | `codemint.{key}.v1` |")),
            "docs/integration.md does not name {key}"
        );
    }
}

#[test]
fn events_about_referrals_in_the_document_match_the_code() {
    let document = document();
    let states: BTreeSet<&str> = ReferralState::VARIANTS.iter().map(|state| state.into_str()).collect();
    let keys = document["channels"]["referralEvents"]["parameters"]["happening"]["enum"].as_array().expect("keys");
    assert_eq!(keys.iter().filter_map(Value::as_str).collect::<BTreeSet<_>>(), states);
    let examples = document["components"]["messages"]["referral"]["examples"].as_array().expect("examples");
    let types: BTreeSet<&str> = examples.iter().filter_map(|example| example["payload"]["type"].as_str()).collect();
    let expected: BTreeSet<String> = states.iter().map(|state| format!("codemint.referral.{state}.v1")).collect();
    assert_eq!(types, expected.iter().map(String::as_str).collect());
    let page = fs::read_to_string(docs().join("integration.md")).expect("the page");
    for state in states {
        let row = format!("| `referral.{state}` | `codemint.referral.{state}.v1` |");
        assert!(page.contains(&row), "docs/integration.md does not name referral.{state}");
    }
}

#[test]
fn examples_fit_their_schemas() {
    let document = document();
    let messages = document["components"]["messages"].as_object().expect("messages");
    for (name, message) in messages {
        let examples = message["examples"].as_array().expect("examples");
        assert!(!examples.is_empty(), "{name}");
        let schema = message["payload"]["$ref"]
            .as_str()
            .map(|file| validator(file.trim_start_matches("schemas/").trim_end_matches(".schema.json")));
        for example in examples {
            schema.iter().for_each(|schema| assert_fits(schema, &example["payload"]));
            if let (Some(headers), Some(found)) = (message.get("headers"), example.get("headers")) {
                assert_fits(&jsonschema::validator_for(headers).expect("a schema"), found);
            }
        }
    }
    for example in messages["job"]["examples"].as_array().expect("examples") {
        let envelope = Envelope { message_id: example["headers"]["message_id"].as_str(), ..Envelope::default() };
        decode(example["payload"].to_string().as_bytes(), &envelope).expect("a request");
    }
    for example in messages["trigger"]["examples"].as_array().expect("examples") {
        let envelope = Envelope { message_id: example["headers"]["message_id"].as_str(), ..Envelope::default() };
        decode_trigger(example["payload"].to_string().as_bytes(), &envelope).expect("a trigger");
    }
    let dead = &messages["dead"]["examples"][0];
    let refused = decode(dead["payload"].to_string().as_bytes(), &Envelope::default()).expect_err("no request");
    assert_eq!(dead["headers"][REASON_HEADER], refused.reason);
    assert_eq!(dead["headers"][POSITION_HEADER], refused.position);
}

#[tokio::test]
async fn a_worker_accepts_exchanges_and_queues_declared_from_the_document() {
    let site = Site::new(TestStore::sqlite().await).await;
    let peer = site.peer().await;
    let document = document();
    for channel in document["channels"].as_object().expect("channels").values() {
        let amqp = channel["bindings"]["amqp"].clone();
        if let Some(exchange) = amqp.get("exchange") {
            let kind = match exchange["type"].as_str() {
                Some("direct") => ExchangeKind::Direct,
                Some("fanout") => ExchangeKind::Fanout,
                _ => ExchangeKind::Topic,
            };
            let durable = exchange["durable"].as_bool().expect("true or false");
            let options = ExchangeDeclareOptions { durable, ..ExchangeDeclareOptions::default() };
            let name = exchange["name"].as_str().expect("a name").into();
            peer.channel()
                .await
                .exchange_declare(name, kind, options, FieldTable::default())
                .await
                .expect("an exchange");
        }
        if let Some(queue) = amqp.get("queue") {
            let mut arguments = FieldTable::default();
            for (name, value) in amqp["x-arguments"].as_object().expect("arguments") {
                let value = value.as_str().map_or_else(
                    || AMQPValue::LongLongInt(value.as_i64().expect("a number")),
                    |text| AMQPValue::LongString(text.into()),
                );
                arguments.insert(name.as_str().into(), value);
            }
            let options = QueueDeclareOptions { durable: queue["durable"] == true, ..QueueDeclareOptions::default() };
            let name = queue["name"].as_str().expect("a name").into();
            peer.channel().await.queue_declare(name, options, arguments).await.expect("a queue");
        }
    }
    let (options, none) = (QueueBindOptions::default(), FieldTable::default());
    let binding = ("codemint.jobs".into(), "codemint.jobs".into(), "codemint.jobs".into());
    peer.channel().await.queue_bind(binding.0, binding.1, binding.2, options, none).await.expect("a binding");
    site.codemint(&["enqueue", "A##", "--count", "5"]).run().await.expect_code(0);
    site.drain().await;
    assert_eq!(site.count("select count(*) from codes").await, 5);
}
