//! One connection to the broker: opened within a time limit, and closed without leaving anything behind. It never
//! reconnects by itself; the supervisor opens another one.

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
use tokio::time::{sleep, timeout};

use crate::broker::error::BrokerError;
use crate::broker::settings::BrokerSettings;
use crate::files;

/// Maximum size of a file of certificates: more than any system trusts.
const CERTIFICATES_BYTES_MAX: u64 = 4 << 20;
/// Timeout for opening a connection, including TLS and login. The library has no timeout of its own.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for an answer of the broker on an open connection.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// Timeout for a clean close. Nothing depends on it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// Interval at which a connection that is being closed is checked.
const CLOSE_LOOK_INTERVAL: Duration = Duration::from_millis(20);
/// Interval at which a silent connection is checked.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

pub struct BrokerConnection {
    inner: lapin::Connection,
    place: String,
    /// Declared last, so that it is dropped after the library's connection.
    _line: Line,
}

impl BrokerConnection {
    /// Connects and logs in, once. The broker shows `purpose` beside host and process.
    ///
    /// # Errors
    /// `Unreachable`, `Silent`, `Tls`, `CaFile`, `Credentials` or `VirtualHost`.
    pub async fn open(settings: &BrokerSettings, purpose: &str) -> Result<Self, BrokerError> {
        let place = settings.url.to_string();
        let tls = tls_settings(settings)?;
        match timeout(CONNECT_TIMEOUT, Box::pin(connect(settings, purpose, &tls))).await {
            Ok(Ok((inner, line))) => Ok(Self { inner, place, _line: line }),
            Ok(Err(error)) => Err(BrokerError::of_connecting(&error, &place)),
            Err(_elapsed) => Err(BrokerError::Silent { place, seconds: CONNECT_TIMEOUT.as_secs() }),
        }
    }

    /// Opens a channel.
    ///
    /// # Errors
    /// If the connection is gone, or the broker does not answer.
    pub async fn channel(&self) -> Result<Channel, BrokerError> {
        self.answered(self.inner.create_channel()).await
    }

    /// Waits for an answer of the broker, within a time limit.
    ///
    /// # Errors
    /// The error that the broker answers, or `Silent`.
    pub async fn answered<T>(&self, answer: impl Future<Output = lapin::Result<T>>) -> Result<T, BrokerError> {
        match timeout(ANSWER_TIMEOUT, answer).await {
            Ok(answer) => answer.map_err(|error| BrokerError::of_channel(&error)),
            Err(_elapsed) => Err(BrokerError::Silent { place: self.place.clone(), seconds: ANSWER_TIMEOUT.as_secs() }),
        }
    }

    /// Returns true while the broker accepts no messages. It reports that after the first message that it did not read.
    pub fn is_blocked(&self) -> bool {
        self.inner.status().blocked()
    }

    /// Waits until the connection or one of its channels ends, and returns the cause. Meanwhile, calls `on_blocked`
    /// when the broker stops accepting messages, with its reason, and when it accepts them again. Only one caller at a
    /// time may listen.
    pub async fn ended(&self, on_blocked: impl Fn(Option<&str>)) -> BrokerError {
        let mut events = Box::pin(self.inner.events_listener());
        let mut looks = tokio::time::interval(LOOK_INTERVAL);
        let mut is_closed = false;
        if self.is_blocked() {
            on_blocked(Some("an alarm"));
        }
        loop {
            tokio::select! {
                // The event has the cause.
                biased;
                event = events.next() => match event {
                    Some(Event::ConnectionBlocked(reason)) => on_blocked(Some(&reason)),
                    Some(Event::ConnectionUnblocked) => on_blocked(None),
                    Some(Event::Error(error)) => return BrokerError::of_channel(&error),
                    Some(_) => {}
                    None => return gone(),
                },
                // A close with a reply code that the library does not know comes without an event; any other close may
                // be seen before its event comes.
                _ = looks.tick() => {
                    if is_closed {
                        return gone();
                    }
                    is_closed = !self.inner.status().connected();
                },
            }
        }
    }

    /// Closes the connection cleanly, or drops it if the broker does not answer.
    pub async fn close(self) {
        // If the connection breaks meanwhile, the library may never answer.
        let broken = async {
            while !self.inner.status().errored() {
                sleep(CLOSE_LOOK_INTERVAL).await;
            }
        };
        // The socket is shut down in any case.
        tokio::select! {
            _answered = timeout(CLOSE_TIMEOUT, self.inner.close(200, "done".into())) => {}
            () = broken => {}
        }
    }
}

impl fmt::Debug for BrokerConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BrokerConnection").field("place", &self.place).finish_non_exhaustive()
    }
}

/// Connects, and hands the open stream to the library. The library's own attempt would wait without a limit, and leave
/// a task behind each time the broker cannot be reached.
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
        // The library asks only once, since it does not reconnect by itself.
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
    // The library would accept a file without certificates, and silently trust no additional ones.
    if !text.contains("-----BEGIN CERTIFICATE-----") {
        return Err(problem("holds no certificate; PEM is expected".to_owned()));
    }
    Ok(text)
}

/// The socket below a connection, kept to shut it down: a connection that is given up while it is being opened, or that
/// the broker does not close, would otherwise stay open permanently, with a thread of the library.
struct Line(TcpStream);

impl Line {
    fn of(socket: &impl AsFd) -> io::Result<Self> {
        let socket = TcpStream::from(socket.as_fd().try_clone_to_owned()?);
        // Messages are small, and each one is waited for.
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
