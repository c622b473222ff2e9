//! What surrounds each request: its id, its time limit, its line in the access log, and the body of its problem.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::HeaderName;
use axum::http::header::{CACHE_CONTROL, CONNECTION, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use codemint_offers::access::client_address::TrustedProxies;
use codemint_store::records::actor::{Caller, acting_for};
use codemint_telemetry::metrics::http as metrics;
use futures_util::future::BoxFuture;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

use crate::api::problem::{Problem, TIMEOUT};
use crate::api::unread::keep_rest;
use crate::listening::Peer;

/// The time limit of a request. What a transaction has begun by then is carried out all the same.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// The maximum number of requests that are being answered, over all connections.
const REQUESTS_MAX: usize = 10_000;
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What is known about the sender of a request; handlers fill in the rest.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The id of the request.
    pub id: Uuid,
    /// True if the connection is one of a trusted proxy.
    pub is_from_proxy: bool,
    /// The address of the client, as far as proxies can be believed.
    pub client: IpAddr,
    /// The caller, once known.
    pub caller: Arc<OnceLock<Caller>>,
}

/// A problem that the answer shows already, as a page does.
#[derive(Clone, Debug)]
pub(crate) struct ShownProblem(pub Problem);

/// Answers a request and logs a line about it, with the path of the document: parameters may be identities.
pub(crate) async fn observe(State(proxies): State<Arc<TrustedProxies>>, request: Request, next: Next) -> Response {
    let (started, id) = (Instant::now(), Uuid::now_v7());
    let is_from_proxy = request.extensions().get::<Peer>().is_some_and(|peer| proxies.trusts(peer.0));
    let seen = Seen { id, is_from_proxy, client: client_of(&request, &proxies), caller: Arc::default() };
    let (mut request, rest) = keep_rest(request);
    request.extensions_mut().insert(seen.clone());
    let method = request.method().clone();
    let path = request.extensions().get::<MatchedPath>().map_or("-".to_owned(), |path| path.as_str().to_owned());
    let mut response = acting_for(Arc::clone(&seen.caller), next.run(request)).await;
    let shown = response.extensions_mut().remove::<ShownProblem>();
    let is_shown = shown.is_some();
    let problem = shown.map(|ShownProblem(problem)| problem).or_else(|| response.extensions_mut().remove::<Problem>());
    let problem = problem.or_else(|| Problem::of_status(response.status()));
    if let Some((problem, cause)) = problem.as_ref().and_then(|problem| Some((problem.code(), problem.cause()?))) {
        tracing::error!(request_id = %id, problem, cause, "a request failed");
    }
    let code = problem.as_ref().map(|problem| problem.code().to_owned());
    if let Some(problem) = problem.filter(|_| !is_shown) {
        let allowed = response.headers().get(axum::http::header::ALLOW).cloned();
        response = problem.render(id);
        response.headers_mut().extend(allowed.map(|allowed| (axum::http::header::ALLOW, allowed)));
    }
    let headers = response.headers_mut();
    if let Some(rest) = rest
        && !rest.read().await
    {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    headers.insert(REQUEST_ID, header_of(id));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let milliseconds = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    metrics::answered(response.status().as_u16(), started.elapsed());
    // The login of a person may be an address.
    let key = seen.caller.get().and_then(|caller| if let Caller::Key(id) = caller { Some(id) } else { None });
    let (status, client, key) = (response.status().as_u16(), seen.client, key.map(tracing::field::display));
    tracing::info!(request_id = %id, %client, %method, path, status, problem = code, key_id = key, milliseconds, "request");
    response
}

fn client_of(request: &Request, proxies: &TrustedProxies) -> IpAddr {
    let peer = request.extensions().get::<Peer>().map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0);
    let forwarded = request.headers().get_all(FORWARDED_FOR).iter();
    // What is no text is no address.
    proxies.client(peer, forwarded.map(|value| value.to_str().unwrap_or_default()))
}

/// Returns a middleware that refuses requests while too many are being answered: while the store does not answer, each waits for it.
pub(crate) fn limit_number() -> impl Clone + Fn(Request, Next) -> BoxFuture<'static, Response> {
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    move |request, next| {
        let place = Arc::clone(&places).try_acquire_owned();
        Box::pin(async move {
            match place {
                Ok(_place) => next.run(request).await,
                Err(_all_are_taken) => Problem::busy().into_response(),
            }
        })
    }
}

/// Answers a request within the time for it.
pub(crate) async fn limit_time(request: Request, next: Next) -> Response {
    in_time(async { Ok(next.run(request).await) }).await.into_response()
}

/// Waits for an answer within the time for a request.
///
/// # Errors
/// `timeout`
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T, Problem>>) -> Result<T, Problem> {
    timeout(REQUEST_TIMEOUT, answer).await.unwrap_or_else(|_elapsed| Err(out_of_time()))
}

/// The problem of a request whose answer took too long.
pub(crate) fn out_of_time() -> Problem {
    let detail = "the answer took too long; whether the request was carried out is unknown, and the same request again finds out";
    Problem::new(TIMEOUT, detail).retried_after(1)
}

fn header_of(id: Uuid) -> HeaderValue {
    HeaderValue::from_str(&id.to_string()).unwrap_or(HeaderValue::from_static("-"))
}
