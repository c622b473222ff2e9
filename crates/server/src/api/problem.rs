//! Problems: all answers that are no successes. <https://www.rfc-editor.org/rfc/rfc9457>

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use codemint_campaigns::answers::RedeemError;
use codemint_campaigns::people::PeopleError;
use codemint_codes::identity::IdentityError;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_offers::verdict::reason::Reason;
use codemint_store::connection::error::{ErrorClass, StoreError};
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

/// How long a caller waits before it asks a store again that is away, in seconds.
const RETRY_SECONDS: u32 = 1;

/// A kind of problems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    pub status: StatusCode,
    /// Stable: programs decide by it.
    pub code: &'static str,
    pub title: &'static str,
}

pub(crate) const fn kind(status: StatusCode, code: &'static str, title: &'static str) -> Kind {
    Kind { status, code, title }
}

/// Returns a kind of refusals of requests that are valid.
pub const fn refusal(code: &'static str, title: &'static str) -> Kind {
    kind(StatusCode::UNPROCESSABLE_ENTITY, code, title)
}

pub const UNAUTHENTICATED: Kind = kind(StatusCode::UNAUTHORIZED, "unauthenticated", "The request has no valid API key");
pub const SCOPE_MISSING: Kind = kind(StatusCode::FORBIDDEN, "scope-missing", "The API key does not permit this");
pub const NOT_FOUND: Kind = kind(StatusCode::NOT_FOUND, "not-found", "There is nothing here");
pub const METHOD_NOT_ALLOWED: Kind =
    kind(StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "The path exists, but not with this method");
pub const NOT_ACCEPTABLE: Kind =
    kind(StatusCode::NOT_ACCEPTABLE, "not-acceptable", "The answer has no content type that the request accepts");
pub const DIFFERENT_REQUEST: Kind =
    kind(StatusCode::CONFLICT, "different-request", "Another request was carried out under this id");
pub const WRONG_STATE: Kind = kind(StatusCode::CONFLICT, "wrong-state", "The state does not permit this");
pub const STALE_VERSION: Kind =
    kind(StatusCode::PRECONDITION_FAILED, "stale-version", "Somebody has changed it in the meantime");
pub const VERSION_REQUIRED: Kind =
    kind(StatusCode::PRECONDITION_REQUIRED, "version-required", "A change names the version that it was made from");
pub const TOO_LARGE: Kind = kind(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large");
pub const UNSUPPORTED_MEDIA_TYPE: Kind =
    kind(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-media-type", "The body has another content type");
pub const INVALID: Kind = kind(StatusCode::UNPROCESSABLE_ENTITY, "invalid", "The request is not valid");
pub const BUSY: Kind = kind(StatusCode::SERVICE_UNAVAILABLE, "busy", "Too many requests are waiting");
pub const STORE_AWAY: Kind = kind(StatusCode::SERVICE_UNAVAILABLE, "store-away", "The database does not answer");
pub const TIMEOUT: Kind = kind(StatusCode::SERVICE_UNAVAILABLE, "timeout", "The request took too long");
pub const INTERNAL: Kind = kind(StatusCode::INTERNAL_SERVER_ERROR, "internal", "The server failed");

/// A problem. The outermost layer writes its body, with the id of the request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct Problem(Box<ProblemDocument>);

/// The body of a problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub struct ProblemDocument {
    /// Names the kind of problem: `urn:codemint:problem:` and the code.
    #[serde(rename = "type")]
    pub kind: String,
    /// The same for all problems of this kind.
    pub title: String,
    pub status: u16,
    /// What is wrong with this request, and what would be right. Its wording may change.
    pub detail: String,
    /// Stable: programs decide by it.
    pub code: String,
    /// The wrong fields, if some are.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub errors: Vec<FieldError>,
    /// All reasons for a refusal.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(default)]
    pub reasons: Vec<Reason>,
    /// Names this request in the server's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Uuid>,
    /// The value of the header `Retry-After`, in seconds.
    #[serde(skip)]
    pub retry_after: Option<u32>,
    /// Goes to the log only, because it may name secrets of the operator.
    #[serde(skip)]
    pub cause: Option<String>,
}

/// A wrong field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FieldError {
    /// The JSON pointer of the field, or the name of a parameter.
    pub field: String,
    pub message: String,
}

