//! A proxy in front of PostgreSQL that loses a commit or the answer to it: the only way to make an ambiguous commit at will.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use url::Url;

/// What is lost when a client commits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The server commits, the client never hears of it.
    AnswerToCommit,
    /// The server never hears of the commit.
    Commit,
}

#[derive(Debug)]
pub struct Proxy {
    /// The server's URL, by way of the proxy.
    pub url: String,
    losses_left: Arc<AtomicU32>,
}

impl Proxy {
    /// Forwards to the server of this URL; loses commits after [`Self::arm`].
    pub async fn start(server_url: &str, loss: Loss) -> Self {
        let url = Url::parse(server_url).expect("a URL");
        let server = (url.host_str().expect("a host").to_owned(), url.port().unwrap_or(5432));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let losses_left = Arc::new(AtomicU32::new(0));
        let proxy = Self { url: through(&url, port), losses_left: Arc::clone(&losses_left) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, server.clone(), loss, Arc::clone(&losses_left)));
            }
        });
        proxy
    }

    pub fn arm(&self, losses: u32) {
        self.losses_left.store(losses, Ordering::SeqCst);
    }

    pub fn losses_left(&self) -> u32 {
        self.losses_left.load(Ordering::SeqCst)
    }
}

/// Without TLS, which would hide the commits.
fn through(url: &Url, port: u16) -> String {
    let mut url = url.clone();
    url.set_host(Some("127.0.0.1")).expect("a host");
    url.set_port(Some(port)).expect("a port");
    url.set_query(Some("sslmode=disable"));
    url.into()
}

async fn forward(client: TcpStream, server: (String, u16), loss: Loss, losses_left: Arc<AtomicU32>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let muted = Arc::new(AtomicBool::new(false));
    let answers = tokio::spawn({
        let muted = Arc::clone(&muted);
        async move {
            let mut buffer = vec![0; 64 * 1024];
            while let Ok(length @ 1..) = from_server.read(&mut buffer).await {
                if !muted.load(Ordering::SeqCst) && to_client.write_all(&buffer[..length]).await.is_err() {
                    return;
                }
            }
        }
    });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(length @ 1..) = from_client.read(&mut buffer).await {
        let sent = &buffer[..length];
        if is_commit(sent) && take_one(&losses_left) {
            if loss == Loss::AnswerToCommit {
                muted.store(true, Ordering::SeqCst);
                let _sent = to_server.write_all(sent).await;
                let _closed = to_server.shutdown().await;
                // The server answers and closes; then the client sees a connection that broke at COMMIT.
                let _answered = answers.await;
            } else {
                answers.abort();
            }
            return;
        }
        if to_server.write_all(sent).await.is_err() {
            break;
        }
    }
    answers.abort();
}

/// A simple query of one word, <https://www.postgresql.org/docs/15/protocol-message-formats.html>.
fn is_commit(sent: &[u8]) -> bool {
    sent.starts_with(b"Q") && sent.ends_with(b"COMMIT\0")
}

fn take_one(left: &AtomicU32) -> bool {
    left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok()
}
