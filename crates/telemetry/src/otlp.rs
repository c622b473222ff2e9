//! Sends spans to a collector with OTLP, in protobuf over HTTP. All settings are the standard variables of
//! OpenTelemetry, such as `OTEL_EXPORTER_OTLP_ENDPOINT`. Collectors run beside the program, so there is no TLS.

use std::env;
use std::future::Future;
use std::pin::Pin;
use std::sync::OnceLock;
use std::time::Duration;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tokio::runtime::Handle;
use tracing::{Level, Span, Subscriber};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::registry::LookupSpan;

/// Maximum time that a send to the collector may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
const ENDPOINTS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];

static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();

/// Returns the layer that records this program's spans; `None` if the environment names no collector. Called once,
/// inside the runtime.
pub(super) fn layer<S>() -> Option<impl Layer<S>>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let is_set = |name: &&str| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_disabled = env::var("OTEL_SDK_DISABLED").is_ok_and(|value| value.eq_ignore_ascii_case("true"));
    if is_disabled || !ENDPOINTS.iter().any(is_set) {
        return None;
    }
    let client =
        OnRuntime { runtime: Handle::current(), client: HyperClient::with_default_connector(SEND_TIMEOUT, None) };
    // Fails if the endpoint is not a URL.
    let exporter = SpanExporter::builder().with_http().with_http_client(client).build().ok()?;
    let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource()).build();
    let tracer = provider.tracer("codemint");
    // Nothing else sets it.
    let _set = PROVIDER.set(provider);
    let ours = Targets::new().with_target("codemint", Level::DEBUG);
    let layer = tracing_opentelemetry::layer().with_tracer(tracer);
    // Events belong to the log; a span records when something was done, not what was logged.
    Some(layer.with_filter(tracing_subscriber::filter::filter_fn(|metadata| metadata.is_span())).with_filter(ours))
}

fn resource() -> Resource {
    let version = KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let builder = Resource::builder().with_attribute(version);
    match env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder.build(),
        None => builder.with_service_name("codemint").build(),
    }
}

pub(super) fn continue_trace(span: &Span, traceparent: Option<&str>, is_resumed: bool) {
    let Some(asked_in) = traceparent.and_then(parse) else { return };
    if is_resumed {
        span.add_link(asked_in.clone());
    }
    // If nothing is sent, there is no trace to continue.
    let _unsent = span.set_parent(Context::new().with_remote_span_context(asked_in));
}

pub(super) fn traceparent_of(span: &Span) -> Option<String> {
    let context = span.context();
    let context = context.span().span_context().clone();
    context
        .is_valid()
        .then(|| format!("00-{}-{}-{:02x}", context.trace_id(), context.span_id(), context.trace_flags().to_u8()))
}

/// Parses a trace parent that `wire::trace` has found valid.
fn parse(traceparent: &str) -> Option<SpanContext> {
    let parts: Vec<&str> = traceparent.split('-').collect();
    let [_version, trace, span, flags] = parts[..] else { return None };
    let flags = TraceFlags::new(u8::from_str_radix(flags, 16).ok()?);
    let (trace, span) = (TraceId::from_hex(trace).ok()?, SpanId::from_hex(span).ok()?);
    Some(SpanContext::new(trace, span, flags, true, TraceState::default()))
}

pub(super) async fn flush() {
    let Some(provider) = PROVIDER.get() else { return };
    // It waits for its own thread, which needs the runtime. Spans are lost if the collector is away.
    let _flushed = tokio::task::spawn_blocking(|| provider.shutdown()).await;
}

/// Runs the client on the runtime that it needs: spans are sent from a thread outside of it.
#[derive(Debug)]
struct OnRuntime {
    runtime: Handle,
    client: HyperClient,
}

type Answer<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

impl HttpClient for OnRuntime {
    fn send_bytes<'a, 'b>(&'a self, request: Request<Bytes>) -> Answer<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        let client = self.client.clone();
        let sending = self.runtime.spawn(async move { client.send_bytes(request).await });
        Box::pin(async move { sending.await? })
    }
}
