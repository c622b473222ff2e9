//! Notifications to the service manager, if there is one (`NOTIFY_SOCKET`).
//! <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::sleep;

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
