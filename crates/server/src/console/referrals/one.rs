//! One referrer: the code with the text to forward, and what became of the friends.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono_tz::Tz;
use codemint_offers::referral::document::{ReferralCounts, ReferralOfFriend};
use codemint_offers::referral::state::ReferralState;
use serde::Deserialize;
use url::form_urlencoded;
use uuid::Uuid;

use crate::api::body::{InPath, InQuery};
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::referrals;
use crate::api::service::Api;
use crate::console::campaigns::labels::{Badge, path_of};
use crate::console::frame::Frame;
use crate::console::page::page;
use crate::console::referrals::lines::{Line, person};
use crate::console::shown::{minute, number};
use crate::console::visitor::{May, NoPage, ViewReferrals};

const PAGE: u32 = 50;
const NOTICES: [(&str, &str); 2] = [
    ("named", "The customer has a code to pass on. Send the text below to the customer, not to friends."),
    ("known", "The customer had this code already."),
];

#[derive(Debug, Template)]
#[template(path = "console/referrals/one.html")]
struct ReferrerPage {
    frame: Frame,
    path: String,
    person: String,
    /// Path and person.
    parent: Option<(String, String)>,
    /// The path of the tree, and path and name of the campaign.
    tree: String,
    campaign: (String, String),
    code: String,
    subject: String,
    text: String,
    counts: [(&'static str, String); 3],
    zone: Tz,
    latest: Vec<FriendRow>,
    lines: Vec<Line>,
    is_first_page: bool,
    next: Option<String>,
}

/// A referral, as a row.
#[derive(Debug)]
struct FriendRow {
    path: String,
    at: String,
    state: Badge,
    reward: String,
}

#[derive(Debug, Deserialize)]
struct ReferrerQuery {
    cursor: Option<String>,
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/referrals/{id}", get(show))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ViewReferrals>,
    InPath(id): InPath<Uuid>,
    InQuery(query): InQuery<ReferrerQuery>,
) -> Result<Response, NoPage> {
    let referrer = referrals::find(&api, id).await?;
    let ids: Vec<Uuid> = [Some(id), referrer.parent].into_iter().flatten().collect();
    let role = by.visitor.role;
    let known = api.store.find_referrers(&ids).await.map_err(Problem::from)?;
    let person_of =
        |id: Uuid| known.iter().find(|line| line.id == id).map(|line| person(line.address.as_deref(), role));
    let after = place(query.cursor.as_deref())?;
    let children = api.store.page_of_children(id, after, PAGE + 1).await.map_err(Problem::from)?;
    let Page { items, next } = Page::cut(children, PAGE, |last| last.id);
    let zone = api.campaign(&referrer.campaign).await?.definition.zone;
    let tree: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("campaign", &referrer.campaign).finish();
    let template = ReferrerPage {
        frame: by.frame("referrals").with_notice(query.done.as_deref(), &NOTICES),
        path: format!("/referrals/{id}"),
        person: person_of(id).unwrap_or_default(),
        parent: referrer.parent.map(|parent| (format!("/referrals/{parent}"), person_of(parent).unwrap_or_default())),
        tree: format!("/referrals?{tree}"),
        campaign: (path_of(&referrer.campaign), referrer.campaign.clone()),
        code: referrer.code,
        subject: referrer.forward_subject,
        text: referrer.forward_text,
        counts: counts(referrer.referrals),
        zone,
        latest: referrer.latest.iter().map(|referral| friend(referral, zone)).collect(),
        lines: items.iter().map(|line| Line::of(line, role)).collect(),
        is_first_page: query.cursor.is_none(),
        next,
    };
    Ok(page(&template)?)
}

fn counts(counts: ReferralCounts) -> [(&'static str, String); 3] {
    [("Pending", number(counts.pending)), ("Rewarded", number(counts.rewarded)), ("Void", number(counts.void))]
}

fn friend(referral: &ReferralOfFriend, zone: Tz) -> FriendRow {
    let (word, class) = match referral.state {
        ReferralState::Pending => ("pending", "warn"),
        ReferralState::Rewarded => ("rewarded", "good"),
        ReferralState::Void => ("void", ""),
    };
    let reward = match (&referral.reward_code, referral.reward_due_at) {
        (Some(code), _) => code.clone(),
        (None, Some(due)) => format!("due {}", minute(due, zone)),
        (None, None) => String::new(),
    };
    FriendRow {
        path: format!("/redemptions/{}", referral.redemption_id),
        at: minute(referral.at, zone),
        state: Badge { word, class },
        reward,
    }
}
