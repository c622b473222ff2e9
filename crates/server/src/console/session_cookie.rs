//! The cookie that names a session.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};
use codemint_offers::access::session::{SESSION_END, SessionToken};

/// The name of the cookie over HTTPS: browsers accept the prefix only for a cookie of this host alone.
const SECURE_NAME: &str = "__Host-codemint";
/// The name over plain HTTP, as on the loopback address.
const PLAIN_NAME: &str = "codemint";

/// Returns the token of the session that a request names.
pub fn read(headers: &HeaderMap, is_secure: bool) -> Option<SessionToken> {
    let name = name(is_secure);
    let cookies = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).and_then(|(_, value)| value.parse().ok())
}

/// Returns the header that keeps a session in the browser, until its absolute end.
pub fn keep(token: &SessionToken, is_secure: bool) -> Option<HeaderValue> {
    header(&format!("{}={}; Max-Age={}", name(is_secure), token.text(), SESSION_END.num_seconds()), is_secure)
}

/// Returns the header that removes the session from the browser.
pub fn remove(is_secure: bool) -> Option<HeaderValue> {
    header(&format!("{}=; Max-Age=0", name(is_secure)), is_secure)
}

fn header(pair: &str, is_secure: bool) -> Option<HeaderValue> {
    let secure = if is_secure { "; Secure" } else { "" };
    let mut value = HeaderValue::from_str(&format!("{pair}; Path=/; HttpOnly; SameSite=Lax{secure}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn name(is_secure: bool) -> &'static str {
    if is_secure { SECURE_NAME } else { PLAIN_NAME }
}
