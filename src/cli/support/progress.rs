//! The progress bar: it polls the store for the progress of a job, so that it shows the work of every process.

use std::fmt;
use std::io::{self, Write, stderr};
use std::time::Duration;

use codemint_codes::text::grouped;
use indicatif::{HumanDuration, MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing_subscriber::fmt::MakeWriter;
use uuid::Uuid;

use crate::cli::support::terminal::{color_allowed, is_terminal};
use codemint_codes::job::record::Job;
use codemint_store::connection::store::Store;

const POLL_INTERVAL: Duration = Duration::from_millis(250);

/// The progress bars of this process; they are shown only on a terminal.
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

    /// Returns a writer for log lines that keeps them apart from the bars.
    pub fn log_writer(&self) -> LogWriter {
        LogWriter(self.bars.clone())
    }

    /// Follows a job until the returned value is dropped.
    pub fn follow(&self, store: &Store, job: &Job) -> Following {
        let bar = self.bar(job.count, job.minted);
        let gone = CancellationToken::new();
        if self.visible {
            tokio::spawn(poll(store.clone(), job.id, bar.0.clone(), gone.clone()));
        }
        Following { _bar: bar, _gone: gone.drop_guard() }
    }

    /// Returns a bar for bytes read from an input of unknown length.
    pub fn reading(&self) -> Bar {
        if !self.visible {
            return Bar(ProgressBar::hidden());
        }
        let template = "{bytes} read  {bytes_per_sec}  {spinner}";
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = self.bars.add(ProgressBar::no_length().with_style(style));
        bar.enable_steady_tick(POLL_INTERVAL);
        Bar(bar)
    }

    /// Returns a bar for codes that this process counts itself.
    pub fn bar(&self, total: u64, begun_at: u64) -> Bar {
        self.counting("codes", total, begun_at)
    }

    /// Returns a bar for other things of which this process has a number, such as redemptions.
    pub fn bar_of(&self, things: &'static str, total: u64) -> Bar {
        self.counting(things, total, 0)
    }

    fn counting(&self, things: &'static str, total: u64, begun_at: u64) -> Bar {
        if !self.visible {
            return Bar(ProgressBar::hidden());
        }
        let bar = self.bars.add(ProgressBar::new(total).with_style(style(things, begun_at)));
        bar.set_position(begun_at);
        bar.enable_steady_tick(POLL_INTERVAL);
        Bar(bar)
    }
}

/// Returns a style whose speed and remaining time count from `begun_at` codes, without the work of an earlier process.
/// They are averages since then: the bar jumps chunk by chunk, so averages over a shorter time would flicker.
fn style(things: &'static str, begun_at: u64) -> ProgressStyle {
    let bar = if color_allowed() { "{bar:28.green}" } else { "{bar:28}" };
    let template = format!("{bar} {{percent:>3}} %  {{human_pos}} of {{human_len}} {things}  {{rate}}");
    let style = ProgressStyle::with_template(&template).unwrap_or_else(|_| ProgressStyle::default_bar());
    style.with_key("rate", move |state: &ProgressState, text: &mut dyn fmt::Write| {
        let per_second = state.pos().saturating_sub(begun_at) as f64 / state.elapsed().as_secs_f64();
        let left = state.len().unwrap_or_default().saturating_sub(state.pos()) as f64;
        // A progress bar that cannot be written is no reason to fail.
        let _unwritten = if per_second < 1.0 {
            text.write_str("starting")
        } else {
            let left = HumanDuration(Duration::from_secs_f64(left / per_second));
            write!(text, "{} {things}/s  {left:#} left", grouped(per_second as u128))
        };
    })
}

async fn poll(store: Store, id: Uuid, bar: ProgressBar, gone: CancellationToken) {
    while !gone.is_cancelled() {
        // An unreachable store is handled by the tasks that mint.
        if let Ok(Some(job)) = store.find_job(id).await {
            bar.set_position(job.minted);
        }
        tokio::select! {
            () = tokio::time::sleep(POLL_INTERVAL) => {}
            () = gone.cancelled() => {}
        }
    }
}

/// A bar on the screen; dropping it removes it.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    pub fn add(&self, codes: usize) {
        self.0.inc(codes as u64);
    }

    pub fn set_position(&self, position: u64) {
        self.0.set_position(position);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A bar that polls the store; dropping it ends the polling.
#[derive(Debug)]
pub struct Following {
    _bar: Bar,
    _gone: DropGuard,
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
