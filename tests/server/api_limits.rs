//! Limits of the HTTP API: requests, guesses, connections, headers and time.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::api::{Answer, ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::ranks::rank_difference;
use codemint_test_support::redeem_steps::{create_campaign, definition, judge_redemptions};
use codemint_test_support::stores::TestStore;

async fn validate(server: &ApiServer, key: &str, code: &str, actor: Option<&str>) -> Answer {
    let request = json!({ "code": code, "actor": actor });
    server.ask("POST", "/v1/validations", key, Some(request)).await
}

on_stores!([sqlite] who_names_too_many_wrong_codes_waits_and_nobody_else_does);
async fn who_names_too_many_wrong_codes_waits_and_nobody_else_does(place: TestStore) {
    create_campaign(&place, &definition("spring", "public", "SPRING", &json!({ "limits": { "redeemed": 1 } })), 1)
        .await;
    let server = ApiServer::start_with(&place, &[("CODEMINT__SERVER__FAILURES_PER_MINUTE", "3")], &[]).await;
    let (key, other) = (create_key(&place, "redeem").await, create_key(&place, "redeem").await);
    for _ in 0..4 {
        validate(&server, &key, "NOSUCHCODE", Some("guesser")).await.expect(200);
    }
    let waits = validate(&server, &key, "SPRING", Some("guesser")).await;
    waits.expect_problem(429, "too-many-attempts");
    let seconds: u64 = waits.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
    let request = json!({ "code": "SPRING", "actor": "guesser" });
    let path = format!("/v1/redemptions/{}", Uuid::now_v7());
    server.ask("PUT", &path, &key, Some(request)).await.expect_problem(429, "too-many-attempts");
    for (key, actor) in [(&key, Some("buyer")), (&key, None), (&other, Some("guesser"))] {
        assert_eq!(validate(&server, key, "SPRING", actor).await.expect(200)["valid"], true, "{actor:?}");
    }
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    assert_eq!(validate(&server, &key, "SPRING", Some("guesser")).await.expect(200)["valid"], true);
    // Malformed codes count as well; each pause is twice the one before.
    server
        .ask("POST", "/v1/validations", &key, Some(json!({ "code": "", "actor": "guesser" })))
        .await
        .expect_problem(422, "invalid");
    let waits = validate(&server, &key, "SPRING", Some("guesser")).await;
    waits.expect_problem(429, "too-many-attempts");
    let seconds: u64 = waits.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((6..=10).contains(&seconds), "{seconds}");
    // A used-up code was right.
    server.ask("PUT", &path, &key, Some(json!({ "code": "SPRING", "actor": "buyer" }))).await.expect(201);
    for _ in 0..10 {
        let refused = validate(&server, &key, "SPRING", Some("buyer")).await.expect(200);
        assert_eq!(refused["reasons"][0]["code"], "campaign-limit-reached", "{refused}");
    }
    server.stop().await;
}

/// Starts a server with a campaign, which answers six wrong codes of an actor before a pause.
async fn guarded_server(place: &TestStore) -> (ApiServer, String) {
    create_campaign(place, &definition("spring", "public", "SPRING", &json!({})), 1).await;
    let server = ApiServer::start_with(place, &[("CODEMINT__SERVER__FAILURES_PER_MINUTE", "5")], &[]).await;
    (server, create_key(place, "redeem").await)
}

async fn redeem_all(server: &ApiServer, key: &str, codes: &[&str], actor: Option<&str>) -> Vec<Value> {
    let item = |code: &&str| json!({ "id": Uuid::now_v7(), "code": code, "actor": actor });
    let items: Vec<Value> = codes.iter().map(item).collect();
    let answers = server.ask("POST", "/v1/redemptions:batch", key, Some(json!({ "items": items }))).await.expect(200);
    answers["items"].as_array().expect("answers").clone()
}

fn count(answers: &[Value], field: &str, value: &str) -> usize {
    answers.iter().filter(|answer| answer[field] == value).count()
}

async fn expect_first_pause(server: &ApiServer, key: &str, actor: Option<&str>) {
    let waits = validate(server, key, "SPRING", actor).await;
    waits.expect_problem(429, "too-many-attempts");
    let seconds: u64 = waits.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=5).contains(&seconds), "{seconds}");
}

