//! Proxies in front of the HTTP API: whose word about the client is believed, and what follows from it.

use serde_json::Value;

use codemint_test_support::api::{Answer, ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::stores::TestStore;

/// A key of the right form that no store has.
const UNKNOWN: &str = "cm_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

async fn ask(server: &ApiServer, key: &str, forwarded: &[&str]) -> Answer {
    let headers: Vec<(&str, &str)> = forwarded.iter().map(|value| ("x-forwarded-for", *value)).collect();
    server.send("GET", "/v1/campaigns", Some(key), &headers, None).await
}

/// The clients in the access log, but for those of requests without a key.
fn clients(log: &str) -> Vec<String> {
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let requests = lines.filter(|line| line["message"] == "request" && line["path"] == "/v1/campaigns");
    requests.map(|line| line["client"].as_str().expect("an address").to_owned()).collect()
}

on_stores!([sqlite] the_access_log_names_the_client_that_trusted_proxies_name);
async fn the_access_log_names_the_client_that_trusted_proxies_name(place: TestStore) {
    let proxies = [("CODEMINT__SERVER__TRUSTED_PROXIES", "127.0.0.1, 10.0.0.0/8")];
    let server = ApiServer::start_with(&place, &proxies, &[]).await;
    let key = create_key(&place, "manage").await;
    let cases: [(&[&str], &str); 7] = [
        (&[], "127.0.0.1"),
        (&["203.0.113.9"], "203.0.113.9"),
        // The leftmost entries are what the client claims.
        (&["198.51.100.1, 10.0.0.1, 203.0.113.9"], "203.0.113.9"),
        (&["198.51.100.1", "203.0.113.9, 10.0.0.3"], "203.0.113.9"),
        (&["203.0.113.9, 10.0.0.2, 10.0.0.3"], "203.0.113.9"),
        (&["203.0.113.9, nonsense"], "127.0.0.1"),
        (&["203.0.113.9, nonsense, 10.0.0.3"], "10.0.0.3"),
    ];
    for (forwarded, _) in cases {
        ask(&server, &key, forwarded).await.expect(200);
    }
    // Other headers are not read.
    let others = [("forwarded", "for=203.0.113.9"), ("x-real-ip", "203.0.113.9")];
    server.send("GET", "/v1/campaigns", Some(&key), &others, None).await.expect(200);
    let expected: Vec<&str> = cases.iter().map(|(_, client)| *client).chain(["127.0.0.1"]).collect();
    assert_eq!(clients(&server.stop().await.stderr), expected);
}

on_stores!([sqlite] who_is_no_trusted_proxy_names_no_client);
async fn who_is_no_trusted_proxy_names_no_client(place: TestStore) {
    for proxies in ["", "10.0.0.0/8"] {
        let environment =
            [("CODEMINT__SERVER__TRUSTED_PROXIES", proxies), ("CODEMINT__SERVER__FAILURES_PER_MINUTE", "3")];
        let server = ApiServer::start_with(&place, &environment, &[]).await;
        for number in 0..4 {
            ask(&server, UNKNOWN, &[&format!("203.0.113.{number}")]).await.expect_problem(401, "unauthenticated");
        }
        ask(&server, UNKNOWN, &["203.0.113.9"]).await.expect_problem(429, "too-many-attempts");
        assert_eq!(clients(&server.stop().await.stderr), ["127.0.0.1"; 5], "{proxies:?}");
    }
}

on_stores!([sqlite] unknown_keys_are_throttled_by_client_and_usable_ones_never);
async fn unknown_keys_are_throttled_by_client_and_usable_ones_never(place: TestStore) {
    let environment =
        [("CODEMINT__SERVER__TRUSTED_PROXIES", "127.0.0.1"), ("CODEMINT__SERVER__FAILURES_PER_MINUTE", "3")];
    let server = ApiServer::start_with(&place, &environment, &[]).await;
    let key = create_key(&place, "manage").await;
    let (guesser, other) = ("203.0.113.9", "203.0.113.10");
    for number in 0..4 {
        // What the guesser claims does not make it another one.
        let forwarded = format!("198.51.100.{number}, {guesser}");
        ask(&server, UNKNOWN, &[&forwarded]).await.expect_problem(401, "unauthenticated");
    }
    let waits = ask(&server, UNKNOWN, &[guesser]).await;
    waits.expect_problem(429, "too-many-attempts");
    let seconds: u64 = waits.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
    ask(&server, &key, &[guesser]).await.expect(200);
    ask(&server, UNKNOWN, &[other]).await.expect_problem(401, "unauthenticated");
    tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
    ask(&server, UNKNOWN, &[guesser]).await.expect_problem(401, "unauthenticated");
    // A text that cannot be a key, or none, is no guess.
    for _ in 0..5 {
        ask(&server, "cm_short", &[other]).await.expect_problem(401, "unauthenticated");
    }
    let throttled = "codemint_http_throttled_total{code=\"too-many-attempts\"}";
    assert_eq!(server.process.metric(throttled), 1.0);
    server.stop().await;
}

on_stores!([sqlite] open_connections_are_counted);
async fn open_connections_are_counted(place: TestStore) {
    let server = ApiServer::start_with(&place, &[("CODEMINT__SERVER__CONNECTIONS_MAX", "50")], &[]).await;
    // The client of this test holds one.
    let idle: Vec<std::net::TcpStream> =
        (0..3).map(|_| std::net::TcpStream::connect(server.address).expect("a connection")).collect();
    server.process.wait_until_metric("codemint_http_connections", |open| open == 4.0).await;
    assert_eq!(server.process.metric("codemint_http_connections_max"), 50.0);
    drop(idle);
    server.process.wait_until_metric("codemint_http_connections", |open| open == 1.0).await;
    server.stop().await;
}
