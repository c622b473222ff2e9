//! One rule for affiliates, with its exclusions.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use codemint_offers::access::role::Permission;
use codemint_offers::affiliate::exclusion::{Exclusion, checked_reference};
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem as FieldProblem;
use codemint_store::affiliates::rules::SwitchRule;
use serde::Deserialize;
use url::form_urlencoded;

use crate::api::affiliate_rules::find;
use crate::api::body::{InPath, InQuery};
use crate::api::list_errands::no_rule;
use crate::api::paging::{Page, place};
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::affiliates::rule_view::{RuleView, path_of};
use crate::console::form_view::FormView;
use crate::console::frame::Frame;
use crate::console::page::{invalid, page};
use crate::console::posted::Posted;
use crate::console::upload::RefusedList;
use crate::console::visitor::{EditAffiliates, May, NoPage, Permit, ViewCampaigns, go_to};

const PAGE: u32 = 50;

/// What the last form has done, which the query names.
const NOTICES: [(&str, &str); 8] = [
    ("created", "The rule is created. All servers follow it within a second."),
    ("changed", "The rule is changed. All servers follow it within a second."),
    ("on", "The rule is switched on."),
    ("off", "The rule is switched off."),
    ("excluded", "The reference is excluded from this rule."),
    ("details", "The reference was excluded before; its details are what you wrote, and the others stay as they were."),
    ("included", "The reference is no longer excluded."),
    ("list", "The list is read. The rule has these exclusions now."),
];

#[derive(Debug, Template)]
#[template(path = "console/affiliates/details.html")]
pub(super) struct DetailsPage {
    frame: Frame,
    may_edit: bool,
    rule: RuleView,
    upload_path: String,
    /// The form of a new exclusion.
    pub form: FormView,
    search: FormView,
    is_first: bool,
    is_searched: bool,
    exclusions: Vec<Exclusion>,
    /// The query of the next page.
    next: Option<String>,
    /// The list that was sent and refused.
    pub refused: Option<RefusedList>,
}

/// Which exclusions are shown.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Shown {
    #[serde(default)]
    prefix: String,
    cursor: Option<String>,
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route("/affiliates/{name}", get(show))
        .route("/affiliates/{name}/switch", post(switch))
        .route("/affiliates/{name}/delete", post(remove))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InPath(name): InPath<String>,
    InQuery(query): InQuery<Shown>,
) -> Result<Response, NoPage> {
    let shown = DetailsPage::read(&api, &by, &name, &query).await?;
    let is_wrong = shown.search.is_wrong();
    Ok(if is_wrong { invalid(&shown) } else { page(&shown) }?)
}

async fn switch(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    Posted { fields, .. }: Posted<EditAffiliates>,
) -> Result<Response, NoPage> {
    let is_on = fields.text("active") == "on";
    let switched = api.store.switch_affiliate_rule(&name, is_on).await.map_err(Problem::from)?;
    if switched == SwitchRule::Missing {
        return Err(no_rule(&name).into());
    }
    let back = if fields.text("back") == "list" { "/affiliates".to_owned() } else { path_of(&name) };
    Ok(go_to(&format!("{back}?done={}", if is_on { "on" } else { "off" })))
}

async fn remove(
    State(api): State<Arc<Api>>,
    InPath(name): InPath<String>,
    _posted: Posted<EditAffiliates>,
) -> Result<Response, NoPage> {
    match api.store.delete_affiliate_rule(&name).await.map_err(Problem::from)? {
        true => Ok(go_to("/affiliates?done=removed")),
        false => Err(no_rule(&name).into()),
    }
}

impl DetailsPage {
    /// Reads the page of a rule.
    ///
    /// # Errors
    /// `not-found` if there is no such rule.
    pub async fn read<P: Permit>(api: &Api, by: &May<P>, name: &str, shown: &Shown) -> Result<Self, Problem> {
        let stored = find(api, name).await?;
        let mut search = Fields::default();
        search.set("prefix", shown.prefix.as_str());
        let mut search = FormView::new(search);
        let typed = shown.prefix.trim();
        let prefix = if typed.is_empty() { Ok(String::new()) } else { checked_reference(typed) };
        let found = match prefix {
            Ok(prefix) => {
                let after = place::<String>(shown.cursor.as_deref())?.unwrap_or_default();
                api.store.list_exclusions(stored.no, &prefix, &after, PAGE + 1).await?
            }
            Err(error) => {
                search = search.with_problems(&[FieldProblem::new("prefix", error.to_string())], |_| Some("prefix"));
                Vec::new()
            }
        };
        let Page { items, next } = Page::cut(found, PAGE, |last| last.reference.clone());
        Ok(Self {
            frame: by.frame("affiliates").with_notice(shown.done.as_deref(), &NOTICES),
            may_edit: by.permits(Permission::EditAffiliates),
            rule: RuleView::read(api, &stored).await?,
            upload_path: format!("{}/exclusion-list", path_of(name)),
            form: FormView::default(),
            search,
            is_first: shown.cursor.is_none(),
            is_searched: !typed.is_empty(),
            exclusions: items,
            next: next.map(|cursor| {
                let mut query = form_urlencoded::Serializer::new(String::new());
                query.extend_pairs(Some(typed).filter(|typed| !typed.is_empty()).map(|typed| ("prefix", typed)));
                query.append_pair("cursor", &cursor).finish()
            }),
            refused: None,
        })
    }
}
