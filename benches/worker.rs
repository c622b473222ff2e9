//! Does one worker keep up? From publish to the completed event, a job of 1,000 codes takes less than 250 ms (median),
//! and one of a million at most 1.2 times as long as `codemint generate` into the same server; 2,000 jobs of ten codes
//! published at once are completed at 300 a second or more, and every event arrives; an idle worker takes less than 1 %
//! of a core and 40 MiB; and metrics that are scraped every second, and a log, cost at most 2 % of the time of a
//! million codes.
//!
//! It runs against a private PostgreSQL that really flushes and a private RabbitMQ, both with default settings. To run
//! only some parts, name them: `cargo bench --bench worker -- latency million many idle watched`.

#![expect(clippy::print_stdout, reason = "a benchmark's result")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use codemint_store::connection::store::Store;
use futures_util::future::join_all;
use serde_json::json;
use tempfile::TempDir;
use tokio::process::Child;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::measure::{Pairs, SECONDS_HEADER, Turn, exit_code, median, seconds_row, turns, verdict};
use codemint_test_support::amqp::{Inbox, Peer, durable};
use codemint_test_support::codemint::Codemint;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::processes::reserved_port;
use codemint_test_support::rabbitmq::{Broker, Vhost};
use codemint_test_support::waiting::wait_until;

#[expect(dead_code, reason = "shared with the other benchmarks")]
mod measure;
const LATENCY_SECONDS_MAX: f64 = 0.250;
const MILLION_RATIO_MAX: f64 = 1.2;
const JOBS_PER_SECOND_MIN: f64 = 300.0;
const WATCHED_RATIO_MAX: f64 = 1.02;
const IDLE_CORE_MAX: f64 = 0.01;
const IDLE_MIB_MAX: f64 = 40.0;

const MASK: &str = "MY_LITTLE_PROMO????##";
const MILLION: u64 = 1_000_000;
const LATENCY_JOBS: usize = 21;
const MANY_JOBS: usize = 2_000;
const PAIRS: usize = 5;
/// The bound is tighter than the spread of single runs, so many pairs are needed.
const WATCHED_PAIRS: usize = 21;
const IDLE_SPAN: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() -> ExitCode {
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with('-')).collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    let servers = Servers { postgres: Server::start(Durability::Full), broker: Broker::start() };
    let mut all_hold = true;
    if wants("latency") {
        all_hold &= servers.latency().await;
    }
    if wants("million") {
        all_hold &= servers.million().await;
    }
    if wants("many") {
        all_hold &= servers.many().await;
    }
    if wants("idle") {
        all_hold &= servers.idle().await;
    }
    if wants("watched") {
        all_hold &= servers.watched().await;
    }
    exit_code(all_hold)
}

struct Servers {
    postgres: Server,
    broker: Broker,
}

/// A worker with an empty database and a virtual host of its own, and a producer with an inbox for events.
struct Site {
    _vhost: Vhost,
    _directory: TempDir,
    worker: Child,
    peer: Peer,
    inbox: Inbox,
}

