//! Bodies that a handler leaves unread, because the key is missing, for example. In HTTP/1 the next request follows the body, so the
//! library would close the connection without notice, and the next request of the client would fail.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, HttpBody};
use axum::extract::Request;
use axum::http::Version;
use futures_util::{StreamExt, stream};
use tokio::time::timeout;

/// The maximum number of bytes that are read in vain.
const READ_IN_VAIN_MAX: usize = 64 << 10;
const READ_IN_VAIN_FOR: Duration = Duration::from_millis(100);

/// What a handler leaves of a body.
#[derive(Clone, Debug, Default)]
pub(super) struct Rest(Arc<Mutex<Option<BodyDataStream>>>);

/// Keeps what a handler does not read of the body, if the request has one and its connection needs it.
pub(super) fn keep_rest(request: Request) -> (Request, Option<Rest>) {
    let is_needed = request.version() <= Version::HTTP_11 && !request.body().is_end_stream();
    if !is_needed {
        return (request, None);
    }
    let (parts, body) = request.into_parts();
    let rest = Rest(Arc::new(Mutex::new(Some(body.into_data_stream()))));
    let read = rest.clone();
    let pieces = stream::poll_fn(move |context| {
        let mut slot = read.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(inner) = slot.as_mut() else { return Poll::Ready(None) };
        let piece = inner.poll_next_unpin(context);
        if matches!(piece, Poll::Ready(None)) {
            *slot = None;
        }
        piece
    });
    (Request::from_parts(parts, Body::from_stream(pieces)), Some(rest))
}

impl Rest {
    /// Reads the rest; returns false if it is too long or does not end soon.
    pub(super) async fn read(self) -> bool {
        let Some(mut rest) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() else { return true };
        let reading = async {
            let mut length = 0;
            while let Some(piece) = rest.next().await {
                length = piece.map_or(usize::MAX, |piece| piece.len().saturating_add(length));
                if length > READ_IN_VAIN_MAX {
                    return false;
                }
            }
            true
        };
        timeout(READ_IN_VAIN_FOR, reading).await.unwrap_or(false)
    }
}
