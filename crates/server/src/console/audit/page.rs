//! The audit log: who did what and when, newest first.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::DateTime;
use chrono_tz::Tz;
use codemint_codes::wire::audit::{AuditDocument, LATEST};
use codemint_offers::form::days::days;
use codemint_offers::form::fields::Fields;
use codemint_store::records::audit::Action;
use codemint_store::records::audit_search::AuditSearch;
use strum::VariantNames;

use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::labels::path_of;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::shown::{minute, number};
use crate::console::visitor::{May, NoPage, ViewAudit};

const PAGE: u32 = 50;

#[derive(Debug, Template)]
#[template(path = "console/audit/page.html")]
struct AuditPage {
    frame: Frame,
    form: FormView,
    actions: &'static [&'static str],
    rows: Vec<Row>,
    is_filtered: bool,
    next: Option<String>,
}

#[derive(Debug)]
struct Row {
    at: String,
    actor: String,
    action: String,
    result: String,
    /// Path and id.
    job: Option<(String, String)>,
    /// Path and name.
    campaign: Option<(String, String)>,
    count: String,
    detail: String,
}

pub fn routes() -> Router<Arc<Api>> {
    // An actor or a subject may be an e-mail address, which does not belong into a URL: the filter is sent as a form.
    Router::new().route("/audit", get(latest).post(search))
}

async fn latest(State(api): State<Arc<Api>>, by: May<ViewAudit>) -> Result<Response, NoPage> {
    let span = DateTime::UNIX_EPOCH..LATEST;
    let search = AuditSearch {
        since: span.start,
        until: span.end,
        action: None,
        actor: None,
        subject: None,
        before_no: None,
        limit: PAGE + 1,
    };
    Ok(page(&found(&api, by.frame("audit"), Fields::default(), &search).await?)?)
}

async fn search(State(api): State<Arc<Api>>, Posted { by, fields }: Posted<ViewAudit>) -> Result<Response, NoPage> {
    let frame = by.frame("audit");
    let span = match days(fields.text("from"), fields.text("to")) {
        Ok(span) => span,
        Err(problem) => {
            let known = |field: &str| ["from", "to"].contains(&field);
            let form =
                FormView::new(fields).with_problems(&[problem], |field| Some(field).filter(|field| known(field)));
            let (actions, rows) = (Action::VARIANTS, Vec::new());
            return Ok(invalid(&AuditPage { frame, form, actions, rows, is_filtered: true, next: None })?);
        }
    };
    let search = AuditSearch {
        since: span.start,
        until: span.end,
        action: fields.text("action").parse().ok(),
        actor: fields.filled("actor").map(str::to_owned),
        subject: fields.filled("subject").map(str::to_owned),
        before_no: place(fields.filled("cursor"))?,
        limit: PAGE + 1,
    };
    Ok(page(&found(&api, frame, fields, &search).await?)?)
}

async fn found(api: &Api, frame: Frame, fields: Fields, search: &AuditSearch) -> Result<AuditPage, Problem> {
    let Page { items, next } = Page::cut(api.store.search_audit(search).await?, PAGE, |last| last.no);
    let documents = items.into_iter().map(AuditDocument::try_from).collect::<Result<Vec<_>, _>>()?;
    let is_filtered =
        ["from", "to", "action", "actor", "subject", "cursor"].iter().any(|name| fields.filled(name).is_some());
    Ok(AuditPage {
        frame,
        form: FormView::new(fields),
        actions: Action::VARIANTS,
        rows: documents.into_iter().map(Row::of).collect(),
        is_filtered,
        next,
    })
}

impl Row {
    fn of(entry: AuditDocument) -> Self {
        Self {
            at: minute(entry.at, Tz::UTC),
            actor: entry.actor,
            action: entry.action.replace('_', " "),
            result: entry.result,
            job: entry.job_id.map(|id| (format!("/jobs/{id}"), id.to_string())),
            campaign: entry.campaign.map(|name| (path_of(&name), name)),
            count: entry.count.map(number).unwrap_or_default(),
            // The digest of a mask with a single code says nothing to people.
            detail: entry.detail.or(entry.mask.filter(|mask| !mask.starts_with("sha256:"))).unwrap_or_default(),
        }
    }
}
