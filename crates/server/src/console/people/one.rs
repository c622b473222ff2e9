//! One person: the role, a new link, and removal.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use chrono_tz::Tz;
use codemint_offers::access::role::{Role, UnknownRole};
use codemint_offers::access::user::UserRecord;
use codemint_offers::form::fields::Fields;
use codemint_store::access::user_changes::{ChangeUser, LastAdmin};
use serde::Deserialize;
use uuid::Uuid;

use crate::api::body::{InPath, InQuery};
use crate::api::problem::{NOT_FOUND, Problem};
use crate::api::service::Api;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::people::link::Link;
use crate::console::people::list::ROLES;
use crate::console::posted::Posted;
use crate::console::shown::instant;
use crate::console::visitor::{ManagePeople, May, NoPage, go_to};

const NOTICES: [(&str, &str); 1] = [("role", "The role is changed. It is in effect within a second.")];
const LAST_ADMIN: &str =
    "This is the last administrator, and nobody could undo the change. Make somebody else an administrator first.";

#[derive(Debug, Template)]
#[template(path = "console/people/one.html")]
struct PersonPage {
    frame: Frame,
    path: String,
    login: String,
    facts: Vec<(&'static str, String)>,
    is_self: bool,
    form: FormView,
    link: Option<Link>,
}

#[derive(Debug, Deserialize)]
struct PersonQuery {
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/people/{id}", get(show))
        .route("/people/{id}/role", post(change_role))
        .route("/people/{id}/link", post(new_link))
        .route("/people/{id}/remove", post(remove))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ManagePeople>,
    InPath(id): InPath<Uuid>,
    InQuery(query): InQuery<PersonQuery>,
) -> Result<Response, NoPage> {
    let user = find(&api, id).await?;
    let mut shown = person_page(&by, &user);
    shown.frame = shown.frame.with_notice(query.done.as_deref(), &NOTICES);
    Ok(page(&shown)?)
}

async fn change_role(
    State(api): State<Arc<Api>>,
    InPath(id): InPath<Uuid>,
    Posted { by, fields }: Posted<ManagePeople>,
) -> Result<Response, NoPage> {
    let user = find(&api, id).await?;
    let role: Role =
        fields.text("role").parse().map_err(|error: UnknownRole| Problem::invalid_field("role", error.to_string()))?;
    let changed = api.people.set_role(&user.login, role, LastAdmin::Keep).await.map_err(Problem::from)?;
    done(&by, &user, &changed, &format!("/people/{id}?done=role"))
}

async fn new_link(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    InPath(id): InPath<Uuid>,
    Posted { by, .. }: Posted<ManagePeople>,
) -> Result<Response, NoPage> {
    let user = find(&api, id).await?;
    let invited = api.people.invite_again(&user.login).await.map_err(Problem::from)?;
    let (user, token) = invited.ok_or_else(|| unknown(id))?;
    let mut shown = person_page(&by, &user);
    shown.link = Some(Link::new(&api, &headers, user.login.as_str(), &token));
    Ok(page(&shown)?)
}

async fn remove(
    State(api): State<Arc<Api>>,
    InPath(id): InPath<Uuid>,
    Posted { by, .. }: Posted<ManagePeople>,
) -> Result<Response, NoPage> {
    let user = find(&api, id).await?;
    let removed = api.people.remove(&user.login, LastAdmin::Keep).await.map_err(Problem::from)?;
    done(&by, &user, &removed, "/people?done=removed")
}

/// Returns the answer to a change.
fn done(by: &May<ManagePeople>, user: &UserRecord, change: &ChangeUser, next: &str) -> Result<Response, NoPage> {
    match change {
        ChangeUser::Changed(_) | ChangeUser::Unchanged(_) => Ok(go_to(next)),
        ChangeUser::Unknown => Err(unknown(user.id).into()),
        ChangeUser::LastAdmin => {
            let mut shown = person_page(by, user);
            shown.form = shown.form.with_general(LAST_ADMIN);
            Ok(invalid(&shown)?)
        }
    }
}

async fn find(api: &Api, id: Uuid) -> Result<UserRecord, Problem> {
    api.people.find_by_id(id).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: Uuid) -> Problem {
    Problem::new(NOT_FOUND, format!("there is no person with the id {id}"))
}

fn person_page(by: &May<ManagePeople>, user: &UserRecord) -> PersonPage {
    let role: &'static str = user.role.into();
    let mut fields = Fields::default();
    fields.set("role", role);
    let signed_in = user.signed_in_at.map_or_else(|| "never".to_owned(), |at| instant(at, Tz::UTC));
    let password = if user.has_password { "chosen" } else { "not chosen yet" };
    let facts = vec![
        ("Role", role.to_owned()),
        ("Password", password.to_owned()),
        ("Signed in", signed_in),
        ("Added", instant(user.created_at, Tz::UTC)),
    ];
    PersonPage {
        frame: by.frame("people"),
        path: format!("/people/{}", user.id),
        login: user.login.to_string(),
        facts,
        is_self: by.visitor.user_id == user.id,
        form: FormView::new(fields),
        link: None,
    }
}
