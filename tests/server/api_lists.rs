//! Lists of identities over HTTP: codes for each of them, and members of segments.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::json;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::api_lists::job_id;
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

const CODES: &str = "/v1/campaigns/loyal/codes";

async fn start(place: &TestStore) -> (ApiServer, String) {
    let server = ApiServer::start_with(place, &[], &["--no-worker"]).await;
    let key = create_key(place, "manage").await;
    server.create_campaign(&key, "loyal", "restricted", "LOYAL-[:safe:]{8}").await;
    (server, key)
}

on_stores!([sqlite, postgres] each_identity_of_a_list_gets_one_code_and_the_list_is_one_job);
async fn each_identity_of_a_list_gets_one_code_and_the_list_is_one_job(place: TestStore) {
    let (server, key) = start(&place).await;
    let list = "name;identity\nAnn; cust-1 \nBob;cust-2\nBob;cust-2\nNobody;\n";
    let ordered = server.send_list("POST", CODES, &key, list).await;
    let answer = ordered.expect(202);
    let id = job_id(&answer);
    let read = json!({ "rows": 4, "repeated": 1, "invalid": 1, "already_bound": 0 });
    assert_eq!((&answer["state"], &answer["list"]), (&"queued".into(), &read));
    assert_eq!(ordered.header("location"), Some(&*format!("/v1/jobs/{id}")));
    // The same identities in another form are the same list.
    let again = server.send_list("POST", CODES, &key, "cust-2\ncust-1\n").await.expect(202);
    assert_eq!(job_id(&again), id);
    server.complete(&place, &key, &id).await;
    let codes = server.codes(&key, &id, "", "text/csv").await.body;
    assert_eq!(codes.lines().next(), Some("code,identity"));
    let mut owners: Vec<&str> = codes.lines().skip(1).filter_map(|line| line.split(',').nth(1)).collect();
    owners.sort_unstable();
    assert_eq!(owners, ["cust-1", "cust-2"]);
    let json = server.codes(&key, &id, "?after=1", "application/x-ndjson").await.body;
    assert!(json.contains("\"identity\":\"cust-") && json.lines().count() == 1, "{json}");

    let more = server.send_list("POST", CODES, &key, "cust-1\ncust-3\n").await.expect(202);
    assert_eq!(more["list"], json!({ "rows": 2, "repeated": 0, "invalid": 0, "already_bound": 1 }));
    assert_ne!(job_id(&more), id);
    let nothing = server.send_list("POST", CODES, &key, "cust-1\n").await.expect(200);
    assert_eq!((&nothing["job_id"], &nothing["list"]["already_bound"]), (&json!(null), &1.into()));
    let log = server.stop().await.stderr;
    assert!(!log.contains("cust-1") && !log.contains("LOYAL-"), "{log}");
}

on_stores!([sqlite, postgres] regression_a_download_names_only_identities_of_its_list);
async fn regression_a_download_names_only_identities_of_its_list(place: TestStore) {
    let (server, key) = start(&place).await;
    let first = job_id(&server.send_list("POST", CODES, &key, "ann\nbob\n").await.expect(202));
    let second = job_id(&server.send_list("POST", CODES, &key, "ann\nbob\ncarl\n").await.expect(202));
    for job in [&first, &second] {
        server.complete(&place, &key, job).await;
    }
    // Two codes were not needed and went to the pool.
    let issuer = create_key(&place, "issue").await;
    for identity in ["dora", "emil"] {
        let assignment = format!("/v1/campaigns/loyal/assignments/{identity}");
        server.ask("PUT", &assignment, &issuer, None).await.expect(201);
    }
    let mut named = Vec::new();
    for job in [first, second] {
        let codes = server.codes(&key, &job, "", "text/csv").await.body;
        named.extend(codes.lines().skip(1).map(|line| line.split(',').next_back().unwrap_or_default().to_owned()));
    }
    named.sort_unstable();
    assert_eq!(named, ["", "", "ann", "bob", "carl"]);
    server.stop().await;
}

on_stores!([sqlite, postgres] a_list_may_be_longer_than_any_other_body);
async fn a_list_may_be_longer_than_any_other_body(place: TestStore) {
    let (server, key) = start(&place).await;
    let list: String = (0..150_000).map(|number| format!("customer-{number:08}\n")).collect();
    assert!(list.len() > 2 << 20);
    let ordered = server.send_list("POST", CODES, &key, &list).await.expect(202);
    assert_eq!(ordered["list"]["rows"], 150_000);
    let job = server.get(&format!("/v1/jobs/{}", job_id(&ordered)), &key).await.expect(200);
    assert_eq!(job["requested"], 150_000);
    server.stop().await;
}

