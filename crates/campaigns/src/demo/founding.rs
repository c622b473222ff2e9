//! What is there before the first code is used: segments, campaigns, and rules for affiliates.

use codemint_offers::campaign::definition::Definition;
use codemint_offers::demo::campaigns::PlannedCampaign;
use codemint_offers::demo::extras::{affiliate_rules, segments};
use codemint_offers::demo::settings::DemoSettings;
use codemint_offers::read::affiliate::read_rule;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::read::condition::read_segment;
use codemint_store::affiliates::exclusions::Excluding;
use codemint_store::affiliates::rules::PutRule;
use codemint_store::campaigns::changes::CreateCampaign;
use codemint_store::campaigns::segments::MEMBERS_AT_ONCE;
use codemint_store::connection::store::Store;

use crate::demo::error::DemoError;

/// Reads the definition of a planned campaign.
pub fn definition_of(planned: &PlannedCampaign) -> Result<Definition, DemoError> {
    let read = read_definition(&planned.document, NameFrom::Document);
    read.map_err(|problems| DemoError::of_problems(planned.name, &problems))
}

/// Creates the segments.
pub async fn create_segments(store: &Store, settings: &DemoSettings) -> Result<(), DemoError> {
    for segment in segments(settings) {
        if let Some(tree) = &segment.tree {
            read_segment(tree).map_err(|problems| DemoError::of_problems(segment.name, &problems))?;
            store.put_segment(segment.name, tree, None).await?;
        }
        if !segment.members.is_empty() {
            let batches: Vec<Vec<String>> = segment.members.chunks(MEMBERS_AT_ONCE).map(<[String]>::to_vec).collect();
            store.replace_members(segment.name, batches.into_iter()).await?;
        }
    }
    Ok(())
}

/// Creates a campaign; the code of a public one exists already.
pub async fn create_campaign(store: &Store, definition: &Definition) -> Result<(), DemoError> {
    match store.create_campaign(definition).await? {
        CreateCampaign::Created => Ok(()),
        other => Err(DemoError::Plan(format!("campaign {} was not created: {other:?}", definition.name))),
    }
}

/// Creates the rules for affiliates, with their exclusions.
pub async fn create_rules(store: &Store, settings: &DemoSettings) -> Result<(), DemoError> {
    for planned in affiliate_rules(settings) {
        let name = planned.name;
        let rule = read_rule(name, &planned.document).map_err(|problems| DemoError::of_problems(name, &problems))?;
        match store.put_affiliate_rule(&rule, None).await? {
            PutRule::Created => {}
            other => return Err(DemoError::Plan(format!("rule {name} was not created: {other:?}"))),
        }
        if !planned.exclusions.is_empty() {
            let excluded = store.replace_exclusions(name, std::iter::once(planned.exclusions)).await?;
            if !matches!(excluded, Excluding::Done(_)) {
                return Err(DemoError::Plan(format!("the exclusions of rule {name} were not stored")));
            }
        }
    }
    Ok(())
}