on_stores!([sqlite, postgres] regression_the_limit_of_guesses_holds_within_a_batch);
async fn regression_the_limit_of_guesses_holds_within_a_batch(place: TestStore) {
    let (server, key) = guarded_server(&place).await;
    let mut codes = vec!["NOSUCHCODE"; 1000];
    (codes[0], codes[999]) = ("SPRING", "SPRING");
    let answers = redeem_all(&server, &key, &codes, Some("guesser")).await;
    assert_eq!(answers[0]["state"], "confirmed", "{}", answers[0]);
    assert_eq!(count(&answers[1..7], "code", "code-not-found"), 6, "{answers:?}");
    assert_eq!(count(&answers[7..], "code", "too-many-attempts"), 993, "{answers:?}");
    assert_eq!(answers[999]["status"], 429, "{}", answers[999]);
    expect_first_pause(&server, &key, Some("guesser")).await;
    redeem_all(&server, &key, &["NOSUCHCODE"; 45], None).await;
    expect_first_pause(&server, &key, None).await;
    // Five wrong codes are no reason to refuse the others.
    let mut codes = vec!["SPRING"; 1000];
    (0..1000).step_by(200).for_each(|place| codes[place] = "NOSUCHCODE");
    let answers = redeem_all(&server, &key, &codes, Some("shop")).await;
    let (granted, wrong) = (count(&answers, "state", "confirmed"), count(&answers, "code", "code-not-found"));
    assert_eq!((granted, wrong), (995, 5));
    server.stop().await;
    judge_redemptions(&place).await;
}

on_stores!([sqlite, postgres] regression_the_limit_of_guesses_holds_within_a_burst);
async fn regression_the_limit_of_guesses_holds_within_a_burst(place: TestStore) {
    let (server, key) = guarded_server(&place).await;
    let burst = (0..60).map(|_| validate(&server, &key, "NOSUCHCODE", Some("guesser")));
    let (mut answered, mut throttled) = (0, 0);
    for answer in join_all(burst).await {
        match answer.status {
            200 => answered += 1,
            _ => throttled += i32::from(answer.expect_problem(429, "too-many-attempts").is_object()),
        }
    }
    assert_eq!((answered, throttled), (6, 54));
    expect_first_pause(&server, &key, Some("guesser")).await;
    // Valid requests wait for each other instead.
    for answer in join_all((0..40).map(|_| validate(&server, &key, "SPRING", Some("buyer")))).await {
        assert_eq!(answer.expect(200)["valid"], true, "{answer:?}");
    }
    let paths: Vec<String> = (0..40).map(|_| format!("/v1/redemptions/{}", Uuid::now_v7())).collect();
    let request = json!({ "code": "SPRING", "actor": "buyer" });
    for answer in join_all(paths.iter().map(|path| server.ask("PUT", path, &key, Some(request.clone())))).await {
        answer.expect(201);
    }
    server.stop().await;
}

on_stores!([sqlite] a_key_asks_as_often_as_it_may);
async fn a_key_asks_as_often_as_it_may(place: TestStore) {
    let server = ApiServer::start_with(&place, &[("CODEMINT__SERVER__RATE_LIMIT", "1")], &[]).await;
    let (key, other) = (create_key(&place, "manage").await, create_key(&place, "manage").await);
    let mut refused = 0;
    for _ in 0..20 {
        let answer = server.get("/v1/campaigns", &key).await;
        if answer.status == 429 {
            answer.expect_problem(429, "too-many-requests");
            assert_eq!(answer.header("retry-after"), Some("1"));
            refused += 1;
        } else {
            answer.expect(200);
        }
    }
    assert!(refused > 5, "{refused} of 20 were refused");
    server.get("/v1/campaigns", &other).await.expect(200);
    server.stop().await;
}

/// Sends raw bytes and returns what arrives until the server closes the connection.
pub(crate) fn send_raw(server: &ApiServer, bytes: &[u8]) -> (String, Duration) {
    let mut stream = TcpStream::connect(server.address).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(100))).expect("a timeout");
    let started = Instant::now();
    // The server may close the connection before it has read everything.
    let _sent = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _closed = stream.read_to_end(&mut answer);
    (String::from_utf8_lossy(&answer).into_owned(), started.elapsed())
}

on_stores!([sqlite] clients_that_never_end_are_ended_and_others_are_served);
async fn clients_that_never_end_are_ended_and_others_are_served(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "manage").await;
    let flood = format!("GET /v1/campaigns HTTP/1.1\r\nHost: a\r\n{}\r\n", "X-Flood: 1234567890\r\n".repeat(5_000));
    let (answer, _) = send_raw(&server, flood.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let (slow, body) = std::thread::scope(|scope| {
        let slow = scope.spawn(|| send_raw(&server, b"GET /v1/campaigns HTTP/1.1\r\nHost: a\r\nX-Slow: "));
        let request = format!(
            "POST /v1/validations HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {key}\r\nContent-Type: application/json\r\n\
             Connection: close\r\nContent-Length: 100\r\n\r\n{{"
        );
        let body = scope.spawn(|| {
            let request = request;
            send_raw(&server, request.as_bytes())
        });
        (slow.join().expect("a thread"), body.join().expect("a thread"))
    });
    assert!(slow.1 < Duration::from_secs(90), "headers that never end: {slow:?}");
    assert!(body.1 < Duration::from_secs(90), "a body that never ends: {body:?}");
    server.get("/v1/campaigns", &key).await.expect(200);
    server.stop().await;
}

