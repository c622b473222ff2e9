//! The versions of a campaign, with what has changed between them.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use codemint_offers::access::role::Permission;
use codemint_offers::campaign::differences::{Difference, differences, hide_masks};

use crate::api::body::InPath;
use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::labels::path_of;
use crate::console::frame::Frame;
use crate::console::page::page;
use crate::console::shown::minute;
use crate::console::visitor::{May, NoPage, ViewCampaigns};

/// The number of versions that are shown.
const VERSIONS_MAX: usize = 100;

#[derive(Debug, Template)]
#[template(path = "console/campaigns/versions.html")]
struct VersionsPage {
    frame: Frame,
    path: String,
    title: String,
    zone: String,
    versions: Vec<VersionView>,
    is_cut: bool,
}

#[derive(Debug)]
struct VersionView {
    version: u32,
    made_at: String,
    made_by: String,
    /// Empty for the first one.
    changes: Vec<Difference>,
}

pub fn routes() -> Router<Arc<Api>> {
    Router::new().route("/campaigns/{name}/versions", get(show))
}

async fn show(
    State(api): State<Arc<Api>>,
    by: May<ViewCampaigns>,
    InPath(name): InPath<String>,
) -> Result<Response, NoPage> {
    let campaign = api.campaign(&name).await?;
    let zone = campaign.definition.zone;
    let stored = api.store.list_campaign_versions(campaign.no).await.map_err(Problem::from)?;
    let sees_masks = by.permits(Permission::ReadCodes);
    let views = stored.iter().enumerate().map(|(at, version)| {
        let before = stored.get(at + 1);
        let mut changes = before.map(|before| differences(&before.definition, &version.definition)).unwrap_or_default();
        if !sees_masks {
            hide_masks(&mut changes);
        }
        let made_at = minute(version.made_at, zone);
        VersionView { version: version.version, made_at, made_by: version.made_by.clone(), changes }
    });
    let template = VersionsPage {
        frame: by.frame("campaigns"),
        path: path_of(&name),
        title: campaign.definition.title.clone(),
        zone: zone.to_string(),
        versions: views.take(VERSIONS_MAX).collect(),
        is_cut: stored.len() > VERSIONS_MAX,
    };
    Ok(page(&template)?)
}
