//! Keep-alive connections to a server's API, each with one request at a time. What the client takes of the shared cores, the servers
//! do not have, so it knows only what the API's answers need: a status, and a body of a stated length.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Connections that callers share: each takes an idle one, and gives it back.
#[derive(Clone)]
pub struct Connections {
    idle: Arc<Mutex<Vec<Connection>>>,
    /// The headers that all requests have in common.
    headers: Arc<str>,
}

struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// A status and a body.
pub struct Answer {
    pub status: u16,
    pub body: String,
}

impl Connections {
    pub async fn open(address: SocketAddr, key: &str, count: usize) -> Self {
        let mut idle = Vec::new();
        for _ in 0..count {
            let stream = TcpStream::connect(address).await.expect("a connection");
            stream.set_nodelay(true).expect("an option");
            idle.push(Connection { stream, buffer: Vec::with_capacity(4096) });
        }
        let headers =
            format!("host: {address}\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n").into();
        Self { idle: Arc::new(Mutex::new(idle)), headers }
    }

    /// Sends a request with a body of JSON, and reads its whole answer.
    ///
    /// # Panics
    /// If all connections are in use, or if the answer has no stated length.
    pub async fn send(&self, method: &str, path: &str, body: &str) -> Answer {
        let mut connection = self.idle.lock().expect("no panic").pop().expect("an idle connection");
        let (headers, length) = (&self.headers, body.len());
        let request = format!("{method} {path} HTTP/1.1\r\n{headers}content-length: {length}\r\n\r\n{body}");
        connection.stream.write_all(request.as_bytes()).await.expect("a request");
        let answer = connection.read_answer().await;
        self.idle.lock().expect("no panic").push(connection);
        answer
    }
}

impl Connection {
    async fn read_answer(&mut self) -> Answer {
        self.buffer.clear();
        loop {
            let read = self.stream.read_buf(&mut self.buffer).await.expect("an answer");
            assert!(read > 0, "the server closed a connection");
            let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.buffer[..end]).expect("headers");
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
            let length: usize = length.parse().expect("a length");
            if self.buffer.len() == end + 4 + length {
                let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
                let body = String::from_utf8(self.buffer[end + 4..].to_vec()).expect("text");
                return Answer { status, body };
            }
        }
    }
}
