//! Forms that a person sends.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;

use codemint_offers::form::fields::Fields;

use crate::api::body::{BODY_BYTES_MAX, read_whole};
use crate::api::problem::{Problem, TOO_LARGE, UNSUPPORTED_MEDIA_TYPE};
use crate::api::service::Api;
use crate::console::origin::{FOREIGN_FORM, require_own};
use crate::console::visitor::{May, NoPage, Permit};

/// The field with the token that only pages of the session have.
pub const FORM_TOKEN: &str = "form_token";

/// A form of a person who may send it.
#[derive(Debug)]
pub struct Posted<P: Permit> {
    pub by: May<P>,
    pub fields: Fields,
}

/// A form without a session.
#[derive(Debug)]
pub struct OpenForm(pub Fields);

impl<P: Permit> FromRequest<Arc<Api>> for Posted<P> {
    type Rejection = NoPage;

    async fn from_request(request: Request, api: &Arc<Api>) -> Result<Self, NoPage> {
        let (mut parts, body) = request.into_parts();
        let by = May::from_request_parts(&mut parts, api).await?;
        let OpenForm(fields) = OpenForm::from_request(Request::from_parts(parts, body), api).await?;
        require_token(&by, fields.raw(FORM_TOKEN))?;
        Ok(Self { by, fields })
    }
}

/// # Errors
/// `foreign-form` unless the token is that of the session's forms.
pub fn require_token<P: Permit>(by: &May<P>, sent: &str) -> Result<(), Problem> {
    match by.form_token().matches(sent) {
        true => Ok(()),
        false => {
            Err(Problem::new(FOREIGN_FORM, "you have signed in again since; open the page again and repeat the change"))
        }
    }
}

impl FromRequest<Arc<Api>> for OpenForm {
    type Rejection = Problem;

    async fn from_request(request: Request, _api: &Arc<Api>) -> Result<Self, Problem> {
        require_own(request.headers())?;
        if !is_form(request.headers()) {
            let advice = "send the form as a browser does: application/x-www-form-urlencoded";
            return Err(Problem::new(UNSUPPORTED_MEDIA_TYPE, advice));
        }
        let body = read_whole(request.into_body()).await;
        let body = body.ok_or_else(|| Problem::new(TOO_LARGE, format!("a form has at most {BODY_BYTES_MAX} bytes")))?;
        let fields = Fields::parse(&body);
        // PostgreSQL has no text with it, and a browser sends none that a person could have typed.
        match fields.contain('\0') {
            true => Err(Problem::invalid_field("", "the form has the character U+0000; leave it out")),
            false => Ok(Self(fields)),
        }
    }
}

fn is_form(headers: &HeaderMap) -> bool {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}
