//! Who may see a page: each page names a permission, and each role has some.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use codemint_campaigns::people::Visitor;
use codemint_offers::access::login::Login;
use codemint_offers::access::role::Permission;
use codemint_offers::access::session::{FormToken, SessionToken};
use codemint_store::records::actor::Caller;
use url::form_urlencoded;

use crate::api::observing::Seen;
use crate::api::problem::{Kind, Problem, kind};
use crate::api::service::Api;
use crate::console::frame::Frame;
use crate::console::session_cookie;

const NOT_PERMITTED: Kind = kind(StatusCode::FORBIDDEN, "not-permitted", "Your role does not permit this");

/// A permission that a page needs.
pub trait Permit: Send + Sync + 'static {
    const PERMISSION: Permission;
}

macro_rules! permits {
    ($($name:ident),*) => {$(
        #[derive(Clone, Copy, Debug)]
        pub struct $name;

        impl Permit for $name {
            const PERMISSION: Permission = Permission::$name;
        }
    )*};
}

permits!(
    ViewCampaigns,
    EditCampaigns,
    OrderCodes,
    ReadCodes,
    FindCodes,
    ViewRedemptions,
    ActOnRedemptions,
    EditAffiliates,
    EditSegments,
    ViewReferrals,
    ViewReports,
    ViewJobs,
    ViewSystem,
    ManagePeople,
    ManageKeys,
    ViewAudit
);

/// A person who has signed in and has the permission that the page needs.
#[derive(Clone, Debug)]
pub struct May<P: Permit> {
    pub visitor: Visitor,
    pub token: SessionToken,
    permit: PhantomData<P>,
}

/// Why there is no page.
#[derive(Debug)]
pub enum NoPage {
    /// Nobody has signed in. The path is the page to come back to.
    SignIn(String),
    Problem(Problem),
}

impl<P: Permit> May<P> {
    pub fn form_token(&self) -> FormToken {
        FormToken::of(&self.token)
    }

    pub fn permits(&self, permission: Permission) -> bool {
        self.visitor.role.permits(permission)
    }

    /// Returns what surrounds a page of this section.
    pub fn frame(&self, section: &str) -> Frame {
        Frame::new(&self.visitor, &self.form_token(), section)
    }

    pub fn caller(&self) -> Caller {
        Caller::Person(self.visitor.login.to_string())
    }
}

impl<P: Permit> FromRequestParts<Arc<Api>> for May<P> {
    type Rejection = NoPage;

    async fn from_request_parts(parts: &mut Parts, api: &Arc<Api>) -> Result<Self, NoPage> {
        let Some((token, visitor)) = find(api, &parts.headers, parts.extensions.get()).await? else {
            let back = if parts.method == Method::GET { parts.uri.path() } else { "/" };
            return Err(NoPage::SignIn(back.to_owned()));
        };
        if let Some(seen) = parts.extensions.get::<Seen>() {
            let _first = seen.caller.set(Caller::Person(visitor.login.to_string()));
        }
        parts.extensions.insert(visitor.clone());
        if !visitor.role.permits(P::PERMISSION) {
            let detail =
                format!("you have the role {}; an administrator can give you another one", visitor.role.into_str());
            return Err(Problem::new(NOT_PERMITTED, detail).into());
        }
        Ok(Self { visitor, token, permit: PhantomData })
    }
}

/// Returns the session that a request names. If the proxy in front names another person, the session is not that person's.
pub async fn find(
    api: &Api,
    headers: &HeaderMap,
    seen: Option<&Seen>,
) -> Result<Option<(SessionToken, Visitor)>, Problem> {
    let Some(token) = session_cookie::read(headers, api.console.is_secure) else { return Ok(None) };
    let Some(visitor) = api.people.find_session(&token).await? else { return Ok(None) };
    let is_other = login_of_proxy(api, headers, seen)
        .is_some_and(|named| named.parse::<Login>().ok().as_ref() != Some(&visitor.login));
    Ok((!is_other).then_some((token, visitor)))
}

/// Returns the person whom a trusted proxy names.
pub fn login_of_proxy<'a>(api: &Api, headers: &'a HeaderMap, seen: Option<&Seen>) -> Option<&'a str> {
    let name = api.console.sign_in_header.as_ref().filter(|_| seen.is_some_and(|seen| seen.is_from_proxy))?;
    headers.get(name).and_then(|value| value.to_str().ok()).filter(|login| !login.is_empty())
}

impl From<Problem> for NoPage {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

impl IntoResponse for NoPage {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(back) => {
                let query: String = form_urlencoded::Serializer::new(String::new()).append_pair("next", &back).finish();
                go_to(&format!("/sign-in?{query}"))
            }
            Self::Problem(problem) => problem.into_response(),
        }
    }
}

/// Returns an answer that leads to another page of the console: after a form, so that reloading does not send it again.
pub fn go_to(path: &str) -> Response {
    let location = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response()
}

/// Does the same and sets or removes a cookie.
pub fn go_with_cookie(path: &str, cookie: Option<HeaderValue>) -> Response {
    let mut response = go_to(path);
    response.headers_mut().extend(cookie.map(|cookie| (SET_COOKIE, cookie)));
    response
}
