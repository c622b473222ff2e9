//! A proxy in front of PostgreSQL or RabbitMQ that knows where their messages begin and end, and loses, cuts, delays or
//! withholds them on demand: the only way to force an ambiguous commit, or a connection that is dead in one direction.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use url::Url;

/// What is lost; the connection breaks at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The server commits, but the client never receives the answer.
    AnswerToCommit,
    /// The server never receives the commit.
    Commit,
    /// The broker has a message, but the publisher never receives the confirm.
    Confirm,
    /// A message is processed, but the broker never receives the acknowledgement.
    Acknowledgement,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    ToServer,
    ToClient,
}

#[derive(Debug)]
pub struct Proxy {
    /// The server's URL through the proxy.
    pub url: String,
    orders: Arc<Orders>,
}

/// What the proxy has to do.
#[derive(Debug)]
struct Orders {
    protocol: Protocol,
    loss: AtomicU32,
    losses_left: AtomicU32,
    /// The number of the last connection; the first one is 1.
    number: AtomicU32,
    /// Connections up to this number forward nothing in this direction, and stay open.
    stalled_up_to: [AtomicU32; 2],
    refusing: AtomicBool,
    delay_ms: AtomicU64,
    /// The limit of one connection, both directions together; 0 is no limit.
    cut_after_bytes: AtomicU64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    Postgres,
    Amqp,
}

impl Proxy {
    /// Forwards to the server of this URL, without TLS, which would hide the messages.
    pub async fn start(server_url: &str) -> Self {
        let url = Url::parse(server_url).expect("a URL");
        let protocol = if url.scheme() == "amqp" { Protocol::Amqp } else { Protocol::Postgres };
        let server = (url.host_str().expect("a host").to_owned(), url.port().expect("a port"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("its address").port();
        let orders = Arc::new(Orders {
            protocol,
            loss: AtomicU32::default(),
            losses_left: AtomicU32::default(),
            number: AtomicU32::default(),
            stalled_up_to: Default::default(),
            refusing: AtomicBool::default(),
            delay_ms: AtomicU64::default(),
            cut_after_bytes: AtomicU64::default(),
        });
        let proxy = Self { url: through(&url, port, protocol), orders: Arc::clone(&orders) };
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let number = orders.number.fetch_add(1, Ordering::SeqCst) + 1;
                if !orders.refusing.load(Ordering::SeqCst) {
                    tokio::spawn(forward(client, server.clone(), number, Arc::clone(&orders)));
                }
            }
        });
        proxy
    }

    /// Starts losing this, for this number of times.
    pub fn lose(&self, loss: Loss, times: u32) {
        self.orders.loss.store(loss as u32, Ordering::SeqCst);
        self.orders.losses_left.store(times, Ordering::SeqCst);
    }

    pub fn losses_left(&self) -> u32 {
        self.orders.losses_left.load(Ordering::SeqCst)
    }

    /// Stops forwarding in this direction on the current connections, without closing them; later ones still forward.
    pub fn stall(&self, direction: Direction) {
        let last = self.orders.number.load(Ordering::SeqCst);
        self.orders.stalled_up_to[direction as usize].store(last, Ordering::SeqCst);
    }

    pub fn refuse(&self, refuses: bool) {
        self.orders.refusing.store(refuses, Ordering::SeqCst);
    }

    /// Delays each batch of bytes that arrives together.
    pub fn delay(&self, delay: Duration) {
        self.orders.delay_ms.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    /// Breaks each connection after this number of bytes; 0 is never.
    pub fn cut_after(&self, bytes: u64) {
        self.orders.cut_after_bytes.store(bytes, Ordering::SeqCst);
    }
}

fn through(url: &Url, port: u16, protocol: Protocol) -> String {
    let mut url = url.clone();
    url.set_host(Some("127.0.0.1")).expect("a host");
    url.set_port(Some(port)).expect("a port");
    if protocol == Protocol::Postgres {
        url.set_query(Some("sslmode=disable"));
    }
    url.into()
}

/// One connection.
struct Line {
    number: u32,
    orders: Arc<Orders>,
    bytes: AtomicU64,
    /// Whether the answer to a commit is to be lost.
    answer_is_lost: AtomicBool,
    /// Ends both directions.
    cut: CancellationToken,
}

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passes,
    Vanishes,
    VanishesWithTheLine,
}

