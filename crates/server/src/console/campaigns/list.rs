//! The list of campaigns.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_offers::access::role::Permission;
use codemint_offers::campaign::definition::Kind;
use codemint_store::campaigns::definitions::{Campaign, CampaignFilter};
use serde::Deserialize;
use url::form_urlencoded;

use crate::api::body::InQuery;
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::labels::{Badge, issues_codes, kind_word, path_of, status_badge};
use crate::console::frame::Frame;
use crate::console::page::page;
use crate::console::shown::{minute, number};
use crate::console::visitor::{May, NoPage, ViewCampaigns};

const PAGE: u32 = 50;

/// What the last form has done, which the query names.
const NOTICES: [(&str, &str); 1] = [("welcome", "You can sign in with your password from now on.")];

#[derive(Debug, Template)]
#[template(path = "console/campaigns/list.html")]
struct ListPage {
    frame: Frame,
    may_edit: bool,
    query: ListQuery,
    rows: Vec<Row>,
    /// The query of the next page; none on the last one.
    next: Option<String>,
}

#[derive(Debug)]
struct Row {
    path: String,
    name: String,
    title: String,
    kind: &'static str,
    status: Badge,
    codes: String,
    issued: String,
    redeemed: String,
    dates: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct ListQuery {
    #[serde(default)]
    q: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    kind: String,
    #[serde(default)]
    after: String,
    done: Option<String>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/campaigns", get(list))
}

async fn list(
    State(api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InQuery(query): InQuery<ListQuery>,
) -> Result<Response, NoPage> {
    let text = query.q.trim();
    let filter = CampaignFilter {
        after: query.after.clone(),
        text: Some(text.to_owned()).filter(|text| !text.is_empty()),
        kind: kind_of(&query.kind),
        status: query.status.parse().ok(),
        limit: PAGE + 1,
    };
    let mut found = api.store.find_campaigns(&filter).await.map_err(Problem::from)?;
    let is_cut = found.len() > PAGE as usize;
    found.truncate(PAGE as usize);
    let next = found.last().filter(|_| is_cut).map(|last| query.next(&last.definition.name));
    let template = ListPage {
        frame: by.frame("campaigns").with_notice(query.done.as_deref(), &NOTICES),
        may_edit: by.permits(Permission::EditCampaigns),
        query,
        rows: found.iter().map(row).collect(),
        next,
    };
    Ok(page(&template)?)
}

impl ListQuery {
    const fn is_filtered(&self) -> bool {
        !self.q.is_empty() || !self.status.is_empty() || !self.kind.is_empty()
    }

    fn next(&self, last: &str) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in [("q", &self.q), ("status", &self.status), ("kind", &self.kind)] {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        query.append_pair("after", last).finish()
    }
}

fn kind_of(text: &str) -> Option<Kind> {
    [Kind::Public, Kind::Private, Kind::Restricted].into_iter().find(|kind| kind.into_str() == text)
}

fn row(campaign: &Campaign) -> Row {
    let (definition, counts) = (&campaign.definition, &campaign.counts);
    let day = |at: chrono::DateTime<chrono::FixedOffset>| minute(at.to_utc(), definition.zone);
    let dates = match (definition.starts_at, definition.ends_at) {
        (None, None) => "no dates".to_owned(),
        (Some(from), None) => format!("from {}", day(from)),
        (None, Some(to)) => format!("until {}", day(to)),
        (Some(from), Some(to)) => format!("{} – {}", day(from), day(to)),
    };
    Row {
        path: path_of(&definition.name),
        name: definition.name.clone(),
        title: definition.title.clone(),
        kind: kind_word(definition.kind),
        status: status_badge(campaign.status()),
        codes: number(counts.codes),
        issued: if issues_codes(definition) { number(counts.issued) } else { String::new() },
        redeemed: number(counts.redeemed),
        dates,
    }
}
