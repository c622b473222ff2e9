//! The contract of the HTTP API, judged by programs of others: schemathesis generates requests, and a client is generated from the
//! document. `tests/run contract` installs them.

#![expect(clippy::print_stdout, reason = "the report that docs/contract.md states")]

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::cli_steps::job_id;
use codemint_test_support::redeem_steps::{create_campaign, definition};
use codemint_test_support::referral_steps::create_friends;
use codemint_test_support::stores::TestStore;
use codemint_test_support::tools::{contract_client, contract_tool, expect_content, judge, read, root};
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::is_long;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

const SCOPES: &str = "redeem,issue,manage,report,explain,admin";

/// The answers of each operation, by their status.
type Counts = BTreeMap<String, BTreeMap<String, u64>>;

/// Jobs and redemptions of these ids exist, or come to exist. A random one would change what is generated.
fn id(no: usize) -> String {
    format!("01890a5d-ac96-774b-bcce-b302099a80{no:02}")
}

fn write_dictionary(place: &TestStore, name: &str, entries: impl IntoIterator<Item = impl AsRef<str>>) {
    let lines: String = entries.into_iter().map(|entry| format!("\"{}\"\n", entry.as_ref())).collect();
    fs::write(place.path().join(name), lines).expect("a file");
}

/// Fills a store with what requests can be about, before a worker looks at it.
async fn fill(place: &TestStore) {
    create_campaign(place, &definition("spring", "public", "SPRING", &json!({ "exclusive": false })), 1).await;
    create_campaign(place, &definition("summer", "public", "SUMMER", &json!({ "limits": { "redeemed": 5 } })), 1).await;
    create_campaign(place, &definition("many", "private", "MANY-[:safe:]{8}", &json!({})), 1).await;
    create_campaign(place, &definition("club", "restricted", "CLUB-[:safe:]{8}", &json!({})), 1).await;
    let offer = json!({ "offer": { "landing_url": "https://shop.example/" } });
    create_campaign(place, &definition("linked", "public", "LINKED", &offer), 1).await;
    create_friends(place, &json!({}), 1000).await;
    // The code of the document's example.
    fs::write(place.path().join("example.txt"), "SPRING-XK4T9B3C\n").expect("a file");
    place.codemint(["import", "example.txt", "--campaign", "many"]).run().await.expect_code(0);
    let order = ["campaign", "codes", "many", "--count", "10", "--no-wait", "--json"];
    let job = job_id(&place.codemint(order).run().await.expect_code(0)).to_string();
    place.codemint(["jobs", "cancel", &job]).run().await.expect_code(0);
    write_dictionary(place, "cancelled.txt", [job]);
    let spare = place.codemint(["keys", "create", "--json", "--scope", "redeem"]).run().await.expect_code(0).json();
    write_dictionary(place, "keys.txt", spare["id"].as_str());
}

/// Orders codes, releases some uses, and creates segments and rules for affiliates.
async fn order_and_release(place: &TestStore, server: &ApiServer, key: &str) {
    for (no, campaign) in [(1, "many"), (2, "club")] {
        let order = json!({ "count": 1000, "job_id": id(no) });
        server.ask("POST", &format!("/v1/campaigns/{campaign}/codes"), key, Some(order)).await.expect(202);
        let job = format!("/v1/jobs/{}", id(no));
        let state = async || server.get(&job, key).await.expect(200)["state"].clone();
        wait_until("the codes are minted", async || state().await == "completed").await;
    }
    let listed = server.get(&format!("/v1/jobs/{}/codes", id(1)), key).await.body;
    write_dictionary(place, "codes.txt", ["SPRING", "SUMMER"].into_iter().chain(listed.lines().skip(1).take(20)));
    write_dictionary(place, "ids.txt", (1..10).map(id));
    write_dictionary(place, "released.txt", (11..15).map(id));
    for path in (11..15).map(|no| format!("/v1/redemptions/{}", id(no))) {
        let request = json!({ "code": "SPRING", "hold_seconds": 600 });
        server.ask("PUT", &path, key, Some(request)).await.expect(201);
        server.ask("POST", &format!("{path}/release"), key, None).await.expect(200);
    }
    for segment in ["gold", "silver"] {
        server.ask("PUT", &format!("/v1/segments/{segment}"), key, Some(json!({}))).await.expect(201);
    }
    let referral = json!({ "campaign": "friends", "referrer": "ann@example.org" });
    server.ask("PUT", &format!("/v1/referrals/{}", id(1)), key, Some(referral)).await.expect(201);
    for (rule, priority) in [("choc", 0), ("roses", 1), ("spare", 2)] {
        let rule = format!("/v1/affiliates/rules/{rule}");
        let document = json!({ "mask": "0#########", "prefix": "FCH", "campaign": "many", "priority": priority });
        server.ask("PUT", &rule, key, Some(document)).await.expect(201);
    }
}

