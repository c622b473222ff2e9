//! Servers that are killed, and databases that crash, are away or freeze, while shops redeem over HTTP: what was answered is stored,
//! and what was not is carried out once when it is sent again.

#![expect(clippy::print_stdout, reason = "the figures that docs/crash-report.md states")]

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use uuid::Uuid;

use codemint_telemetry::failpoint;
use codemint_test_support::api::{self, ApiServer, create_key};
use codemint_test_support::on_stores;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::redeem_steps::{cart, create_campaign, definition, judge_redemptions};
use codemint_test_support::redemption_histories::{Answer, Call, Request, judge_histories};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;

use crate::api_faults::{
    END_HEADERS, END_STREAM, GET, HEADERS, PREFACE, connect_with, frame, frames, headers, read_all,
};

const SHOPS: usize = 32;
const BATCH: usize = 20;
/// How long a request may take: the time limit of the server, on a busy machine.
const BOUND: Duration = Duration::from_secs(40);

/// Shops that send each request until it is answered, to a server that may be replaced at any moment.
struct Shops {
    server: Mutex<Arc<ApiServer>>,
    key: String,
    codes: Vec<String>,
    /// Every answer must arrive.
    is_always_up: bool,
    is_over: AtomicBool,
    visits: AtomicU64,
    calls: Mutex<Vec<Call>>,
    /// The last answer about each redemption; `None` if none was granted.
    last: Mutex<BTreeMap<Uuid, Option<Value>>>,
}

impl Shops {
    /// Creates campaigns whose limits are reached soon, and starts a server.
    async fn open(place: &TestStore, environment: &[(&str, &str)], is_always_up: bool) -> Self {
        let budget = json!({ "limits": { "budget": { "currency": "EUR", "amount": 20_000 } } });
        create_campaign(place, &definition("many", "public", "MANY", &json!({ "limits": { "redeemed": 150 } })), 1)
            .await;
        create_campaign(place, &definition("budget", "public", "BUDGET", &budget), 1).await;
        let single = json!({ "limits": { "per_code": 1 } });
        create_campaign(place, &definition("single", "private", "SINGLE-####", &single), 50).await;
        Self {
            server: Mutex::new(Arc::new(ApiServer::start_with(place, environment, &[]).await)),
            key: create_key(place, "redeem").await,
            codes: place.texts("select code from codes order by code").await,
            is_always_up,
            is_over: AtomicBool::default(),
            visits: AtomicU64::default(),
            calls: Mutex::default(),
            last: Mutex::default(),
        }
    }

    fn server(&self) -> Arc<ApiServer> {
        Arc::clone(&self.server.lock().expect("a server"))
    }

    /// Lets the shops sell while `disturb` lasts; then judges the store by all answers.
    async fn sell(&self, place: &TestStore, disturb: impl AsyncFnOnce()) {
        let disturbed = async {
            disturb().await;
            self.is_over.store(true, Ordering::Relaxed);
        };
        tokio::join!(join_all((0..SHOPS).map(|shop| self.sell_alone(shop))), disturbed);
        let calls = std::mem::take(&mut *self.calls.lock().expect("calls"));
        let unanswered = calls.iter().filter(|call| call.answer.is_none()).count();
        println!("{} calls, of which {unanswered} were not answered", calls.len());
        assert!(unanswered > 0 && calls.len() > 4 * SHOPS, "{unanswered} of {} were not answered", calls.len());
        let last = std::mem::take(&mut *self.last.lock().expect("answers"));
        let ids: Vec<Uuid> = last.keys().copied().collect();
        for ids in ids.chunks(SHOPS) {
            let (server, paths) = (self.server(), ids.iter().map(|id| format!("/v1/redemptions/{id}")));
            let stored = join_all(paths.map(async |path| server.get(&path, &self.key).await)).await;
            for (stored, id) in stored.iter().zip(ids) {
                match &last[id] {
                    Some(last) => assert_eq!(&stored.expect(200), last, "the last answer is not what is stored"),
                    None => drop(stored.expect_problem(404, "not-found")),
                }
            }
        }
        let stored = place.number("select count(*) from redemptions").await;
        assert_eq!(stored, last.values().flatten().count() as i64);
        judge_redemptions(place).await;
        // Its questions are those of PostgreSQL.
        if place.kind == Kind::Postgres {
            let mut violations = judge_histories(place, &calls, &[], None).await;
            violations.truncate(5);
            assert!(violations.is_empty(), "{violations:#?}");
        }
    }

