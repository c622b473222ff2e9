//! The command line: one file per command group, and the only module that prints. Data goes to standard output,
//! everything else to standard error.

use std::fmt::Display;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::OnceCell;

use crate::cli::support::exit::Failure;
use crate::cli::support::signals::Stop;
use crate::cli::support::text::quoted;
use crate::config::{self, Config, Sources};
use codemint_codes::job::options::JobOptions;
use codemint_store::connection::error::StoreError;
use codemint_store::connection::location::Location;
use codemint_store::connection::store::{Access, Store};
use codemint_telemetry as telemetry;
use codemint_telemetry::failpoint;
use codemint_telemetry::logs::{LogFormat, LogLevel};
use codemint_worker::runner::backoff::Backoff;

mod commands;
mod support;

const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Mint unique, unguessable promo codes in bulk.
#[derive(Debug, Parser)]
#[command(
    name = "codemint",
    version,
    propagate_version = true,
    max_term_width = 100,
    after_help = "Examples:
  codemint generate 'MY_LITTLE_PROMO????##' --count 1000000 --output codes.csv
  codemint mask explain 'SPRING-[:safe:]{8}' --count 50000
  codemint jobs list

Exit codes: 0 done, 1 failure, 2 usage or configuration error, 3 negative result (a job or a check
failed), 4 impossible request, 5 server unreachable, 130 or 143 interrupted."
)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Global options")]
struct Global {
    /// Configuration file [default: codemint.toml in the working directory, if it exists]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// URL of the store: sqlite://FILE or postgres://USER@HOST/DATABASE [default: sqlite://codemint.db]
    #[arg(long, global = true, value_name = "URL")]
    store: Option<String>,
    /// Log format on standard error: text or json [default: text on a terminal, json elsewhere]
    #[arg(long, global = true, value_name = "FORMAT")]
    log_format: Option<String>,
    /// Log more: -v for info, -vv for debug, -vvv for trace
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Show only errors, without progress
    #[arg(short, long, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    #[command(flatten)]
    Configured(Configured),
    #[command(flatten)]
    Shell(commands::shell::ShellCommand),
}

/// The commands that read the configuration.
#[derive(Debug, Subcommand)]
enum Configured {
    Generate(commands::generate::Generate),
    Worker(commands::worker::Worker),
    Health(commands::health::Health),
    Enqueue(commands::enqueue::Enqueue),
    #[command(subcommand, visible_alias = "dead")]
    Dlq(commands::dlq::DlqCommand),
    #[command(subcommand)]
    Mask(commands::mask::MaskCommand),
    #[command(subcommand)]
    Jobs(commands::jobs::JobsCommand),
    Export(commands::export::Export),
    Verify(commands::verify::Verify),
    Bench(commands::bench::Bench),
    Import(commands::import::Import),
    #[command(subcommand)]
    Reserve(commands::reserve::ReserveCommand),
    Audit(commands::audit::Audit),
    Migrate(commands::migrate::Migrate),
    #[command(subcommand)]
    Config(commands::settings::ConfigCommand),
}

/// Disables core dumps, because the memory holds keys and passwords. The hard limit stays, so that an operator can
/// enable them with `prlimit`.
fn keep_memory_private() {
    let maximum = getrlimit(Resource::Core).maximum;
    // Lowering a limit is always permitted.
    let _lowered = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum });
}

/// Parses the arguments and runs the command they name.
pub async fn run() -> ExitCode {
    failpoint::read_environment();
    keep_memory_private();
    let cli = Cli::parse();
    let quiet = cli.global.quiet;
    let result = dispatch(cli).await;
    telemetry::traces::flush().await;
    support::exit::report(result, quiet)
}

async fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.command {
        Command::Shell(command) => command.run(),
        Command::Configured(command) => {
            let context = Context::new(&cli.global, matches!(command, Configured::Worker(_)))?;
            let result = command.run(&context).await;
            context.close_store().await;
            result
        }
    }
}

