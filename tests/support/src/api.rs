//! `codemint serve` as a process, and a client of its HTTP API.

use std::net::SocketAddr;
use std::ops::Deref;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use ureq::http::{HeaderValue, Method, Request, Response};
use ureq::{Agent, Body};

use crate::codemint::{Codemint, Ran};
use crate::processes::reserved_port;
use crate::site::Worker;
use crate::stores::TestStore;
use crate::waiting::wait_until;

/// A running server, and its client.
#[derive(Debug)]
pub struct ApiServer {
    /// Its process, with its log and its admin listener.
    pub process: Worker,
    client: ApiClient,
}

/// A client of whichever server listens at an address.
#[derive(Debug)]
pub struct ApiClient {
    pub address: SocketAddr,
    agent: Agent,
}

/// An answer of the server.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl ApiServer {
    /// Starts a server on the store and waits until it answers. On SQLite it runs a worker as well.
    pub async fn start(place: &TestStore) -> Self {
        Self::start_with(place, &[], &[]).await
    }

    pub async fn start_with(place: &TestStore, environment: &[(&str, &str)], args: &[&str]) -> Self {
        Self::start_program(place.codemint(["serve"]).args(args), place.path(), environment).await
    }

    /// Starts a server that reaches the store by this URL.
    pub async fn start_at(place: &TestStore, url: &str, environment: &[(&str, &str)]) -> Self {
        Self::start_program(Codemint::new(place.path()).args(["--store", url, "serve"]), place.path(), environment)
            .await
    }

    /// Starts this program, which serves the API, and logs into this directory.
    pub async fn start_program(program: Codemint, directory: &Path, environment: &[(&str, &str)]) -> Self {
        let address = SocketAddr::from(([127, 0, 0, 1], reserved_port()));
        let mut program = program.env("CODEMINT__SERVER__LISTEN", &address.to_string());
        for (name, value) in environment {
            program = program.env(name, value);
        }
        let server = Self { process: Worker::start(program, directory), client: ApiClient::new(address) };
        wait_until("the server answers", async || {
            assert!(!server.process.said().contains("\"ERROR\""), "{}", server.process.said());
            server.try_send("GET", "/openapi.json", None, &[], None).await.is_ok()
        })
        .await;
        server
    }

    /// Stops the server and returns all that it logged.
    pub async fn stop(self) -> Ran {
        self.process.terminate().await.expect_code(0)
    }
}

impl Deref for ApiServer {
    type Target = ApiClient;

    fn deref(&self) -> &ApiClient {
        &self.client
    }
}

impl ApiClient {
    pub fn new(address: SocketAddr) -> Self {
        let agent = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(60)));
        Self { address, agent: agent.build().into() }
    }

    /// Sends a request with a key and a body of JSON.
    pub async fn ask(&self, method: &str, path: &str, key: &str, body: Option<Value>) -> Answer {
        self.try_ask(method, path, key, body).await.expect("an answer")
    }

    /// Does the same; an error is an answer that has not arrived.
    ///
    /// # Errors
    /// If the connection broke.
    pub async fn try_ask(
        &self,
        method: &str,
        path: &str,
        key: &str,
        body: Option<Value>,
    ) -> Result<Answer, ureq::Error> {
        let content_type = [("content-type", "application/json")];
        let headers = if body.is_some() { &content_type[..] } else { &[] };
        self.try_send(method, path, Some(key), headers, body.map(|body| body.to_string())).await
    }

    pub async fn get(&self, path: &str, key: &str) -> Answer {
        self.ask("GET", path, key, None).await
    }

    /// Sends a request with these headers and any body.
    pub async fn send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Answer {
        self.try_send(method, path, key, headers, body).await.expect("an answer")
    }

    /// Does the same; an error is an answer that has not arrived.
    ///
    /// # Errors
    /// If the connection broke.
    pub async fn try_send(
        &self,
        method: &str,
        path: &str,
        key: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<String>,
    ) -> Result<Answer, ureq::Error> {
        let method: Method = method.parse().expect("a method");
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent = self.agent.clone();
        let sent = tokio::task::spawn_blocking(move || {
            let answer = match body {
                Some(body) => agent.run(request.body(body).expect("a request"))?,
                None => agent.run(request.body(()).expect("a request"))?,
            };
            Answer::read(answer)
        });
        sent.await.expect("no panic")
    }
}

impl Answer {
    fn read(mut answer: Response<Body>) -> Result<Self, ureq::Error> {
        let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let headers = answer.headers().iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
        let body = answer.body_mut().with_config().limit(64 << 20).read_to_string()?;
        Ok(Self { status: answer.status().as_u16(), headers, body })
    }

    /// # Panics
    /// If the status is another one, or the body is no JSON.
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// Returns the problem, whose members and headers agree.
    ///
    /// # Panics
    /// If the status or the code is another one, or the answer is no problem.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        let problem = self.expect(status);
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        assert_eq!((&problem["status"], &problem["code"]), (&status.into(), &code.into()), "{self:?}");
        assert_eq!(problem["type"], format!("urn:codemint:problem:{code}"), "{self:?}");
        assert_eq!(problem["request_id"].as_str(), self.header("x-request-id"), "{self:?}");
        problem
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Creates an API key with these scopes by command.
pub async fn create_key(place: &TestStore, scopes: &str) -> String {
    let ran = place.codemint(["keys", "create", "--scope", scopes]).run().await.expect_code(0);
    ran.stdout.trim().to_owned()
}
