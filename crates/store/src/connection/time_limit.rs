//! The time limit of one operation of the store.

use std::time::Duration;

use crate::connection::error::StoreError;

/// Longer than any operation takes: the server itself ends statements after 300 s.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(330);

/// Bounds the duration of one operation. If the server disappears without closing the connection (a cut cable), a query
/// never returns, and the server's timeouts and keepalives do not help here.
///
/// # Errors
/// `Silent` after [`ANSWER_TIMEOUT`]; the connection is then unusable, and the outcome of a commit is unknown.
pub(crate) async fn in_time<T>(operation: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
    let silent = |_elapsed| StoreError::Silent { seconds: ANSWER_TIMEOUT.as_secs() };
    tokio::time::timeout(ANSWER_TIMEOUT, operation).await.map_err(silent)?
}
