//! docs/integration.md and docs/triggers.md: their programs are run exactly as printed; the tables and examples of the first are
//! compared with the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::Stdio;

use codemint_codes::job::state::JobError;
use codemint_codes::wire::event::EventKind;
use codemint_codes::wire::message::{Envelope, decode};
use serde_json::{Value, json};
use strum::VariantArray;
use tokio::process::Command;
use tokio::time::timeout;

use codemint_test_support::amqp::Message;
use codemint_test_support::codemint::Ran;
use codemint_test_support::rabbitmq;
use codemint_test_support::schemas::{assert_fits, validator};
use codemint_test_support::site::{DEAD, EVENTS, JOBS, Site};
use codemint_test_support::stores::TestStore;
use codemint_test_support::tools::{files_below, read, root};
use codemint_test_support::waiting::DEADLINE;

const ORDERS: &str = "docs/integration.md";
const TRIGGERS: &str = "docs/triggers.md";

/// Returns the blocks of this language in a document, in order.
fn blocks(document: &str, language: &str) -> Vec<String> {
    let (text, start) = (read(document), format!("\n```{language}\n"));
    text.split(&start).skip(1).map(|rest| rest.split("\n```").next().expect("an end").to_owned()).collect()
}

/// A printed program that the tests run.
#[derive(Clone, Copy, Debug)]
struct Producer {
    document: &'static str,
    language: &'static str,
    interpreter: &'static str,
    file: &'static str,
    args: &'static [&'static str],
    /// What it says if there is no queue for its message.
    unroutable: &'static str,
}

const PYTHON: Producer = Producer {
    document: ORDERS,
    language: "python",
    interpreter: "/usr/bin/python3",
    file: "order_codes.py",
    args: &["A####", "10"],
    unroutable: "UnroutableError",
};
const JAVASCRIPT: Producer =
    Producer { language: "javascript", interpreter: "node", file: "order_codes.js", unroutable: "NO_ROUTE", ..PYTHON };
const PRODUCERS: [Producer; 4] = [
    PYTHON,
    JAVASCRIPT,
    Producer {
        document: TRIGGERS,
        file: "send_trigger.py",
        args: &["location.created", "location-1", "small business"],
        ..PYTHON
    },
    Producer {
        document: TRIGGERS,
        file: "send_trigger.js",
        args: &["location.created", "location-2", "small business"],
        ..JAVASCRIPT
    },
];

impl Producer {
    fn with(self, args: &'static [&'static str]) -> Self {
        Self { args, ..self }
    }
}

/// A site where producers and readers have only the rights that they need.
struct Shop {
    site: Site,
    producer_url: String,
    reader_url: String,
}

impl Shop {
    async fn new(store: TestStore) -> Self {
        let site = Site::new(store).await;
        let vhost = site.vhost().clone();
        let user = |role: &str, permissions| {
            let name = format!("{role}-{}", vhost.name);
            rabbitmq::shared().add_user(&name, "secret", &vhost, permissions);
            vhost.url_of(&name, "secret")
        };
        // The same permissions as in deploy/rabbitmq/definitions.json.
        let producer_url = user("producer", ["^$", r"^codemint\.(jobs|triggers)$", "^$"]);
        let own = "^codemint-events-.*$";
        let reader_url = user("reader", [own, own, r"^(codemint-events-.*|codemint\.events)$"]);
        Self { site, producer_url, reader_url }
    }

    /// Runs the producer exactly as printed in its document.
    async fn run(&self, producer: Producer) -> Ran {
        let [program] = &blocks(producer.document, producer.language)[..] else { panic!("one program: {producer:?}") };
        let file = self.site.store.path().join(producer.file);
        fs::write(&file, program).expect("a file");
        let started = Command::new(producer.interpreter)
            .arg(&file)
            .args(producer.args)
            .env("NODE_PATH", javascript_libraries())
            .env("CODEMINT_PRODUCER_URL", &self.producer_url)
            .env("CODEMINT_READER_URL", &self.reader_url)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let ended = timeout(DEADLINE, started).await.expect("an end in time");
        Ran::from(ended.unwrap_or_else(|error| panic!("{}: {error}; tests/run installs it", producer.interpreter)))
    }
}

