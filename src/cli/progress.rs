//! The progress bar: it asks the store how far a job is, so that it shows the work of every process.

use std::fmt;
use std::io::{self, Write, stderr};
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

use crate::cli::text::{color_allowed, grouped, is_terminal};
use crate::job::Job;
use crate::store::Store;

const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The bars of this process, or none: they are for terminals.
#[derive(Clone, Debug)]
pub struct Bars {
    bars: MultiProgress,
    visible: bool,
}

impl Bars {
    pub fn new(quiet: bool) -> Self {
        let visible = !quiet && is_terminal();
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        Self { bars: MultiProgress::with_draw_target(target), visible }
    }

    /// Log lines step around the bars.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter(self.bars.clone())
    }

    /// Follows a job until the returned value is dropped.
    pub fn follow(&self, store: &Store, job: &Job) -> Following {
        if !self.visible {
            return Following { bar: ProgressBar::hidden(), _gone: CancellationToken::new().drop_guard() };
        }
        let bar = self.bars.add(ProgressBar::new(job.count).with_style(style()));
        bar.set_position(job.minted);
        // Speed and remaining time count from here, not from what an earlier process did.
        bar.reset_eta();
        bar.enable_steady_tick(POLL_INTERVAL);
        let gone = CancellationToken::new();
        tokio::spawn(poll(store.clone(), job.id, bar.clone(), gone.clone()));
        Following { bar, _gone: gone.drop_guard() }
    }
}

fn style() -> ProgressStyle {
    let bar = if color_allowed() { "{bar:28.green}" } else { "{bar:28}" };
    let template = format!("{bar} {{percent:>3}} %  {{human_pos}} of {{human_len}} codes  {{speed}}  {{eta}} left");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("speed", |state: &ProgressState, out: &mut dyn fmt::Write| {
        let _written = write!(out, "{} codes/s", grouped(state.per_sec() as u128));
    })
}

async fn poll(store: Store, id: Uuid, bar: ProgressBar, gone: CancellationToken) {
    while !gone.is_cancelled() {
        // A store that is away is the business of those who mint.
        if let Ok(Some(job)) = store.find_job(id).await {
            bar.set_position(job.minted);
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = gone.cancelled() => {}
        }
    }
}

/// A bar on the screen; dropping it takes it away and ends its questions to the store.
#[derive(Debug)]
pub struct Following {
    bar: ProgressBar,
    _gone: DropGuard,
}

impl Drop for Following {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[derive(Clone, Debug)]
pub struct LogWriter(MultiProgress);

impl Write for LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| stderr().write(line))
    }

    fn flush(&mut self) -> io::Result<()> {
        stderr().flush()
    }
}

impl MakeWriter<'_> for LogWriter {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}
