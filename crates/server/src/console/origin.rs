//! Whether a form comes from a page of this console, as the browser sees it.

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, HeaderName};
use url::{Position, Url};

use crate::api::problem::{Problem, kind};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
pub(super) const FOREIGN_FORM: crate::api::problem::Kind =
    kind(axum::http::StatusCode::FORBIDDEN, "foreign-form", "The form does not come from this page");

/// Refuses a form that a page of another site sent. Old browsers send neither header; the token of the form protects them.
///
/// # Errors
/// `foreign-form`
pub fn require_own(headers: &HeaderMap) -> Result<(), Problem> {
    let text = |name: &HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let is_foreign = match (text(&SEC_FETCH_SITE), text(&ORIGIN)) {
        (Some(site), _) => !["same-origin", "none"].contains(&site),
        (None, Some(origin)) => {
            Url::parse(origin).map(|url| url[Position::BeforeHost..Position::AfterPort].to_owned())
                != Ok(text(&HOST).unwrap_or_default().to_owned())
        }
        (None, None) => false,
    };
    if is_foreign {
        return Err(Problem::new(FOREIGN_FORM, "open the page again in this browser, and send the form from there"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn verdict(headers: &[(&'static str, &'static str)]) -> bool {
        let pairs =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        require_own(&pairs.collect()).is_ok()
    }

    #[test]
    fn forms_of_other_sites_are_refused() {
        for (headers, is_own) in [
            (&[("sec-fetch-site", "same-origin")][..], true),
            (&[("sec-fetch-site", "none")], true),
            (&[("sec-fetch-site", "same-site")], false),
            (&[("sec-fetch-site", "cross-site")], false),
            (&[("origin", "https://shop.example"), ("host", "shop.example")], true),
            (&[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")], true),
            (&[("origin", "http://127.0.0.1:8081"), ("host", "127.0.0.1:8080")], false),
            (&[("origin", "https://evil.example"), ("host", "shop.example")], false),
            (&[("origin", "null"), ("host", "shop.example")], false),
            (&[], true),
        ] {
            assert_eq!(verdict(headers), is_own, "{headers:?}");
        }
    }
}
