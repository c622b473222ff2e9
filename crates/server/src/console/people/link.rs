//! The one-time link by which a person chooses a password.

use axum::http::HeaderMap;
use axum::http::header::HOST;
use codemint_offers::access::invitation::{InvitationToken, invitation_path};

use crate::api::service::Api;

/// A link for the template `console/people/link.html`, which is shown once.
#[derive(Debug)]
pub struct Link {
    pub login: String,
    pub url: String,
}

impl Link {
    /// Returns the link with the address at which the administrator has opened the console.
    pub fn new(api: &Api, headers: &HeaderMap, login: &str, token: &InvitationToken) -> Self {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let is_https = api.console.is_secure || text("x-forwarded-proto") == Some("https");
        let scheme = if is_https { "https" } else { "http" };
        let host = text(HOST.as_str()).unwrap_or("localhost");
        Self { login: login.to_owned(), url: format!("{scheme}://{host}{}", invitation_path(token)) }
    }
}