on_stores!([sqlite, postgres] a_list_that_is_not_whole_or_not_possible_orders_nothing);
async fn a_list_that_is_not_whole_or_not_possible_orders_nothing(place: TestStore) {
    let (server, key) = start(&place).await;
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let head = format!(
        "POST {CODES} HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer {key}\r\nContent-Type: text/csv\r\nContent-Length: 100\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(b"c-1\nc-2\n")).expect("half of a request");
    stream.shutdown(std::net::Shutdown::Write).expect("the end");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer or none");
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{answer}");

    for list in ["", "\n\n", "{\"identity\": 1}\n", "name;city\nAnn;Berlin\n"] {
        server.send_list("POST", CODES, &key, list).await.expect_problem(422, "invalid");
    }
    server.create_campaign(&key, "open", "private", "OPEN-[:safe:]{8}").await;
    server.send_list("POST", "/v1/campaigns/open/codes", &key, "c-1\n").await.expect_problem(422, "not-restricted");
    server.send_list("POST", "/v1/campaigns/none/codes", &key, "c-1\n").await.expect_problem(404, "not-found");
    let limited = json!({
        "title": "Two", "kind": "restricted", "mask": "TWO-[:safe:]{8}", "limits": { "issued": 2 },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    server.ask("PUT", "/v1/campaigns/two", &key, Some(limited)).await.expect(201);
    server
        .send_list("POST", "/v1/campaigns/two/codes", &key, "a\nb\nc\n")
        .await
        .expect_problem(422, "issue-limit-reached");
    assert_eq!(place.number("select count(*) from jobs").await, 0);
    assert_eq!(place.number("select count(*) from job_identities").await, 0);
    server.stop().await;
}

on_stores!([sqlite, postgres] a_segment_has_a_condition_and_members_until_it_is_removed);
async fn a_segment_has_a_condition_and_members_until_it_is_removed(place: TestStore) {
    let (server, key) = start(&place).await;
    let condition = json!({ "compare": { "attribute": "country", "op": "eq", "value": "DE" } });
    let put = async |body| server.ask("PUT", "/v1/segments/gold", &key, Some(body)).await;
    let created = put(json!({ "condition": condition })).await.expect(201);
    assert_eq!((&created["name"], &created["condition"], &created["members"]), (&"gold".into(), &condition, &0.into()));
    put(json!({ "condition": { "compare": {} } })).await.expect_problem(422, "invalid");
    assert_eq!(put(json!({ "condition": null })).await.expect(200)["condition"], json!(null));

    let members = "/v1/segments/gold/members";
    let replaced = server.send_list("PUT", members, &key, "ann\nbob\nann\n").await.expect(200);
    assert_eq!(replaced, json!({ "name": "gold", "before": 0, "now": 2, "repeated": 1 }));
    assert_eq!(place.texts("select identity from segment_members order by identity").await, ["ann", "bob"]);
    let refused = server.send_list("PUT", members, &key, "ann\n\u{200b}carl\n").await.expect_problem(422, "invalid");
    assert_eq!(refused["errors"][0]["field"], "line 2", "{refused}");
    server.send_list("PUT", members, &key, "").await.expect_problem(422, "invalid");
    server.ask("PUT", members, &key, Some(json!(["ann"]))).await.expect_problem(415, "unsupported-media-type");
    assert_eq!(server.get("/v1/segments/gold", &key).await.expect(200)["members"], 2);
    assert_eq!(server.send_list("PUT", members, &key, "identity\n").await.expect(200)["now"], 0);
    server.send_list("PUT", "/v1/segments/silver/members", &key, "carl\n").await.expect(200);

    let first = server.get("/v1/segments?limit=1", &key).await.expect(200);
    assert_eq!(first["items"][0]["name"], "gold");
    let next = first["next"].as_str().expect("another page");
    let second = server.get(&format!("/v1/segments?limit=1&cursor={next}"), &key).await.expect(200);
    assert_eq!((&second["items"][0]["name"], &second["next"]), (&"silver".into(), &json!(null)));
    server.ask("DELETE", "/v1/segments/gold", &key, None).await.expect(200);
    server.ask("DELETE", "/v1/segments/gold", &key, None).await.expect_problem(404, "not-found");
    server.get("/v1/segments/gold", &key).await.expect_problem(404, "not-found");
    let long = "x".repeat(201);
    server.send_list("PUT", &format!("/v1/segments/{long}/members"), &key, "a\n").await.expect_problem(422, "invalid");
    server.stop().await;
}
