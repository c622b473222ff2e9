//! Runs the command that the arguments name, and reports its failure.

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::cli::arguments::{Cli, Command, Configured};
use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::terminal::print_note;
use codemint_codes::text::printable_lines;
use codemint_telemetry::{failpoint, traces};

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
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return report_usage(&error),
    };
    let quiet = cli.global.quiet;
    let result = dispatch(cli).await;
    traces::flush().await;
    report(result, quiet)
}

async fn dispatch(cli: Cli) -> Result<(), Failure> {
    match cli.command {
        Command::Shell(command) => command.run(Cli::command()),
        Command::Configured(command) => {
            let context = Context::new(&cli.global, matches!(command, Configured::Worker(_) | Configured::Serve(_)))?;
            let context = if command.is_impatient() { context.without_waiting() } else { context };
            let result = command.run(&context).await;
            let closed = context.close_store().await;
            result.and(closed)
        }
    }
}

impl Configured {
    /// Returns true for a command that is to end while the store is unavailable.
    const fn is_impatient(&self) -> bool {
        matches!(self, Self::Generate(generate) if generate.no_wait)
    }

    async fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Generate(command) => command.run(context).await,
            Self::Worker(command) => log_failure(command.run(context).await),
            Self::Serve(command) => log_failure(Box::pin(command.run(context)).await),
            Self::Health(command) => command.run(context).await,
            Self::Enqueue(command) => command.run(context).await,
            Self::Dlq(command) => Box::pin(command.run(context)).await,
            Self::Mask(command) => command.run(context),
            Self::Jobs(command) => command.run(context).await,
            Self::Export(command) => command.run(context).await,
            Self::Verify(command) => command.run(context).await,
            Self::Import(command) => command.run(context).await,
            Self::Campaign(command) => Box::pin(command.run(context)).await,
            Self::Segment(command) => command.run(context).await,
            Self::Affiliate(command) => Box::pin(command.run(context)).await,
            Self::Issue(command) => command.run(context).await,
            Self::Trigger(command) => command.run(context).await,
            Self::Validate(command) => Box::pin(command.run(context)).await,
            Self::Redeem(command) => Box::pin(command.run(context)).await,
            Self::Redemption(command) => Box::pin(command.run(context)).await,
            Self::Referral(command) => Box::pin(command.run(context)).await,
            Self::Identity(command) => command.run(context).await,
            Self::Reserve(command) => command.run(context).await,
            Self::Code(command) => command.run(context).await,
            Self::Audit(command) => command.run(context).await,
            Self::Report(command) => command.run(context).await,
            Self::Link(command) => command.run(context).await,
            Self::Keys(command) => command.run(context).await,
            Self::Users(command) => Box::pin(command.run(context)).await,
            Self::Demo(command) => Box::pin(command.run(context)).await,
            Self::Backup(command) => command.run(context).await,
            Self::Migrate(command) => command.run(context).await,
            Self::Config(command) => command.run(context),
        }
    }
}

/// Logs the failure of a service, which prints nothing but its log; this is its last line. Interruptions are not logged.
fn log_failure(result: Result<(), Failure>) -> Result<(), Failure> {
    result.map_err(|failure| match failure {
        Failure::Message { code, message } if code <= 128 => {
            tracing::error!(exit_code = code, "the service has ended with an error: {message}");
            Failure::Reported { code }
        }
        other => other,
    })
}

/// Prints help, the version, or the problem of an argument; without colour if it repeats a text that a terminal would
/// act on.
fn report_usage(error: &clap::Error) -> ExitCode {
    let plain = error.render().to_string();
    if error.use_stderr() && printable_lines(&plain) != plain {
        print_note(plain.trim_end());
    } else {
        // If standard output or standard error is closed, there is nothing left to report to.
        let _printed = error.print();
    }
    u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
}

/// Prints the message of a failure and returns the exit code.
fn report(result: Result<(), Failure>, quiet: bool) -> ExitCode {
    match result {
        Ok(()) | Err(Failure::OutputClosed) => ExitCode::SUCCESS,
        Err(Failure::Reported { code }) => ExitCode::from(code),
        Err(Failure::Message { code, message }) => {
            // An interruption is not an error, but its message names how to continue.
            let interrupted = code > 128;
            if interrupted && !quiet {
                print_note(&message);
            } else if !interrupted {
                print_note(&format!("error: {message}"));
            }
            ExitCode::from(code)
        }
    }
}
