//! A rule for affiliates in words.

use chrono_tz::Tz;
use codemint_offers::affiliate::rule::Period;
use codemint_store::affiliates::rules::StoredRule;

use crate::api::problem::Problem;
use crate::api::service::Api;
use crate::console::campaigns::labels::{self, encoded};
use crate::console::shown::{minute, number};

/// A rule with texts ready to show.
#[derive(Debug)]
pub struct RuleView {
    pub path: String,
    pub name: String,
    pub mask: String,
    pub prefix: String,
    pub campaign: String,
    pub campaign_path: String,
    pub is_active: bool,
    pub priority: i32,
    /// Empty if it always applies.
    pub periods: Vec<String>,
    pub zone: &'static str,
    pub exclusions: String,
}

impl RuleView {
    /// Reads the zone of the campaign, in which the periods are shown.
    ///
    /// # Errors
    /// If the store failed.
    pub async fn read(api: &Api, stored: &StoredRule) -> Result<Self, Problem> {
        let rule = &stored.rule;
        let campaign = api.links.find(&rule.campaign).await?;
        let zone = campaign.map_or(Tz::UTC, |campaign| campaign.definition.zone);
        Ok(Self {
            path: path_of(&rule.name),
            name: rule.name.clone(),
            mask: rule.mask_text.clone(),
            prefix: rule.prefix.clone(),
            campaign: rule.campaign.clone(),
            campaign_path: labels::path_of(&rule.campaign),
            is_active: rule.active,
            priority: rule.priority,
            periods: rule.periods.iter().map(|period| period_text(*period, zone)).collect(),
            zone: zone.name(),
            exclusions: number(stored.exclusions),
        })
    }
}

/// Returns the path of a rule's page.
pub fn path_of(name: &str) -> String {
    format!("/affiliates/{}", encoded(name))
}

/// Returns the zone of a campaign; UTC if there is no such campaign.
pub async fn zone_of(api: &Api, campaign: &str) -> Result<Tz, Problem> {
    let found = api.store.find_linked_campaign(campaign).await?;
    Ok(found.map_or(Tz::UTC, |campaign| campaign.definition.zone))
}

fn period_text(period: Period, zone: Tz) -> String {
    match (period.from.map(|at| minute(at, zone)), period.to.map(|at| minute(at, zone))) {
        (None, None) => "always".to_owned(),
        (Some(from), None) => format!("from {from}"),
        (None, Some(to)) => format!("until {to}"),
        (Some(from), Some(to)) => format!("{from} – {to}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_shown_on_the_clock_of_the_campaign() {
        let at = |text: &str| Some(text.parse().expect("a time"));
        let shown = |from, to| period_text(Period { from, to }, chrono_tz::Europe::Berlin);
        let (begin, end) = (at("2027-02-28T23:00:00Z"), at("2027-06-30T22:00:00Z"));
        assert_eq!(shown(begin, None), "from 1 Mar 2027, 00:00");
        assert_eq!(shown(None, end), "until 1 Jul 2027, 00:00");
        assert_eq!(shown(begin, end), "1 Mar 2027, 00:00 – 1 Jul 2027, 00:00");
        assert_eq!(shown(None, None), "always");
    }
}
