//! Counts clicks. What arrives while a transaction is written is stored by the next one; nobody waits for it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chrono::NaiveDate;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};

use codemint_store::connection::error::ErrorClass;
use codemint_store::connection::store::Store;
use codemint_store::figures::clicks::Click;
use codemint_telemetry::metrics::clicks as metrics;

/// The maximum number of clicks that wait while the store is busy or away; further ones are not counted.
const WAITING_MAX: usize = 50_000;
/// The maximum number of clicks of a transaction.
const BATCH_MAX: usize = 5000;
/// Pauses after a failure, each twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);

/// The maximum number of origins of a campaign's clicks in a day. Anybody may write anything into a link, and each origin has its own
/// sums; clicks beyond it are counted without one.
const ORIGINS_MAX: usize = 10_000;

enum Message {
    Click(Box<Click>),
    /// Answered when all clicks before it were written.
    Flush(oneshot::Sender<()>),
}

/// Counts clicks for any number of callers. Its task ends when the last copy is dropped.
#[derive(Clone, Debug)]
pub struct ClickCounter {
    messages: mpsc::Sender<Message>,
    /// The clicks that are not written yet.
    waiting: Arc<AtomicUsize>,
}

impl ClickCounter {
    /// Starts the task that writes.
    pub fn start(store: &Store) -> Self {
        let (messages, received) = mpsc::channel(WAITING_MAX);
        let waiting = Arc::new(AtomicUsize::new(0));
        tokio::spawn(write(store.clone(), received, Arc::clone(&waiting)));
        Self { messages, waiting }
    }

    /// Counts a click soon. It never waits: if too many clicks wait already, this one is lost, and a metric says so.
    pub fn count(&self, click: Click) {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        if self.messages.try_send(Message::Click(Box::new(click))).is_err() {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            metrics::clicked("dropped", 1);
        }
    }

    /// Waits until all clicks so far are written, at most this long, and returns the number of those that are not.
    pub async fn finish(&self, most: Duration) -> usize {
        let (done, flushed) = oneshot::channel();
        let flush = async {
            if self.messages.send(Message::Flush(done)).await.is_ok() {
                // Without its task, nobody answers.
                let _ended = flushed.await;
            }
        };
        let _in_time = timeout(most, flush).await;
        self.waiting.load(Ordering::Relaxed)
    }
}

/// Source, advertisement, affiliate.
type Origin = (Option<String>, Option<String>, Option<String>);

/// The origins of today's clicks, by campaign.
#[derive(Default)]
struct Origins {
    day: NaiveDate,
    seen: HashMap<i64, HashSet<Origin>>,
}

impl Origins {
    /// Removes the origin of a click if its campaign has too many.
    fn bound(&mut self, click: &mut Click) {
        if click.day > self.day {
            *self = Self { day: click.day, ..Self::default() };
        }
        let seen = self.seen.entry(click.campaign_no).or_default();
        let origin = (click.source.clone(), click.ad.clone(), click.affiliate.clone());
        if !seen.contains(&origin) && seen.len() >= ORIGINS_MAX {
            (click.source, click.ad, click.affiliate) = (None, None, None);
        } else {
            seen.insert(origin);
        }
    }
}

async fn write(store: Store, mut received: mpsc::Receiver<Message>, waiting: Arc<AtomicUsize>) {
    let (mut messages, mut origins) = (Vec::new(), Origins::default());
    while received.recv_many(&mut messages, BATCH_MAX).await > 0 {
        let (mut clicks, mut flushes) = (Vec::new(), Vec::new());
        for message in messages.drain(..) {
            match message {
                Message::Click(mut click) => {
                    origins.bound(&mut click);
                    clicks.push(*click);
                }
                Message::Flush(done) => flushes.push(done),
            }
        }
        if !clicks.is_empty() {
            metrics::clicked(put(&store, &clicks).await, clicks.len() as u64);
            waiting.fetch_sub(clicks.len(), Ordering::Relaxed);
        }
        for done in flushes {
            // Whoever has asked may have given up.
            let _gone = done.send(());
        }
    }
}

/// Stores clicks, however long the store is away, and returns what became of them.
async fn put(store: &Store, clicks: &[Click]) -> &'static str {
    let mut pause = FIRST_PAUSE;
    loop {
        match store.put_clicks(clicks).await {
            Ok(()) => return "counted",
            Err(error) if error.class() == ErrorClass::Permanent => {
                tracing::error!(%error, clicks = clicks.len(), "clicks cannot be stored and are lost");
                return "failed";
            }
            Err(error) => {
                tracing::debug!(%error, "clicks are stored again");
                sleep(pause).await;
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}
