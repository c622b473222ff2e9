//! Helpers for the tests of workers: a store, a virtual host, workers as an operator starts them, and queries to them.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::process::Child;
use uuid::Uuid;

use crate::amqp::{Inbox, Message, Peer, durable, quorum};
use crate::codemint::{Codemint, Ran, finish, send_signal};
use crate::processes::reserved_port;
use crate::rabbitmq::{self, Broker, Vhost};
use crate::roles::url_of_member;
use crate::stores::{Kind, TestStore, Way};
use crate::waiting::wait_until;

pub const JOBS: &str = "codemint.jobs";
pub const DEAD: &str = "codemint.jobs.dead";
pub const EVENTS: &str = "codemint.events";
/// A queue that keeps all events through every outage: an inbox is lost with its connection.
pub const KEPT: &str = "kept-events";

/// A store and a virtual host that workers share.
#[derive(Debug)]
pub struct Site {
    pub store: TestStore,
    /// The URL that the program is given: on PostgreSQL, that of a user with only the rights that a worker needs.
    pub store_url: String,
    pub amqp_url: String,
    vhost: Option<Vhost>,
}

/// A worker, as an operator starts it.
#[derive(Debug)]
pub struct Worker {
    pub child: Child,
    pub admin: SocketAddr,
    /// The file of its standard error: an unread pipe would block the worker once it is full.
    log: PathBuf,
}

impl Site {
    pub async fn new(store: TestStore) -> Self {
        Self::at(store, rabbitmq::shared()).await
    }

    pub async fn at(store: TestStore, broker: &Broker) -> Self {
        Self::on(store, broker.vhost()).await
    }

    /// Returns a site with a virtual host that is in use already.
    pub async fn on(store: TestStore, vhost: Vhost) -> Self {
        let store_url = match (store.kind, store.way) {
            (Kind::Postgres, Way::Plain | Way::Partitioned) => url_of_member(&store.url, "generator").await,
            _ => store.url.clone(),
        };
        Self { store, store_url, amqp_url: vhost.url(), vhost: Some(vhost) }
    }

    pub fn vhost(&self) -> &Vhost {
        self.vhost.as_ref().expect("a virtual host")
    }

    /// Returns the program with this store and this broker.
    pub fn codemint(&self, args: &[&str]) -> Codemint {
        Codemint::new(self.store.directory.path())
            .env("CODEMINT__STORE__URL", &self.store_url)
            .env("CODEMINT__STORE__REQUIRE_LEAST_PRIVILEGE", "true")
            .env("CODEMINT__AMQP__URL", &self.amqp_url)
            .env("CODEMINT__LOG__LEVEL", "info")
            .args(args)
    }

    pub fn start(&self, environment: &[(&str, &str)], args: &[&str]) -> Worker {
        let program = self.codemint(&["worker"]).args(args);
        let program = environment.iter().fold(program, |program, (name, value)| program.env(name, value));
        Worker::start(program, self.store.path())
    }

    pub async fn start_ready(&self) -> Worker {
        let worker = self.start(&[], &[]);
        worker.wait_until_ready().await;
        worker
    }

    pub async fn peer(&self) -> Peer {
        Peer::connect(&self.amqp_url).await
    }

    /// Runs a worker that ends when no work is left.
    pub async fn drain(&self) -> Ran {
        self.codemint(&["worker", "--drain"]).env("CODEMINT__ADMIN__LISTEN", "off").run().await.expect_code(0)
    }

    /// Keeps every event from now on, and returns a peer.
    pub async fn keep_events(&self) -> Peer {
        // Declares the exchange of the events.
        self.drain().await;
        let peer = self.peer().await;
        peer.declare(KEPT, quorum()).await;
        peer.bind(KEPT, EVENTS, "job.*").await;
        peer
    }

    /// Returns the number of completed jobs.
    pub async fn completed(&self) -> i64 {
        self.count("select count(*) from jobs where state = 'completed'").await
    }