fn javascript_libraries() -> PathBuf {
    let libraries = root().join("target/javascript/node_modules");
    assert!(libraries.join("amqplib").is_dir(), "amqplib is missing; tests/run installs it");
    libraries
}

/// Returns the event type and the number of codes of each line that a producer printed.
fn told(ran: &Ran, count: u64) -> Vec<(String, u64)> {
    let line = |line: &str| {
        let words: Vec<&str> = line.split(' ').collect();
        let [kind, _job_id, minted, "of", requested] = words[..] else { panic!("{line:?}") };
        assert_eq!(requested, count.to_string());
        (kind.to_owned(), minted.parse().expect("a number"))
    };
    ran.stdout.lines().map(line).collect()
}

fn assert_told_to_the_end(ran: &Ran, count: u64) {
    let told = told(ran, count);
    let kinds: Vec<&str> = told.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds[0], "codemint.job.accepted.v1", "{told:?}");
    assert!(kinds.len() >= 3, "{told:?}");
    assert!(kinds[1..kinds.len() - 1].iter().all(|kind| *kind == "codemint.job.progress.v1"), "{told:?}");
    assert_eq!(told.last(), Some(&("codemint.job.completed.v1".to_owned(), count)));
    assert!(told.is_sorted_by_key(|(_, minted)| *minted), "{told:?}");
}

#[tokio::test]
async fn the_printed_python_producer_gets_a_million_codes_and_their_events() {
    let shop = Shop::new(TestStore::postgres().await).await;
    let worker = shop.site.start_ready().await;
    let mut inbox = shop.site.peer().await.listen(EVENTS, "job.*").await;
    let ran = shop.run(PYTHON.with(&["MY_LITTLE_PROMO????##", "1000000"])).await.expect_code(0);
    assert_told_to_the_end(&ran, 1_000_000);
    assert_eq!(shop.site.count("select count(*) from codes").await, 1_000_000);

    let is_end = |kind: &str| kind == "job.completed";
    let events = inbox.collect("the end", |all| all.iter().any(|event| is_end(&event.routing_key))).await;
    let schema = validator("event");
    events.iter().for_each(|event| assert_fits(&schema, &event.json()));
    let ran = worker.terminate().await.expect_code(0);
    assert!(!ran.stderr.contains("ERROR"), "{}", ran.stderr);
}

