//! The listener: connections, their limits, TLS, and their end.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use codemint_telemetry::metrics::http::{OpenConnection, connections_allowed};
use hyper::body::Incoming;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
pub use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

/// The time limit of a client for its TLS handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// The time limit of a client for the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a connection without a new request is looked for, to be ended.
const IDLE_INTERVAL: Duration = Duration::from_secs(30);
/// The maximum size of the headers of a request in bytes.
const HEADER_BYTES_MAX: usize = 32 << 10;
/// How long a client may accept nothing of what is sent to it.
const UNREAD_TIMEOUT: Duration = Duration::from_secs(60);
const STREAMS_MAX: u32 = 200;
/// Streams that a client resets before they are answered; beyond, its connection is closed.
const RESETS_MAX: usize = 20;
const PING_INTERVAL: Duration = Duration::from_secs(20);
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The address that a request came from: of the client, or of a proxy in front of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub IpAddr);

/// How connections are accepted.
#[derive(Clone)]
pub struct Listening {
    pub connections_max: usize,
    /// `None` for connections without TLS.
    pub tls: Option<TlsAcceptor>,
    /// How long requests may take to end after a stop.
    pub shutdown: Duration,
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections_max, tls, shutdown } = self;
        let mut shown = f.debug_struct("Listening");
        shown
            .field("connections_max", connections_max)
            .field("tls", &tls.is_some())
            .field("shutdown", shutdown)
            .finish()
    }
}

/// Serves requests until a stop; then answers those that were sent, within the time for it.
pub async fn serve(listener: TcpListener, router: Router, listening: Listening, stop: CancellationToken) {
    let connections = Arc::new(Semaphore::new(listening.connections_max));
    let builder = builder();
    connections_allowed(listening.connections_max);
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &connections) => accepted,
            () = stop.cancelled() => break,
        };
        let (stream, peer, permit) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // The process has no file descriptors left, or the client has gone.
                tracing::warn!(%error, "a connection was not accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (router, builder, stop, tls) = (router.clone(), builder.clone(), stop.clone(), listening.tls.clone());
        tokio::spawn(async move {
            let (_permit, _open) = (permit, OpenConnection::count());
            match tls {
                None => serve_connection(stream, peer, router, &builder, &stop).await,
                Some(tls) => {
                    // A failed handshake concerns the client alone.
                    if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, tls.accept(stream)).await {
                        serve_connection(stream, peer, router, &builder, &stop).await;
                    }
                }
            }
        });
    }
    drop(listener);
    let all = u32::try_from(listening.connections_max).unwrap_or(u32::MAX);
    if timeout(listening.shutdown, connections.acquire_many(all)).await.is_err() {
        tracing::warn!(
            "requests did not end in time and were dropped; raise worker.shutdown_seconds to leave more time"
        );
    }
}

/// Accepts a connection once there is room for one.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Semaphore>,
) -> io::Result<(tokio::net::TcpStream, Peer, OwnedSemaphorePermit)> {
    let permit = Arc::clone(connections).acquire_owned().await.map_err(io::Error::other)?;
    let (stream, address) = listener.accept().await?;
    stream.set_nodelay(true)?;
    SockRef::from(&stream).set_tcp_user_timeout(Some(UNREAD_TIMEOUT))?;
    Ok((stream, Peer(address.ip()), permit))
}

/// Serves a connection until its client closes it, asks nothing for long, or the process is to stop: then requests that are being
/// answered still are.
async fn serve_connection(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    router: Router,
    builder: &Builder<TokioExecutor>,
    stop: &CancellationToken,
) {
    let (router, requests) = (TowerToHyperService::new(router), Arc::new(AtomicUsize::default()));
    let counted = Arc::clone(&requests);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        counted.fetch_add(1, Ordering::Relaxed);
        router.call(request)
    });
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    tokio::select! {
        // A client that breaks its connection concerns nobody else.
        _ended = connection.as_mut() => return,
        () = no_request(&requests) => {}
        () = stop.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ended = connection.await;
}

/// Waits until no request has come for a while. The library ends only HTTP/1 connections, and only after their first byte.
async fn no_request(requests: &AtomicUsize) {
    let mut before = 0;
    loop {
        sleep(IDLE_INTERVAL).await;
        let now = requests.load(Ordering::Relaxed);
        if now == before {
            return;
        }
        before = now;
    }
}

fn builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(HEADER_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(RESETS_MAX)
        .keep_alive_interval(PING_INTERVAL);
    builder
}
