//! Prometheus' own linter finds no problem in the metrics of a worker.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use uuid::Uuid;

use codemint_test_support::amqp::durable;
use codemint_test_support::site::{EVENTS, JOBS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;

/// Panics with the output of promtool unless it is empty.
fn assert_clean_to_promtool(metrics: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of the package prometheus");
    promtool.stdin.take().expect("a pipe").write_all(metrics.as_bytes()).expect("all of it");
    let said = promtool.wait_with_output().expect("an end");
    let text = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
    assert!(said.status.success() && text.trim().is_empty(), "{text}");
}

#[tokio::test]
async fn promtool_accepts_the_metrics_of_a_worker_before_and_after_work() {
    let site = Site::new(TestStore::postgres().await).await;
    fs::write(site.store.directory.path().join("denied.txt"), "AA\n").expect("a file");
    // The filters are wrong about every second code.
    let environment = [
        ("CODEMINT__DENY__FILE", "denied.txt"),
        ("CODEMINT__JOB__CHUNK_SIZE", "1000"),
        ("CODEMINT__PREFILTER__FALSE_POSITIVE_RATE", "0.5"),
    ];
    let worker = site.start(&environment, &[]);
    worker.wait_until_ready().await;
    worker.wait_until_metric("codemint_broker_queue_consumers{queue=\"jobs\"}", |consumers| consumers == 1.0).await;
    assert_clean_to_promtool(&worker.get("/metrics").expect("an answer").1);

    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    for (mask, count) in [("???###", 30_000), ("???###", 30_000), ("####", 10_001)] {
        let id = Uuid::now_v7();
        publish(&peer, &request(id, mask, count)).await;
        wait_for_end(&mut inbox, id).await;
        publish(&peer, &request(id, mask, count)).await;
    }
    peer.publish(JOBS, JOBS, b"no job", durable()).await;
    worker.wait_until_metric("codemint_broker_messages_total{result=\"dead_lettered\"}", |dead| dead == 1.0).await;
    worker.wait_until_metric("codemint_broker_queue_messages{queue=\"dead\"}", |dead| dead == 1.0).await;
    assert_clean_to_promtool(&worker.get("/metrics").expect("an answer").1);
    worker.terminate().await.expect_code(0);
}
