//! Problems as pages.

use std::sync::Arc;

use askama::Template;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use codemint_offers::access::session::FormToken;

use crate::api::observing::{Seen, ShownProblem};
use crate::api::problem::{NOT_FOUND, Problem};
use crate::api::service::Api;
use crate::console::frame::Frame;
use crate::console::page::page;
use crate::console::visitor;

#[derive(Debug, Template)]
#[template(path = "console/failure.html")]
struct FailurePage {
    frame: Frame,
    title: String,
    detail: String,
    errors: Vec<(String, String)>,
    request_id: String,
}

/// Shows the problems of pages as pages.
pub async fn show_problems(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let seen = request.extensions().get::<Seen>().cloned();
    let headers = request.headers().clone();
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        return show(&api, &headers, problem, seen.as_ref()).await;
    }
    let Some(problem) = Problem::of_status(response.status()) else { return response };
    if response.headers().contains_key(CONTENT_TYPE) {
        // A form that was refused says why.
        response.extensions_mut().insert(ShownProblem(problem));
        return response;
    }
    show(&api, &headers, problem, seen.as_ref()).await
}

/// Returns the answer to a path that does not exist: a page for a browser, else a problem.
pub async fn no_such_path(State(api): State<Arc<Api>>, request: Request) -> Response {
    let headers = request.headers();
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_api = request.uri().path().starts_with("/v1/");
    let problem = Problem::new(NOT_FOUND, "no such path; /openapi.json lists all");
    if is_api || !accepted.contains("text/html") {
        return problem.into_response();
    }
    let problem = Problem::new(NOT_FOUND, "this page does not exist; choose another one on the left");
    show(&api, headers, problem, request.extensions().get()).await
}

async fn show(api: &Api, headers: &HeaderMap, problem: Problem, seen: Option<&Seen>) -> Response {
    let request_id = seen.map(|seen| seen.id.to_string()).unwrap_or_default();
    // If the store is away, the page has no sections.
    let session = visitor::find(api, headers, seen).await.ok().flatten();
    let frame =
        session.map_or_else(Frame::of_nobody, |(token, visitor)| Frame::new(&visitor, &FormToken::of(&token), ""));
    let shown = problem.document();
    let errors = shown.errors.iter().map(|error| (error.field.clone(), error.message.clone())).collect();
    let (title, detail) = (shown.title.clone(), shown.detail.clone());
    let template = FailurePage { frame, title, detail, errors, request_id };
    let Ok(mut response) = page(&template) else { return problem.into_response() };
    *response.status_mut() = problem.status();
    response.extensions_mut().insert(ShownProblem(problem));
    response
}
