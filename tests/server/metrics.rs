//! The metrics of a worker: each one changes with what it measures, and is documented.

use std::collections::BTreeMap;
use std::fs;

use codemint_codes::job::options::JobOptions;
use codemint_offers::verdict::reason::ReasonCode;
use codemint_telemetry::metrics::names::{Kind, METRICS};
use strum::VariantArray;
use uuid::Uuid;

use codemint_test_support::amqp::{Peer, durable};
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::rabbitmq::{self, Broker};
use codemint_test_support::site::{EVENTS, JOBS, KEPT, Site, Worker, publish, request, wait_for_end};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;

/// Asserts that each of these series has at least this value.
fn assert_moved(worker: &Worker, moved: &[(&str, f64)]) {
    let (_, metrics) = worker.get("/metrics").expect("an answer");
    for (series, least) in moved {
        assert!(worker.metric(series) >= *least, "{series} has not reached {least}:\n{metrics}");
    }
}

#[test]
fn every_metric_is_documented_with_its_type_and_its_labels() {
    let page = fs::read_to_string("docs/metrics.md").expect("the page");
    let rows = page.lines().filter(|line| line.starts_with("| `codemint_"));
    let documented: BTreeMap<&str, (&str, Vec<&str>)> = rows
        .map(|row| {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            let labels = cells[2].split(", ").filter(|label| !label.is_empty()).map(|label| label.trim_matches('`'));
            (cells[0].trim_matches('`'), (cells[1], labels.collect()))
        })
        .collect();
    let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
    let strangers: Vec<&&str> = documented.keys().filter(|name| !names.contains(name)).collect();
    assert!(strangers.is_empty(), "documented, but not in the source: {strangers:?}");
    for metric in METRICS {
        let (kind, labels) = documented.get(metric.name).unwrap_or_else(|| panic!("{} is not documented", metric.name));
        let expected = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::ChunkSeconds | Kind::JobSeconds | Kind::BatchSize => "histogram",
        };
        assert_eq!(*kind, expected, "{}", metric.name);
        if let Some(first) = metric.label_names().next() {
            assert!(labels.contains(&first), "{}: {labels:?}", metric.name);
            assert_eq!(metric.label_names().collect::<Vec<_>>(), *labels, "{}", metric.name);
        }
    }
}

#[tokio::test]
async fn an_idle_worker_exposes_every_counter_as_zero() {
    let site = Site::new(TestStore::postgres().await).await;
    let worker = site.start_ready().await;
    worker.wait_until_metric("codemint_broker_queue_consumers{queue=\"jobs\"}", |consumers| consumers == 1.0).await;
    let (_, metrics) = worker.get("/metrics").expect("an answer");
    for metric in METRICS.iter().filter(|metric| metric.kind == Kind::Counter) {
        let told = metrics.lines().filter(|line| line.split(['{', ' ']).next() == Some(metric.name));
        let told: Vec<&str> = told.collect();
        assert!(!told.is_empty() && told.iter().all(|line| line.ends_with(" 0")), "{}: {told:?}", metric.name);
    }
    for reason in ReasonCode::VARIANTS {
        let series = format!("codemint_redemption_refusals_total{{reason=\"{}\"}} 0", reason.as_str());
        assert!(metrics.lines().any(|line| line == series), "no {series}");
    }
    worker.terminate().await.expect_code(0);
}

/// The minimum values after the work of the test below.
const WORK: &[(&str, f64)] = &[
    ("codemint_jobs_received_total{source=\"broker\",outcome=\"accepted\"}", 2.0),
    ("codemint_jobs_received_total{source=\"broker\",outcome=\"repeated\"}", 1.0),
    ("codemint_jobs_received_total{source=\"broker\",outcome=\"refused\"}", 1.0),
    ("codemint_jobs_received_total{source=\"broker\",outcome=\"dead_lettered\"}", 1.0),
    ("codemint_jobs_received_total{source=\"store\",outcome=\"accepted\"}", 1.0),
    ("codemint_jobs_opened_total", 3.0),
    ("codemint_job_wait_seconds_count", 3.0),
    ("codemint_job_run_seconds_count{outcome=\"completed\"}", 3.0),
    ("codemint_jobs{state=\"queued\"}", 2.0),
    ("codemint_jobs_waiting_for_room", 1.0),
    ("codemint_oldest_waiting_job_age_seconds", 0.1),
    ("codemint_keyspace_used_ratio", 60_000.0 / 17_576_000.0),
    ("codemint_candidates_rejected_total{reason=\"existing\"}", 1.0),
    ("codemint_candidates_rejected_total{reason=\"denied\"}", 1.0),
    ("codemint_candidates_rejected_total{reason=\"reserved\"}", 1.0),
    ("codemint_prefilter_false_positives_total", 1_000.0),
    ("codemint_prefilter_load_seconds_count", 30.0),
    ("codemint_prefilter_fill_ratio", 0.1),
    ("codemint_chunks_claimed_total", 61.0),
    ("codemint_writers_allowed", 2.0),
    ("codemint_last_progress_timestamp_seconds", 1.7e9),
    ("codemint_store_up", 1.0),
    ("codemint_store_pool_connections_max", 4.0),
    ("codemint_broker_connected", 1.0),
    ("codemint_broker_messages_total{result=\"acknowledged\"}", 4.0),
    ("codemint_events_published_total{result=\"confirmed\"}", 7.0),
    ("codemint_broker_confirm_seconds_count", 1.0),
    ("process_resident_memory_bytes", 1e6),
    ("process_open_fds", 5.0),
];

