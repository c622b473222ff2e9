//! Polls the store for metrics: whether it answers, what waits in it, and the state of its connection pool.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use codemint_store::connection::store::Store;
use codemint_store::records::backlog::{Backlog, Holds, PoolStatus};
use codemint_telemetry::metrics::{jobs, redemptions, store as metrics};

/// Interval between two polls. Scrapes are rarely more frequent.
const INTERVAL: Duration = Duration::from_secs(5);
/// A store that takes longer counts as not answering.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(4);

/// Polls until `stop` is cancelled.
pub async fn poll(store: &Store, stop: &CancellationToken) {
    let mut pace = interval(INTERVAL);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let polling = async {
        loop {
            pace.tick().await;
            poll_once(store).await;
        }
    };
    tokio::select! {
        () = polling => {}
        () = stop.cancelled() => {}
    }
}

/// Polls once. Errors are logged where the store is used; here they only count.
async fn poll_once(store: &Store) {
    let backlog = timeout(ANSWER_TIMEOUT, store.read_backlog()).await;
    metrics::store_answered(matches!(backlog, Ok(Ok(_))));
    if let Ok(Ok(Backlog { jobs: by_state, waiting_for_room, oldest_waiting, events, keyspace_used })) = backlog {
        let by_state = by_state.map(|(state, count)| (state.into_str(), count));
        jobs::backlog_seen(&by_state, waiting_for_room, oldest_waiting);
        jobs::keyspace_used(keyspace_used);
        metrics::outbox_seen(events);
    }
    if let Ok(Ok(Holds { open, overdue })) = timeout(ANSWER_TIMEOUT, store.count_holds()).await {
        redemptions::holds_seen(open, overdue);
    }
    let PoolStatus { idle, used, max } = store.pool_status();
    metrics::pool_seen(idle, used, max);
}
