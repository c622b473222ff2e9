//! Keeps a session with the broker: two connections with everything declared, and the work that uses them. Any failure
//! of a connection ends the session, and a new one is opened after a backoff. Nothing is repaired in place.

use std::sync::Arc;
use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::broker::connection::BrokerConnection;
use crate::broker::error::{BrokerError, BrokerErrorClass};
use crate::broker::publish::Publisher;
use crate::broker::settings::BrokerSettings;
use crate::broker::topology;
use crate::runner::backoff::delays;
use codemint_telemetry::broker_status::BrokerStatus;
use codemint_telemetry::metrics::broker as metrics;

/// A session of this length resets the backoff: sessions that end at once must not follow each other without a pause.
const HEALTHY: Duration = Duration::from_secs(10);
/// Time that the work of an ended session has to end by itself.
const WORK_GRACE: Duration = Duration::from_secs(10);
/// Wait for the cause of a failed session: the work may notice first that a connection is gone, but only the connection
/// knows why, and reports it at once.
const CAUSE_TIMEOUT: Duration = Duration::from_millis(200);
/// Interval of log lines while the broker is away: not every attempt is logged.
const REMIND_INTERVAL: Duration = Duration::from_secs(30);
/// Messages held at once while one of them cannot be decoded: when the connection breaks, that counts against the
/// delivery limit of every held message, and should only count against the one that broke it.
const CAREFUL_PREFETCH: u16 = 1;
/// After a session of this length the message that cannot be decoded is gone.
const CAREFUL_TIME: Duration = Duration::from_secs(10);
/// Maximum number of sessions in a row that follow without a longer pause while a message that cannot be decoded blocks
/// all others, until the broker dead-letters it.
const CAREFUL_ATTEMPTS: u32 = 200;
const CAREFUL_PAUSE: Duration = Duration::from_millis(20);

/// Two connections, because a broker that is short of memory stops reading from connections that publish, and would not
/// read acknowledgements there either.
#[derive(Debug)]
pub struct Session {
    pub consuming: BrokerConnection,
    pub publishing: Arc<BrokerConnection>,
    /// A shared publisher; [`Publisher::open`] makes others, which need not take turns.
    pub publisher: Publisher,
    /// Number of messages to hold unacknowledged: as configured, or one after a message that could not be decoded.
    pub prefetch: u16,
    /// Cancelled when a connection is gone. The work should end then, and is dropped if it does not.
    pub over: CancellationToken,
}

impl Session {
    /// Connects and declares, once.
    ///
    /// # Errors
    /// Temporary errors have the class `Away`.
    pub async fn open(settings: &BrokerSettings) -> Result<Self, BrokerError> {
        let consuming = BrokerConnection::open(settings, "consumer").await?;
        Box::pin(topology::declare(&consuming, settings)).await?;
        let publishing = Arc::new(BrokerConnection::open(settings, "publisher").await?);
        let publisher = Publisher::open(Arc::clone(&publishing)).await?;
        let over = CancellationToken::new();
        Ok(Self { consuming, publishing, publisher, prefetch: settings.prefetch, over })
    }

    /// Closes both connections.
    pub async fn close(self) {
        drop(self.publisher);
        let publishing = async {
            // A publisher that is still in use keeps its connection.
            if let Some(connection) = Arc::into_inner(self.publishing) {
                connection.close().await;
            }
        };
        tokio::join!(self.consuming.close(), publishing);
    }

    /// Runs the work until it ends by itself or a connection ends. `report_away` learns at once why the session broke: the
    /// work may take its time to end.
    async fn run(
        &self,
        status: &watch::Sender<BrokerStatus>,
        careful: bool,
        work: impl Future<Output = Result<(), BrokerError>>,
        report_away: impl FnOnce(&BrokerError),
    ) -> Ended {
        let mut work = Box::pin(work);
        let mut broken = Box::pin(self.broken(status));
        let ended = tokio::select! {
            ended = &mut work => {
                let Err(consequence) = ended else { return Ended::Done };
                report_away(&timeout(CAUSE_TIMEOUT, broken).await.unwrap_or(consequence));
                return Ended::Broken;
            }
            cause = &mut broken => {
                report_away(&cause);
                Ended::Broken
            }
            () = tokio::time::sleep(CAREFUL_TIME), if careful => Ended::EnoughCare,
        };
        self.over.cancel();
        if timeout(WORK_GRACE, work).await.is_err() {
            tracing::warn!("the work on a session with the broker did not finish and was dropped");
        }
        ended
    }

