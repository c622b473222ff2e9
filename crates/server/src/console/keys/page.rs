//! The list of keys, creating and revoking them.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use codemint_offers::access::record::{KeyRecord, KeyState};
use codemint_offers::form::fields::Fields;
use codemint_offers::form::local_time::instant;
use codemint_offers::problem::Problem as FieldProblem;
use serde::Deserialize;
use uuid::Uuid;

use crate::api::body::{InPath, InQuery};
use crate::api::keys::{self, NewKeyRequest};
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::labels::Badge;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::shown::{ago, minute};
use crate::console::visitor::{ManageKeys, May, NoPage, go_to};

const PAGE: u32 = 50;
const NOTICES: [(&str, &str); 1] = [("revoked", "The key is revoked. Within a second, no process accepts it.")];
/// The scopes with what they permit.
const SCOPES: [(&str, &str); 6] = [
    ("redeem", "validate and redeem codes"),
    ("issue", "issue codes: triggers, assignments, referrals"),
    ("manage", "manage campaigns, codes, segments and affiliates"),
    ("report", "read reports and the audit log"),
    ("explain", "get the true reasons for unknown and dead codes"),
    ("admin", "manage keys"),
];

#[derive(Debug, Template)]
#[template(path = "console/keys/page.html")]
struct KeysPage {
    frame: Frame,
    rows: Vec<Row>,
    is_first_page: bool,
    next: Option<String>,
    form: FormView,
    /// Values, what they permit, and whether they are checked.
    scopes: Vec<(&'static str, &'static str, bool)>,
    /// A key that was just created: no other page shows it.
    created: Option<String>,
}

#[derive(Debug)]
struct Row {
    id: String,
    name: String,
    scopes: String,
    state: Badge,
    may_revoke: bool,
    created: String,
    expires: String,
    used: String,
}

#[derive(Debug, Deserialize)]
struct KeysQuery {
    cursor: Option<String>,
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/keys", get(list).post(create)).route("/keys/{id}/revoke", post(revoke))
}

async fn list(
    State(api): State<Arc<Api>>,
    by: May<ManageKeys>,
    InQuery(query): InQuery<KeysQuery>,
) -> Result<Response, NoPage> {
    let frame = by.frame("keys").with_notice(query.done.as_deref(), &NOTICES);
    Ok(page(&keys_page(&api, frame, query.cursor.as_deref(), Fields::default()).await?)?)
}

async fn create(State(api): State<Arc<Api>>, Posted { by, fields }: Posted<ManageKeys>) -> Result<Response, NoPage> {
    let created = match request(&fields) {
        Ok(request) => keys::make(&api, request).await,
        Err(problem) => Err(Problem::invalid(vec![problem])),
    };
    match created {
        Ok(created) => {
            let mut shown = keys_page(&api, by.frame("keys"), None, Fields::default()).await?;
            shown.created = Some(created.key.text());
            Ok(page(&shown)?)
        }
        Err(problem) if problem.status().is_client_error() => {
            let mut shown = keys_page(&api, by.frame("keys"), None, fields).await?;
            let document = problem.document();
            let errors: Vec<FieldProblem> =
                document.errors.iter().map(|error| FieldProblem::new(&error.field, &error.message)).collect();
            let known = |pointer: &str| ["/name", "/scopes", "/expires_at"].contains(&pointer);
            shown.form =
                shown.form.with_problems(&errors, |pointer| pointer.strip_prefix('/').filter(|_| known(pointer)));
            if errors.is_empty() {
                shown.form = shown.form.with_general(document.detail.clone());
            }
            Ok(invalid(&shown)?)
        }
        Err(problem) => Err(problem.into()),
    }
}

async fn revoke(
    State(api): State<Arc<Api>>,
    InPath(id): InPath<Uuid>,
    Posted { .. }: Posted<ManageKeys>,
) -> Result<Response, NoPage> {
    keys::end(&api, id).await?;
    Ok(go_to("/keys?done=revoked"))
}

/// Reads the form of a new key. What a key may be is checked with those of the API.
fn request(fields: &Fields) -> Result<NewKeyRequest, FieldProblem> {
    let expires_at = fields.filled("expires_at").map(|text| instant(text, Tz::UTC, None)).transpose();
    let expires_at = expires_at.map_err(|advice| FieldProblem::new("/expires_at", advice))?;
    Ok(NewKeyRequest {
        scopes: fields.all("scopes").map(str::to_owned).collect(),
        name: fields.filled("name").map(str::to_owned),
        expires_at: expires_at.map(|at| at.to_utc()),
    })
}

async fn keys_page(api: &Api, frame: Frame, cursor: Option<&str>, fields: Fields) -> Result<KeysPage, Problem> {
    let after = match place::<Uuid>(cursor)? {
        Some(id) => api.store.find_key(id).await?,
        None => None,
    };
    let Page { items, next } = Page::cut(api.store.list_keys(after.as_ref(), PAGE + 1).await?, PAGE, |last| last.id);
    let now = Utc::now();
    let is_checked = |value: &str| fields.all("scopes").any(|sent| sent == value);
    Ok(KeysPage {
        frame,
        rows: items.iter().map(|key| Row::of(key, now)).collect(),
        is_first_page: after.is_none(),
        next,
        scopes: SCOPES.iter().map(|(value, permits)| (*value, *permits, is_checked(value))).collect(),
        form: FormView::new(fields),
        created: None,
    })
}

impl Row {
    fn of(key: &KeyRecord, now: DateTime<Utc>) -> Self {
        let state = key.state(now);
        let class = if state == KeyState::Usable { "good" } else { "" };
        Self {
            id: key.id.to_string(),
            name: key.name.clone().unwrap_or_default(),
            scopes: key.scopes.to_string().replace(',', ", "),
            state: Badge { word: state.into_str(), class },
            may_revoke: key.revoked_at.is_none(),
            created: minute(key.created_at, Tz::UTC),
            expires: key.expires_at.map_or_else(|| "never".to_owned(), |at| minute(at, Tz::UTC)),
            used: key.last_used_at.map_or_else(|| "never".to_owned(), |at| ago(at, now)),
        }
    }
}
