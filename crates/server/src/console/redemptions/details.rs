//! One redemption.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use chrono_tz::Tz;
use codemint_offers::access::role::Permission;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::state::State as RedemptionState;
use serde::Deserialize;
use uuid::Uuid;

use crate::api::body::{InPath, InQuery};
use crate::api::problem::Problem;
use crate::api::redemptions::find;
use crate::api::service::Api;
use crate::console::campaigns::labels::{Badge, path_of};
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::page;
use crate::console::redemptions::row::{identity_text, state_badge};
use crate::console::shown::{instant, money};
use crate::console::visitor::{May, NoPage, Permit, ViewRedemptions};

/// What the last form has done, which the query names.
const NOTICES: [(&str, &str); 4] = [
    ("released", "The redemption is released. Its use is given back."),
    ("rolled-back", "The redemption is rolled back. Its use is given back."),
    ("rolled-back-kept", "The redemption is rolled back. Its use stays counted."),
    ("unchanged", "That was done before. Nothing was changed."),
];

#[derive(Debug, Template)]
#[template(path = "console/redemptions/details.html")]
pub(super) struct DetailsPage {
    frame: Frame,
    pub form: FormView,
    path: String,
    state: Badge,
    campaign: String,
    campaign_path: String,
    /// Names and values, in groups.
    facts: Vec<(&'static str, String)>,
    code: String,
    identity: Option<String>,
    order: Option<String>,
    /// The SKU and the discount of each line.
    lines: Vec<(String, String)>,
    discount: Option<String>,
    may_release: bool,
    may_roll_back: bool,
}

#[derive(Clone, Debug, Deserialize)]
struct Done {
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/redemptions/{id}", get(show))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ViewRedemptions>,
    InPath(id): InPath<Uuid>,
    InQuery(Done { done }): InQuery<Done>,
) -> Result<Response, NoPage> {
    let mut shown = DetailsPage::read(&api, &by, id).await?;
    shown.frame = shown.frame.with_notice(done.as_deref(), &NOTICES);
    Ok(page(&shown)?)
}

impl DetailsPage {
    /// Reads the page of a redemption.
    ///
    /// # Errors
    /// `not-found` if there is no such redemption.
    pub async fn read<P: Permit>(api: &Api, by: &May<P>, id: Uuid) -> Result<Self, Problem> {
        let redemption = find(api, id).await?;
        let campaign = api.links.find(&redemption.campaign).await?;
        let zone = campaign.map_or(Tz::UTC, |campaign| campaign.definition.zone);
        let may_act = by.permits(Permission::ActOnRedemptions);
        let in_currency = |amount: i64, currency: &str| money(amount, currency);
        let discount = redemption.discount.as_ref();
        let lines = discount.map(|discount| {
            let line = |(sku, amount): &(String, i64)| (sku.clone(), in_currency(*amount, discount.currency.code()));
            discount.lines.iter().map(line).collect()
        });
        Ok(Self {
            frame: by.frame("redemptions"),
            form: FormView::default(),
            path: format!("/redemptions/{id}"),
            state: state_badge(redemption.state),
            campaign: redemption.campaign.clone(),
            campaign_path: path_of(&redemption.campaign),
            facts: facts(&redemption, zone),
            lines: lines.unwrap_or_default(),
            discount: discount.map(|discount| in_currency(discount.amount, discount.currency.code())),
            identity: identity_text(&redemption, by.visitor.role),
            may_release: may_act && redemption.state == RedemptionState::Held,
            may_roll_back: may_act && redemption.state == RedemptionState::Confirmed,
            code: redemption.code,
            order: redemption.order,
        })
    }
}

fn use_text(keep_use: bool) -> String {
    (if keep_use { "still counted" } else { "given back" }).to_owned()
}

fn facts(redemption: &Redemption, zone: Tz) -> Vec<(&'static str, String)> {
    let time = |at| instant(at, zone);
    let ended = match redemption.state {
        RedemptionState::Held => "Ended",
        RedemptionState::Confirmed => "Confirmed",
        RedemptionState::Released => "Released",
        RedemptionState::Expired => "Expired",
        RedemptionState::RolledBack => "Rolled back",
    };
    let currency = redemption.discount.as_ref().map_or("", |discount| discount.currency.code());
    let facts = [
        ("Begun", Some(time(redemption.held_at))),
        ("Pay by", redemption.expires_at.map(time)),
        (ended, redemption.ended_at.map(time)),
        ("Use", (redemption.state == RedemptionState::RolledBack).then(|| use_text(redemption.keep_use))),
        ("Price of the order", redemption.order_amount.map(|amount| money(amount, currency))),
        ("Source", redemption.source.clone()),
        ("Ad", redemption.ad.clone()),
        ("Affiliate", redemption.affiliate.clone()),
        ("Click", redemption.click_id.map(|id| id.to_string())),
        ("Session or terminal", redemption.actor.clone()),
        ("Referral", redemption.referral.as_ref().map(|referred| referred.state.into_str().to_owned())),
        ("Version of the campaign", Some(redemption.version.to_string())),
        ("Id", Some(redemption.id.to_string())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}
