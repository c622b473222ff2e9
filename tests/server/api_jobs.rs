//! Codes that are ordered over HTTP: their jobs, their progress, and the codes themselves.

use std::io::{Read, Write};
use std::net::TcpStream;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::api::{ApiServer, create_key};
use codemint_test_support::api_lists::job_id;
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const CODES: &str = "/v1/campaigns/spring/codes";

/// Starts a server without a worker, with a campaign.
async fn start(place: &TestStore) -> (ApiServer, String) {
    let server = ApiServer::start_with(place, &[], &["--no-worker"]).await;
    let key = create_key(place, "manage,report").await;
    server.create_campaign(&key, "spring", "private", "SPRING-[:safe:]{8}").await;
    (server, key)
}

async fn order(server: &ApiServer, key: &str, count: u64) -> String {
    job_id(&server.ask("POST", CODES, key, Some(json!({ "count": count }))).await.expect(202))
}

on_stores!([sqlite, postgres] an_order_of_codes_is_one_job_however_often_it_is_sent);
async fn an_order_of_codes_is_one_job_however_often_it_is_sent(place: TestStore) {
    let (server, key) = start(&place).await;
    let id = Uuid::now_v7();
    let body = json!({ "count": 50, "job_id": id });
    for _ in 0..2 {
        let ordered = server.ask("POST", CODES, &key, Some(body.clone())).await;
        assert_eq!(ordered.expect(202), json!({ "job_id": id, "state": "queued" }));
        assert_eq!(ordered.header("location"), Some(&*format!("/v1/jobs/{id}")));
    }
    let other = json!({ "count": 51, "job_id": id });
    server.ask("POST", CODES, &key, Some(other)).await.expect_problem(409, "different-request");
    let job = server.complete(&place, &key, &id.to_string()).await;
    assert_eq!((&job["minted"], &job["campaign"], &job["job_id"]), (&50.into(), &"spring".into(), &json!(id)));
    assert_eq!(job["screenings"][0]["chunks"], 1, "{job}");
    let again = server.ask("POST", CODES, &key, Some(body)).await.expect(202);
    assert_eq!(again["state"], "completed");
    assert_ne!(order(&server, &key, 1).await, order(&server, &key, 1).await);
    let asked = "select actor from audit where action = 'request' and result = 'accepted' order by no";
    assert!(place.texts(asked).await.iter().all(|actor| actor.starts_with("api key=")));
    server.stop().await;
}

on_stores!([sqlite] codes_are_compressed_for_clients_that_accept_it);
async fn codes_are_compressed_for_clients_that_accept_it(place: TestStore) {
    let (server, key) = start(&place).await;
    let job = order(&server, &key, 25_000).await;
    server.complete(&place, &key, &job).await;
    let plain = server.codes(&key, &job, "", "text/csv").await;
    assert_eq!((plain.status, plain.header("content-encoding")), (200, None));
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    let request =
        format!("GET /v1/jobs/{job}/codes HTTP/1.0\r\nAuthorization: Bearer {key}\r\nAccept-Encoding: gzip\r\n\r\n");
    stream.write_all(request.as_bytes()).expect("a request");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("an answer");
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").expect("headers");
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    assert!(head.contains("content-encoding: gzip"), "{head}");
    let mut codes = String::new();
    GzDecoder::new(body).read_to_string(&mut codes).expect("whole");
    assert!(codes == plain.body, "{} instead of {} bytes", codes.len(), plain.body.len());
    assert!(4 * body.len() < 3 * codes.len(), "{} of {} bytes", body.len(), codes.len());
    server.stop().await;
}