#[tokio::test]
async fn the_work_of_a_worker_updates_its_metrics() {
    let site = Site::new(TestStore::postgres().await).await;
    fs::write(site.store.directory.path().join("denied.txt"), "AA\n").expect("a file");
    // The filters are wrong about every second code.
    let environment = [
        ("CODEMINT__DENY__FILE", "denied.txt"),
        ("CODEMINT__JOB__CHUNK_SIZE", "1000"),
        ("CODEMINT__PREFILTER__FALSE_POSITIVE_RATE", "0.5"),
    ];
    // These jobs have other rules and were enqueued without a broker: the worker leaves them alone, and they wait, the
    // second one for room.
    let without_broker = |args: &[&str]| site.codemint(args).env("CODEMINT__AMQP__URL", "");
    without_broker(&["enqueue", "LEFT-???#", "--count", "10"]).run().await.expect_code(0);
    without_broker(&["enqueue", "LEFT-AAA#", "--count", "8"]).run().await.expect_code(0);
    site.store.execute("insert into reserved (mask, code_length) values ('BB?###', 6)").await;
    let worker = site.start(&environment, &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;

    let (first, second) = (Uuid::now_v7(), Uuid::now_v7());
    publish(&peer, &request(first, "???###", 30_000)).await;
    wait_for_end(&mut inbox, first).await;
    publish(&peer, &request(second, "???###", 30_000)).await;
    wait_for_end(&mut inbox, second).await;
    publish(&peer, &request(first, "???###", 30_000)).await;
    let refused = Uuid::now_v7();
    publish(&peer, &request(refused, "####", 10_001)).await;
    wait_for_end(&mut inbox, refused).await;
    peer.publish(JOBS, JOBS, b"no job", durable()).await;
    let of_store =
        without_broker(&["enqueue", "STORE-???#", "--count", "10"]).env("CODEMINT__DENY__FILE", "denied.txt");
    of_store.run().await.expect_code(0);
    wait_until("the store's job", async || site.completed().await == 3).await;
    worker.wait_until_metric("codemint_broker_messages_total{result=\"dead_lettered\"}", |dead| dead == 1.0).await;
    worker.wait_until_metric("codemint_broker_queue_messages{queue=\"dead\"}", |dead| dead == 1.0).await;
    worker.wait_until_metric("codemint_jobs_finished_total{outcome=\"completed\"}", |ended| ended == 3.0).await;

    assert_moved(&worker, WORK);
    for phase in ["claim", "prepare", "copy", "checkpoint", "commit", "draw", "filter", "encode"] {
        let series = |what: &str| format!("codemint_chunk_duration_seconds_{what}{{phase=\"{phase}\"}}");
        assert_eq!(worker.metric(&series("count")), 61.0, "{phase}");
        assert!(worker.metric(&series("sum")) > 0.0, "{phase}");
    }
    assert_eq!(worker.metric("codemint_codes_minted_total"), 60_010.0);
    assert_eq!(worker.metric("codemint_chunks_minted_total"), 61.0);
    assert_eq!(worker.metric("codemint_writers_busy"), 0.0, "no writer is left busy");
    assert_eq!(worker.metric("codemint_prefilter_bytes"), 0.0, "no filter is left in memory");
    let (_, metrics) = worker.get("/metrics").expect("an answer");
    let told = ["???###", &first.to_string(), "STORE"].map(|secret| metrics.contains(secret));
    assert_eq!(told, [false; 3], "no mask and no id is exposed: {metrics}");
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn a_chunk_in_progress_updates_the_gauges() {
    let site = Site::new(TestStore::postgres().await).await;
    site.codemint(&["generate", "??###", "--count", "30000", "--quiet"]).run().await.expect_code(0);
    // A chunk holds its filters for a moment only, so there are many chunks.
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "1000")], &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    publish(&peer, &request(Uuid::now_v7(), "??###", 400_000)).await;
    worker.wait_until_metric("codemint_prefilter_bytes", |bytes| bytes > 0.0).await;
    wait_until("the job", async || site.completed().await == 2).await;
    worker.terminate().await.expect_code(0);
    // Each chunk stalls while it writes its codes.
    let environment = [("FAILPOINTS", "codes-half-written=return(stall)"), ("CODEMINT__JOB__CHUNK_SIZE", "1000")];
    let worker = site.start(&environment, &[]);
    worker.wait_until_ready().await;
    publish(&peer, &request(Uuid::now_v7(), "??###", 5_000)).await;
    worker.wait_until_metric("codemint_writers_busy", |busy| busy >= 1.0).await;
    worker.wait_until_metric("codemint_jobs{state=\"running\"}", |jobs| jobs == 1.0).await;
    worker.wait_until_metric("codemint_store_pool_connections{state=\"used\"}", |used| used >= 1.0).await;
    worker.signal("KILL");
    worker.finish().await.expect_code(-9);
}

