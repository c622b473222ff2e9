//! Traces of jobs. With the cargo feature `otel`, spans are sent to the collector that the environment names; without
//! the feature or a collector, nothing here does anything.

use tracing::Span;

/// Makes a span continue the trace that a job names. A job that was begun by another process is also linked to it.
pub fn continue_trace(span: &Span, traceparent: Option<&str>, is_resumed: bool) {
    #[cfg(feature = "otel")]
    crate::otlp::continue_trace(span, traceparent, is_resumed);
    #[cfg(not(feature = "otel"))]
    let _nowhere = (span, traceparent, is_resumed);
}

/// Returns the trace parent with which others continue the trace of a span; `None` if it is sent nowhere.
pub fn traceparent_of(span: &Span) -> Option<String> {
    #[cfg(feature = "otel")]
    return crate::otlp::traceparent_of(span);
    #[cfg(not(feature = "otel"))]
    {
        let _nowhere = span;
        None
    }
}

/// Sends all ended spans that were not sent yet. Called once, at the end.
#[cfg_attr(not(feature = "otel"), expect(clippy::unused_async, reason = "with traces it waits"))]
pub async fn flush() {
    #[cfg(feature = "otel")]
    crate::otlp::flush().await;
}