on_stores!([sqlite] a_connection_goes_on_after_a_body_that_was_not_read);
async fn a_connection_goes_on_after_a_body_that_was_not_read(place: TestStore) {
    let server = ApiServer::start(&place).await;
    let head = "POST /v1/validations HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n";
    let short = format!("{head}Content-Length: 2\r\n\r\n{{}}").repeat(3);
    let (answer, _) =
        send_raw(&server, format!("{short}{head}Connection: close\r\nContent-Length: 0\r\n\r\n").as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 401").count(), 4, "{answer}");
    assert_eq!(answer.matches("connection: close").count(), 1, "{answer}");
    let long = format!("{head}Content-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    let (answer, _) = send_raw(&server, long.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
    server.stop().await;
}

on_stores!([sqlite] connections_beyond_the_limit_wait_for_room);
async fn connections_beyond_the_limit_wait_for_room(place: TestStore) {
    let server = ApiServer::start_with(&place, &[("CODEMINT__SERVER__CONNECTIONS_MAX", "3")], &[]).await;
    let key = create_key(&place, "manage").await;
    // The client of this test holds one.
    let idle: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(server.address).expect("a connection")).collect();
    server.get("/v1/campaigns", &key).await.expect(200);
    let mut waiting = TcpStream::connect(server.address).expect("a connection");
    waiting.set_read_timeout(Some(Duration::from_millis(500))).expect("a timeout");
    waiting.write_all(b"GET /openapi.json HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").expect("a request");
    assert!(waiting.read(&mut [0]).is_err(), "an answer came although there was no room");
    drop(idle);
    waiting.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    assert_eq!(waiting.read(&mut [0]).expect("an answer"), 1);
    server.stop().await;
}

on_stores!([sqlite, postgres] refusals_of_hidden_codes_take_at_least_a_tenth_of_a_second);
async fn refusals_of_hidden_codes_take_at_least_a_tenth_of_a_second(place: TestStore) {
    create_campaign(&place, &definition("off", "public", "OFFCODE", &json!({ "active": false })), 1).await;
    let server = ApiServer::start_with(&place, &[("CODEMINT__SERVER__FAILURES_PER_MINUTE", "0")], &[]).await;
    let key = create_key(&place, "redeem").await;
    for code in ["NOBODYS", "OFFCODE"] {
        for _ in 0..3 {
            let started = Instant::now();
            let refused: Value = validate(&server, &key, code, None).await.expect(200);
            assert_eq!(refused["reasons"][0]["code"], "code-not-found", "{refused}");
            assert!(started.elapsed() >= Duration::from_millis(100), "{:?}", started.elapsed());
        }
    }
    server.stop().await;
}

on_stores!([sqlite, postgres] hidden_codes_cannot_be_told_apart_by_the_time_of_their_refusals);
async fn hidden_codes_cannot_be_told_apart_by_the_time_of_their_refusals(place: TestStore) {
    create_campaign(&place, &definition("off", "public", "OFFCODE", &json!({ "active": false })), 1).await;
    create_campaign(&place, &definition("spring", "public", "SPRING", &json!({})), 1).await;
    let server = ApiServer::start_with(&place, &[("CODEMINT__SERVER__FAILURES_PER_MINUTE", "0")], &[]).await;
    let key = create_key(&place, "redeem").await;
    let time_of = async |code: &'static str| {
        let started = Instant::now();
        let answer: Value = validate(&server, &key, code, None).await.expect(200);
        let is_right = answer["valid"] == true || answer["reasons"][0]["code"] == "code-not-found";
        assert!(is_right, "{answer}");
        started.elapsed()
    };
    let (mut unknown, mut dead) = (Vec::new(), Vec::new());
    // One after the other: requests at the same time are decided together. Neither kind always comes first.
    for code in ["NOBODYS", "OFFCODE", "OFFCODE", "NOBODYS"].repeat(50) {
        let time = time_of(code).await;
        if code == "OFFCODE" { dead.push(time) } else { unknown.push(time) }
    }
    // Samples of one distribution differ by more once in 15,000 runs.
    let difference = rank_difference(&unknown, &dead);
    assert!(difference.abs() < 4.0, "{difference}");
    let mut valid = Vec::new();
    for _ in 0..20 {
        valid.push(time_of("SPRING").await);
    }
    let difference = rank_difference(&unknown, &valid);
    assert!(difference > 4.0, "the comparison tells no valid code, which is answered at once: {difference}");
    server.stop().await;
}
