//! The measurement: it mints the jobs of a load test with the pool of a worker.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use codemint_codes::job::record::Job;
use codemint_store::connection::store::Store;
use codemint_worker::mint::task::MintSettings;
use codemint_worker::mint::times::ChunkTimes;
use codemint_worker::runner::observer::{Observed, Observer};
use codemint_worker::runner::pool::Pool;
use indicatif::{ProgressBar, ProgressStyle};

use crate::cpu::CpuClock;
use crate::figures::{ClientFigures, Figures};
use crate::probe::WalCounters;
use crate::sampling::Sampling;

/// The interval between two checks whether anything is left to do.
const IDLE_LOOK_INTERVAL: Duration = Duration::from_secs(1);

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

/// The conditions of a measurement.
pub struct Conditions<'a> {
    /// The URL of the server; `None` for a file.
    pub url: Option<&'a str>,
    pub settings: MintSettings,
    /// The number of chunks minted at once.
    pub workers: usize,
    pub stop: &'a CancellationToken,
    pub bar: ProgressBar,
}

impl Conditions<'_> {
    /// Mints these jobs in a store that was opened for it alone, and closes the store. A stop request ends it early;
    /// failed jobs count as ended.
    pub async fn mint_and_measure(self, store: &Store, jobs: &[Job]) -> Measured {
        let sampling = Sampling::begin(self.url, store).await;
        let (listener, mut reports) = unbounded_channel();
        let pool = Pool::new(store.clone(), self.settings, self.workers, Arc::new(Notify::new()));
        let pool = pool.observed(Observer::new(listener));
        jobs.iter().for_each(|job| pool.offer(job));
        let end = self.stop.child_token();
        let (begun, clock) = (Instant::now(), CpuClock::read());
        let minting = tokio::spawn({
            let (pool, end) = (pool.clone(), end.clone());
            async move { pool.run(&end).await }
        });
        let mut heard = Heard::listen(&mut reports, &pool, jobs, &end, &self.bar).await;
        let clock_then = CpuClock::read();
        end.cancel();
        sampling.end();
        // A panic there has been reported already.
        let _ended = minting.await;
        // The last chunk may be reported after the end of its job, by another slot.
        while let Ok(observed) = reports.try_recv() {
            heard.take(observed);
        }
        // Its file or schema is removed anyway.
        let _closed = store.close().await;
        let (store_figures, wal) = sampling.finish(store).await;
        let client = ClientFigures {
            cpu: clock_then.process_since(&clock),
            cpus: cpus(),
            machine_busy: clock_then.machine_busy_since(&clock),
        };
        let figures = Figures {
            time: heard.last_end.map_or_else(|| begun.elapsed(), |end| end - begun),
            workers: self.workers as u32,
            chunks: heard.chunk_times.len() as u64,
            chunk_times: heard.chunk_sum,
            client,
            store: store_figures,
        };
        Measured { figures, chunk_times: heard.chunk_times, job_times: heard.job_times, wal }
    }
}

/// Returns a bar for this many codes; it is shown only on a terminal.
pub fn progress_bar(jobs: &[Job], quiet: bool) -> ProgressBar {
    if quiet {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:28} {percent:>3} %  {human_pos} of {human_len} codes");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(jobs.iter().map(|job| job.count).sum()).with_style(style)
}

fn cpus() -> u32 {
    std::thread::available_parallelism().map_or(1, |cpus| u32::try_from(cpus.get()).unwrap_or(u32::MAX))
}

impl Heard {
    /// Collects reports until all jobs have ended, a stop is requested, or nothing is left that could be done.
    async fn listen(
        reports: &mut UnboundedReceiver<Observed>,
        pool: &Pool,
        jobs: &[Job],
        end: &CancellationToken,
        bar: &ProgressBar,
    ) -> Self {
        let mut heard = Self::default();
        while heard.job_times.len() < jobs.len() {
            tokio::select! {
                observed = reports.recv() => match observed {
                    Some(observed) => {
                        if let Observed::ChunkMinted { codes, .. } = observed {
                            bar.inc(codes);
                        }
                        heard.take(observed);
                    }
                    None => break,
                },
                () = sleep(IDLE_LOOK_INTERVAL) => if pool.is_idle() { break },
                () = end.cancelled() => break,
            }
        }
        bar.finish_and_clear();
        heard
    }

    fn take(&mut self, observed: Observed) {
        match observed {
            Observed::JobBegun { job_no, at } => {
                self.begun.entry(job_no).or_insert(at);
            }
            Observed::ChunkMinted { times, .. } => {
                add(&mut self.chunk_sum, &times);
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

fn add(sum: &mut ChunkTimes, more: &ChunkTimes) {
    sum.claim += more.claim;
    sum.prepare += more.prepare;
    sum.put_codes += more.put_codes;
    sum.checkpoint += more.checkpoint;
    sum.commit += more.commit;
    sum.yield_writer += more.yield_writer;
    sum.preparation.draw += more.preparation.draw;
    sum.preparation.filter += more.preparation.filter;
    sum.preparation.encode += more.preparation.encode;
}