/// Runs schemathesis with this number of examples for each operation, and returns what was answered.
async fn generate_requests(place: &TestStore, server: &ApiServer, key: &Value, examples: u32, phases: &str) -> Counts {
    for file in ["schemathesis.toml", "hooks.py"] {
        fs::copy(root().join("tests/server/contract").join(file), place.path().join(file)).expect("a file");
    }
    let mut command = contract_tool("schemathesis");
    command.current_dir(place.path());
    command.env("CODEMINT_KEY", key["key"].as_str().expect("a key"));
    command.env("CODEMINT_KEY_ID", key["id"].as_str().expect("an id"));
    command.args(["--config-file", "schemathesis.toml", "run", &format!("http://{}/openapi.json", server.address)]);
    command.args(["--max-examples", &examples.to_string(), "--phases", phases]);
    let (passed, said) = spawn_blocking(move || judge(&mut command)).await.expect("no panic");
    let counts = fs::read_to_string(place.path().join("counts.json")).unwrap_or_else(|_| panic!("{said}"));
    println!("{said}\n{counts}");
    assert!(passed, "schemathesis has findings; see above");
    serde_json::from_str(&counts).expect("counts")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_generated_request_gets_an_answer_that_the_document_describes() {
    let place = TestStore::sqlite().await;
    fill(&place).await;
    // Guesses are not the subject, and no order takes minutes.
    let environment = [
        ("CODEMINT__SERVER__FAILURES_PER_MINUTE", "0"),
        ("CODEMINT__LIMITS__COUNT_MAX", "1000"),
        ("CODEMINT__LINKS__HOSTS", "shop.example"),
    ];
    let server = ApiServer::start_with(&place, &environment, &[]).await;
    let key = place.codemint(["keys", "create", "--json", "--scope", SCOPES]).run().await.expect_code(0).json();
    order_and_release(&place, &server, key["key"].as_str().expect("a key")).await;
    let (examples, phases, least) = match is_long() {
        true => (600, "examples,coverage,fuzzing,stateful", 20_000),
        false => (100, "examples,coverage,fuzzing", 5_000),
    };
    let counts = generate_requests(&place, &server, &key, examples, phases).await;
    let all: u64 = counts.values().flat_map(BTreeMap::values).sum();
    assert!(all >= least, "{all} requests");
    let succeeds = |answers: &BTreeMap<String, u64>| answers.keys().any(|status| status.starts_with('2'));
    let in_vain: Vec<&String> = counts.iter().filter(|(_, answers)| !succeeds(answers)).map(|(name, _)| name).collect();
    // Links would lead out of this machine, so none that exists is followed.
    assert_eq!(in_vain, ["GET /go/{campaign}"], "each other operation succeeds at times");
    assert_eq!(counts.len(), 48, "all operations");
    let log = server.stop().await.stderr;
    assert!(!log.contains("\"ERROR\""), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_generated_from_the_document_goes_through_the_ten_requests() {
    let place = TestStore::sqlite().await;
    let (server, key) = (ApiServer::start(&place).await, create_key(&place, "manage,redeem").await);
    let url = format!("http://{}", server.address);
    let document = server.send("GET", "/openapi.json", None, &[], None).await.body;
    let said = spawn_blocking(move || check_out(&document, &url, &key)).await.expect("no panic");
    assert_eq!(said, "ten requests\n");
    server.stop().await;
}

/// Generates the client, compiles the checkout, which fails if the types do not permit it, and runs it.
fn check_out(document: &str, url: &str, key: &str) -> String {
    // Below the packages, so that they are found.
    let directory = tempfile::tempdir_in(contract_client()).expect("a directory; ./tests/run installs the packages");
    let file = |name: &str| directory.path().join(name);
    fs::write(file("openapi.json"), document).expect("a file");
    fs::write(file("checkout.mts"), read("tests/server/contract/checkout.mts")).expect("a file");
    let tool = |name: &str| {
        let mut command = Command::new(contract_client().join("node_modules/.bin").join(name));
        command.current_dir(directory.path());
        command
    };
    // Without the option, a request would have to repeat all defaults.
    let options = ["--default-non-nullable=false", "--output", "schema.d.ts"];
    expect_content(tool("openapi-typescript").arg("openapi.json").args(options));
    let options = ["--strict", "--noUncheckedIndexedAccess", "--module", "nodenext", "--target", "es2022"];
    expect_content(tool("tsc").args(options).args(["--types", "node", "checkout.mts"]));
    let mut node = Command::new("node");
    node.arg(file("checkout.mjs")).env("CODEMINT_API_URL", url).env("CODEMINT_KEY", key);
    expect_content(&mut node)
}
