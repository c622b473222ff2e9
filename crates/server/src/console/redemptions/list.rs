//! The list of redemptions. Codes and identities, which may be addresses, never stand in a URL: a list filtered by them is the answer to
//! a form, and its next page as well.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use codemint_codes::identity::check_identity;
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_store::redemptions::reads::RedemptionFilter;
use serde::Deserialize;
use url::form_urlencoded;
use uuid::Uuid;

use crate::api::body::InQuery;
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::redemptions::row::RedemptionRow;
use crate::console::visitor::{May, NoPage, ViewRedemptions, go_to};

const PAGE: u32 = 50;
const NO_CAMPAIGN: &str = "there is no campaign of this name; write the name that the list of campaigns shows";
/// The fields of the filter.
const FIELDS: [&str; 4] = ["campaign", "order", "identity", "code"];

#[derive(Debug, Template)]
#[template(path = "console/redemptions/list.html")]
struct ListPage {
    frame: Frame,
    form: FormView,
    /// The filled fields of the filter.
    filter: Vec<(&'static str, String)>,
    is_first: bool,
    zone: &'static str,
    rows: Vec<RedemptionRow>,
    /// The cursor of the next page.
    next: Option<String>,
}

/// What may stand in a URL.
#[derive(Clone, Debug, Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    campaign: String,
    #[serde(default)]
    order: String,
    #[serde(default)]
    cursor: String,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/redemptions", get(list).post(search))
}

async fn list(
    State(api): State<Arc<Api>>,
    by: May<ViewRedemptions>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Response, NoPage> {
    let mut fields = Fields::default();
    for (name, value) in [("campaign", query.campaign), ("order", query.order), ("cursor", query.cursor)] {
        fields.set(name, value);
    }
    Ok(show(&api, &by, fields).await?)
}

async fn search(
    State(api): State<Arc<Api>>,
    Posted { by, fields }: Posted<ViewRedemptions>,
) -> Result<Response, NoPage> {
    let is_private = fields.filled("identity").is_some() || fields.filled("code").is_some();
    if is_private {
        return Ok(show(&api, &by, fields).await?);
    }
    let mut query = form_urlencoded::Serializer::new(String::new());
    for name in ["campaign", "order", "cursor"] {
        query.extend_pairs(fields.filled(name).map(|value| (name, value)));
    }
    Ok(go_to(&format!("/redemptions?{}", query.finish())))
}

async fn show(api: &Api, by: &May<ViewRedemptions>, fields: Fields) -> Result<Response, Problem> {
    let filled = |name: &'static str| Some((name, fields.filled(name)?.to_owned()));
    let filter: Vec<(&'static str, String)> = FIELDS.into_iter().filter_map(filled).collect();
    let mut shown = ListPage {
        frame: by.frame("redemptions"),
        form: FormView::new(fields.clone()),
        filter,
        is_first: fields.filled("cursor").is_none(),
        zone: Tz::UTC.name(),
        rows: Vec::new(),
        next: None,
    };
    if shown.filter.is_empty() {
        return page(&shown);
    }
    let (filter, zone) = match read(api, &fields).await? {
        Ok(read) => read,
        Err(problems) => {
            shown.form = shown.form.with_problems(&problems, |name| FIELDS.into_iter().find(|field| *field == name));
            return invalid(&shown);
        }
    };
    let found = Page::cut(api.store.list_redemptions(&filter).await?, PAGE, |last| (last.held_at, last.id));
    shown.zone = zone.name();
    let role = by.visitor.role;
    shown.rows = found.items.iter().map(|redemption| RedemptionRow::new(redemption, zone, role)).collect();
    shown.next = found.next;
    page(&shown)
}

/// Reads the filter, and the zone of its times: that of the campaign, if it names one.
async fn read(api: &Api, fields: &Fields) -> Result<Result<(RedemptionFilter, Tz), Vec<FieldProblem>>, Problem> {
    let mut problems = Vec::new();
    let identity = fields.filled("identity").map(check_identity).transpose().unwrap_or_else(|error| {
        problems.push(FieldProblem::new("identity", error.to_string()));
        None
    });
    let (mut campaign_no, mut zone) = (None, Tz::UTC);
    if let Some(name) = fields.filled("campaign") {
        match api.store.find_linked_campaign(name).await? {
            Some(campaign) => (campaign_no, zone) = (Some(campaign.no), campaign.definition.zone),
            None => problems.push(FieldProblem::new("campaign", NO_CAMPAIGN)),
        }
    }
    if !problems.is_empty() {
        return Ok(Err(problems));
    }
    let filter = RedemptionFilter {
        code: fields.filled("code").map(str::to_owned),
        identity: identity.map(str::to_owned),
        order: fields.filled("order").map(str::to_owned),
        campaign_no,
        before: place::<(DateTime<Utc>, Uuid)>(fields.filled("cursor"))?,
        limit: PAGE + 1,
    };
    Ok(Ok((filter, zone)))
}
