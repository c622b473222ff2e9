//! A private Prometheus that scrapes workers.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use url::form_urlencoded;

use crate::processes::reserved_port;
use crate::tools::expect_content;
use crate::waiting::wait_until;

/// A server with a data directory of its own.
#[derive(Debug)]
pub struct Prometheus {
    address: SocketAddr,
    directory: TempDir,
    /// Stops Prometheus as soon as its standard input ends, however this process ends.
    watcher: Child,
}

impl Prometheus {
    /// Starts a server that scrapes under the name that the alerts expect, and evaluates rules, both every second.
    pub async fn start(targets: &[SocketAddr], rules: &Path) -> Self {
        let targets: Vec<String> = targets.iter().map(|target| format!("\"{target}\"")).collect();
        let targets = targets.join(", ");
        let directory = tempfile::Builder::new().prefix("codemint-test-").tempdir().expect("a directory");
        let address = SocketAddr::from(([127, 0, 0, 1], reserved_port()));
        let settings = format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }}\n\
             rule_files: [{}]\n\
             scrape_configs: [{{ job_name: codemint, static_configs: [{{ targets: [{targets}] }}] }}]\n",
            rules.display()
        );
        fs::write(directory.path().join("prometheus.yml"), settings).expect("settings");
        expect_content(Command::new("prometheus").arg("--version"));
        let log = File::create(directory.path().join("log")).expect("a file");
        let script = format!(
            "trap '' INT TERM; prometheus --config.file=prometheus.yml --storage.tsdb.path=data \
             --web.listen-address={address} > /dev/null < /dev/null & cat > /dev/null; kill -9 $!"
        );
        let watcher = Command::new("sh")
            .args(["-c", &script])
            .current_dir(directory.path())
            .stdin(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("a shell");
        let prometheus = Self { address, directory, watcher };
        wait_until("Prometheus is ready", async || prometheus.is_ready()).await;
        prometheus
    }

    fn is_ready(&self) -> bool {
        let said = fs::read_to_string(self.directory.path().join("log")).expect("a log");
        assert!(!said.contains("level=error"), "{said}");
        matches!(self.get("/-/ready"), Some((200, _)))
    }

    /// Returns status and body. It speaks HTTP 1.0, so that the answer comes in one piece.
    fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect_timeout(&self.address, Duration::from_secs(5)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        write!(stream, "GET {path} HTTP/1.0\r\nHost: prometheus\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        Some((status, answer.split_once("\r\n\r\n")?.1.to_owned()))
    }

    fn ask(&self, path: &str) -> Value {
        let (status, body) = self.get(path).unwrap_or_else(|| panic!("no answer to {path}"));
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    /// Returns the whole answer to an expression, evaluated now.
    pub fn query(&self, expression: &str) -> Value {
        let query: String = form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        self.ask(&format!("/api/v1/query?query={query}"))
    }

    /// Returns the values of an expression, one for each series.
    pub fn numbers(&self, expression: &str) -> Vec<f64> {
        let answer = self.query(expression);
        let result = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("no series: {answer}"));
        result
            .iter()
            .map(|series| series["value"][1].as_str().and_then(|text| text.parse().ok()).expect("a number"))
            .collect()
    }

    /// Returns the one value of an expression; `None` without one.
    pub fn number(&self, expression: &str) -> Option<f64> {
        self.numbers(expression).first().copied()
    }

    /// Returns the alerts that are pending or firing: name and state.
    pub fn alerts(&self) -> Vec<String> {
        let answer = self.ask("/api/v1/alerts");
        let alerts = answer["data"]["alerts"].as_array().expect("alerts").iter();
        alerts.map(|alert| format!("{} {}", alert["labels"]["alertname"], alert["state"]).replace('"', "")).collect()
    }

    /// Returns the rules that could not be evaluated, with their errors.
    pub fn broken_rules(&self) -> Vec<String> {
        let answer = self.ask("/api/v1/rules");
        let groups = answer["data"]["groups"].as_array().expect("groups");
        let rules = groups.iter().flat_map(|group| group["rules"].as_array().expect("rules"));
        rules
            .filter(|rule| rule["health"] != "ok")
            .map(|rule| format!("{} {}", rule["name"], rule["lastError"]))
            .collect()
    }
}

/// Exposes metrics of this process at any path of the address that is returned, until the process ends.
pub fn expose(render: impl Fn() -> String + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let mut request = [0; 4096];
            let _length = stream.read(&mut request).expect("a request");
            let head = "HTTP/1.0 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\n\r\n";
            // Prometheus may have given up.
            let _sent = write!(stream, "{head}{}", render());
        }
    });
    address
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        drop(self.watcher.stdin.take());
        // Its data are removed only when it no longer writes there.
        let _ended = self.watcher.wait();
    }
}