    /// Queries one number from the store.
    pub async fn count(&self, sql: &str) -> i64 {
        self.store.number(sql).await
    }
}

impl Worker {
    /// Starts this program, which has all its settings but where to listen; its log goes to this directory.
    pub fn start(program: Codemint, directory: &Path) -> Self {
        let admin = SocketAddr::from(([127, 0, 0, 1], reserved_port()));
        let program = program.env("CODEMINT__ADMIN__LISTEN", &admin.to_string());
        let log = directory.join(format!("worker-{}.log", admin.port()));
        let program = program.stderr(Stdio::from(File::create(&log).expect("a file")));
        Self { child: program.start(), admin, log }
    }

    /// Returns status and body of a path of its admin listener; `None` if nothing listens.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = self.ask(path)?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    /// Returns status and headers, as they arrived.
    pub fn get_head(&self, path: &str) -> Option<String> {
        Some(self.ask(path)?.split_once("\r\n\r\n")?.0.to_owned())
    }

    fn ask(&self, path: &str) -> Option<String> {
        let mut stream = TcpStream::connect_timeout(&self.admin, Duration::from_secs(5)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: worker\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        Some(answer)
    }

    /// Returns the value of one of its metrics, with labels as `/metrics` writes them; 0 while it has none.
    pub fn metric(&self, series: &str) -> f64 {
        self.try_metric(series).expect("an answer")
    }

    fn try_metric(&self, series: &str) -> Option<f64> {
        let (_, metrics) = self.get("/metrics")?;
        let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        Some(value.map_or(0.0, |value| value.parse().expect("a number")))
    }

    pub async fn wait_until_metric(&self, series: &str, is_it: impl Fn(f64) -> bool) {
        wait_until(series, async || self.try_metric(series).is_some_and(&is_it)).await;
    }

    pub async fn wait_until_ready(&self) {
        wait_until("the worker is ready", async || {
            assert!(!self.said().contains("error: "), "{}", self.said());
            matches!(self.get("/readyz"), Some((200, _)))
        })
        .await;
    }

    pub async fn terminate(self) -> Ran {
        self.signal("TERM");
        self.finish().await
    }

    /// Sends `KILL`, `TERM`, `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        send_signal(name, &self.child);
    }

    /// Waits for the worker's end.
    pub async fn finish(self) -> Ran {
        let ran = finish(self.child).await;
        Ran { stderr: fs::read_to_string(&self.log).expect("a log"), ..ran }
    }

    /// Returns all that it has logged so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).expect("a log")
    }

    pub async fn wait_until_it_says(&self, text: &str) {
        wait_until(text, async || self.said().contains(text)).await;
    }

    /// Returns the answer to `/readyz`.
    pub fn readiness(&self) -> Option<(u16, Value)> {
        let (status, body) = self.get("/readyz")?;
        Some((status, serde_json::from_str(&body).ok()?))
    }
}

/// Returns a request as a marketing system sends it.
pub fn request(id: Uuid, mask: &str, count: u64) -> Value {
    json!({ "job_id": id, "mask": mask, "count": count })
}

/// Publishes a job as a marketing system does.
pub async fn publish(peer: &Peer, message: &Value) {
    peer.publish(JOBS, JOBS, message.to_string().as_bytes(), durable()).await;
}

/// Collects events until the job's last one has arrived; returns the kinds of its events in order, repeats included.
pub async fn wait_for_end(inbox: &mut Inbox, id: Uuid) -> Vec<String> {
    let of_job = move |message: &&Message| message.json()["subject"] == id.to_string();
    let is_end =
        |message: &Message| ["job.completed", "job.failed", "job.cancelled"].contains(&message.routing_key.as_str());
    let messages = inbox.collect("the end of a job", |messages| messages.iter().filter(of_job).any(is_end)).await;
    messages.iter().filter(of_job).map(|message| message.routing_key.clone()).collect()
}
