//! The common context of all commands that read the configuration: settings, store, stop requests and progress.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::OnceCell;

use crate::cli::support::failure::Failure;
use crate::cli::support::global_options::GlobalOptions;
use crate::cli::support::progress::Bars;
use crate::cli::support::signals::Stop;
use crate::cli::support::terminal::{color_allowed, is_terminal, print_note};
use crate::cli::support::text::shown_path;
use crate::cli::support::waits::{self, NOTE_AFTER, Wait};
use crate::config::configuration::Config;
use crate::config::load::load;
use codemint_campaigns::answers::RedeemError;
use codemint_campaigns::people::PeopleError;
use codemint_codes::job::options::JobOptions;
use codemint_codes::text::{printable, printable_lines};
use codemint_server::admin::health::Health;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::store::{Access, Store};
use codemint_telemetry::failpoint;
use codemint_telemetry::logs::{LogFormat, LogLevel, install};
use codemint_worker::runner::backoff::Backoff;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
/// A server that runs answers within this time.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);

/// The common context of all commands that read the configuration.
pub struct Context {
    pub config: Config,
    /// The beginning of suggested commands: the program with the flags that select the same store.
    invocation: String,
    pub stop: Stop,
    /// True to print nothing but data and errors.
    pub quiet: bool,
    pub progress: Bars,
    /// True to end the command while the store is unavailable, instead of waiting.
    no_wait: bool,
    /// The time after which a wait is reported; `None` for a service, which prints nothing but its log.
    note_after: Option<Duration>,
    /// True if the current wait was reported.
    is_wait_noted: AtomicBool,
    /// The health and the metrics of a service, once its admin listener is open.
    pub health: Arc<OnceLock<Arc<Health>>>,
    /// The store that the command opened; it is closed after the command.
    opened: OnceCell<Store>,
}

impl Context {
    pub fn new(global: &GlobalOptions, is_service: bool) -> Result<Self, Failure> {
        check_clock(SystemTime::now())?;
        let config = load(&global.sources())?;
        let progress = Bars::new(global.quiet);
        let by_place = if is_terminal() { LogFormat::Text } else { LogFormat::Json };
        let by_command = if is_service { LogLevel::Info } else { LogLevel::Warn };
        let (format, level) = (config.log_format.unwrap_or(by_place), config.log_level.unwrap_or(by_command));
        install(format, level, color_allowed(), printable, progress.log_writer());
        let invocation = global.invocation(&config.store);
        let stop = Stop::on_signals()?;
        let context = Self {
            config,
            invocation,
            stop,
            quiet: global.quiet,
            progress,
            no_wait: false,
            note_after: (!is_service).then(|| failpoint::wait_noted_after().unwrap_or(NOTE_AFTER)),
            is_wait_noted: AtomicBool::new(false),
            health: Arc::default(),
            opened: OnceCell::new(),
        };
        for warning in &context.config.warnings {
            // A service prints nothing but its log.
            if is_service { tracing::warn!("{warning}") } else { context.note(&format!("warning: {warning}")) }
        }
        Ok(context)
    }

    /// Returns the context of a command that ends while the store is unavailable.
    #[must_use]
    pub fn without_waiting(self) -> Self {
        Self { no_wait: true, ..self }
    }

    /// Returns true if the command is to wait for the store after this error, and reports a long wait.
    pub fn may_wait(&self, error: &StoreError, waited: Duration) -> bool {
        let note_after = self.note_after.unwrap_or(Duration::MAX);
        match waits::decide(error.class(), waited, note_after, self.no_wait) {
            Wait::Never => return false,
            Wait::Silently => self.is_wait_noted.store(false, Ordering::Relaxed),
            Wait::AndReport => {
                if !self.is_wait_noted.swap(true, Ordering::Relaxed) {
                    self.note_wait(error, waited);
                }
            }
        }
        true
    }

    fn note_wait(&self, error: &StoreError, waited: Duration) {
        if self.quiet {
            return;
        }
        let (seconds, cause, error) = (waited.as_secs(), waits::cause(error), printable(&error.to_string()));
        let note = printable_lines(&format!(
            "note: waiting for {seconds} s: {cause} ({error}); the command continues by itself when the store is available \
             again; Ctrl-C stops it, and nothing that was stored is lost"
        ));
        // If standard error is closed, the command does not fail.
        let _unheard = writeln!(self.progress.log_writer(), "{note}");
    }

    /// Prints a note to standard error, unless only errors are wanted.
    pub fn note(&self, line: &str) {
        if !self.quiet {
            print_note(line);
        }
    }

    /// Formats a suggested command as the user would type it.
    pub fn command(&self, rest: impl Display) -> String {
        format!("`{} {rest}`", self.invocation)
    }

    /// Formats a suggested command that reads the output of another program.
    pub fn pipe(&self, program: &str, rest: impl Display) -> String {
        format!("`{program} | {} {rest}`", self.invocation)
    }

    /// Returns the options of jobs that this process creates: they emit events if a broker is configured.
    pub fn job_options(&self) -> JobOptions {
        JobOptions { emits_events: self.config.broker.is_some(), ..JobOptions::default() }
    }

