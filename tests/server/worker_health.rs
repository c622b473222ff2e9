//! The health of a worker, as containers and probes query it and as it is reported to service managers.

use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use uuid::Uuid;

use codemint_test_support::codemint::{Codemint, Ran, finish, send_signal};
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::processes::reserved_port;
use codemint_test_support::site::{Site, Worker, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const LOOKS_AT_THE_SCHEMA: &str = "
    select cast(seq_scan + coalesce(idx_scan, 0) as bigint) from pg_stat_user_tables where relname = '_sqlx_migrations'";

async fn health(site: &Site, worker: &Worker, args: &[&str]) -> Ran {
    let listen = worker.admin.to_string();
    site.codemint(&["health"]).args(args).env("CODEMINT__ADMIN__LISTEN", &listen).run().await
}

#[tokio::test(flavor = "multi_thread")]
async fn health_distinguishes_a_ready_worker_from_an_unready_and_an_absent_one() {
    let server = Server::start(Durability::None);
    create_database(&server.url("postgres"), "codemint").await;
    let site = Site::new(TestStore::postgres_at(&server.url("codemint")).await).await;
    let worker = site.start(&[("FAILPOINTS", "codes-half-written=return(stall)")], &[]);
    worker.wait_until_ready().await;
    let ran = health(&site, &worker, &[]).await.expect_code(0);
    assert_eq!(ran.stdout, "{\"ready\":true,\"missing\":[],\"broker\":\"connected\"}\n");
    assert_eq!(health(&site, &worker, &["--live"]).await.expect_code(0).stdout, "alive\n");

    server.signal_all("STOP");
    let unready = async || health(&site, &worker, &[]).await.code == 3;
    wait_until("it is not ready", unready).await;
    let ran = health(&site, &worker, &[]).await.expect_code(3);
    assert!(ran.stderr.contains("is not ready: store: it has not answered for 2 s"), "{}", ran.stderr);
    health(&site, &worker, &["--live"]).await.expect_code(0);
    server.signal_all("CONT");
    let ready = async || health(&site, &worker, &[]).await.code == 0;
    wait_until("it is ready again", ready).await;

    // A stalled chunk keeps the worker from ending.
    publish(&site.peer().await, &request(Uuid::now_v7(), "DRAIN???#", 10)).await;
    worker.wait_until_metric("codemint_writers_busy", |busy| busy == 1.0).await;
    worker.signal("TERM");
    wait_until("it drains", async || worker.readiness().is_some_and(|(status, _)| status == 503)).await;
    let ran = health(&site, &worker, &[]).await.expect_code(3);
    assert!(ran.stderr.contains("worker: it is stopping"), "{}", ran.stderr);
    worker.signal("KILL");
    let (admin, _) = (worker.admin, worker.finish().await);
    let asked = site.codemint(&["health"]).env("CODEMINT__ADMIN__LISTEN", &admin.to_string()).run().await;
    assert!(asked.expect_code(5).stderr.contains("no worker answers at 127.0.0.1:"), "no worker is running");
    let asked = site.codemint(&["health"]).env("CODEMINT__ADMIN__LISTEN", "off").run().await;
    assert!(asked.expect_code(2).stderr.contains("admin.listen is off"), "the listener is off");
}

#[tokio::test]
async fn an_unusable_schema_makes_a_worker_unready() {
    let site = Site::new(TestStore::postgres().await).await;
    let worker = site.start_ready().await;
    site.store.execute("update _sqlx_migrations set success = false where version = 1").await;
    wait_until("it is not ready", async || worker.readiness().is_some_and(|(status, _)| status == 503)).await;
    let (status, body) = worker.readiness().expect("an answer");
    assert_eq!((status, &body["missing"][0]["what"]), (503, &"store".into()), "{body}");
    assert!(body["missing"][0]["reason"].to_string().contains("half done"), "{body}");
    site.store.execute("update _sqlx_migrations set success = true where version = 1").await;
    wait_until("it is ready", async || worker.readiness().is_some_and(|(status, _)| status == 200)).await;
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn readiness_queries_the_store_at_most_once_a_second_however_often_it_is_asked() {
    const ASKED: i64 = 1000;
    let site = Site::new(TestStore::postgres().await).await;
    let worker = site.start_ready().await;
    for _ in 0..ASKED {
        // On a busy machine, a store may be slow to answer.
        let (status, body) = worker.readiness().expect("an answer");
        assert!([200, 503].contains(&status), "{status}: {body}");
    }
    // PostgreSQL counts the scans of a connection at the latest when the connection is closed.
    worker.terminate().await.expect_code(0);
    let looks = site.count(LOOKS_AT_THE_SCHEMA).await;
    assert!((1..ASKED / 2).contains(&looks), "the schema was read {looks} times");
}

/// Listens as a service manager does; returns the value of `NOTIFY_SOCKET`, and what receives the next message.
fn service_manager(directory: &Path) -> (String, impl Fn() -> String) {
    let place = directory.join("notify");
    let socket = UnixDatagram::bind(&place).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
    let hear = move || {
        let mut message = [0; 4096];
        let length = socket.recv(&mut message).expect("a message in time");
        String::from_utf8_lossy(&message[..length]).into_owned()
    };
    (place.display().to_string(), hear)
}

#[tokio::test]
async fn a_server_that_waits_for_the_database_reports_readiness_and_liveness_also_without_an_admin_listener() {
    let place = tempfile::tempdir().expect("a directory");
    let (socket, hear) = service_manager(place.path());
    let server = Codemint::new(place.path())
        .args(["--store", "postgres://nobody@127.0.0.1:1/none", "serve"])
        .env("CODEMINT__SERVER__LISTEN", &format!("127.0.0.1:{}", reserved_port()))
        .env("CODEMINT__ADMIN__LISTEN", "off")
        .env("NOTIFY_SOCKET", &socket)
        .env("WATCHDOG_USEC", "300000")
        .start();
    assert!(hear().starts_with("READY=1\n"), "readiness is reported first");
    assert_eq!(hear(), "WATCHDOG=1\n");
    send_signal("TERM", &server);
    finish(server).await.expect_code(0);
}

#[tokio::test]
async fn a_server_refuses_to_work_as_a_superuser_also_without_an_admin_listener() {
    let place = TestStore::postgres().await;
    let server = place
        .codemint(["serve"])
        .env("CODEMINT__SERVER__LISTEN", &format!("127.0.0.1:{}", reserved_port()))
        .env("CODEMINT__ADMIN__LISTEN", "off")
        .env("CODEMINT__STORE__REQUIRE_LEAST_PRIVILEGE", "true");
    let ran = server.run().await.expect_code(2);
    assert!(ran.stderr.contains("use a member of codemint_server"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_worker_reports_readiness_liveness_and_shutdown_to_a_service_manager() {
    let site = Site::new(TestStore::postgres().await).await;
    let (place, hear) = service_manager(site.store.directory.path());
    let worker = site.start(&[("NOTIFY_SOCKET", &place), ("WATCHDOG_USEC", "300000")], &[]);
    assert!(hear().starts_with("READY=1\n"), "readiness is reported first");
    let mut beats = 0;
    while beats < 5 {
        beats += usize::from(hear() == "WATCHDOG=1\n");
    }
    worker.signal("TERM");
    while !hear().contains("STOPPING=1\n") {}
    worker.finish().await.expect_code(0);
}

#[tokio::test]
async fn a_missing_service_manager_changes_nothing() {
    let site = Site::new(TestStore::sqlite().await).await;
    let worker = site.start(&[("NOTIFY_SOCKET", "/nowhere"), ("WATCHDOG_USEC", "not a number")], &[]);
    worker.wait_until_ready().await;
    worker.terminate().await.expect_code(0);
}
