//! The measurement: it mints the jobs of a load test with the pool of a worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;

use crate::bench::figures::{ClientFigures, Figures, ServerFigures, StoreFigures};
use crate::cli::commands::bench::cpu::CpuClock;
use crate::cli::support::context::Context;
use codemint_codes::job::record::Job;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::Store;
use codemint_store::upkeep::activity::{Onlooker, Sessions, WalCounters};
use codemint_worker::mint::task::MintSettings;
use codemint_worker::mint::times::ChunkTimes;
use codemint_worker::runner::observer::{Observed, Observer};
use codemint_worker::runner::pool::Pool;

/// The interval between two samples of what the server does for this test.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// The interval between two checks whether anything is left to do.
const IDLE_LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// The timeout of a sample; a server that takes longer is not sampled any more.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// The time within which the sessions of a closed store should have disappeared from the server.
const SESSIONS_GONE_WITHIN: Duration = Duration::from_secs(2);

/// The result of one load test.
pub struct Measured {
    pub figures: Figures,
    /// How long each chunk and each job took.
    pub chunk_times: Vec<Duration>,
    pub job_times: Vec<Duration>,
    /// The counters of the write-ahead log before and after, if the server exposes them.
    pub wal: Option<(WalCounters, WalCounters)>,
}

/// The reports that the pool sent.
#[derive(Default)]
struct Heard {
    begun: HashMap<i64, Instant>,
    chunk_sum: ChunkTimes,
    chunk_times: Vec<Duration>,
    job_times: Vec<Duration>,
    last_end: Option<Instant>,
}

/// Mints these jobs in a store that was opened for it alone, and closes the store. A stop request ends it early; failed
/// jobs count as ended.
///
/// # Errors
/// If the server cannot be sampled at the start.
pub async fn mint_and_measure(
    context: &Context,
    store: &Store,
    settings: MintSettings,
    workers: usize,
    jobs: &[Job],
) -> Result<Measured, StoreError> {
    let server = match store.look_on().await? {
        Some(onlooker) => Some(Server::begin(onlooker).await?),
        None => None,
    };
    let (listener, mut told) = unbounded_channel();
    let pool = Pool::new(store.clone(), settings, workers, Arc::new(Notify::new())).observed(Observer::new(listener));
    jobs.iter().for_each(|job| pool.offer(job));
    let (end, done) = (context.stop.token().child_token(), CancellationToken::new());
    let looking = server.map(|server| tokio::spawn(server.look_until(done.clone())));
    let (begun, clock) = (Instant::now(), CpuClock::read());
    let minting = tokio::spawn({
        let (pool, end) = (pool.clone(), end.clone());
        async move { pool.run_offered(&end).await }
    });
    let mut heard = listen(context, &mut told, &pool, jobs, &end).await;
    let clock_then = CpuClock::read();
    end.cancel();
    done.cancel();
    // A panic there has been reported already.
    let _ended = minting.await;
    // The last chunk may be reported after the end of its job, by another slot.
    while let Ok(observed) = told.try_recv() {
        heard.take(observed);
    }
    store.close().await;
    let server = match looking {
        Some(looking) => looking.await.ok(),
        None => None,
    };
    let server_figures = server.as_ref().map(|server| server.figures);
    let wal = match server {
        Some(server) => timeout(ANSWER_TIMEOUT, server.finish()).await.ok().flatten(),
        None => None,
    };
    let client = ClientFigures {
        cpu: clock_then.process_since(&clock),
        cpus: cpus(),
        machine_busy: clock_then.machine_busy_since(&clock),
    };
    let figures = Figures {
        time: heard.last_end.map_or_else(|| begun.elapsed(), |end| end - begun),
        workers: workers as u32,
        chunks: heard.chunk_times.len() as u64,
        chunk_times: heard.chunk_sum,
        client,
        store: match (store, server_figures) {
            (Store::Sqlite(_), _) => StoreFigures::Sqlite,
            (Store::Postgres(_), Some(server)) => StoreFigures::Postgres(server),
            (Store::Postgres(_), None) => StoreFigures::PostgresUnseen,
        },
    };
    Ok(Measured { figures, chunk_times: heard.chunk_times, job_times: heard.job_times, wal })
}

fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}

/// Collects reports until all jobs have ended, a stop is requested, or nothing is left that could be done.
async fn listen(
    context: &Context,
    told: &mut UnboundedReceiver<Observed>,
    pool: &Pool,
    jobs: &[Job],
    end: &CancellationToken,
) -> Heard {
    let bar = context.progress.bar(jobs.iter().map(|job| job.count).sum(), 0);
    let mut heard = Heard::default();
    while heard.job_times.len() < jobs.len() {
        tokio::select! {
            observed = told.recv() => match observed {
                Some(observed) => {
                    if let Observed::ChunkMinted { codes, .. } = observed {
                        bar.add(codes as usize);
                    }
                    heard.take(observed);
                }
                None => break,
            },
            () = sleep(IDLE_LOOK_INTERVAL) => if pool.is_idle() { break },
            () = end.cancelled() => break,
        }
    }
    heard
}

impl Heard {
    fn take(&mut self, observed: Observed) {
        match observed {
            Observed::JobBegun { job_no, at } => {
                self.begun.entry(job_no).or_insert(at);
            }
            Observed::ChunkMinted { times, .. } => {
                self.chunk_sum.add(&times);
                self.chunk_times.push(times.total());
            }
            Observed::JobEnded { job_no, at } => {
                let begun = self.begun.remove(&job_no).unwrap_or(at);
                self.job_times.push(at - begun);
                self.last_end = Some(at);
            }
        }
    }
}

/// The server that is sampled.
struct Server {
    onlooker: Onlooker,
    wal_before: WalCounters,
    figures: ServerFigures,
    /// True if it did not answer.
    is_lost: bool,
}

impl Server {
    async fn begin(mut onlooker: Onlooker) -> Result<Self, StoreError> {
        let figures = ServerFigures {
            looks: 0,
            seen: Sessions::default(),
            round_trip: onlooker.measure_round_trip().await?,
            is_on_this_machine: onlooker.is_on_this_machine().await?,
        };
        Ok(Self { wal_before: onlooker.read_wal().await?, onlooker, figures, is_lost: false })
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
            match timeout(ANSWER_TIMEOUT, self.onlooker.look()).await {
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
        while begun.elapsed() < SESSIONS_GONE_WITHIN && self.onlooker.look().await.ok()? != Sessions::default() {
            sleep(LOOK_INTERVAL).await;
        }
        let wal_after = self.onlooker.read_wal().await.ok()?;
        self.onlooker.close().await;
        Some((self.wal_before, wal_after))
    }
}