    async fn broken(&self, status: &watch::Sender<BrokerStatus>) -> BrokerError {
        tokio::select! {
            error = self.consuming.ended(|_| ()) => error,
            error = self.publishing.ended(|blocked| report_blocked(status, blocked)) => error,
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    /// The work is done.
    Done,
    /// The next session may hold more messages again.
    EnoughCare,
    /// A connection is gone, or the work failed.
    Broken,
}

/// Runs the work on one session after another, until it returns `Ok` or `stop` is cancelled. The work has to watch
/// `stop` too: its session is not taken away. `first` is a session that is open already.
///
/// # Errors
/// A permanent error before the first session. Later, somebody may be changing the broker: every error is retried.
pub async fn supervise<W: Future<Output = Result<(), BrokerError>>>(
    settings: &BrokerSettings,
    first: Option<Session>,
    status: &watch::Sender<BrokerStatus>,
    stop: &CancellationToken,
    work: impl Fn(Arc<Session>) -> W,
) -> Result<(), BrokerError> {
    let mut attempts = Attempts::new(settings, first);
    while !stop.is_cancelled() {
        match attempts.next_session(stop).await {
            Ok(Some(session)) => {
                attempts.report_connected(status);
                let careful = attempts.is_careful();
                let session = Arc::new(session);
                let work = work(Arc::clone(&session));
                let ended = session.run(status, careful, work, |error| attempts.report_away(status, error)).await;
                if let Some(session) = Arc::into_inner(session) {
                    session.close().await;
                }
                match ended {
                    Ended::Done => return Ok(()),
                    Ended::EnoughCare => {
                        attempts.unreadable = 0;
                        continue;
                    }
                    Ended::Broken => {}
                }
            }
            Ok(None) => break,
            Err(error) if error.class() == BrokerErrorClass::Permanent && !attempts.had_session => return Err(error),
            Err(error) => attempts.report_away(status, &error),
        }
        attempts.wait(stop).await;
    }
    Ok(())
}

/// The state that is kept from one attempt to the next.
struct Attempts<'a> {
    settings: &'a BrokerSettings,
    first: Option<Session>,
    had_session: bool,
    /// Number of sessions in a row that ended because a message could not be decoded.
    unreadable: u32,
    delays: ExponentialBackoff,
    connected_at: Option<Instant>,
    logged_at: Option<Instant>,
}

impl<'a> Attempts<'a> {
    fn new(settings: &'a BrokerSettings, first: Option<Session>) -> Self {
        let (connected_at, logged_at) = (None, None);
        Self { settings, first, had_session: false, unreadable: 0, delays: delays(), connected_at, logged_at }
    }

    /// Returns the next session; `None` if a stop came first.
    async fn next_session(&mut self, stop: &CancellationToken) -> Result<Option<Session>, BrokerError> {
        if let Some(session) = self.first.take() {
            return Ok(Some(session));
        }
        let opened = tokio::select! {
            opened = Box::pin(Session::open(self.settings)) => opened?,
            () = stop.cancelled() => return Ok(None),
        };
        let prefetch = if self.is_careful() { CAREFUL_PREFETCH } else { opened.prefetch };
        Ok(Some(Session { prefetch, ..opened }))
    }

    fn report_connected(&mut self, status: &watch::Sender<BrokerStatus>) {
        let place = &self.settings.url;
        match self.had_session {
            true => {
                metrics::broker_reconnected();
                tracing::info!(%place, "the broker is back");
            }
            false => tracing::info!(%place, "connected to the broker"),
        }
        self.had_session = true;
        self.logged_at = None;
        self.connected_at = Some(Instant::now());
        metrics::broker_seen(true, false);
        status.send_replace(BrokerStatus::Connected);
    }

    fn report_away(&mut self, status: &watch::Sender<BrokerStatus>, error: &BrokerError) {
        if self.connected_at.take().is_some_and(|at| at.elapsed() >= HEALTHY) {
            self.delays = delays();
        }
        self.unreadable = if matches!(error, BrokerError::Unreadable { .. }) { self.unreadable + 1 } else { 0 };
        if self.logged_at.is_none_or(|at| at.elapsed() >= REMIND_INTERVAL) {
            self.logged_at = Some(Instant::now());
            tracing::warn!(%error, "no connection to the broker; trying again");
        }
        metrics::broker_seen(false, false);
        status.send_replace(BrokerStatus::Away { reason: error.to_string() });
    }

    fn is_careful(&self) -> bool {
        self.unreadable > 0
    }

    async fn wait(&mut self, stop: &CancellationToken) {
        let delay = match self.unreadable {
            1..=CAREFUL_ATTEMPTS => CAREFUL_PAUSE,
            _ => self.delays.next().unwrap_or_default(),
        };
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = stop.cancelled() => {}
        }
    }
}

fn report_blocked(status: &watch::Sender<BrokerStatus>, blocked: Option<&str>) {
    metrics::broker_seen(true, blocked.is_some());
    match blocked {
        Some(reason) => {
            tracing::warn!(reason, "the broker accepts no messages at the moment; events wait in the store");
            status.send_replace(BrokerStatus::Blocked { reason: reason.to_owned() });
        }
        None => {
            tracing::info!("the broker accepts messages again");
            status.send_replace(BrokerStatus::Connected);
        }
    }
}