async fn forward(client: TcpStream, server: (String, u16), number: u32, orders: Arc<Orders>) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        stream.set_nodelay(true).expect("a socket");
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let (bytes, answer_is_lost, cut) = (AtomicU64::new(0), AtomicBool::new(false), CancellationToken::new());
    let line = Line { number, orders, bytes, answer_is_lost, cut };
    let cut = line.cut.clone();
    let both = async {
        tokio::join!(
            line.pump(from_client, to_server, Direction::ToServer),
            line.pump(from_server, to_client, Direction::ToClient)
        )
    };
    tokio::select! {
        _ = both => {}
        () = cut.cancelled() => {}
    }
}

impl Line {
    async fn pump(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, direction: Direction) {
        let mut buffer = Vec::new();
        let mut is_greeting = direction == Direction::ToServer;
        while let Ok(1..) = from.read_buf(&mut buffer).await {
            let delay = self.orders.delay_ms.load(Ordering::SeqCst);
            if delay > 0 {
                tokio::time::sleep(Duration::from_millis(delay)).await;
            }
            let mut done = 0;
            while let Some(length) = self.orders.protocol.message_length(&buffer[done..], is_greeting) {
                let message = &buffer[done..done + length];
                let fate = if is_greeting { Fate::Passes } else { self.fate(message, direction) };
                self.wait_while_stalled(direction).await;
                match fate {
                    Fate::Passes if to.write_all(message).await.is_err() => return self.cut.cancel(),
                    Fate::VanishesWithTheLine => return self.cut.cancel(),
                    Fate::Passes | Fate::Vanishes => {}
                }
                let limit = self.orders.cut_after_bytes.load(Ordering::SeqCst);
                if limit > 0 && self.bytes.fetch_add(length as u64, Ordering::SeqCst) + length as u64 > limit {
                    return self.cut.cancel();
                }
                (done, is_greeting) = (done + length, false);
            }
            buffer.drain(..done);
        }
        // The other end learns that nothing more follows, and closes when it is done.
        let _closed = to.shutdown().await;
    }

    fn fate(&self, message: &[u8], direction: Direction) -> Fate {
        let loss = self.orders.loss.load(Ordering::SeqCst);
        let is_lost = |loss_here: Loss, is_it: bool| is_it && loss == loss_here as u32 && self.take_one();
        match (self.orders.protocol, direction) {
            (Protocol::Postgres, Direction::ToServer) => {
                // A simple query of one word, <https://www.postgresql.org/docs/15/protocol-message-formats.html>.
                let is_commit = message.starts_with(b"Q") && message.ends_with(b"COMMIT\0");
                if is_lost(Loss::AnswerToCommit, is_commit) {
                    self.answer_is_lost.store(true, Ordering::SeqCst);
                }
                if is_lost(Loss::Commit, is_commit) { Fate::VanishesWithTheLine } else { Fate::Passes }
            }
            (Protocol::Postgres, Direction::ToClient) if self.answer_is_lost.load(Ordering::SeqCst) => {
                // "Ready for query" is the end of the answer: the commit is done.
                if message.starts_with(b"Z") { Fate::VanishesWithTheLine } else { Fate::Vanishes }
            }
            (Protocol::Postgres, Direction::ToClient) => Fate::Passes,
            (Protocol::Amqp, direction) => {
                // A method frame with basic.ack, <https://www.rabbitmq.com/resources/specs/amqp0-9-1.pdf>, 4.2.3.
                let is_ack = message[0] == 1 && message[7..].starts_with(&[0, 60, 0, 80]);
                let loss_here = if direction == Direction::ToServer { Loss::Acknowledgement } else { Loss::Confirm };
                if is_lost(loss_here, is_ack) { Fate::VanishesWithTheLine } else { Fate::Passes }
            }
        }
    }

    async fn wait_while_stalled(&self, direction: Direction) {
        while self.number <= self.orders.stalled_up_to[direction as usize].load(Ordering::SeqCst) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn take_one(&self) -> bool {
        let one_less = |left: u32| left.checked_sub(1);
        self.orders.losses_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, one_less).is_ok()
    }
}

impl Protocol {
    /// Returns the length of the first message in a buffer; `None` if the message is not complete yet.
    fn message_length(self, buffer: &[u8], is_greeting: bool) -> Option<usize> {
        let number = |at: usize| Some(u32::from_be_bytes(buffer.get(at..at + 4)?.try_into().ok()?) as usize);
        let length = match (self, is_greeting) {
            (Self::Postgres, true) => number(0)?,
            (Self::Postgres, false) => 1 + number(1)?,
            (Self::Amqp, true) => 8,
            (Self::Amqp, false) => 8 + number(3)?,
        };
        (buffer.len() >= length).then_some(length)
    }
}