impl Configured {
    async fn run(self, context: &Context) -> Result<ExitCode, Failure> {
        match self {
            Self::Generate(command) => command.run(context).await,
            Self::Worker(command) => support::exit::tell_in_the_log(command.run(context).await),
            Self::Health(command) => command.run(context).await,
            Self::Enqueue(command) => command.run(context).await,
            Self::Dlq(command) => Box::pin(command.run(context)).await,
            Self::Mask(command) => command.run(context),
            Self::Jobs(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
            Self::Verify(command) => command.run(context).await,
            Self::Bench(command) => Box::pin(command.run(context)).await,
            Self::Import(command) => command.run(context).await,
            Self::Reserve(command) => command.run(context).await,
            Self::Audit(command) => command.run(context).await,
            Self::Migrate(command) => command.run(context).await,
            Self::Config(command) => command.run(context),
        }
    }
}

/// The common context of all commands that read the configuration.
struct Context {
    config: Config,
    /// The beginning of suggested commands: the program with the flags that select the same store.
    invocation: String,
    stop: Stop,
    /// True to print nothing but data and errors.
    quiet: bool,
    progress: support::progress::Bars,
    /// The store that the command opened; it is closed after the command.
    opened: OnceCell<Store>,
}

impl Context {
    fn new(global: &Global, is_worker: bool) -> Result<Self, Failure> {
        let config = config::load(&global.sources())?;
        let progress = support::progress::Bars::new(global.quiet);
        let by_place = if support::text::is_terminal() { LogFormat::Text } else { LogFormat::Json };
        let by_command = if is_worker { LogLevel::Info } else { LogLevel::Warn };
        let (format, level) = (config.log_format.unwrap_or(by_place), config.log_level.unwrap_or(by_command));
        telemetry::logs::install(format, level, support::text::color_allowed(), progress.log_writer());
        let invocation = global.invocation(&config.store);
        let stop = Stop::on_signals()?;
        Ok(Self { config, invocation, stop, quiet: global.quiet, progress, opened: OnceCell::new() })
    }

    /// Formats a suggested command as the user would type it.
    fn command(&self, rest: impl Display) -> String {
        format!("`{} {rest}`", self.invocation)
    }

    /// Returns the options of jobs that this process creates: they emit events if a broker is configured.
    fn job_options(&self) -> JobOptions {
        JobOptions { emits_events: self.config.broker.is_some(), ..JobOptions::default() }
    }

    async fn open_store(&self, access: Access) -> Result<Store, Failure> {
        if let (Access::Existing, Some(file)) = (access, self.config.store.file())
            && !file.exists()
        {
            let shown = file.display();
            return Err(Failure::usage(format!(
                "there is no store at {shown}; create one with `codemint generate`, or name another one with --store URL"
            )));
        }
        self.open_store_at(&self.config.store, access).await
    }

    async fn open_store_at(&self, location: &Location, access: Access) -> Result<Store, Failure> {
        let open = async || {
            tokio::select! {
                opened = Store::open(location, access) => Ok(opened?),
                () = self.stop.token().cancelled() => {
                    Err(self.stop.interrupted("stopped before the store was opened; nothing was done"))
                }
            }
        };
        self.opened.get_or_try_init(open).await.cloned()
    }

    /// Opens the store for a worker, which retries while the store is unreachable.
    async fn open_store_for_worker(&self) -> Result<Store, StoreError> {
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

    async fn close_store(&self) {
        if let Some(store) = self.opened.get() {
            // Do not wait for a server that does not answer: everything is committed or never will be.
            let _in_time = tokio::time::timeout(CLOSE_TIMEOUT, store.close()).await;
        }
    }

    /// Sends a request to the store and retries it while the store is unreachable, until a stop is requested.
    async fn patiently<T>(&self, ask: impl AsyncFn() -> Result<T, StoreError>) -> Result<T, Failure> {
        let mut backoff = Backoff::new(self.stop.token());
        loop {
            match ask().await {
                Err(error) if backoff.is_retryable(&error) => {
                    backoff.wait_after(&error).await;
                    self.stop.check(|| "stopped while the store was unreachable".to_owned())?;
                }
                result => return Ok(result?),
            }
        }
    }
}

impl Global {
    fn invocation(&self, store: &Location) -> String {
        let config = self.config.as_ref().map(|file| format!(" --config {}", quoted(&file.display().to_string())));
        let store = self.store.as_ref().map(|_| format!(" --store {}", quoted(&store.to_string())));
        format!("codemint{}{}", config.unwrap_or_default(), store.unwrap_or_default())
    }

    fn sources(&self) -> Sources {
        let level = match (self.quiet, self.verbose) {
            (true, _) => Some(("error", "--quiet")),
            (false, 0) => None,
            (false, 1) => Some(("info", "--verbose")),
            (false, 2) => Some(("debug", "--verbose")),
            (false, _) => Some(("trace", "--verbose")),
        };
        let mut flags = Vec::new();
        flags.extend(self.store.clone().map(|url| ("store.url", url, "--store")));
        flags.extend(self.log_format.clone().map(|format| ("log.format", format, "--log-format")));
        flags.extend(level.map(|(level, flag)| ("log.level", level.to_owned(), flag)));
        Sources { file: self.config.clone(), flags }
    }
}
