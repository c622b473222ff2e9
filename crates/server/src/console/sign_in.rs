//! Signing in and out, and the one-time links by which people choose their password.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use codemint_campaigns::people::{Accepted, SignedIn};
use codemint_offers::access::invitation::InvitationToken;
use codemint_offers::access::login::Login;
use codemint_offers::access::password::Password;
use codemint_offers::form::fields::Fields;
use serde::Deserialize;

use crate::api::body::{InPath, InQuery};
use crate::api::guessers::Guess;
use crate::api::observing::Seen;
use crate::api::problem::{Kind, NOT_FOUND, Problem, kind};
use crate::api::service::Api;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::{OpenForm, Posted};
use crate::console::session_cookie;
use crate::console::visitor::{NoPage, ViewCampaigns, find, go_to, go_with_cookie, login_of_proxy};

const UNKNOWN_PERSON: Kind = kind(StatusCode::FORBIDDEN, "unknown-person", "You have no access to the console");

#[derive(Debug, Template)]
#[template(path = "console/sign_in.html")]
struct SignInPage {
    frame: Frame,
    next: String,
    login: String,
    problem: Option<String>,
    /// True while nobody can sign in yet.
    is_first: bool,
    signed_out: bool,
}

#[derive(Debug, Template)]
#[template(path = "console/invitation.html")]
struct InvitationPage {
    frame: Frame,
    path: String,
    /// The login that was chosen for the person; none for the first one.
    fixed_login: Option<String>,
    role: &'static str,
    login: String,
    login_problem: Option<String>,
    password_problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct SignInQuery {
    #[serde(default)]
    next: String,
    #[serde(default)]
    done: String,
}

pub(super) fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/sign-in", get(form).post(sign_in))
        .route("/sign-out", post(sign_out))
        .route("/invitation/{token}", get(invitation).post(accept))
}

async fn form(
    State(api): State<Arc<Api>>,
    axum::Extension(seen): axum::Extension<Seen>,
    headers: HeaderMap,
    InQuery(query): InQuery<SignInQuery>,
) -> Result<Response, Problem> {
    if find(&api, &headers, Some(&seen)).await?.is_some() {
        return Ok(go_to(own_path(&query.next)));
    }
    if let Some(login) = login_of_proxy(&api, &headers, Some(&seen)) {
        let signed_in = api.people.sign_in_trusted(login).await?;
        let SignedIn { token, .. } = signed_in.ok_or_else(unknown_to_console)?;
        return Ok(go_with_cookie(own_path(&query.next), session_cookie::keep(&token, api.console.is_secure)));
    }
    let is_first = !api.store.has_users().await?;
    let frame = Frame::of_nobody();
    let (login, next, signed_out) = (String::new(), query.next, query.done == "signed-out");
    page(&SignInPage { frame, next, login, problem: None, is_first, signed_out })
}

async fn sign_in(
    State(api): State<Arc<Api>>,
    axum::Extension(seen): axum::Extension<Seen>,
    OpenForm(fields): OpenForm,
) -> Result<Response, Problem> {
    let (login, next) = (fields.text("login"), fields.text("next"));
    let refused = |problem: &str| {
        let (frame, login, next) = (Frame::of_nobody(), login.to_owned(), next.to_owned());
        let problem = Some(problem.to_owned());
        invalid(&SignInPage { frame, next, login, problem, is_first: false, signed_out: false })
    };
    let guesses = match api.limits.begin_sign_in(login, seen.client).await {
        Ok(guesses) => guesses,
        Err(throttled) => {
            let mut response = refused(&throttled.document().detail)?;
            *response.status_mut() = throttled.status();
            return Ok(response);
        }
    };
    let signed_in = match fields.raw("password").parse::<Password>() {
        Ok(password) => api.people.sign_in(login, &password).await?,
        Err(_not_a_password) => None,
    };
    match signed_in {
        Some(SignedIn { token, .. }) => {
            tracing::info!(client = %seen.client, "a person has signed in");
            Ok(go_with_cookie(own_path(next), session_cookie::keep(&token, api.console.is_secure)))
        }
        None => {
            guesses.iter().for_each(Guess::note_failure);
            tracing::warn!(client = %seen.client, "a person could not sign in");
            refused("The name or the password is wrong.")
        }
    }
}

