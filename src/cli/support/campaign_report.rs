//! Campaigns as people read them.

use chrono::{DateTime, FixedOffset};
use serde_json::Value;

use codemint_codes::text::{grouped, printable};
use codemint_offers::campaign::definition::{Definition, Limits, Purpose};
use codemint_offers::campaign::document::CampaignDocument;
use codemint_offers::discount::rule::{Discount, Effect, Selector, Target};
use codemint_offers::money::Money;
use codemint_store::campaigns::definitions::CampaignVersion;

/// Returns the lines of a list of campaigns, the header first.
pub fn list(campaigns: &[CampaignDocument]) -> Vec<String> {
    let width = campaigns.iter().map(|campaign| printable(&campaign.definition.name).chars().count()).max();
    let width = width.unwrap_or_default().max("CAMPAIGN".len());
    let header =
        format!("{:<width$}  {:<10}  {:<9}  {:>13}  {:<25}  LIMITS", "CAMPAIGN", "KIND", "STATUS", "CODES", "UNTIL");
    let line = |campaign: &CampaignDocument| {
        let definition = &campaign.definition;
        format!(
            "{:<width$}  {:<10}  {:<9}  {:>13}  {:<25}  {}",
            printable(&definition.name),
            word(&definition.kind),
            word(&campaign.status),
            grouped(campaign.counts.codes.into()),
            time(definition.ends_at),
            limits(&definition.limits)
        )
    };
    std::iter::once(header).chain(campaigns.iter().map(line)).collect()
}

/// Returns the lines about one campaign.
pub fn lines(campaign: &CampaignDocument) -> Vec<String> {
    let CampaignDocument { definition, counts, .. } = campaign;
    let referral = if definition.purpose == Purpose::Referral { ", for referrals" } else { "" };
    let amount = match definition.discount.effect {
        Effect::Amount(money) => Some(money),
        Effect::Percent { .. } => None,
    };
    let currency = definition.limits.budget.or(amount).map(|money| money.currency);
    let discount_given = match (counts.discounts.as_slice(), currency) {
        ([], Some(currency)) => Money { amount: 0, currency }.to_string(),
        ([], None) => "0".to_owned(),
        (discounts, _) => discounts.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
    };
    let mut rows = vec![
        ("campaign", definition.name.clone()),
        ("title", definition.title.clone()),
        ("kind", format!("{}{referral}", word(&definition.kind))),
        ("status", word(&campaign.status)),
        ("version", campaign.version.to_string()),
        ("from", time(definition.starts_at)),
        ("until", time(definition.ends_at)),
        ("mask", definition.mask.to_string()),
        ("discount", discount(&definition.discount)),
        ("limits", limits(&definition.limits)),
    ];
    rows.extend(restrictions(definition));
    rows.extend([
        ("codes", format!("{}, {} issued", grouped(counts.codes.into()), issued(definition, counts.issued))),
        ("redeemed", format!("{}, {} held", grouped(counts.redeemed.into()), grouped(counts.held.into()))),
        ("given", discount_given),
        ("created", campaign.created_at.format("%Y-%m-%dT%H:%M:%SZ").to_string()),
    ]);
    rows.into_iter().map(|(name, value)| format!("{name:<12}{}", printable(&value))).collect()
}

/// Formats the number of issued codes, with the limit if there is one: "100 of 500".
fn issued(definition: &Definition, issued: u64) -> String {
    match definition.limits.issued {
        0 => grouped(issued.into()),
        limit => format!("{} of {}", grouped(issued.into()), grouped(limit.into())),
    }
}

/// Returns the lines of the versions of a campaign, the header first.
pub fn versions(versions: &[CampaignVersion]) -> Vec<String> {
    let line = |version: &CampaignVersion| {
        format!(
            "{:>7}  {:<20}  {:<9}  {}",
            version.version,
            version.made_at.format("%Y-%m-%dT%H:%M:%SZ"),
            if version.definition.active { "on" } else { "off" },
            printable(&version.made_by)
        )
    };
    let header = format!("{:>7}  {:<20}  {:<9}  MADE BY", "VERSION", "MADE", "SWITCHED");
    std::iter::once(header).chain(versions.iter().map(line)).collect()
}

