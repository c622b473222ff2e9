//! What all long-running commands do: they wait for the store, check their rights in it, and notify the service manager, if there
//! is one (`NOTIFY_SOCKET`). <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::sleep;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use codemint_store::connection::error::ErrorClass;
use codemint_store::connection::store::Store;
use codemint_worker::runner::backoff::Backoff;

/// The number of notifications within the time after which the manager would end the program.
const BEATS: u32 = 3;

/// Reports readiness: the configuration is valid, and the program works or waits for its servers.
pub fn report_ready() {
    send(&[NotifyState::Ready, NotifyState::Status("waiting for the store")]);
}

pub fn report_status(status: &str) {
    send(&[NotifyState::Status(status)]);
}

pub fn report_stopping() {
    send(&[NotifyState::Stopping, NotifyState::Status("finishing the current chunks")]);
}

/// Reports regularly that the program's tasks get their turns, if the manager asks for it (`WATCHDOG_USEC`). An
/// unreachable server is no reason to end the program.
pub async fn feed_watchdog() {
    let Some(time_limit) = watchdog_enabled() else { return };
    let interval: Duration = time_limit / BEATS;
    loop {
        send(&[NotifyState::Watchdog]);
        sleep(interval).await;
    }
}

/// Sends a notification; does nothing without a manager.
fn send(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::debug!(%error, "failed to notify the service manager");
    }
}

/// Opens the store, and waits for one that is unreachable unless `no_wait`; `None` if a stop was requested before it answered.
pub async fn open_store(context: &Context, no_wait: bool) -> Result<Option<Store>, Failure> {
    let stop = context.stop.token();
    let mut backoff = Backoff::new(stop);
    loop {
        let opened = tokio::select! {
            opened = Box::pin(context.open_store_for_service()) => opened,
            // Opening takes seconds if the server does not answer.
            () = stop.cancelled() => return Ok(None),
        };
        match opened {
            Ok(store) => return Ok(Some(store)),
            Err(error) if error.class() == ErrorClass::Away && !no_wait => backoff.wait_after(&error).await,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Warns of a superuser of the database, or refuses to work as one. `role` has the rights that suffice.
pub async fn check_rights(context: &Context, store: &Store, role: &str) -> Result<(), Failure> {
    if !context.with_retries(async || store.is_superuser().await).await? {
        return Ok(());
    }
    if context.config.require_least_privilege {
        return Err(Failure::usage(format!(
            "store.url: the role is a superuser of the database, and store.require_least_privilege is true; use a member \
             of {role}, see deploy/postgres/roles.sql"
        )));
    }
    tracing::warn!("the role is a superuser of the database; use a member of {role}, see deploy/postgres/roles.sql");
    Ok(())
}
