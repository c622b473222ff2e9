//! The referrers of a campaign as a tree, and naming one.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_offers::access::role::Role;
use codemint_offers::form::fields::Fields;
use codemint_offers::read::referral::read_referrer;
use serde::Deserialize;
use serde_json::json;
use url::form_urlencoded;
use uuid::Uuid;

use crate::api::body::InQuery;
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::referrals;
use crate::api::service::Api;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::referrals::lines::Line;
use crate::console::visitor::{May, NoPage, ViewReferrals, go_to};

const PAGE: u32 = 50;
/// The maximum number of campaigns that can be chosen.
const CAMPAIGNS_MAX: u32 = 500;
/// The maximum number of friends that are shown below a referrer.
const BELOW_MAX: u32 = 20;

#[derive(Debug, Template)]
#[template(path = "console/referrals/list.html")]
struct ListPage {
    frame: Frame,
    /// Names and titles.
    campaigns: Vec<(String, String)>,
    campaign: String,
    lines: Vec<Line>,
    is_first_page: bool,
    next: Option<String>,
    form: FormView,
    /// The id of the next referrer: sending the form twice names one person.
    new_id: Uuid,
}

#[derive(Debug, Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    campaign: String,
    cursor: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    // Who sees referrers may name one: people of support do it for a customer.
    Router::new().route("/referrals", get(list).post(name))
}

async fn list(
    State(api): State<Arc<Api>>,
    by: May<ViewReferrals>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Response, NoPage> {
    let (frame, role) = (by.frame("referrals"), by.visitor.role);
    Ok(page(&list_page(&api, frame, role, query, FormView::default()).await?)?)
}

async fn name(State(api): State<Arc<Api>>, Posted { by, fields }: Posted<ViewReferrals>) -> Result<Response, NoPage> {
    let form = match named(&api, &fields).await? {
        Ok(path) => return Ok(go_to(&path)),
        Err(form) => form,
    };
    let query = ListQuery { campaign: fields.text("campaign").to_owned(), cursor: None };
    let (frame, role) = (by.frame("referrals"), by.visitor.role);
    Ok(invalid(&list_page(&api, frame, role, query, form).await?)?)
}

/// Names a referrer and returns where the person is shown, or the form with what is wrong.
async fn named(api: &Api, fields: &Fields) -> Result<Result<String, FormView>, Problem> {
    let request = json!({ "campaign": fields.text("campaign"), "referrer": fields.text("referrer") });
    let form = FormView::new(fields.clone());
    let request = match read_referrer(&request) {
        Ok(request) => request,
        Err(problems) => {
            return Ok(Err(
                form.with_problems(&problems, |pointer| pointer.strip_prefix('/').filter(|field| *field == "referrer"))
            ));
        }
    };
    // Without one, as when a page of an earlier version sends the form, the person is named under a new id.
    let id = fields.text("id").parse().unwrap_or_else(|_none| Uuid::now_v7());
    match referrals::name(api, id, request).await {
        Ok(document) => {
            let done = if document.already_generated { "known" } else { "named" };
            Ok(Ok(format!("/referrals/{}?done={done}", document.id)))
        }
        Err(problem) if problem.status().is_client_error() => {
            Ok(Err(form.with_general(problem.document().detail.clone())))
        }
        Err(problem) => Err(problem),
    }
}

async fn list_page(api: &Api, frame: Frame, role: Role, query: ListQuery, form: FormView) -> Result<ListPage, Problem> {
    let campaigns = api.store.list_referral_campaigns(CAMPAIGNS_MAX).await?;
    let chosen =
        campaigns.iter().map(|(name, _)| name).find(|name| query.campaign.is_empty() || **name == query.campaign);
    let mut shown = ListPage {
        frame,
        campaign: chosen.cloned().unwrap_or_default(),
        campaigns,
        lines: Vec::new(),
        is_first_page: query.cursor.is_none(),
        next: None,
        form,
        new_id: Uuid::now_v7(),
    };
    if shown.campaign.is_empty() {
        return Ok(shown);
    }
    let campaign = api.campaign(&shown.campaign).await?;
    let found = api.store.page_of_roots(campaign.no, place(query.cursor.as_deref())?, PAGE + 1).await?;
    let Page { items, next } = Page::cut(found, PAGE, |last| last.id);
    let ids: Vec<Uuid> = items.iter().filter(|root| root.children > 0).map(|root| root.id).collect();
    let below = api.store.first_children(&ids, BELOW_MAX).await?;
    shown.lines = items.iter().map(|root| Line::with_friends(root, &below, role)).collect();
    shown.next = next.map(|cursor| {
        let pairs = [("campaign", &*shown.campaign), ("cursor", &*cursor)];
        form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
    });
    Ok(shown)
}
