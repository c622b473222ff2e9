//! What a service manager is told, where there is one (`NOTIFY_SOCKET`).
//! <https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html>

use std::time::Duration;

use sd_notify::{NotifyState, notify, watchdog_enabled};
use tokio::time::sleep;

/// So often in the time after which the manager would end the program.
const BEATS: u32 = 3;

/// The program has begun: its configuration is in order, and it works or waits for its servers.
pub fn tell_ready() {
    tell(&[NotifyState::Ready, NotifyState::Status("waiting for the store")]);
}

pub fn tell_status(status: &str) {
    tell(&[NotifyState::Status(status)]);
}

pub fn tell_stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("finishing the chunks at hand")]);
}

/// Tells again and again that the program's tasks get their turns, where the manager wants to know (`WATCHDOG_USEC`). A server
/// that is away is no reason to be ended.
pub async fn feed_watchdog() {
    let Some(patience) = watchdog_enabled() else { return };
    let interval: Duration = patience / BEATS;
    loop {
        tell(&[NotifyState::Watchdog]);
        sleep(interval).await;
    }
}

/// Does nothing without a manager.
fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = notify(states) {
        tracing::debug!(%error, "the service manager could not be told");
    }
}