    async fn sell_alone(&self, shop: usize) {
        while !self.is_over.load(Ordering::Relaxed) {
            let visit = self.visits.fetch_add(1, Ordering::Relaxed);
            match visit % 16 {
                0 => self.redeem_many(shop, visit).await,
                _ => self.redeem_one(shop, visit).await,
            }
            // All that they do is judged afterwards.
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// Uses a code, and does something with the use afterwards.
    async fn redeem_one(&self, shop: usize, visit: u64) {
        let (id, is_held) = (Uuid::now_v7(), !visit.is_multiple_of(3));
        let redeem = self.use_of(visit, is_held);
        let path = format!("/v1/redemptions/{id}");
        let redeemed = self.ask(shop, id, Request::Redeem { variant: 0, is_held }, "PUT", &path, redeem).await;
        if redeemed == Answer::Refused {
            return;
        }
        let (request, what, body) = match (is_held, visit % 5) {
            (true, 0) => (Request::Confirm { cart: None }, "confirm", json!({})),
            (true, 1) => (Request::Confirm { cart: Some(1000) }, "confirm", json!({ "cart": cart(1000) })),
            (true, 2 | 3) => (Request::Release, "release", json!({})),
            (false, 0) => (Request::RollBack { keep_use: true }, "rollback", json!({ "keep_use": true })),
            (false, 1..4) => (Request::RollBack { keep_use: false }, "rollback", json!({})),
            _ => return,
        };
        self.ask(shop, id, request, "POST", &format!("{path}/{what}"), body).await;
    }

    fn use_of(&self, visit: u64, is_held: bool) -> Value {
        let code = &self.codes[visit as usize * 7 % self.codes.len()];
        let code = match visit % 4 {
            0 | 1 => "MANY",
            2 => "BUDGET",
            _ => code,
        };
        json!({ "code": code, "cart": cart(2000), "hold_seconds": if is_held { 3600 } else { 0 } })
    }

    async fn ask(&self, shop: usize, id: Uuid, request: Request, method: &str, path: &str, body: Value) -> Answer {
        loop {
            let (sent_at, answer) = (now(), self.send(method, path, &body).await);
            let answer = answer.map(|answer| (serde_json::from_str(&answer.body).expect("JSON"), answer.status == 201));
            if let Some(answer) = self.note(shop, id, request, sent_at, answer) {
                return answer;
            }
        }
    }

    async fn redeem_many(&self, shop: usize, visit: u64) {
        let ids: Vec<Uuid> = (0..BATCH).map(|_| Uuid::now_v7()).collect();
        let items = ids.iter().zip(visit..).map(|(id, number)| {
            let mut item = self.use_of(number, number % 2 == 0);
            item["id"] = json!(id);
            item
        });
        let body = json!({ "items": items.collect::<Vec<_>>() });
        loop {
            let (sent_at, answer) = (now(), self.send("POST", "/v1/redemptions:batch", &body).await);
            let answers = answer.map(|answer| answer.expect(200)["items"].as_array().expect("items").clone());
            let mut answers: Vec<Option<Value>> = match answers {
                Some(answers) => answers.into_iter().map(Some).collect(),
                None => vec![None; BATCH],
            };
            let mut is_complete = true;
            for ((id, answer), number) in ids.iter().zip(&mut answers).zip(visit..) {
                let answer = answer.take().filter(|answer| !is_of_unavailable(answer)).map(|answer| (answer, false));
                let request = Request::Redeem { variant: 0, is_held: number % 2 == 0 };
                is_complete &= self.note(shop, *id, request, sent_at, answer).is_some();
            }
            if is_complete {
                return;
            }
        }
    }

    /// Returns an answer that says more than that the store is away.
    async fn send(&self, method: &str, path: &str, body: &Value) -> Option<api::Answer> {
        let (server, started) = (self.server(), Instant::now());
        let headers = [("content-type", "application/json")];
        let sent = server.try_send(method, path, Some(&self.key), &headers, Some(body.to_string())).await;
        assert!(started.elapsed() < BOUND, "{method} {path}: {:?}", started.elapsed());
        match sent {
            Ok(answer) if answer.status == 503 => expect_unavailable(&answer),
            Ok(answer) => return Some(answer),
            Err(error) => assert!(!self.is_always_up, "{method} {path}: {error}"),
        }
        sleep(Duration::from_millis(50)).await;
        None
    }

    /// Records a call, and returns its answer.
    fn note(
        &self,
        process: usize,
        id: Uuid,
        request: Request,
        sent_at: i64,
        answer: Option<(Value, bool)>,
    ) -> Option<Answer> {
        let read = answer.as_ref().map(|(document, is_new)| read(document, *is_new));
        if let Some((document, _)) = answer {
            let is_granted = document["state"].is_string();
            self.last.lock().expect("answers").insert(id, is_granted.then_some(document));
        }
        let answer = read.clone().map(|answer| (now(), answer));
        self.calls.lock().expect("calls").push(Call { process, id, request, sent_at, answer });
        read
    }
}

/// Returns what an answer says; shops that ask alone about their redemptions are refused by limits only.
fn read(document: &Value, is_changed: bool) -> Answer {
    if let Some(state) = document["state"].as_str() {
        let keep_use = document["keep_use"] == true;
        return Answer::Stands {
            state: state.to_owned(),
            keep_use,
            discount: document["discount"]["amount"].as_i64(),
            is_changed,
        };
    }
    let reason = document["code"].as_str().expect("a reason");
    assert!(["limit-reached", "campaign-limit-reached", "budget-exhausted"].contains(&reason), "{document}");
    Answer::Refused
}

/// Returns true if a problem says that nothing is known about a request, which is sent again.
fn is_of_unavailable(document: &Value) -> bool {
    ["store-away", "timeout", "busy"].iter().any(|code| document["code"] == *code)
}

#[track_caller]
fn expect_unavailable(answer: &api::Answer) {
    let code = answer.expect(503)["code"].as_str().expect("a code").to_owned();
    assert!(is_of_unavailable(&answer.expect_problem(503, &code)), "{answer:?}");
    let seconds: u32 = answer.header("retry-after").expect("a time").parse().expect("seconds");
    assert!((1..=10).contains(&seconds), "{answer:?}");
}

/// Returns the microseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970").as_micros() as i64
}

/// A PostgreSQL server of its own, for a store.
struct OwnDatabase(Arc<Server>);

impl OwnDatabase {
    async fn start() -> (Self, TestStore) {
        let server = Server::start(Durability::Full);
        create_database(&server.url("postgres"), "shop").await;
        let place = TestStore::postgres_at(&server.url("shop")).await;
        (Self(Arc::new(server)), place)
    }

