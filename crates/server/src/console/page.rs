//! Pages as answers.

use askama::Template;
use axum::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_FRAME_OPTIONS};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::api::problem::Problem;

/// What the browser may load and where forms may go: only this server.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; \
                      form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Renders a page or a part of one.
///
/// # Errors
/// `internal` if the template fails.
pub fn page(template: &impl Template) -> Result<Response, Problem> {
    let text = template.render().map_err(|error| Problem::internal(error.to_string()))?;
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, POLICY),
        // With "no-referrer", browsers do not say which page a form comes from.
        (REFERRER_POLICY, "same-origin"),
        (X_FRAME_OPTIONS, "DENY"),
    ];
    Ok((headers, text).into_response())
}

/// Renders a page with a form that was refused.
///
/// # Errors
/// `internal` if the template fails.
pub fn invalid(template: &impl Template) -> Result<Response, Problem> {
    let mut response = page(template)?;
    *response.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    Ok(response)
}

/// Permits a page to show this picture of another server, which the buyers see.
pub fn with_picture(mut response: Response, url: &str) -> Response {
    let safe = url.starts_with("https://") && !url.contains([';', ',', ' ', '\'', '"']);
    let policy = POLICY.replace("img-src 'self'", &format!("img-src 'self' {url}"));
    if let (true, Ok(value)) = (safe, HeaderValue::from_str(&policy)) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, value);
    }
    response
}
