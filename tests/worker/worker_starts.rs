//! How workers start: they wait for servers that are away, and report settings that are wrong.

use std::net::TcpListener;

use lapin::types::FieldTable;
use uuid::Uuid;

use codemint_test_support::codemint::{Codemint, Ran};
use codemint_test_support::postgres::{Durability, Server, create_database, free_port};
use codemint_test_support::rabbitmq::Broker;
use codemint_test_support::site::{EVENTS, JOBS, Site, Worker, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

async fn wait_until_missing(worker: &Worker, what: &str) {
    wait_until(what, async || {
        let answer = worker.readiness();
        answer.is_some_and(|(status, body)| {
            let missing = body["missing"].as_array().expect("a list");
            status == 503 && missing.iter().any(|one| one["what"] == what)
        })
    })
    .await;
    assert_eq!(worker.get("/livez").expect("an answer").0, 200);
}

#[tokio::test]
async fn a_worker_waits_for_a_broker_that_is_away_at_the_start() {
    let broker = Broker::start();
    let site = Site::at(TestStore::postgres().await, &broker).await;
    let own = site.store.codemint(["enqueue", "OWN####", "--count", "50"]).run().await.expect_code(0);
    broker.stop_app();
    let worker = site.start(&[], &[]);
    wait_until_missing(&worker, "broker").await;
    assert!(own.stdout.len() > 30);
    // The store's own jobs need no broker.
    wait_until("the store's own job is done", async || site.count("select count(*) from codes").await == 50).await;
    broker.start_app();
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, "####", 5)).await;
    wait_for_end(&mut inbox, id).await;
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn a_worker_waits_for_a_store_that_is_away_at_the_start() {
    let server = Server::start(Durability::None);
    create_database(&server.url("postgres"), "late").await;
    let site = Site::new(TestStore::postgres_at(&server.url("late")).await).await;
    server.stop();
    let worker = site.start(&[], &[]);
    wait_until_missing(&worker, "store").await;
    server.start_again();
    worker.wait_until_ready().await;
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn a_worker_that_waits_for_its_store_or_broker_can_be_stopped() {
    let site = Site::new(TestStore::sqlite().await).await;
    let nowhere =
        [format!("postgres://postgres@127.0.0.1:{}/none", free_port()), format!("amqp://127.0.0.1:{}/", free_port())];
    for environment in [("CODEMINT__STORE__URL", nowhere[0].as_str()), ("CODEMINT__AMQP__URL", nowhere[1].as_str())] {
        let worker = site.start(&[environment], &[]);
        wait_until("it answers", async || worker.get("/livez").is_some()).await;
        let started = std::time::Instant::now();
        worker.terminate().await.expect_code(0);
        assert!(started.elapsed().as_secs() < 5, "{environment:?}: {:?}", started.elapsed());
    }
}

async fn run(site: &Site, environment: &[(&str, &str)], args: &[&str]) -> Ran {
    let program = site.codemint(&["worker"]).args(args).env("CODEMINT__ADMIN__LISTEN", "off");
    let program: Codemint = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
    program.run().await
}

#[tokio::test]
async fn without_waiting_a_worker_ends_when_store_or_broker_is_away() {
    let site = Site::new(TestStore::sqlite().await).await;
    let port = free_port();
    let (store, broker) =
        (format!("postgres://postgres@127.0.0.1:{port}/none"), format!("amqp://guest:secret@127.0.0.1:{port}/"));
    let (store_url, broker_url) =
        ([("CODEMINT__STORE__URL", store.as_str())], [("CODEMINT__AMQP__URL", broker.as_str())]);
    let (no_store, no_broker) =
        tokio::join!(run(&site, &store_url, &["--no-wait"]), run(&site, &broker_url, &["--no-wait"]));
    for ran in [no_store, no_broker] {
        let ran = ran.expect_code(5);
        assert!(ran.stderr.contains(&port.to_string()) && !ran.stderr.contains("secret"), "{}", ran.stderr);
    }
}

#[tokio::test]
async fn a_wrong_setting_ends_a_worker_and_is_named() {
    let site = Site::new(TestStore::sqlite().await).await;
    let host = site.amqp_url.rsplit_once('/').expect("a path").0;
    let wrong_password = host.replace("guest:guest", "guest:wrong") + "/";
    let no_such_vhost = format!("{host}/not-there");
    for args in [[].as_slice(), &["--no-wait"], &["--drain"]] {
        for (url, says) in [(&wrong_password, "refuses the user or the password"), (&no_such_vhost, "not-there")] {
            let ran = run(&site, &[("CODEMINT__AMQP__URL", url)], args).await.expect_code(2);
            assert!(ran.stderr.contains(says) && ran.stderr.contains("amqp.url"), "{}", ran.stderr);
            assert!(!ran.stderr.contains("wrong@") && !ran.stderr.contains(":wrong"), "{}", ran.stderr);
        }
    }
    site.peer().await.declare(JOBS, FieldTable::default()).await;
    let ran = run(&site, &[], &[]).await.expect_code(2);
    assert!(
        ran.stderr.contains("queue 'codemint.jobs'") && ran.stderr.contains("exists with other arguments: x-"),
        "{}",
        ran.stderr
    );

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let ran = run(&site, &[("CODEMINT__ADMIN__LISTEN", &address)], &[]).await.expect_code(2);
    assert!(ran.stderr.contains("admin.listen") && ran.stderr.contains(&address), "{}", ran.stderr);
}