/// Returns what restricts the offer to some buyers, if anything.
fn restrictions(definition: &Definition) -> Vec<(&'static str, String)> {
    let lists = [
        ("sources", &definition.sources),
        ("ads", &definition.ads),
        ("affiliates", &definition.affiliates),
        ("segments", &definition.segments),
        ("use cases", &definition.use_cases),
    ];
    let listed = lists.into_iter().filter(|(_, texts)| !texts.is_empty());
    let mut rows: Vec<(&str, String)> =
        listed.map(|(name, texts)| (name, texts.iter().map(String::as_str).collect::<Vec<_>>().join(", "))).collect();
    if let Some(condition) = &definition.condition {
        rows.push(("condition", serde_json::to_string(condition).unwrap_or_default()));
    }
    if let Some(expression) = &definition.expression {
        rows.push(("expression", expression.text().to_owned()));
    }
    rows
}

/// Returns the word that stands for a value in JSON.
pub fn word(value: &impl serde::Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(word)) => word,
        _ => String::new(),
    }
}

fn time(at: Option<DateTime<FixedOffset>>) -> String {
    at.map_or("-".to_owned(), |at| at.to_rfc3339())
}

/// Formats limits: "1 use per code, 500 uses in all"; "-" if there are none.
fn limits(limits: &Limits) -> String {
    let uses = |number: u64| if number == 1 { "1 use".to_owned() } else { format!("{} uses", grouped(number.into())) };
    let parts = [
        (limits.per_code > 0).then(|| format!("{} per code", uses(limits.per_code))),
        (limits.per_identity > 0).then(|| format!("{} per identity", uses(limits.per_identity))),
        (limits.redeemed > 0).then(|| format!("{} in all", uses(limits.redeemed))),
        (limits.issued > 0).then(|| format!("{} issued", grouped(limits.issued.into()))),
        limits.budget.map(|budget| format!("{budget} in all")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

/// Formats a discount: "10 % off the order, at most 50.00 EUR".
fn discount(discount: &Discount) -> String {
    let effect = match &discount.effect {
        Effect::Percent { basis_points } => percent(*basis_points),
        Effect::Amount(amount) => amount.to_string(),
    };
    let limit = discount.limit_per_order;
    let (target, limited) = match &discount.target {
        Target::Order => ("off the order".to_owned(), String::new()),
        Target::Group { selector } => (format!("off {} together", items(selector)), String::new()),
        Target::Items { selector } => {
            (format!("off each of {}", items(selector)), format!(", at most {} per order", grouped(limit.into())))
        }
        Target::BuyGet { buy, buy_quantity, get, get_quantity } => (
            format!(
                "off {} of {} for every {} of {}",
                grouped((*get_quantity).into()),
                items(get),
                grouped((*buy_quantity).into()),
                items(buy)
            ),
            format!(", at most {} times per order", grouped(limit.into())),
        ),
    };
    let limited = if limit == 0 { String::new() } else { limited };
    let cap = discount.cap.map(|cap| format!(", at most {cap}")).unwrap_or_default();
    format!("{effect} {target}{limited}{cap}")
}

/// Formats basis points: "10 %", "12.5 %".
fn percent(basis_points: u32) -> String {
    let text = format!("{}.{:02}", basis_points / 100, basis_points % 100);
    format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
}

fn items(selector: &Selector) -> String {
    let named = selector.groups.iter().chain(&selector.skus).map(String::as_str).collect::<Vec<_>>().join(", ");
    let chosen = if selector.all { "all items".to_owned() } else { named };
    match selector.except_skus.is_empty() {
        true => chosen,
        false => {
            format!(
                "{chosen} except {}",
                selector.except_skus.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
            )
        }
    }
}
