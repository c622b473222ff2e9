//! Samples of what the server does for a load test, taken while its jobs are minted.

use std::time::Duration;

use codemint_store::connection::store::Store;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::figures::{ServerFigures, StoreFigures};
use crate::probe::{ActivityProbe, Sessions, WalCounters};

/// The interval between two samples of what the server does for this test.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The timeout of a sample; a server that takes longer is not sampled any more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time within which the sessions of a closed store should have disappeared from the server.
const SESSIONS_GONE_WITHIN: Duration = Duration::from_secs(2);

/// The sampling of one store, from its beginning to its end.
pub struct Sampling {
    done: CancellationToken,
    /// `None` if there is no server, or if it shows nothing to this user.
    samples: Option<JoinHandle<Server>>,
}

impl Sampling {
    /// Starts to sample the sessions of this store. `url` leads to its server.
    pub async fn begin(url: Option<&str>, store: &Store) -> Self {
        let done = CancellationToken::new();
        let server = match url.zip(store.session_name()) {
            Some((url, session_name)) => Server::begin(url, session_name).await,
            None => None,
        };
        let samples = server.map(|server| tokio::spawn(server.look_until(done.clone())));
        Self { done, samples }
    }

    /// Takes no more samples.
    pub fn end(&self) {
        self.done.cancel();
    }

    /// Returns the figures of the store, which has been closed, and the counters of the write-ahead log before and after.
    pub async fn finish(self, store: &Store) -> (StoreFigures, Option<(WalCounters, WalCounters)>) {
        let server = match self.samples {
            Some(samples) => samples.await.ok(),
            None => None,
        };
        match (store, server) {
            (Store::Sqlite(_), _) => (StoreFigures::Sqlite, None),
            (Store::Postgres(_), None) => (StoreFigures::PostgresUnseen, None),
            (Store::Postgres(_), Some(server)) => {
                let figures = StoreFigures::Postgres(server.figures);
                (figures, timeout(ANSWER_TIMEOUT, server.finish()).await.ok().flatten())
            }
        }
    }
}

/// The server that is sampled.
struct Server {
    probe: ActivityProbe,
    wal_before: WalCounters,
    figures: ServerFigures,
    /// True if it did not answer.
    is_lost: bool,
}

impl Server {
    /// Returns `None` for a server that does not show what it does.
    async fn begin(url: &str, session_name: &str) -> Option<Self> {
        let begun = timeout(ANSWER_TIMEOUT, Self::measure(url, session_name)).await;
        match begun {
            Ok(Ok(server)) => Some(server),
            Ok(Err(error)) => {
                tracing::warn!(%error, "the server cannot be sampled");
                None
            }
            Err(_elapsed) => None,
        }
    }

    async fn measure(url: &str, session_name: &str) -> Result<Self, sqlx::Error> {
        let mut probe = ActivityProbe::connect(url, session_name).await?;
        let figures = ServerFigures {
            looks: 0,
            seen: Sessions::default(),
            round_trip: probe.measure_round_trip().await?,
            is_on_this_machine: probe.is_on_this_machine().await?,
        };
        Ok(Self { wal_before: probe.read_wal().await?, probe, figures, is_lost: false })
    }

    /// Takes samples until the work is done, or the server does not answer any more.
    async fn look_until(mut self, done: CancellationToken) -> Self {
        let mut ticks = interval(LOOK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !self.is_lost {
            tokio::select! {
                () = done.cancelled() => break,
                _ = ticks.tick() => {}
            }
            match timeout(ANSWER_TIMEOUT, self.probe.look()).await {
                Ok(Ok(seen)) => {
                    self.figures.looks += 1;
                    self.figures.seen.add(seen);
                }
                Ok(Err(_)) | Err(_) => self.is_lost = true,
            }
        }
        self
    }

    /// Returns the counters of the write-ahead log before and after, if the server still answers.
    async fn finish(mut self) -> Option<(WalCounters, WalCounters)> {
        if self.is_lost {
            return None;
        }
        let begun = Instant::now();
        // A session adds what it wrote to the counters when it ends.
        while begun.elapsed() < SESSIONS_GONE_WITHIN && self.probe.look().await.ok()? != Sessions::default() {
            sleep(LOOK_INTERVAL).await;
        }
        let wal_after = self.probe.read_wal().await.ok()?;
        self.probe.close().await;
        Some((self.wal_before, wal_after))
    }
}
