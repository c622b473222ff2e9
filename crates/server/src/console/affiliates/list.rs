//! The list of rules for affiliates, and the box that says which of them applies to a reference.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_offers::access::role::Permission;
use codemint_offers::affiliate::document::ResolvedDocument;
use codemint_offers::affiliate::exclusion::checked_reference;
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;
use serde::Deserialize;

use crate::api::body::InQuery;
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::affiliates::rule_view::{RuleView, path_of};
use crate::console::campaigns::labels;
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::visitor::{May, NoPage, ViewCampaigns};

const PAGE: u32 = 50;

/// What the last form has done, which the query names.
const NOTICES: [(&str, &str); 3] = [
    ("removed", "The rule and its exclusions are removed."),
    ("on", "The rule is switched on."),
    ("off", "The rule is switched off."),
];

#[derive(Debug, Template)]
#[template(path = "console/affiliates/list.html")]
struct ListPage {
    frame: Frame,
    may_edit: bool,
    is_first: bool,
    form: FormView,
    resolved: Option<ResolvedView>,
    rows: Vec<RuleView>,
    next: Option<String>,
}

/// What a reference becomes.
#[derive(Debug)]
struct ResolvedView {
    reference: String,
    /// None if it stays as it is.
    offer: Option<OfferView>,
    reason: &'static str,
}

/// The rule that applies, and the campaign whose offer a reference gets.
#[derive(Debug)]
struct OfferView {
    rule: String,
    rule_path: String,
    campaign: String,
    campaign_path: String,
}

#[derive(Clone, Debug, Deserialize)]
struct ListQuery {
    cursor: Option<String>,
    reference: Option<String>,
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/affiliates", get(list))
}

async fn list(
    State(api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Response, NoPage> {
    let after = place::<String>(query.cursor.as_deref())?.unwrap_or_default();
    let found = api.store.list_affiliate_rules(&after, PAGE + 1).await.map_err(Problem::from)?;
    let Page { items, next } = Page::cut(found, PAGE, |last| last.rule.name.clone());
    let mut rows = Vec::with_capacity(items.len());
    for stored in &items {
        rows.push(RuleView::read(&api, stored).await?);
    }
    let mut template = ListPage {
        frame: by.frame("affiliates").with_notice(query.done.as_deref(), &NOTICES),
        may_edit: by.permits(Permission::EditAffiliates),
        is_first: query.cursor.is_none(),
        form: FormView::default(),
        resolved: None,
        rows,
        next,
    };
    let Some(reference) = query.reference else { return Ok(page(&template)?) };
    let mut fields = Fields::default();
    fields.set("reference", reference.as_str());
    template.form = FormView::new(fields);
    let reference = reference.trim();
    if let Err(error) = checked_reference(reference) {
        let problem = FieldProblem::new("reference", error.to_string());
        template.form = template.form.with_problems(&[problem], |_| Some("reference"));
        return Ok(invalid(&template)?);
    }
    let resolved = api.affiliates.resolve(reference).await.map_err(|error| Problem::from(&*error))?;
    template.resolved = Some(ResolvedView::new(resolved));
    Ok(page(&template)?)
}

impl ResolvedView {
    fn new(ResolvedDocument { reference, rule, campaign, reason }: ResolvedDocument) -> Self {
        let reason = match reason.as_deref() {
            Some("excluded") => "It is excluded from the rule that its mask belongs to.",
            Some("not-active") => "A rule has such references, but it is switched off or does not apply now.",
            _ => "No rule has a mask for such references.",
        };
        let offer = rule.zip(campaign).map(|(rule, campaign)| OfferView {
            rule_path: path_of(&rule),
            campaign_path: labels::path_of(&campaign),
            rule,
            campaign,
        });
        Self { reference, offer, reason }
    }
}