    /// Does something to the server that takes a while.
    async fn with(&self, act: fn(&Server)) {
        let server = Arc::clone(&self.0);
        spawn_blocking(move || act(&server)).await.expect("no panic");
    }
}

async fn validate(server: &ApiServer, key: &str) -> api::Answer {
    server.ask("POST", "/v1/validations", key, Some(json!({ "code": "MANY" }))).await
}

async fn wait_until_served(server: &ApiServer, key: &str) {
    wait_until("a code is validated", async || validate(server, key).await.status == 200).await;
}

/// Returns the resident memory of a server in KiB.
fn memory(server: &ApiServer) -> u64 {
    let process = server.process.child.id().expect("a process");
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

on_stores!([sqlite, postgres] what_a_killed_server_answered_is_stored_and_the_rest_is_right_when_repeated);
async fn what_a_killed_server_answered_is_stored_and_the_rest_is_right_when_repeated(place: TestStore) {
    // Answers to what is committed are late enough to be lost.
    let stall = format!("{}=10*off->1*return(stall)->off", failpoint::REDEMPTIONS_COMMITTED);
    let shops = Shops::open(&place, &[("FAILPOINTS", &stall)], false).await;
    let kill = async || {
        for kills_left in (0..5).rev() {
            sleep(Duration::from_millis(700)).await;
            shops.server().process.signal("KILL");
            let stalls = [("FAILPOINTS", &*stall)];
            let environment = if kills_left > 0 { &stalls[..] } else { &[] };
            let next = Arc::new(ApiServer::start_with(&place, environment, &[]).await);
            *shops.server.lock().expect("a server") = next;
        }
    };
    shops.sell(&place, kill).await;
}

#[tokio::test]
async fn a_database_that_crashes_under_load_makes_no_answer_wrong() {
    let (database, place) = OwnDatabase::start().await;
    let shops = Shops::open(&place, &[], true).await;
    let crash = async || {
        for _ in 0..4 {
            sleep(Duration::from_millis(700)).await;
            database.with(Server::crash_and_restart).await;
            wait_until_served(&shops.server(), &shops.key).await;
        }
    };
    shops.sell(&place, crash).await;
}

#[tokio::test]
async fn while_the_database_is_away_requests_are_answered_with_503_and_readiness_says_so() {
    let (database, place) = OwnDatabase::start().await;
    create_campaign(&place, &definition("many", "public", "MANY", &json!({})), 1).await;
    let server = ApiServer::start(&place).await;
    let (key, unseen) = (create_key(&place, "redeem,manage").await, create_key(&place, "manage").await);
    validate(&server, &key).await.expect(200);
    assert_eq!(server.process.readiness().expect("an answer").0, 200);
    database.with(Server::stop).await;
    let started = Instant::now();
    let (path, item) = (format!("/v1/redemptions/{}", Uuid::now_v7()), json!({ "code": "MANY" }));
    let batch = json!({ "items": [{ "id": Uuid::now_v7(), "code": "MANY" }] });
    let requests = [
        ("POST", "/v1/validations", &key, Some(item.clone())),
        ("PUT", &path, &key, Some(item.clone())),
        ("GET", &path, &key, None),
        ("POST", "/v1/redemptions:batch", &key, Some(batch)),
        ("GET", "/v1/campaigns", &key, None),
        ("GET", "/v1/campaigns", &unseen, None),
    ];
    let asked = requests.into_iter().map(|(method, path, key, body)| server.ask(method, path, key, body));
    for answer in join_all(asked).await {
        // While the key is still known, the items of a batch are answered one by one.
        match answer.status {
            200 => assert!(is_of_unavailable(&answer.expect(200)["items"][0]), "{answer:?}"),
            _ => expect_unavailable(&answer),
        }
    }
    println!("answered after {:?}", started.elapsed());
    assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    let (status, readiness) = server.process.readiness().expect("an answer");
    assert_eq!((status, &readiness["missing"][0]["what"]), (503, &json!("store")), "{readiness}");
    database.with(Server::start_again).await;
    wait_until_served(&server, &key).await;
    wait_until("it is ready", async || server.process.readiness().is_some_and(|(status, _)| status == 200)).await;
    server.ask("PUT", &path, &key, Some(item)).await.expect(201);
    server.stop().await;
    judge_redemptions(&place).await;
}

/// Sends requests over 60 connections, 200 at a time on each, and returns how many are answered within a while.
fn ask_12_000_times(address: SocketAddr, key: &str) -> usize {
    let ask = |stream| {
        let headers = headers(GET, "/v1/campaigns", &[("authorization", &format!("Bearer {key}"))]);
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers)
    };
    let all: Vec<u8> = (1..).step_by(2).take(200).flat_map(ask).collect();
    let mut streams: Vec<TcpStream> = (0..60).map(|_| connect_with(address, &[PREFACE, &all].concat())).collect();
    let answered = streams.iter_mut().flat_map(|stream| frames(&read_all(stream).0));
    answered.filter(|(kind, ..)| *kind == HEADERS).count()
}

#[tokio::test]
async fn while_the_database_is_frozen_requests_end_in_time_and_those_that_wait_are_bounded() {
    let (database, place) = OwnDatabase::start().await;
    create_campaign(&place, &definition("many", "public", "MANY", &json!({})), 1).await;
    let server = ApiServer::start(&place).await;
    let key = create_key(&place, "redeem,manage").await;
    let path = format!("/v1/redemptions/{}", Uuid::now_v7());
    let ask = async || server.ask("PUT", &path, &key, Some(json!({ "code": "MANY" }))).await;
    validate(&server, &key).await.expect(200);
    let before = memory(&server);
    database.with(|server| server.signal_all("STOP")).await;
    let started = Instant::now();
    let flood = async {
        let (address, key) = (server.address, key.clone());
        let asking = spawn_blocking(move || ask_12_000_times(address, &key));
        wait_until("too many requests wait", async || {
            let answer = server.get("/v1/campaigns", "cm_none").await;
            assert!([401, 503].contains(&answer.status), "{answer:?}");
            answer.status == 503 && answer.expect_problem(503, "busy").is_object()
        })
        .await;
        let grown = memory(&server).saturating_sub(before);
        println!("10,000 waiting requests take {grown} KiB");
        assert!(grown < 300 << 10, "{grown} KiB");
        let answered = asking.await.expect("no panic");
        assert!(answered >= 2_000, "{answered} requests were answered");
    };
    let answered = async {
        let (validated, asked, listed) =
            tokio::join!(validate(&server, &key), ask(), server.get("/v1/campaigns", &key));
        for answer in [validated, asked, listed] {
            expect_unavailable(&answer);
        }
        assert!(started.elapsed() < BOUND, "{:?}", started.elapsed());
    };
    tokio::join!(answered, flood);
    database.with(|server| server.signal_all("CONT")).await;
    wait_until_served(&server, &key).await;
    let answer = ask().await;
    // The first attempt may have been carried out.
    assert!([200, 201].contains(&answer.status), "{answer:?}");
    server.stop().await;
    judge_redemptions(&place).await;
}

on_stores!([sqlite, postgres] while_the_database_is_slow_the_queue_of_redemptions_is_bounded);
async fn while_the_database_is_slow_the_queue_of_redemptions_is_bounded(place: TestStore) {
    create_campaign(&place, &definition("many", "public", "MANY", &json!({})), 1).await;
    let stall = format!("{}=2*return(stall)->off", failpoint::REDEMPTIONS_WRITTEN);
    let server = ApiServer::start_with(&place, &[("FAILPOINTS", &stall)], &[]).await;
    let key = create_key(&place, "redeem").await;
    let many = || {
        let items: Vec<Value> = (0..1000).map(|_| json!({ "id": Uuid::now_v7(), "code": "MANY" })).collect();
        Some(json!({ "items": items }))
    };
    // 10,000 wait, besides those that two transactions have taken.
    let batches = join_all((0..16).map(|_| server.ask("POST", "/v1/redemptions:batch", &key, many()))).await;
    let (mut granted, mut busy) = (0, 0);
    for item in batches.iter().flat_map(|answer| answer.expect(200)["items"].as_array().expect("items").clone()) {
        granted += i64::from(item["state"] == "confirmed");
        busy += i64::from(item["code"] == "busy");
    }
    println!("{granted} granted, {busy} busy");
    assert!(busy > 0 && granted >= 10_000 && granted + busy == 16_000, "{granted} granted, {busy} busy");
    validate(&server, &key).await.expect(200);
    server.stop().await;
    let stored = place.number("select count(*) from redemptions").await;
    assert_eq!(stored, granted);
    judge_redemptions(&place).await;
}

on_stores!([sqlite, postgres] a_server_that_is_terminated_answers_what_it_has_accepted);
async fn a_server_that_is_terminated_answers_what_it_has_accepted(place: TestStore) {
    create_campaign(&place, &definition("many", "public", "MANY", &json!({})), 1).await;
    let stall = format!("{}=1*return(stall)->off", failpoint::REDEMPTIONS_WRITTEN);
    let server = ApiServer::start_with(&place, &[("FAILPOINTS", &stall)], &[]).await;
    let key = create_key(&place, "redeem").await;
    let ids: Vec<Uuid> = (0..SHOPS).map(|_| Uuid::now_v7()).collect();
    let answers = join_all(ids.iter().map(async |id| {
        let path = format!("/v1/redemptions/{id}");
        server.ask("PUT", &path, &key, Some(json!({ "code": "MANY" }))).await
    }));
    let terminated = async {
        server.process.wait_until_it_says("a failpoint was reached").await;
        server.process.wait_until_metric("codemint_http_connections", |open| open >= SHOPS as f64).await;
        // All are on their way: the first ones are being written for five seconds.
        sleep(Duration::from_secs(1)).await;
        server.process.signal("TERM");
        wait_until("it accepts nothing more", async || std::net::TcpStream::connect(server.address).is_err()).await;
    };
    let (answers, ()) = tokio::join!(answers, terminated);
    for answer in answers {
        answer.expect(201);
    }
    server.process.finish().await.expect_code(0);
    assert_eq!(place.number("select count(*) from redemptions").await, SHOPS as i64);
    judge_redemptions(&place).await;
}
