//! Keep-alive connections to a server's API, each with one request at a time.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// Connections that callers share: each takes an idle one, and gives it back.
#[derive(Clone)]
pub struct Connections {
    idle: Arc<Mutex<Vec<SendRequest<Full<Bytes>>>>>,
    host: String,
    authorization: String,
}

/// A status and a body.
pub struct Answer {
    pub status: u16,
    pub body: Bytes,
}

impl Connections {
    pub async fn open(address: SocketAddr, key: &str, count: usize) -> Self {
        let mut idle = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(address).await.expect("a connection");
            stream.set_nodelay(true).expect("an option");
            let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("a handshake");
            tokio::spawn(connection);
            idle.push(sender);
        }
        let authorization = format!("Bearer {key}");
        Self { idle: Arc::new(Mutex::new(idle)), host: address.to_string(), authorization }
    }

    /// Sends a request with a body of JSON, and reads its whole answer.
    ///
    /// # Panics
    /// If all connections are in use.
    pub async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        let mut connection = self.idle.lock().expect("no panic").pop().expect("an idle connection");
        connection.ready().await.expect("an open connection");
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.host)
            .header("authorization", &self.authorization)
            .header("content-type", "application/json");
        let request = request.body(Full::new(Bytes::from(body))).expect("a request");
        let answer = connection.send_request(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        self.idle.lock().expect("no panic").push(connection);
        Answer { status, body }
    }
}