async fn sign_out(State(api): State<Arc<Api>>, Posted { by, .. }: Posted<ViewCampaigns>) -> Result<Response, NoPage> {
    api.people.sign_out(&by.token).await.map_err(Problem::from)?;
    Ok(go_with_cookie("/sign-in?done=signed-out", session_cookie::remove(api.console.is_secure)))
}

async fn invitation(State(api): State<Arc<Api>>, InPath(token): InPath<String>) -> Result<Response, Problem> {
    page(&invitation_page(&api, &token).await?)
}

async fn invitation_page(api: &Api, text: &str) -> Result<InvitationPage, Problem> {
    let token = invitation_token(text)?;
    let invited = api.people.invitation(&token).await?.ok_or_else(no_invitation)?;
    Ok(InvitationPage {
        frame: Frame::of_nobody(),
        path: format!("/invitation/{text}"),
        fixed_login: invited.login.map(|login| login.to_string()),
        role: invited.role.into(),
        login: String::new(),
        login_problem: None,
        password_problem: None,
    })
}

async fn accept(
    State(api): State<Arc<Api>>,
    InPath(text): InPath<String>,
    OpenForm(fields): OpenForm,
) -> Result<Response, Problem> {
    let token = invitation_token(&text)?;
    let mut shown = invitation_page(&api, &text).await?;
    let (login, password) = match chosen(&fields, shown.fixed_login.as_deref()) {
        Ok(chosen) => chosen,
        Err((login, password)) => {
            fields.text("login").clone_into(&mut shown.login);
            (shown.login_problem, shown.password_problem) = (login, password);
            return invalid(&shown);
        }
    };
    match api.people.accept(&token, &login, &password).await? {
        Accepted::SignedIn(SignedIn { token, .. }) => {
            Ok(go_with_cookie("/campaigns?done=welcome", session_cookie::keep(&token, api.console.is_secure)))
        }
        Accepted::NotValid => Err(no_invitation()),
        Accepted::Password(error) => {
            shown.password_problem = Some(error.to_string());
            fields.text("login").clone_into(&mut shown.login);
            invalid(&shown)
        }
    }
}

/// Returns the login and the password that a person has chosen, or what is wrong with either.
fn chosen(fields: &Fields, fixed_login: Option<&str>) -> Result<(Login, Password), (Option<String>, Option<String>)> {
    let login = fixed_login.unwrap_or(fields.text("login")).parse::<Login>();
    let (first, second) = (fields.raw("password"), fields.raw("password_again"));
    let password = first.parse::<Password>().and_then(|password| {
        login.as_ref().map_or(Ok(()), |login| password.check_choice(login))?;
        Ok(password)
    });
    let password = password.map_err(|error| error.to_string()).and_then(|password| match first == second {
        true => Ok(password),
        false => Err("the two passwords differ; type the same one twice".to_owned()),
    });
    match (login, password) {
        (Ok(login), Ok(password)) => Ok((login, password)),
        (login, password) => Err((login.err().map(|error| error.to_string()), password.err())),
    }
}

fn invitation_token(text: &str) -> Result<InvitationToken, Problem> {
    text.parse().map_err(|_not_a_token| no_invitation())
}

/// The proxy knows the person, and the console does not.
fn unknown_to_console() -> Problem {
    let detail = "you have signed in elsewhere, and nobody has added you to the console; ask an administrator to do so";
    Problem::new(UNKNOWN_PERSON, detail)
}

fn no_invitation() -> Problem {
    Problem::new(NOT_FOUND, "this link was used before or is older than a day; ask an administrator for a new one")
}

/// Returns the path of the page that sign-in leads to: never an address of another server.
fn own_path(next: &str) -> &str {
    let is_own = next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_leads_only_to_pages_of_this_console() {
        for own in ["/", "/campaigns", "/campaigns/a%20b?x=1"] {
            assert_eq!(own_path(own), own);
        }
        for foreign in ["", "//evil.example", "https://evil.example", "/\\evil.example", "campaigns", "/a\r\nb", "/\tx"]
        {
            assert_eq!(own_path(foreign), "/", "{foreign:?}");
        }
    }
}