on_stores!([sqlite, postgres] an_order_that_cannot_be_met_is_refused_with_the_reason);
async fn an_order_that_cannot_be_met_is_refused_with_the_reason(place: TestStore) {
    let (server, key) = start(&place).await;
    for body in
        [json!({}), json!({ "count": "5" }), json!({ "count": 5, "priority": 1 }), json!({ "count": 5, "job_id": "x" })]
    {
        server.ask("POST", CODES, &key, Some(body)).await.expect_problem(422, "invalid");
    }
    for count in [0, -1, 2_000_000_000_000_i64] {
        let refused = server.ask("POST", CODES, &key, Some(json!({ "count": count }))).await;
        assert_eq!(refused.expect_problem(422, "invalid")["errors"][0]["field"], "/count");
    }
    server
        .send("POST", CODES, Some(&key), &[("content-type", "text/plain")], Some("5".to_owned()))
        .await
        .expect_problem(415, "unsupported-media-type");
    server.create_campaign(&key, "small", "private", "SMALL-##").await;
    let small =
        async |count: u64| server.ask("POST", "/v1/campaigns/small/codes", &key, Some(json!({ "count": count }))).await;
    small(60).await.expect(202);
    let refused = small(60).await.expect_problem(422, "insufficient-keyspace");
    assert!(
        refused["detail"].as_str().is_some_and(|detail| detail.contains("40 codes of SMALL-## are free")),
        "{refused}"
    );
    server.create_campaign(&key, "open", "public", "OPEN10").await;
    server
        .ask("POST", "/v1/campaigns/open/codes", &key, Some(json!({ "count": 1 })))
        .await
        .expect_problem(422, "public-campaign");
    server.create_campaign(&key, "checked", "private", "C-[:safe:]{8}[:check:]{2}").await;
    server
        .ask("POST", "/v1/campaigns/checked/codes", &key, Some(json!({ "count": 1 })))
        .await
        .expect_problem(422, "no-check-key");
    server
        .ask("POST", "/v1/campaigns/none/codes", &key, Some(json!({ "count": 1 })))
        .await
        .expect_problem(404, "not-found");
    let redeemer = create_key(&place, "redeem").await;
    server.ask("POST", CODES, &redeemer, Some(json!({ "count": 1 }))).await.expect_problem(403, "scope-missing");
    server.stop().await;
}

on_stores!([sqlite, postgres] jobs_are_listed_newest_first_and_cancelled_once);
async fn jobs_are_listed_newest_first_and_cancelled_once(place: TestStore) {
    let (server, key) = start(&place).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(order(&server, &key, 10).await);
    }
    place.codemint(["enqueue", "OTHER-####", "--count", "1"]).run().await.expect_code(0);
    let (mut listed, mut path) = (Vec::new(), "/v1/jobs?campaign=spring&limit=2".to_owned());
    loop {
        let page = server.get(&path, &key).await.expect(200);
        listed.extend(page["items"].as_array().expect("items").iter().map(job_id));
        let Value::String(next) = &page["next"] else { break };
        path = format!("/v1/jobs?campaign=spring&limit=2&cursor={next}");
    }
    listed.reverse();
    assert_eq!(listed, ids);
    for _ in 0..2 {
        let cancelled = server.ask("POST", &format!("/v1/jobs/{}/cancel", ids[0]), &key, None).await.expect(200);
        assert_eq!((&cancelled["state"], &cancelled["minted"]), (&"cancelled".into(), &0.into()));
    }
    let cancels = "select actor from audit where action = 'cancel'";
    assert!(place.texts(cancels).await.iter().all(|actor| actor.starts_with("api key=")));
    let cancelled = server.get("/v1/jobs?state=cancelled", &key).await.expect(200);
    assert_eq!(cancelled["items"].as_array().map(Vec::len), Some(1), "{cancelled}");
    server.get("/v1/jobs?state=done", &key).await.expect_problem(422, "invalid");
    server.complete(&place, &key, &ids[1]).await;
    server.ask("POST", &format!("/v1/jobs/{}/cancel", ids[1]), &key, None).await.expect_problem(409, "wrong-state");
    let unknown = Uuid::now_v7();
    server.ask("POST", &format!("/v1/jobs/{unknown}/cancel"), &key, None).await.expect_problem(404, "not-found");
    server.get(&format!("/v1/jobs/{unknown}"), &key).await.expect_problem(404, "not-found");
    server.stop().await;
}

