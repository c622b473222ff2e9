//! `codemint link`: the link of a campaign, and a banner with it.

use std::fmt;

use clap::Args;
use serde::Serialize;

use crate::cli::support::context::Context;
use crate::cli::support::failure::Failure;
use crate::cli::support::find;
use crate::cli::support::terminal::print_report;
use codemint_offers::link::banner::banner;
use codemint_offers::link::target::{Origin, landing_page, link};
use codemint_store::connection::store::Access;

/// Print the link of a campaign, which counts clicks, and HTML for a banner
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  codemint link 'Spring sale' --source newsletter
  codemint link 'Spring sale' --source partner --affiliate 0123456789 --json | jq -r .banner_html

The link leads to `codemint serve` at links.public_url, which counts the click and redirects to offer.landing_url of the \
campaign with a click id, and with the code of a public campaign. The host of that page must be one of links.hosts.")]
pub struct Link {
    /// Campaign name
    name: String,
    /// Where the link will stand, such as newsletter
    #[arg(long, value_name = "TEXT")]
    source: Option<String>,
    /// Advertisement
    #[arg(long, value_name = "TEXT")]
    ad: Option<String>,
    /// Reference of the affiliate
    #[arg(long, value_name = "TEXT")]
    affiliate: Option<String>,
    /// Report as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Shown {
    url: String,
    banner_html: String,
}

impl Link {
    pub async fn run(self, context: &Context) -> Result<(), Failure> {
        let origin = Origin { source: self.source, ad: self.ad, affiliate: self.affiliate };
        let origin = origin.checked().map_err(|name| {
            Failure::usage(format!("--{name}: at most 200 characters are allowed, and no control characters"))
        })?;
        let store = context.open_store(Access::Existing).await?;
        let campaign = find::campaign(context, &store, &self.name).await?.definition;
        let settings = &context.config.links;
        landing_page(&campaign, &settings.hosts).map_err(|reason| Failure::impossible(reason.to_string()))?;
        let url = link(&settings.public, &self.name, &origin);
        print_report(self.json, &Shown { banner_html: banner(&campaign, &url), url: url.into() })
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", self.url, self.banner_html)
    }
}
