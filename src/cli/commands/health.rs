//! `codemint health`: checks a worker on this machine, for containers without a shell.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use clap::Args;
use ureq::Agent;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::requests::from_to;
use crate::cli::support::terminal::print_line;
use codemint_codes::text::printable;
use codemint_server::admin::health::{Missing, ReadinessDocument};

/// A limit above the size of any answer of a worker.
const ANSWER_MAX_BYTES: u64 = 64 * 1024;

/// Check whether the worker on this machine is ready
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint health
  codemint health --live

Queries the address in admin.listen. The exit code is 0 if the worker is ready, 3 if it is not (the \
message names what is missing) and 5 if there is no answer.")]
pub struct Health {
    /// Check only that the process is alive, even if its store or broker is unreachable
    #[arg(long)]
    live: bool,
    /// Maximum time to wait for an answer
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = from_to::<u64>(1, 60))]
    timeout: u64,
}

impl Health {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let Some(address) = context.config.admin else {
            return Err(Failure::usage("admin.listen is off, so no worker can be checked; set an address"));
        };
        let address = reachable(address);
        let path = if self.live { "/livez" } else { "/readyz" };
        let (url, time_limit) = (format!("http://{address}{path}"), Duration::from_secs(self.timeout));
        let asked = tokio::task::spawn_blocking(move || ask(&url, time_limit)).await.map_err(Failure::other)?;
        let no_answer = |error| Failure::unreachable(no_answer(&error, address, self.timeout));
        let (status, body) = asked.map_err(no_answer)?;
        match status {
            200 => print_line(body.trim_end()),
            503 => Err(Failure::negative_result(format!(
                "the worker at {address} is not ready: {}",
                what_is_missing(&body)
            ))),
            other => Err(Failure::negative_result(format!(
                "the server at {address} is not a worker: it answers {other} to {path}; check admin.listen"
            ))),
        }
    }
}

/// Returns the loopback address for a worker that listens on all addresses.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// Formats why there is no answer, and what to do about it.
fn no_answer(error: &ureq::Error, address: SocketAddr, timeout_seconds: u64) -> String {
    let is_refused = |kind| [ErrorKind::ConnectionRefused, ErrorKind::AddrNotAvailable].contains(&kind);
    match error {
        ureq::Error::ConnectionFailed => nothing_listens(address),
        ureq::Error::Io(error) if is_refused(error.kind()) => nothing_listens(address),
        ureq::Error::Timeout(_) => format!(
            "no answer from {address} (admin.listen) within {timeout_seconds} s; the worker or its machine may be \
             overloaded: see the worker's log, raise --timeout, or correct the address"
        ),
        other => format!(
            "no worker answers at {address} (admin.listen), but something else does: {}; correct the address",
            printable(&other.to_string())
        ),
    }
}

fn nothing_listens(address: SocketAddr) -> String {
    format!(
        "no worker answers at {address} (admin.listen): nothing listens there; start a worker, see the log of one that \
         has ended, or correct the address"
    )
}

fn what_is_missing(body: &str) -> String {
    let Ok(ReadinessDocument { missing, .. }) = serde_json::from_str(body) else {
        return "it gives no reason".to_owned();
    };
    let shown = |missing: &Missing| printable(&format!("{}: {}", missing.what, missing.reason));
    let reasons: Vec<String> = missing.iter().map(shown).collect();
    reasons.join("; ")
}

fn ask(url: &str, time_limit: Duration) -> Result<(u16, String), ureq::Error> {
    let agent: Agent =
        // A proxy set in the environment must not be used for this machine.
        Agent::config_builder().http_status_as_error(false).timeout_global(Some(time_limit)).proxy(None).build().into();
    let mut answer = agent.get(url).call()?;
    let status = answer.status().as_u16();
    let body = answer.body_mut().with_config().limit(ANSWER_MAX_BYTES).read_to_string()?;
    Ok((status, body))
}