on_stores!([sqlite, postgres] the_codes_of_a_completed_job_are_read_in_both_formats_and_from_any_place);
async fn the_codes_of_a_completed_job_are_read_in_both_formats_and_from_any_place(place: TestStore) {
    let environment = [("CODEMINT__JOB__CHUNK_SIZE", "7000")];
    let server = ApiServer::start_with(&place, &environment, &["--no-worker"]).await;
    let key = create_key(&place, "manage,report").await;
    server.create_campaign(&key, "spring", "private", "SPRING,[:safe:]{8}").await;
    let id = order(&server, &key, 25_000).await;
    server.codes(&key, &id, "", "text/csv").await.expect_problem(409, "wrong-state");
    server.complete(&place, &key, &id).await;
    assert!(place.number("select count(*) from chunks").await > 1);

    let csv = server.codes(&key, &id, "", "*/*").await;
    assert_eq!((csv.status, csv.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    let exported = place.codemint(["export", &id]).run().await.expect_code(0).stdout;
    assert!(csv.body == exported, "the codes differ from those of an export");
    let lines: Vec<&str> = csv.body.lines().collect();
    for after in [1, 6_999, 7_000, 20_001, 25_000] {
        let rest = server.codes(&key, &id, &format!("?after={after}"), "text/csv").await;
        assert!(rest.body.lines().eq(lines[1 + after..].iter().copied()), "after {after}");
    }
    server.codes(&key, &id, "?after=25001", "text/csv").await.expect_problem(422, "invalid");
    server.codes(&key, &id, "", "text/html, application/json").await.expect_problem(406, "not-acceptable");
    let json = server.codes(&key, &id, "", "application/x-ndjson").await;
    assert_eq!(json.header("content-type"), Some("application/x-ndjson"));
    let first: Value = serde_json::from_str(json.body.lines().next().expect("a line")).expect("JSON");
    assert_eq!(format!("\"{}\"", first["code"].as_str().expect("a code")), lines[1]);
    assert_eq!(json.body.lines().count(), 25_000);

    let audit = server.get(&format!("/v1/audit?action=export&job={id}&limit=3"), &key).await.expect(200);
    let first: Vec<&Value> = audit["items"].as_array().expect("items").iter().map(|entry| &entry["result"]).collect();
    assert_eq!(first[..2], ["begun", "done"], "{audit}");
    assert_eq!(audit["items"][0]["detail"], "over HTTP", "{audit}");
    assert!(audit["next"].is_string(), "{audit}");
    let log = server.stop().await.stderr;
    assert!(!log.contains(lines[1].trim_matches('"')), "a code is in the log");
}

on_stores!([sqlite, postgres] a_job_is_followed_until_it_ends);
async fn a_job_is_followed_until_it_ends(place: TestStore) {
    let (server, key) = start(&place).await;
    let id = order(&server, &key, 10).await;
    let path = format!("/v1/jobs/{id}/events");
    let followed = async {
        let events = server.get(&path, &key).await;
        assert_eq!((events.status, events.header("content-type")), (200, Some("text/event-stream")));
        events.body
    };
    let (body, _) = tokio::join!(followed, server.complete(&place, &key, &id));
    let names: Vec<&str> = body.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!((names.first(), names.last()), (Some(&"progress"), Some(&"end")), "{body}");
    let last = body.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().expect("data");
    let job: Value = serde_json::from_str(last).expect("JSON");
    assert_eq!((&job["state"], &job["minted"]), (&"completed".into(), &10.into()));
    let again = server.get(&path, &key).await.body;
    assert_eq!(again.matches("event: ").count(), 1, "{again}");
    server.get(&format!("/v1/jobs/{}/events", Uuid::now_v7()), &key).await.expect_problem(404, "not-found");

    // A listener does not keep the server from ending.
    let open = order(&server, &key, 10).await;
    let stopped = async {
        wait_until("somebody listens", async || server.process.said().matches("/v1/jobs/{id}/events").count() == 4)
            .await;
        server.process.signal("TERM");
    };
    let path = format!("/v1/jobs/{open}/events");
    let (events, ()) = tokio::join!(server.get(&path, &key), stopped);
    assert_eq!((events.status, events.body.matches("event: end").count()), (200, 0));
    server.process.finish().await.expect_code(0);
}

on_stores!([sqlite, postgres] a_mask_is_explained_as_on_the_command_line);
async fn a_mask_is_explained_as_on_the_command_line(place: TestStore) {
    let (server, key) = start(&place).await;
    let explain = async |body: Value| server.ask("POST", "/v1/masks/explain", &key, Some(body)).await;
    let mut answered = explain(json!({ "mask": "VIP-####", "count": 20_000 })).await.expect(200);
    let ran = place.codemint(["mask", "explain", "VIP-####", "--count", "20000", "--json"]).run().await.expect_code(3);
    let mut printed = ran.json();
    assert_eq!(answered["plan"]["feasible"], false);
    assert_eq!(answered["samples"].as_array().map(Vec::len), Some(5));
    (answered["samples"], printed["samples"]) = (Value::Null, Value::Null);
    assert_eq!(answered, printed);
    let refused = explain(json!({ "mask": "VIP-[" })).await.expect_problem(422, "invalid");
    assert_eq!(refused["errors"][0]["field"], "/mask", "{refused}");
    explain(json!({ "mask": "VIP-##", "count": 0 })).await.expect_problem(422, "invalid");
    server.stop().await;
}
