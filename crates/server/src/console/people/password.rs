//! Changing the own password.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_campaigns::staff::ChangedPassword;
use codemint_offers::access::password::Password;
use codemint_offers::form::fields::Fields;
use serde::Deserialize;

use crate::api::body::InQuery;
use crate::api::guessers::Guess;
use crate::api::observing::Seen;
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::session_cookie;
use crate::console::visitor::{May, NoPage, ViewCampaigns, go_with_cookie};

const NOTICES: [(&str, &str); 1] = [("changed", "The password is changed. You are signed out everywhere else.")];

/// The page. It never repeats a password.
#[derive(Debug, Template)]
#[template(path = "console/people/password.html")]
struct PasswordPage {
    frame: Frame,
    old_problem: Option<String>,
    new_problem: Option<String>,
}

#[derive(Debug, Deserialize)]
struct PasswordQuery {
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/password", get(show).post(change))
}

// All roles permit seeing campaigns: the page is for everybody who has signed in.
async fn show(
    State(_api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InQuery(query): InQuery<PasswordQuery>,
) -> Result<Response, NoPage> {
    let frame = by.frame("password").with_notice(query.done.as_deref(), &NOTICES);
    Ok(page(&PasswordPage { frame, old_problem: None, new_problem: None })?)
}

async fn change(
    State(api): State<Arc<Api>>,
    axum::Extension(seen): axum::Extension<Seen>,
    Posted { by, fields }: Posted<ViewCampaigns>,
) -> Result<Response, NoPage> {
    let login = &by.visitor.login;
    let refused = |old_problem: Option<&str>, new_problem: Option<String>| {
        let old_problem = old_problem.map(str::to_owned);
        Ok(invalid(&PasswordPage { frame: by.frame("password"), old_problem, new_problem })?)
    };
    let new = match chosen(&fields) {
        Ok(new) => new,
        Err(problem) => return refused(None, Some(problem)),
    };
    // Somebody who took over a session guesses the password no more often than at the sign-in.
    let guesses = api.limits.begin_sign_in(login.as_str(), seen.client).await?;
    let changed = match fields.raw("old").parse::<Password>() {
        Ok(old) => api.people.change_password(login, &old, &new).await.map_err(Problem::from)?,
        Err(_not_a_password) => ChangedPassword::WrongOld,
    };
    match changed {
        ChangedPassword::Changed(signed_in) => {
            let cookie = session_cookie::keep(&signed_in.token, api.console.is_secure);
            Ok(go_with_cookie("/password?done=changed", cookie))
        }
        ChangedPassword::WrongOld => {
            guesses.iter().for_each(Guess::note_failure);
            refused(Some("This is not your password."), None)
        }
        ChangedPassword::Password(error) => refused(None, Some(error.to_string())),
    }
}

/// Returns the new password, which was typed twice.
///
/// # Errors
/// What is wrong with it.
fn chosen(fields: &Fields) -> Result<Password, String> {
    if fields.raw("password") != fields.raw("password_again") {
        return Err("the two passwords differ; type the same one twice".to_owned());
    }
    fields.raw("password").parse::<Password>().map_err(|error| error.to_string())
}