    pub async fn open_store(&self, access: Access) -> Result<Store, Failure> {
        if let (Access::Existing, Some(file)) = (access, self.config.store.file())
            && !file.exists()
        {
            let shown = shown_path(file);
            return Err(Failure::usage(format!(
                "there is no store at {shown}; create one with `codemint generate`, or name another one with --store URL"
            )));
        }
        let missing = self.config.store.file().filter(|file| !file.exists());
        let open = async || {
            let note_silence = async {
                tokio::time::sleep(ANSWERS_WITHIN).await;
                self.note(&format!("note: waiting for {}, which does not answer yet", self.config.store));
                std::future::pending().await
            };
            tokio::select! {
                never = note_silence => never,
                opened = Store::open(&self.config.store, access) => {
                    let opened = opened?;
                    if let Some(file) = missing {
                        let whole = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
                        self.note(&format!("note: created the store {}", shown_path(&whole)));
                    }
                    Ok(opened)
                }
                () = self.stop.token().cancelled() => {
                    Err(self.stop.interrupted("stopped before the store was opened; nothing was done"))
                }
            }
        };
        self.opened.get_or_try_init(open).await.cloned()
    }

    /// Opens the store for a worker or the HTTP API, which retry while the store is unreachable.
    pub async fn open_store_for_service(&self) -> Result<Store, StoreError> {
        let connections = Self::connections_for(self.config.worker.concurrency);
        let location = self.config.store.clone().with_connections(connections);
        self.opened.get_or_try_init(|| Store::open(&location, Access::CreateFile)).await.cloned()
    }

    /// Returns the number of connections for `concurrency` chunks at once.
    fn connections_for(concurrency: usize) -> u32 {
        // A claimed chunk may need two more for screening; if all chunks waited for these, none could proceed.
        let chunks = u32::try_from(concurrency).unwrap_or(u32::MAX);
        chunks.saturating_mul(4).saturating_add(6)
    }

    /// Closes the store that the command opened.
    pub async fn close_store(&self) -> Result<(), Failure> {
        let Some(store) = self.opened.get() else { return Ok(()) };
        match tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await {
            Ok(closed) => Ok(closed?),
            // Do not wait for a server that does not answer: everything is committed or never will be.
            Err(_elapsed) => Ok(()),
        }
    }

    /// Checks, after codes were missing, that no node of a cluster is still committing codes of before its crash.
    ///
    /// # Errors
    /// If a node is: then the codes are not lost.
    pub async fn require_recovered(&self, store: &Store) -> Result<(), Failure> {
        match self.with_retries(async || store.is_recovering().await).await {
            Ok(true) => Err(Failure::recovering()),
            Ok(false) => Ok(()),
            Err(_unknown) => {
                tracing::warn!("the nodes of the store cannot be asked for transactions that they have yet to commit");
                Ok(())
            }
        }
    }

    /// Sends a request to the store and retries it while the store is unreachable, until a stop is requested.
    pub async fn with_retries<T>(&self, ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, Failure> {
        self.retry(ask, |error| Some(error)).await
    }

    /// Sends a request to the service of redemptions, with the retries of [`Self::with_retries`].
    pub async fn redeem_with_retries<T>(&self, ask: impl AsyncFn() -> Result<T, RedeemError>) -> Result<T, Failure> {
        let of_store: fn(&RedeemError) -> Option<&StoreError> = |error| match error {
            RedeemError::Store(error) => Some(error),
            RedeemError::Identity(_) | RedeemError::Busy => None,
        };
        self.retry(ask, of_store).await
    }

    /// Sends a request to the service of people, with the retries of [`Self::with_retries`].
    pub async fn people_with_retries<T>(&self, ask: impl AsyncFn() -> Result<T, PeopleError>) -> Result<T, Failure> {
        let of_store: fn(&PeopleError) -> Option<&StoreError> = |error| match error {
            PeopleError::Store(error) => Some(error),
            PeopleError::Busy => None,
        };
        self.retry(ask, of_store).await
    }

    async fn retry<T, E>(
        &self,
        ask: impl AsyncFn() -> Result<T, E>,
        store_error: fn(&E) -> Option<&StoreError>,
    ) -> Result<T, Failure>
    where
        Failure: From<E>,
    {
        let mut backoff = Backoff::new(self.stop.token());
        loop {
            let error = match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            match store_error(&error) {
                Some(cause) if cause.is_retryable() && self.may_wait(cause, backoff.waited()) => {
                    backoff.wait_after(cause).await;
                    self.stop.check(|| "stopped while the store was unreachable".to_owned())?;
                }
                _ => return Err(error.into()),
            }
        }
    }
}

/// Checks that the clock can be written into ids and tables.
fn check_clock(now: SystemTime) -> Result<(), Failure> {
    if now < UNIX_EPOCH {
        return Err(Failure::usage("the system's clock shows a time before 1970; set it: ids and times come from it"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use super::check_clock;
    use crate::cli::support::failure::Failure;

    #[test]
    fn regression_a_clock_before_1970_is_an_error_that_names_it() {
        let refused = check_clock(UNIX_EPOCH - Duration::from_nanos(1));
        let named = |message: &str| message.contains("clock shows a time before 1970; set it");
        assert!(matches!(refused, Err(Failure::Message { code: 2, message }) if named(&message)));
        assert!(check_clock(UNIX_EPOCH).is_ok() && check_clock(SystemTime::now()).is_ok());
    }
}