#[tokio::test]
async fn the_printed_javascript_producer_gets_its_codes_and_their_events() {
    let shop = Shop::new(TestStore::postgres().await).await;
    let worker = shop.site.start_ready().await;
    let ran = shop.run(JAVASCRIPT.with(&["VIP-[:safe:]{8}", "120000"])).await.expect_code(0);
    assert_told_to_the_end(&ran, 120_000);
    assert_eq!(shop.site.count("select count(*) from codes").await, 120_000);
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn both_printed_producers_report_why_a_request_fails() {
    let shop = Shop::new(TestStore::sqlite().await).await;
    let worker = shop.site.start_ready().await;
    let mut inbox = shop.site.peer().await.listen(EVENTS, "job.*").await;
    for producer in [PYTHON, JAVASCRIPT] {
        let ran = shop.run(producer.with(&["TEN#", "11"])).await.expect_code(1);
        assert_eq!(told(&ran, 11), [("codemint.job.failed.v1".to_owned(), 0)], "{}", producer.language);
        assert!(ran.stderr.contains("keyspace_too_small: count is 11"), "{}", ran.stderr);
    }
    let schema = validator("event");
    inbox.collect_count(2).await.iter().for_each(|event| assert_fits(&schema, &event.json()));
    assert_eq!(shop.site.peer().await.depth(DEAD).await, 0, "a request that cannot be met becomes a job");
    worker.terminate().await.expect_code(0);
}

/// The campaign is the one that the page about triggers shows.
#[tokio::test]
async fn both_printed_programs_that_send_triggers_are_answered_by_an_event() {
    let shop = Shop::new(TestStore::postgres().await).await;
    let place = &shop.site.store;
    let campaign = &blocks(TRIGGERS, "json")[0];
    fs::write(place.path().join("welcome.json"), campaign).expect("a file");
    place.codemint(["campaign", "create", "welcome.json"]).run().await.expect_code(0);
    place.codemint(["campaign", "codes", "welcome", "--count", "10"]).run().await.expect_code(0);
    let worker = shop.site.start_ready().await;
    let mut inbox = shop.site.peer().await.listen(EVENTS, "trigger.*").await;
    let schema = validator("trigger-event");
    let mut become_of = async |producer: Producer| {
        let ran = shop.run(producer).await.expect_code(0);
        let id = ran.stdout.trim_end();
        let is_told = |event: &Message| event.json()["subject"] == id;
        let events = inbox.collect("the event about the trigger", |all| all.iter().any(is_told)).await;
        let event = events.iter().find(|event| is_told(event)).expect("an event").json();
        assert_fits(&schema, &event);
        assert_eq!((&event["type"], &event["data"]["id"]), (&json!("codemint.trigger.handled.v1"), &json!(id)));
        event["data"].clone()
    };
    let senders = PRODUCERS.into_iter().filter(|producer| producer.document == TRIGGERS);
    for (number, producer) in (1..).zip(senders) {
        let first = become_of(producer).await;
        assert_eq!(first["issued"], json!(["welcome"]), "{first}");
        let again = become_of(producer).await;
        assert_eq!(again["skipped"], json!([{ "campaign": "welcome", "reason": "already-generated" }]), "{again}");
        assert_eq!(shop.site.count("select count(*) from assignments").await, number);
    }
    assert_eq!(shop.site.peer().await.depth(DEAD).await, 0);
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn every_printed_producer_reports_that_its_message_is_unroutable() {
    let shop = Shop::new(TestStore::sqlite().await).await;
    shop.site.drain().await;
    let channel = shop.site.peer().await.channel().await;
    for queue in [JOBS, "codemint.triggers"] {
        let deleted = channel.queue_delete(queue.into(), lapin::options::QueueDeleteOptions::default()).await;
        deleted.expect("a queue");
    }
    for producer in PRODUCERS {
        let ran = shop.run(producer).await.expect_code(1);
        assert!(ran.stderr.contains(producer.unroutable), "{}", ran.stderr);
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn examples_in_the_document_fit_their_schemas() {
    let json: Vec<Value> = blocks(ORDERS, "json")
        .iter()
        .map(|block| serde_json::from_str(block).unwrap_or_else(|error| panic!("{error}")))
        .collect();
    let [message, event, redemption_event] = &json[..] else { panic!("a message and two events") };
    assert_fits(&validator("job-message"), message);
    decode(message.to_string().as_bytes(), &Envelope::default()).expect("a request");
    assert_fits(&validator("event"), event);
    assert_fits(&validator("job"), &event["data"]);
    assert_fits(&validator("redemption-event"), redemption_event);
}

#[test]
fn every_event_and_every_failure_code_is_documented() {
    let text = read(ORDERS);
    for kind in EventKind::VARIANTS {
        assert!(text.contains(&format!("| `{}` | `{}` |", kind.routing_key(), kind.event_type())), "{kind:?}");
    }
    let table =
        text.split("| code | why | codes |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("a table");
    let told: BTreeSet<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert_eq!(told, codes_in_the_source().iter().map(String::as_str).collect());
}

/// Returns every error code of a job that occurs in the source.
fn codes_in_the_source() -> BTreeSet<String> {
    let request = read("crates/codes/src/job/request.rs");
    let arms = request.split("const fn code").nth(1).and_then(|rest| rest.split("\n    }").next()).expect("codes");
    let mut codes: BTreeSet<String> =
        arms.lines().filter_map(|line| Some(line.split("=> \"").nth(1)?.split('"').next()?.to_owned())).collect();
    // This code belongs to reserved masks, not to jobs.
    assert!(codes.remove("invalid_note") && codes.len() >= 8, "{codes:?}");
    codes.extend([JobError::INSUFFICIENT_KEYSPACE, JobError::OTHER_CHECK_KEY, JobError::WITHDRAWN].map(str::to_owned));
    for file in
        files_below("crates", "rs").into_iter().filter(|file| file.components().any(|part| part.as_os_str() == "src"))
    {
        codes.extend(read(file).split("code: \"").skip(1).filter_map(|rest| Some(rest.split('"').next()?.to_owned())));
    }
    codes
}
