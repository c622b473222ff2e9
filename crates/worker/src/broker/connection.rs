//! One connection to the broker: opened within a limit of time, closed so that nothing of it is left behind. It never
//! comes back by itself; the supervisor opens another one.

use std::fmt;
use std::fs;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use lapin::tcp::OwnedTLSConfig;
use lapin::uri::{AMQPScheme, AMQPUri};
use lapin::{AsyncTcpStream, Channel, ConnectionProperties, Event};
use tokio::time::timeout;

use crate::broker::error::BrokerError;
use crate::broker::settings::BrokerSettings;
use crate::files;

/// More certificates than any system trusts.
const CERTIFICATES_BYTES_MAX: u64 = 4 << 20;
/// For a connection, with TLS and the user's log-in. The library has no limit of its own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// For an answer of the broker on an open connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// For a good-bye. Nothing depends on it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// How often a connection is looked at that says nothing.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub struct BrokerConnection {
    inner: lapin::Connection,
    place: String,
    /// Last, so that it goes when the library has been told.
    _line: Line,
}

impl BrokerConnection {
    /// Connects and logs in, once. `purpose` is what the broker shows beside host and process.
    ///
    /// # Errors
    /// Says what is wrong: nobody there, no answer, the certificate, the user, the virtual host.
    pub async fn open(settings: &BrokerSettings, purpose: &str) -> Result<Self, BrokerError> {
        let place = settings.url.to_string();
        let tls = tls_settings(settings)?;
        match timeout(CONNECT_TIMEOUT, Box::pin(connect(settings, purpose, &tls))).await {
            Ok(Ok((inner, line))) => Ok(Self { inner, place, _line: line }),
            Ok(Err(error)) => Err(BrokerError::of_connecting(&error, &place)),
            Err(_elapsed) => Err(BrokerError::Silent { place, seconds: CONNECT_TIMEOUT.as_secs() }),
        }
    }

    /// # Errors
    /// When the connection is gone, or has no answer.
    pub async fn channel(&self) -> Result<Channel, BrokerError> {
        self.answered(self.inner.create_channel()).await
    }

    /// Waits for an answer of the broker, but not for ever.
    ///
    /// # Errors
    /// The broker's, or `Silent`.
    pub async fn answered<T>(&self, answer: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|error| BrokerError::of_channel(&error)),
            Err(_elapsed) => Err(BrokerError::Silent { place: self.place.clone(), seconds: ANSWER_TIMEOUT.as_secs() }),
        }
    }

    /// True while the broker takes no messages from us. It says so after the first one that it did not read.
    pub fn is_blocked(&self) -> bool {
        self.inner.status().blocked()
    }

    /// Waits until the connection or one of its channels ends, and tells why. Meanwhile it reports when the broker
    /// stops taking messages, with its reason, and when it takes them again. Only one at a time may listen.
    pub async fn ended(&self, on_blocked: impl Fn(Option<&str>)) -> BrokerError {
        let mut events = Box::pin(self.inner.events_listener());
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let mut is_closed = false;
        if self.is_blocked() {
            on_blocked(Some("an alarm"));
        }
        loop {
            tokio::select! {
                // The event knows why.
                biased;
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => on_blocked(Some(&reason)),
                    Some(Event::ConnectionUnblocked) => on_blocked(None),
                    Some(Event::Error(error)) => return BrokerError::of_channel(&error),
                    Some(_) => {}
                    None => return gone(),
                },
                // A close with a number that the library does not know comes without an event; any other may be seen before
                // its event comes.
                _ = looks.tick() => {
                    if is_closed {
                        return gone();
                    }
                    is_closed = !self.inner.status().connected();
                },
            }
        }
    }

    /// Says good-bye, or hangs up on a broker that does not listen.
    pub async fn close(self) {
        // The next step is to hang up anyway.
        let _answered = timeout(CLOSE_TIMEOUT, self.inner.close(200, "done".into())).await;
    }
}

impl fmt::Debug for BrokerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerConnection").field("place", &self.place).finish_non_exhaustive()
    }
}

/// The library gets a stream that is open: what it dials itself it keeps waiting for, and a broker that is not there leaves
/// a task of it behind each time.
async fn connect(
    settings: &BrokerSettings,
    purpose: &str,
    tls: &OwnedTLSConfig,
) -> lapin::Result<(lapin::Connection, Line)> {
    let runtime = lapin::runtime::default_runtime()?;
    let uri = settings.url.uri.clone();
    let host = uri.authority.host.trim_matches(['[', ']']).to_owned();
    let address = runtime.to_socket_addrs((host.clone(), uri.authority.port));
    let plain = AsyncTcpStream::connect(&runtime, address).await?;
    let line = match &plain {
        AsyncTcpStream::Plain(socket) => Line::of(socket.get_ref())?,
        _ => return Err(io::Error::from(io::ErrorKind::Unsupported).into()),
    };
    let stream = match uri.scheme {
        AMQPScheme::AMQP => plain,
        AMQPScheme::AMQPS => plain.into_tls(&host, tls.as_ref()).await?,
    };
    let stream = Mutex::new(Some(stream));
    let hand_over = async move |_uri: AMQPUri, _runtime| {
        let stream = stream.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It asks once, since it is not to come back by itself.
        Ok(stream.ok_or(io::ErrorKind::NotConnected).map_err(io::Error::from)?)
    };
    let inner = lapin::Connection::connector(uri, runtime, hand_over, properties(purpose)).await?;
    Ok((inner, line))
}

fn gone() -> BrokerError {
    BrokerError::Lost { problem: "it was closed".to_owned() }
}

fn properties(purpose: &str) -> ConnectionProperties {
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("codemint {} pid {} {purpose}", host.trim(), std::process::id());
    ConnectionProperties::default()
        .with_client_property("product".into(), "codemint".into())
        .with_client_property("version".into(), env!("CARGO_PKG_VERSION").into())
        .with_connection_name(name.into())
}

fn tls_settings(settings: &BrokerSettings) -> Result<OwnedTLSConfig, BrokerError> {
    let trusted = settings.ca_file.as_deref().map(read_certificates).transpose()?;
    Ok(OwnedTLSConfig { identity: None, cert_chain: trusted })
}

fn read_certificates(path: &Path) -> Result<String, BrokerError> {
    let problem = |problem: String| BrokerError::CaFile { path: path.display().to_string(), problem };
    let text = files::read_text(path, CERTIFICATES_BYTES_MAX, "PEM").map_err(problem)?;
    // The library would take a file without any for one that trusts nobody more.
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(problem("holds no certificate; PEM is expected".to_owned()));
    }
    Ok(text)
}

/// The socket below a connection, kept to hang up: a connection that is given up while it is being opened, or that the
/// other end does not close, would otherwise stay for ever, with a thread of the library.
struct Line(TcpStream);

impl Line {
    fn of(socket: &impl AsFd) -> io::Result<Self> {
        let socket = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        // Messages are small, and each is waited for.
        socket.set_nodelay(true)?;
        Ok(Self(socket))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        // Fails for sockets that are closed already.
        let _closed = self.0.shutdown(Shutdown::Both);
    }
}
