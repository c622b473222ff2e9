//! Bodies and parameters of requests, with every problem of theirs.

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::http::request::Parts;
use codemint_codes::wire::fields::find_repeated;
use codemint_offers::problem::Problem as FieldProblem;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::problem::{NOT_FOUND, Problem, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE};

/// The maximum length of a body in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;

/// The character U+0000 in a URL. PostgreSQL has no text with it.
const NUL: &str = "%00";

/// A body of JSON.
#[derive(Clone, Debug)]
pub struct JsonBody(pub Value);

/// A body of JSON, or none.
#[derive(Clone, Debug)]
pub struct OptionalBody(pub Option<Value>);

impl JsonBody {
    /// Returns the document without these fields, which only answers have: what was read may be changed and sent back.
    pub fn without(mut self, fields: &[&str]) -> Self {
        if let Some(document) = self.0.as_object_mut() {
            document.retain(|name, _| !fields.contains(&name.as_str()));
        }
        self
    }

    /// Reads the document.
    ///
    /// # Errors
    /// `invalid` with every problem.
    pub fn read<T>(&self, read: impl FnOnce(&Value) -> Result<T, Vec<FieldProblem>>) -> Result<T, Problem> {
        read(&self.0).map_err(Problem::invalid)
    }
}

impl<S: Sync> FromRequest<S> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        match OptionalBody::from_request(request, state).await? {
            OptionalBody(Some(value)) => Ok(Self(value)),
            OptionalBody(None) => Err(Problem::invalid_field("", "the body is empty; send a JSON document")),
        }
    }
}

impl<S: Sync> FromRequest<S> for OptionalBody {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        let is_json = is_json(request.headers());
        refuse_encoded(request.headers())?;
        let body = read_whole(request.into_body()).await.ok_or_else(|| {
            Problem::new(TOO_LARGE, format!("a body has at most {BODY_BYTES_MAX} bytes, or it ended early"))
        })?;
        if body.is_empty() {
            return Ok(Self(None));
        }
        if !is_json {
            let advice = "send the header Content-Type: application/json, and JSON in UTF-8";
            return Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, advice));
        }
        // The library's message repeats nothing of the document.
        let value = serde_json::from_slice(&body)
            .map_err(|error| Problem::invalid_field("", format!("the body is not JSON: {}", place(&error))))?;
        if let Some(repeated) = find_repeated(&body) {
            return Err(Problem::invalid([FieldProblem::repeated(&repeated)]));
        }
        Ok(Self(Some(value)))
    }
}

/// Reads a body; `None` if it is too long or ends early. Its pieces are not kept: a client may send one for each byte.
pub(crate) async fn read_whole(body: Body) -> Option<Vec<u8>> {
    let (mut whole, mut pieces) = (Vec::new(), body.into_data_stream());
    while let Some(piece) = pieces.next().await {
        let piece = piece.ok()?;
        if whole.len() + piece.len() > BODY_BYTES_MAX {
            return None;
        }
        whole.extend_from_slice(&piece);
    }
    Some(whole)
}

fn place(error: &serde_json::Error) -> String {
    let (line, column) = (error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Eof => format!("it ends too early, in line {line}, column {column}"),
        _ => error.to_string(),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let text = content_type(headers);
    essence(text).eq_ignore_ascii_case("application/json") && !text.to_ascii_lowercase().contains("charset=iso")
}

/// Bodies are never decompressed: a small one could become a huge one.
///
/// # Errors
/// `unsupported-media-type` if the body is said to be compressed.
pub fn refuse_encoded(headers: &HeaderMap) -> Result<(), Problem> {
    match headers.get_all(CONTENT_ENCODING).iter().all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
    {
        true => Ok(()),
        false => {
            Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, "send the body as it is, without the header Content-Encoding"))
        }
    }
}

/// Returns true if the body is said to be CSV.
pub fn is_csv(headers: &HeaderMap) -> bool {
    essence(content_type(headers)).eq_ignore_ascii_case("text/csv")
}

/// # Errors
/// `unsupported-media-type` unless the body is said to be CSV that is not compressed.
pub fn require_csv(headers: &HeaderMap) -> Result<(), Problem> {
    require_csv_of(headers, "one identity a line")
}

/// Does the same as [`require_csv`] for a list of something else.
pub fn require_csv_of(headers: &HeaderMap, rows: &str) -> Result<(), Problem> {
    refuse_encoded(headers)?;
    match is_csv(headers) {
        true => Ok(()),
        false => {
            let advice = format!("send the header Content-Type: text/csv, and {rows}");
            Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, advice))
        }
    }
}

/// Returns the content type; empty if there is none.
fn content_type(headers: &HeaderMap) -> &str {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// Returns a content type without its parameters.
fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// The parameters in the path.
#[derive(Clone, Debug)]
pub struct InPath<T>(pub T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.path().contains(NUL) {
            return Err(Problem::new(NOT_FOUND, "the path has the character U+0000, which no name has"));
        }
        let Path(value) = Path::from_request_parts(parts, state).await.map_err(|_values_are_not_repeated| {
            let advice = "a parameter is malformed: an id is a UUID, and other texts are percent-encoded UTF-8";
            Problem::invalid_field("path", advice)
        })?;
        Ok(Self(value))
    }
}

/// The parameters after the question mark.
#[derive(Clone, Debug)]
pub struct InQuery<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        if parts.uri.query().is_some_and(|query| query.contains(NUL)) {
            return Err(Problem::invalid_field("query", "the character U+0000 occurs in no value; leave it out"));
        }
        let Query(value) = Query::from_request_parts(parts, state).await.map_err(|_values_are_not_repeated| {
            let advice = "a parameter is unknown, occurs twice or has a value of the wrong type; /openapi.json lists those of this path";
            Problem::invalid_field("query", advice)
        })?;
        Ok(Self(value))
    }
}
