//! The list of people, and adding one.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::get;
use chrono::Utc;
use codemint_campaigns::staff::InvitedPerson;
use codemint_offers::access::invitation::InvitationToken;
use codemint_offers::access::login::Login;
use codemint_offers::access::role::Role;
use codemint_offers::access::user::{USERS_MAX, UserRecord};
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;
use serde::Deserialize;
use strum::VariantArray;
use uuid::Uuid;

use crate::api::body::InQuery;
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::people::link::Link;
use crate::console::posted::Posted;
use crate::console::shown::ago;
use crate::console::visitor::{ManagePeople, May, NoPage};

const PAGE: u32 = 50;
const NOTICES: [(&str, &str); 1] = [("removed", "The person is removed, and can no longer sign in.")];
/// The values and names of roles.
pub const ROLES: [(&str, &str); 5] = [
    ("viewer", "viewer: sees campaigns, reports and jobs"),
    ("marketer", "marketer: runs campaigns and orders codes"),
    ("affiliates", "affiliates: the rules of affiliates"),
    ("support", "support: helps customers with their codes"),
    ("admin", "admin: everything, with people and keys"),
];

#[derive(Debug, Template)]
#[template(path = "console/people/list.html")]
struct ListPage {
    frame: Frame,
    rows: Vec<Row>,
    is_first_page: bool,
    next: Option<String>,
    form: FormView,
    link: Option<Link>,
    /// The id of the next person: sending the form twice adds one.
    new_id: Uuid,
}

#[derive(Debug)]
struct Row {
    path: String,
    login: String,
    role: &'static str,
    has_password: bool,
    signed_in: String,
}

#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    /// The id of the last person of the page before: a login may be an e-mail address, which does not belong into a URL.
    cursor: Option<String>,
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/people", get(list).post(add))
}

async fn list(
    State(api): State<Arc<Api>>,
    by: May<ManagePeople>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Response, NoPage> {
    let frame = by.frame("people").with_notice(query.done.as_deref(), &NOTICES);
    Ok(page(&list_page(&api, frame, query.cursor.as_deref()).await?)?)
}

async fn add(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Posted { by, fields }: Posted<ManagePeople>,
) -> Result<Response, NoPage> {
    let added = added(&api, &fields).await?;
    let mut shown = list_page(&api, by.frame("people"), None).await?;
    match added {
        Ok((user, token)) => {
            shown.link = Some(Link::new(&api, &headers, user.login.as_str(), &token));
            Ok(page(&shown)?)
        }
        Err(problem) => {
            let form = FormView::new(fields);
            shown.form =
                form.with_problems(&[problem], |field| ["login", "role"].into_iter().find(|name| *name == field));
            Ok(invalid(&shown)?)
        }
    }
}

/// Adds the person whom a form describes.
async fn added(api: &Api, fields: &Fields) -> Result<Result<(UserRecord, InvitationToken), FieldProblem>, Problem> {
    let wrong = |field: &str, message: String| Ok(Err(FieldProblem::new(field, message)));
    let login = match fields.text("login").parse::<Login>() {
        Ok(login) => login,
        Err(error) => return wrong("login", error.to_string()),
    };
    let role = match fields.text("role").parse::<Role>() {
        Ok(role) => role,
        Err(error) => return wrong("role", error.to_string()),
    };
    let id = fields.text("id").parse().unwrap_or_else(|_none| Uuid::now_v7());
    match api.people.invite(id, &login, role).await? {
        InvitedPerson::Invited(user, token) => Ok(Ok((user, token))),
        InvitedPerson::LoginTaken => wrong("login", "somebody has this name already; choose another one".to_owned()),
        InvitedPerson::TooMany => {
            wrong("login", format!("there are {USERS_MAX} people already; remove those who no longer sign in"))
        }
    }
}

async fn list_page(api: &Api, frame: Frame, cursor: Option<&str>) -> Result<ListPage, Problem> {
    let after = match place::<Uuid>(cursor)? {
        Some(id) => api.people.find_by_id(id).await?.map(|user| user.login),
        None => None,
    };
    let Page { items, next } = Page::cut(api.people.list(after.as_ref(), PAGE + 1).await?, PAGE, |last| last.id);
    Ok(ListPage {
        frame,
        rows: items.iter().map(Row::of).collect(),
        is_first_page: after.is_none(),
        next,
        form: FormView::default(),
        link: None,
        new_id: Uuid::now_v7(),
    })
}

impl Row {
    fn of(user: &UserRecord) -> Self {
        Self {
            path: format!("/people/{}", user.id),
            login: user.login.to_string(),
            role: user.role.into(),
            has_password: user.has_password,
            signed_in: user.signed_in_at.map_or_else(|| "never".to_owned(), |at| ago(at, Utc::now())),
        }
    }
}

// A role that is added is named here as well.
const _: () = assert!(ROLES.len() == Role::VARIANTS.len());
