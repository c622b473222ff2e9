//! Traces: all work for a job belongs to the trace of its request, whichever worker does it.

use lapin::types::{AMQPValue, FieldTable};
use uuid::Uuid;

use codemint_test_support::amqp::{Peer, durable};
use codemint_test_support::collector::{CollectedSpan, Collector};
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::free_port;
use codemint_test_support::site::{JOBS, Site, Worker, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

const MASK: &str = "MY_LITTLE_PROMO????##";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const ASKED_IN: &str = "00f067aa0ba902b7";
const CHUNKS_DONE: &str = "select count(*) from chunks where state = 'done'";

async fn publish_traced(peer: &Peer, id: Uuid, count: u64, traceparent: &str) {
    let mut headers = FieldTable::default();
    headers.insert("traceparent".into(), AMQPValue::LongString(traceparent.into()));
    let body = request(id, MASK, count).to_string();
    peer.publish(JOBS, JOBS, body.as_bytes(), durable().with_headers(headers)).await;
}

fn start(site: &Site, endpoint: &str) -> Worker {
    let settings = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
        // A short delay, so that a worker that is killed has exported something.
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
        ("CODEMINT__JOB__CHUNK_SIZE", "1000"),
        ("CODEMINT__WORKER__CONCURRENCY", "1"),
    ];
    site.start(&settings, &[])
}

fn named<'a>(spans: &'a [CollectedSpan], name: &str) -> Vec<&'a CollectedSpan> {
    spans.iter().filter(|span| span.name == name).collect()
}

on_both_stores!(the_spans_of_a_worker_continue_the_trace_of_the_jobs_message);
async fn the_spans_of_a_worker_continue_the_trace_of_the_jobs_message(place: TestStore) {
    let site = Site::new(place).await;
    let peer = site.keep_events().await;
    let collector = Collector::start();
    let worker = start(&site, &collector.endpoint());
    worker.wait_until_ready().await;
    let traced = Uuid::now_v7();
    publish_traced(&peer, traced, 5000, &format!("00-{TRACE}-{ASKED_IN}-01")).await;
    publish_traced(&peer, Uuid::now_v7(), 5000, "00-no-trace-01").await;
    // The producer of this one did not sample its trace.
    publish_traced(&peer, Uuid::now_v7(), 5000, &format!("00-{}-{ASKED_IN}-00", "5".repeat(32))).await;
    wait_until("all ended", async || site.completed().await == 3).await;
    worker.terminate().await.expect_code(0);

    let spans = collector.spans();
    let jobs = named(&spans, "job");
    assert_eq!(jobs.len(), 2, "one for each job that is sampled: {jobs:?}");
    let ours = jobs.iter().find(|job| job.trace == TRACE).expect("the trace of the message");
    assert_eq!((ours.parent.as_str(), ours.links.len()), (ASKED_IN, 0));
    let other = jobs.iter().find(|job| job.trace != TRACE).expect("a trace of its own");
    assert_eq!((other.parent.as_str(), other.links.len()), ("", 0));
    let of_ours = spans.iter().filter(|span| span.name == "step" && span.trace == TRACE);
    let of_ours: Vec<&CollectedSpan> = of_ours.collect();
    assert!(of_ours.len() >= 5 && of_ours.iter().all(|step| step.parent == ours.id), "{of_ours:?}");
    let holds = |span: &CollectedSpan| String::from_utf8_lossy(&span.bytes).contains("MY_LITTLE_PROMO");
    assert!(!spans.iter().any(holds), "no span contains a mask or a code");
}

on_both_stores!(a_worker_that_resumes_a_job_continues_its_trace_and_links_to_it);
async fn a_worker_that_resumes_a_job_continues_its_trace_and_links_to_it(place: TestStore) {
    let site = Site::new(place).await;
    let peer = site.keep_events().await;
    let collector = Collector::start();
    let first = start(&site, &collector.endpoint());
    first.wait_until_ready().await;
    let untraced = Uuid::now_v7().to_string();
    let enqueue = site.codemint(&["enqueue", MASK, "--count", "300000", "--job-id", &untraced]);
    enqueue.env("CODEMINT__AMQP__URL", "").env("CODEMINT__JOB__CHUNK_SIZE", "1000").run().await.expect_code(0);
    publish_traced(&peer, Uuid::now_v7(), 300_000, &format!("00-{TRACE}-{ASKED_IN}-01")).await;
    let begun = "select count(distinct job_no) from chunks where state = 'done'";
    wait_until("chunks of both", async || site.count(begun).await == 2 && site.count(CHUNKS_DONE).await > 10).await;
    first.terminate().await.expect_code(0);
    assert_eq!(site.completed().await, 0, "there is work left to resume");
    let before = collector.spans();
    let second = start(&site, &collector.endpoint());
    second.wait_until_ready().await;
    wait_until("all ended", async || site.completed().await == 2).await;
    second.terminate().await.expect_code(0);

    let begun = named(&before, "job");
    let all = collector.spans();
    let resumed = named(&all, "job").split_off(begun.len());
    assert_eq!((begun.len(), resumed.len()), (2, 2), "{begun:?} {resumed:?}");
    let of_message = resumed.iter().find(|job| job.trace == TRACE).expect("the trace of the message");
    assert_eq!(of_message.parent, ASKED_IN);
    assert_eq!(of_message.links, [(TRACE.to_owned(), ASKED_IN.to_owned())]);
    let opened = begun.iter().find(|job| job.trace != TRACE).expect("a trace of its own");
    let gone_on = resumed.iter().find(|job| job.trace == opened.trace).expect("the trace of the first worker");
    assert_eq!(gone_on.parent, opened.id);
    assert_eq!(gone_on.links, [(opened.trace.clone(), opened.id.clone())]);
}

#[tokio::test]
async fn an_unreachable_collector_delays_neither_minting_nor_shutdown() {
    let site = Site::new(TestStore::sqlite().await).await;
    let peer = site.keep_events().await;
    let worker = start(&site, &format!("http://127.0.0.1:{}", free_port()));
    worker.wait_until_ready().await;
    publish_traced(&peer, Uuid::now_v7(), 5000, &format!("00-{TRACE}-{ASKED_IN}-01")).await;
    wait_until("the end", async || site.completed().await == 1).await;
    let ran = worker.terminate().await.expect_code(0);
    assert!(!ran.stderr.contains("WARN") && !ran.stderr.contains("ERROR"), "{}", ran.stderr);
}