#[tokio::test]
async fn cancelled_and_failed_jobs_are_counted_by_outcome() {
    let site = Site::new(TestStore::postgres().await).await;
    site.store
        .execute(
            "create function fail() returns trigger language plpgsql as 'begin raise exception ''no''; end';
             create trigger fail before update on chunks for each row
             when (new.quota = 7 and new.state = 'done') execute function fail()",
        )
        .await;
    let environment = [("FAILPOINTS", "chunk-claimed=1*return(stall)")];
    let worker = site.start(&environment, &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let cancelled = Uuid::now_v7();
    publish(&peer, &request(cancelled, "CANCEL???#", 10)).await;
    let running = "select count(*) from jobs where state = 'running'";
    wait_until("it runs", async || site.count(running).await == 1).await;
    // As by a process that asks for the cancellation and dies before it closes the job: the worker closes it.
    site.store.execute("update jobs set state = 'cancelling'").await;
    site.store.execute("select pg_terminate_backend(pid) from pg_locks join pg_class on oid = relation where relname = 'chunks' and mode = 'RowShareLock' and pid <> pg_backend_pid()").await;
    worker.wait_until_metric("codemint_jobs_finished_total{outcome=\"cancelled\"}", |jobs| jobs == 1.0).await;
    publish(&peer, &request(Uuid::now_v7(), "FAIL???#", 7)).await;
    worker.wait_until_metric("codemint_jobs_finished_total{outcome=\"failed\"}", |jobs| jobs == 1.0).await;
    assert_moved(
        &worker,
        &[
            ("codemint_chunk_retries_total{reason=\"failed\"}", 4.0),
            ("codemint_store_errors_total{class=\"permanent\"}", 5.0),
            ("codemint_job_run_seconds_count{outcome=\"failed\"}", 1.0),
            ("codemint_job_run_seconds_count{outcome=\"cancelled\"}", 1.0),
        ],
    );
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn chunk_errors_are_counted_by_their_cause() {
    let site = Site::new(TestStore::postgres().await).await;
    site.codemint(&["generate", "?###", "--count", "13000", "--quiet"]).run().await.expect_code(0);
    // To a job of seven codes, the server reports a full disk the first two times and a deadlock the next two.
    site.store
        .execute(
            "create sequence faults;
             grant usage on sequence faults to public;
             create function fault() returns trigger language plpgsql as '
                 declare fault bigint := nextval(''faults'');
                 begin
                     if fault <= 2 then raise exception using errcode = ''53100''; end if;
                     if fault <= 4 then raise exception using errcode = ''40P01''; end if;
                     return new;
                 end';
             create trigger fault before update on chunks for each row when (new.quota = 7) execute function fault()",
        )
        .await;
    // Duplicates are met only when they are written; one commit fails before it is done, and one after.
    let environment = [
        ("CODEMINT__PREFILTER__SCREENING", "none"),
        ("FAILPOINTS", "before-commit=1*return(error);after-commit=1*return(error)"),
    ];
    let worker = site.start(&environment, &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    for (mask, count) in [("?###", 2_000), ("SEVEN???#", 7)] {
        let id = Uuid::now_v7();
        publish(&peer, &request(id, mask, count)).await;
        wait_for_end(&mut inbox, id).await;
    }
    assert_moved(
        &worker,
        &[
            ("codemint_commits_ambiguous_total{outcome=\"done\"}", 1.0),
            ("codemint_commits_ambiguous_total{outcome=\"not_done\"}", 1.0),
            ("codemint_chunk_conflicts_total", 1.0),
            ("codemint_candidates_rejected_total{reason=\"conflict\"}", 100.0),
            ("codemint_chunk_retries_total{reason=\"no_space\"}", 2.0),
            ("codemint_chunk_retries_total{reason=\"conflict\"}", 2.0),
            ("codemint_chunk_retries_total{reason=\"away\"}", 1.0),
            ("codemint_store_errors_total{class=\"no_space\"}", 2.0),
            ("codemint_store_errors_total{class=\"conflict\"}", 2.0),
            ("codemint_keyspace_used_ratio", 0.5),
        ],
    );
    assert_eq!(worker.metric("codemint_codes_minted_total"), 2_007.0, "each code is counted once, whatever went wrong");
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn a_reply_that_may_not_be_published_is_counted_as_given_up() {
    let mut site = Site::new(TestStore::postgres().await).await;
    // A user that may write to Codemint's own exchanges, but not to a queue by its name.
    rabbitmq::shared().add_user("no-answers", "secret", site.vhost(), [".*", "codemint\\..*", ".*"]);
    site.amqp_url = site.vhost().url_of("no-answers", "secret");
    let worker = site.start_ready().await;
    let peer = Peer::connect(&site.vhost().url()).await;
    let message = request(Uuid::now_v7(), "ANSWER???#", 10).to_string();
    peer.publish(JOBS, JOBS, message.as_bytes(), durable().with_reply_to("answers".into())).await;
    worker.wait_until_metric("codemint_events_published_total{result=\"given_up\"}", |answers| answers == 1.0).await;
    worker.wait_until_metric("codemint_events_published_total{result=\"confirmed\"}", |events| events >= 3.0).await;
    worker.terminate().await.expect_code(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn outages_of_servers_update_the_metrics_of_their_connections() {
    let broker = Broker::start();
    let server = Server::start(Durability::None);
    create_database(&server.url("postgres"), "codemint").await;
    let site = Site::at(TestStore::postgres_at(&server.url("codemint")).await, &broker).await;
    let worker = site.start(&[("CODEMINT__AMQP__DELIVERY_TIMEOUT_SECONDS", "2")], &[]);
    worker.wait_until_ready().await;
    let peer = site.keep_events().await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, "AWAY???#", 10)).await;
    wait_until("the job", async || site.completed().await == 1).await;
    let job = site.store.store.find_job(id).await.expect("an answer").expect("a job");
    let tell = async || site.store.store.repeat_event(job.no, &JobOptions::default()).await.expect("an event");

    // The queue accepts no more messages, so the broker refuses events.
    broker.close_when_filled(site.vhost(), KEPT);
    wait_until("the broker refuses an event", async || {
        tell().await;
        worker.metric("codemint_events_published_total{result=\"refused\"}") >= 1.0
    })
    .await;
    broker.open_queues(site.vhost());
    // A channel whose events were refused can still publish.
    wait_until("the outbox is empty", async || site.count("select count(*) from outbox").await == 0).await;

    broker.set_vm_memory_high_watermark(0.0001);
    tell().await;
    worker.wait_until_metric("codemint_broker_blocked", |blocked| blocked == 1.0).await;
    worker.wait_until_metric("codemint_outbox_events", |events| events >= 1.0).await;
    broker.set_vm_memory_high_watermark(0.4);
    worker.wait_until_metric("codemint_broker_blocked", |blocked| blocked == 0.0).await;
    worker.wait_until_metric("codemint_outbox_events", |events| events == 0.0).await;

    server.signal_all("STOP");
    publish(&peer, &request(Uuid::now_v7(), "BACK???#", 10)).await;
    worker.wait_until_metric("codemint_broker_messages_total{result=\"returned\"}", |back| back >= 1.0).await;
    worker.wait_until_metric("codemint_store_up", |up| up == 0.0).await;
    server.signal_all("CONT");
    worker.wait_until_metric("codemint_store_up", |up| up == 1.0).await;
    server.stop();
    worker.wait_until_metric("codemint_store_errors_total{class=\"away\"}", |errors| errors >= 1.0).await;
    server.start_again();

    broker.stop_app();
    worker.wait_until_metric("codemint_broker_connected", |connected| connected == 0.0).await;
    broker.start_app();
    worker.wait_until_metric("codemint_broker_reconnects_total", |sessions| sessions >= 1.0).await;
    worker.wait_until_metric("codemint_broker_connected", |connected| connected == 1.0).await;
    worker.terminate().await.expect_code(0);
}