/// Scrapes the metrics every second, as Prometheus does.
async fn read_metrics(listen: String) {
    loop {
        let url = format!("http://{listen}/metrics");
        let read = tokio::task::spawn_blocking(move || ureq::get(&url).call()?.body_mut().read_to_string());
        let metrics = read.await.expect("a reader").expect("metrics");
        assert!(metrics.contains("codemint_codes_minted_total"), "the metrics of a worker");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

impl Servers {
    async fn database(&self, name: &str) -> String {
        create_database(&self.postgres.url("postgres"), name).await;
        let url = self.postgres.url(name);
        Store::migrate(&url.parse().expect("a location")).await.expect("a schema");
        url
    }

    async fn site(&self, name: &str) -> Site {
        self.site_with(name, &[("CODEMINT__ADMIN__LISTEN", "off")]).await
    }

    async fn site_with(&self, name: &str, environment: &[(&str, &str)]) -> Site {
        let url = self.database(name).await;
        let (vhost, directory) = (self.broker.vhost(), tempfile::tempdir().expect("a directory"));
        let program = Codemint::new(directory.path());
        let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        // A full pipe that nothing reads would block the worker, so the log goes to a file.
        let log = File::create(directory.path().join("worker.log")).expect("a file");
        let program = program.stderr(Stdio::from(log));
        let worker = program.env("CODEMINT__AMQP__URL", &vhost.url()).args(["--store", &url, "worker"]).start();
        let peer = Peer::connect(&vhost.url()).await;
        // The worker declares this exchange last.
        let events = "<<\"codemint.events\">>";
        let exists = format!("rabbit_exchange:exists(rabbit_misc:r(<<\"{}\">>, exchange, {events}))", vhost.name);
        wait_until("the worker has declared its exchanges", async || self.broker.ask(&exists) == "true").await;
        let inbox = peer.listen("codemint.events", "job.*").await;
        Site { _vhost: vhost, _directory: directory, worker, peer, inbox }
    }

    async fn latency(&self) -> bool {
        let mut site = self.site("latency").await;
        let mut seconds = Vec::new();
        for _ in 0..LATENCY_JOBS {
            seconds.push(site.time_job(1_000).await);
        }
        let holds = median(&seconds) <= LATENCY_SECONDS_MAX;
        println!("from publish to the completed event of 1,000 codes, {LATENCY_JOBS} jobs one after the other");
        println!("{SECONDS_HEADER}");
        println!("{}", seconds_row("a job", &seconds));
        println!("median at most {LATENCY_SECONDS_MAX} s: {}", verdict(holds));
        holds
    }

    async fn million(&self) -> bool {
        let mut pairs = Pairs::default();
        for pair in 0..PAIRS {
            for turn in turns(pair) {
                let name = format!("million_{pair}_{}", matches!(turn, Turn::Ours));
                let seconds = match turn {
                    Turn::Ours => self.site(&name).await.time_job(MILLION).await,
                    Turn::Reference => self.time_generate(&name).await,
                };
                pairs.add(turn, seconds);
            }
        }
        println!("{MILLION} codes of {MASK}, from publish to the completed event, {PAIRS} pairs");
        println!("{SECONDS_HEADER}");
        pairs.print(["worker", "codemint generate"], MILLION_RATIO_MAX)
    }

    async fn time_generate(&self, name: &str) -> f64 {
        let url = self.database(name).await;
        let directory = tempfile::tempdir().expect("a directory");
        let codemint = Codemint::new(directory.path()).args(["--store", &url, "generate", MASK]);
        let started = Instant::now();
        codemint.args(["--count", &MILLION.to_string()]).run().await.expect_code(0);
        started.elapsed().as_secs_f64()
    }

    async fn many(&self) -> bool {
        let mut site = self.site("many").await;
        let started = Instant::now();
        join_all((0..MANY_JOBS).map(|_| site.send(10))).await;
        let sent = started.elapsed().as_secs_f64();
        let is_end = |key: &str| key == "job.completed";
        site.inbox
            .collect("all jobs are completed", |messages| {
                messages.iter().filter(|message| is_end(&message.routing_key)).count() >= MANY_JOBS
            })
            .await;
        let seconds = started.elapsed().as_secs_f64();
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        site.inbox.messages.iter().for_each(|message| *kinds.entry(&message.routing_key).or_default() += 1);
        let all_told =
            ["job.accepted", "job.progress", "job.completed"].iter().all(|kind| kinds.get(kind) == Some(&MANY_JOBS));
        let per_second = MANY_JOBS as f64 / seconds;
        let holds = per_second >= JOBS_PER_SECOND_MIN;
        println!(
            "{MANY_JOBS} jobs of 10 codes, sent in {sent:.2} s, all completed after {seconds:.2} s: {per_second:.0} a second"
        );
        println!(
            "at least {JOBS_PER_SECOND_MIN}: {}; every event once: {} {kinds:?}",
            verdict(holds),
            verdict(all_told)
        );
        holds && all_told
    }

    /// Measures a million codes with metrics and a log of the usual level, and without either.
    async fn watched(&self) -> bool {
        let mut pairs = Pairs::default();
        for pair in 0..WATCHED_PAIRS {
            for turn in turns(pair) {
                let listen = format!("127.0.0.1:{}", reserved_port());
                let (listen, level) = match turn {
                    Turn::Ours => (listen.as_str(), "info"),
                    Turn::Reference => ("off", "error"),
                };
                let environment = [
                    ("CODEMINT__ADMIN__LISTEN", listen),
                    ("CODEMINT__LOG__LEVEL", level),
                    ("CODEMINT__LOG__FORMAT", "json"),
                ];
                let mut site = self.site_with(&format!("watched_{pair}_{level}"), &environment).await;
                let reading = (turn == Turn::Ours).then(|| tokio::spawn(read_metrics(listen.to_owned())));
                pairs.add(turn, site.time_job(MILLION).await);
                reading.inspect(JoinHandle::abort);
            }
        }
        println!("{MILLION} codes of {MASK}, from publish to the completed event, {WATCHED_PAIRS} pairs");
        println!("{SECONDS_HEADER}");
        pairs.print(["metrics read every second, and a log", "neither"], WATCHED_RATIO_MAX)
    }

    async fn idle(&self) -> bool {
        let mut site = self.site("idle").await;
        site.time_job(1_000).await;
        let (before, started) = (site.cpu_seconds(), Instant::now());
        tokio::time::sleep(IDLE_SPAN).await;
        let share = (site.cpu_seconds() - before) / started.elapsed().as_secs_f64();
        let mib = site.resident_mib();
        let (calm, small) = (share <= IDLE_CORE_MAX, mib <= IDLE_MIB_MAX);
        println!("an idle worker for {IDLE_SPAN:?}");
        println!(
            "{:.2} % of a core, at most 1 %: {}; {mib:.1} MiB, at most {IDLE_MIB_MAX}: {}",
            share * 100.0,
            verdict(calm),
            verdict(small)
        );
        calm && small
    }
}

impl Site {
    /// Publishes a job, waits for the broker's confirmation, and returns the job's id.
    async fn send(&self, count: u64) -> Uuid {
        let id = Uuid::now_v7();
        let message = json!({ "job_id": id, "mask": MASK, "count": count }).to_string();
        self.peer.publish("codemint.jobs", "codemint.jobs", message.as_bytes(), durable()).await;
        id
    }

    async fn time_job(&mut self, count: u64) -> f64 {
        let started = Instant::now();
        let id = self.send(count).await;
        let end = format!("{id}/completed");
        self.inbox
            .collect("the job is completed", |messages| {
                let last = messages.last().and_then(|message| message.properties.message_id().as_ref());
                last.is_some_and(|id| id.as_str() == end)
            })
            .await;
        started.elapsed().as_secs_f64()
    }

    fn process(&self, file: &str) -> String {
        let pid = self.worker.id().expect("a running worker");
        fs::read_to_string(format!("/proc/{pid}/{file}")).expect("Linux")
    }

    /// Returns the worker's user and system time; a tick is 10 ms.
    fn cpu_seconds(&self) -> f64 {
        let stat = self.process("stat");
        let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
        [11, 12].iter().map(|at| fields[*at].parse::<f64>().expect("ticks")).sum::<f64>() / 100.0
    }

    fn resident_mib(&self) -> f64 {
        let status = self.process("status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("kB") / 1024.0
    }
}