impl Problem {
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self(Box::new(ProblemDocument {
            kind: format!("urn:codemint:problem:{}", kind.code),
            title: kind.title.to_owned(),
            status: kind.status.as_u16(),
            detail: detail.into(),
            code: kind.code.to_owned(),
            errors: Vec::new(),
            reasons: Vec::new(),
            request_id: None,
            retry_after: None,
            cause: None,
        }))
    }

    /// Returns the problem of a failure whose cause only the log tells.
    pub fn internal(cause: impl Into<String>) -> Self {
        Self::new(INTERNAL, "the log names the cause under the request's id").caused_by(cause)
    }

    fn caused_by(mut self, cause: impl Into<String>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    pub(crate) fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    pub(crate) fn document(&self) -> &ProblemDocument {
        &self.0
    }

    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub(crate) fn code(&self) -> &str {
        &self.0.code
    }

    /// Returns the problem of a request with wrong fields.
    pub fn invalid(problems: impl IntoIterator<Item = FieldProblem>) -> Self {
        let errors: Vec<FieldProblem> = problems.into_iter().collect();
        let detail = match errors.as_slice() {
            [FieldProblem { field, message }] if field.is_empty() => message.clone(),
            [FieldProblem { field, message }] => format!("{field}: {message}"),
            errors => format!("{} fields are wrong; errors names them", errors.len()),
        };
        Self::invalid_in_many(detail, errors)
    }

    /// Returns the problem of a request whose wrong fields, or some of them, stand beside a detail about all.
    pub fn invalid_in_many(detail: String, problems: impl IntoIterator<Item = FieldProblem>) -> Self {
        let error = |FieldProblem { field, message }| FieldError { field, message };
        let mut problem = Self::new(INVALID, detail);
        problem.0.errors = problems.into_iter().map(error).collect();
        problem
    }

    pub fn invalid_field(field: &str, message: impl Into<String>) -> Self {
        Self::invalid([FieldProblem::new(field, message)])
    }

    /// Returns the problem of a request that was refused. `reasons` is not empty; the first one is the code.
    pub fn refused(reasons: Vec<Reason>) -> Self {
        let Some(Reason { code, message }) = reasons.first().cloned() else {
            return Self::internal("a refusal without a reason");
        };
        let mut problem = Self::new(kind(INVALID.status, code.as_str(), "The code may not be used"), message);
        problem.0.reasons = reasons;
        problem
    }

    pub fn busy() -> Self {
        Self::new(BUSY, RedeemError::Busy.to_string()).retried_after(RETRY_SECONDS)
    }

    #[must_use]
    pub fn retried_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Returns the response with its body.
    pub(crate) fn render(mut self, request_id: Uuid) -> Response {
        self.0.request_id = Some(request_id);
        let status = self.status();
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(axum::http::header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }

    /// Returns the problem of an answer that came without one, such as that to an unknown path.
    pub(crate) fn of_status(status: StatusCode) -> Option<Self> {
        Some(match status {
            StatusCode::NOT_FOUND => Self::new(NOT_FOUND, "no such path; /openapi.json lists all"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(METHOD_NOT_ALLOWED, "the header Allow names the methods of this path")
            }
            StatusCode::PAYLOAD_TOO_LARGE => Self::new(TOO_LARGE, "the body has more bytes than this path accepts"),
            status if status.is_client_error() => Self::new(Kind { status, ..INVALID }, "the request cannot be read"),
            status if status.is_server_error() => Self::internal(format!("status {status}")),
            _ => return None,
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.status();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        (&error).into()
    }
}

impl From<&StoreError> for Problem {
    fn from(error: &StoreError) -> Self {
        match error.class() {
            ErrorClass::Permanent => Self::internal(error.to_string()),
            _ if error.is_read_only() => {
                let detail = "the database is read-only, as a replica is, so nothing was changed; send what changes something to a server \
                              of the primary database";
                Self::new(STORE_AWAY, detail).retried_after(RETRY_SECONDS).caused_by(error.to_string())
            }
            ErrorClass::Away | ErrorClass::Conflict | ErrorClass::Unclear | ErrorClass::NoSpace => {
                let detail = "the database could not answer; whether the request was carried out is unknown, and the same request again \
                              finds out";
                Self::new(STORE_AWAY, detail).retried_after(RETRY_SECONDS).caused_by(error.to_string())
            }
        }
    }
}

impl From<PeopleError> for Problem {
    fn from(error: PeopleError) -> Self {
        match error {
            PeopleError::Busy => Self::new(BUSY, error.to_string()).retried_after(RETRY_SECONDS),
            PeopleError::Store(error) => error.into(),
        }
    }
}

impl From<IdentityError> for Problem {
    fn from(error: IdentityError) -> Self {
        Self::invalid_field("/identity", error.to_string())
    }
}

impl From<RedeemError> for Problem {
    fn from(error: RedeemError) -> Self {
        match error {
            RedeemError::Identity(error) => error.into(),
            RedeemError::Busy => Self::busy(),
            RedeemError::Store(error) => (&*error).into(),
        }
    }
}
