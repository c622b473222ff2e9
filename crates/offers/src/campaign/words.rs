//! What a campaign does, in words.

use std::collections::BTreeSet;

use chrono::{DateTime, FixedOffset};
use codemint_codes::text::grouped;

use crate::campaign::definition::{Definition, Kind, USE_CASE_AUTOMATIC, USE_CASE_PRESET, is_trigger};
use crate::discount::rule::{Effect, Selector, Target};
use crate::referral::template::discount;

/// The maximum number of names in a list; the others are counted.
const NAMES_MAX: usize = 5;

/// Returns sentences that say what a campaign does: what it takes off, who may use it, when, and how often. They name the mask if the
/// reader may see it.
pub fn describe(definition: &Definition, shows_mask: bool) -> Vec<String> {
    let mut sentences = vec![what(definition), who(definition, shows_mask), when(definition)];
    sentences.extend(how_often(definition));
    sentences.extend(conditions(definition));
    sentences.extend(issuing(definition));
    sentences.extend(referral(definition));
    let together = match definition.exclusive {
        true => "It does not combine with other discounts on one order.",
        false => "It combines with other discounts on one order.",
    };
    sentences.push(together.to_owned());
    sentences
}

/// Returns a warning about segments that do not exist; `None` if there are none.
pub fn warn_of_segments(missing: &BTreeSet<String>) -> Option<String> {
    let none = match missing.len() {
        0 => return None,
        1 => "There is no segment",
        _ => "There are no segments",
    };
    Some(format!("{none} {}: nobody belongs there, unless the shop names it in its requests.", names(missing)))
}

fn what(definition: &Definition) -> String {
    let rule = &definition.discount;
    let off = match &rule.effect {
        Effect::Amount(amount) => amount.grouped(),
        percent @ Effect::Percent { .. } => discount(percent),
    };
    let limit = |unit: &str| match rule.limit_per_order {
        0 => String::new(),
        limit => format!(", for at most {} of an order", counted(limit, unit)),
    };
    let text = match &rule.target {
        Target::Order => format!("Takes {off} off the whole order"),
        Target::Items { selector } => format!("Takes {off} off each of {}{}", items(selector), limit("unit")),
        Target::Group { selector } => format!("Takes {off} once off {} together", items(selector)),
        Target::BuyGet { buy, buy_quantity, get, get_quantity } => format!(
            "For every {buy_quantity} of {} in the cart, takes {off} off {get_quantity} of {}{}",
            items(buy),
            items(get),
            limit("time")
        ),
    };
    let cap = rule.cap.map(|cap| format!(", and at most {} of an order", cap.grouped())).unwrap_or_default();
    format!("{text}{cap}.")
}

fn items(selector: &Selector) -> String {
    let mut parts = Vec::new();
    if selector.all {
        parts.push("all items".to_owned());
    }
    if !selector.skus.is_empty() {
        parts.push(format!("the items {}", names(&selector.skus)));
    }
    if !selector.groups.is_empty() {
        parts.push(format!("the groups {}", names(&selector.groups)));
    }
    let chosen = parts.join(" and ");
    match selector.except_skus.is_empty() {
        true => chosen,
        false => format!("{chosen} except {}", names(&selector.except_skus)),
    }
}

fn who(definition: &Definition, shows_mask: bool) -> String {
    let mask = if shows_mask { format!(" ({})", definition.mask) } else { String::new() };
    match definition.kind {
        Kind::Public if shows_mask => format!("Everybody can use it with the code {}.", definition.mask),
        Kind::Public => "Everybody can use it with its code.".to_owned(),
        Kind::Private => format!("The holder of a code{mask} can use it."),
        Kind::Restricted => format!("Each code{mask} can be used only by the identity it was issued to."),
    }
}

fn when(definition: &Definition) -> String {
    let zone = definition.zone;
    let shown = |at: DateTime<FixedOffset>| at.with_timezone(&zone).format("%-d %b %Y, %H:%M").to_string();
    let text = match (definition.starts_at, definition.ends_at) {
        (None, None) => "It has no dates".to_owned(),
        (Some(from), None) => format!("It begins on {} ({zone}) and has no end", shown(from)),
        (None, Some(to)) => format!("It ends on {} ({zone})", shown(to)),
        (Some(from), Some(to)) => format!("It runs from {} until {} ({zone})", shown(from), shown(to)),
    };
    if definition.active { format!("{text}.") } else { format!("{text}, and is switched off.") }
}

fn how_often(definition: &Definition) -> Vec<String> {
    let limits = &definition.limits;
    let mut sentences = Vec::new();
    let mut say = |limit: u64, text: &str| {
        if limit > 0 {
            let times = if limit == 1 { "once".to_owned() } else { counted(limit, "time") };
            sentences.push(text.replace("{}", &times));
        }
    };
    let code = if definition.kind == Kind::Public { "The code" } else { "Each code" };
    say(limits.per_code, &format!("{code} can be used {{}}."));
    say(limits.per_identity, "Each identity can use it {}.");
    let all = if definition.kind == Kind::Public { "It" } else { "All its codes together" };
    say(limits.redeemed, &format!("{all} can be used {{}} in all."));
    if limits.issued > 0 {
        sentences.push(format!("At most {} issued.", verb(limits.issued)));
    }
    if let Some(budget) = limits.budget {
        sentences.push(format!("All discounts together are at most {}.", budget.grouped()));
    }
    if sentences.is_empty() {
        sentences.push("The number of its uses has no limit.".to_owned());
    }
    sentences
}

fn verb(count: u64) -> String {
    format!("{} {}", counted(count, "code"), if count == 1 { "is" } else { "are" })
}

fn conditions(definition: &Definition) -> Vec<String> {
    let mut sentences = Vec::new();
    for (values, text) in [
        (&definition.segments, "Only for buyers in the segments"),
        (&definition.sources, "Only for the sources"),
        (&definition.ads, "Only for the ads"),
        (&definition.affiliates, "Only for the affiliates"),
    ] {
        if !values.is_empty() {
            let text = if values.len() == 1 { text.trim_end_matches('s') } else { text };
            sentences.push(format!("{text} {}.", names(values)));
        }
    }
    let restricting: BTreeSet<&str> =
        definition.use_cases.iter().map(String::as_str).filter(|name| !is_trigger(name)).collect();
    match (restricting.contains(USE_CASE_PRESET), restricting.contains(USE_CASE_AUTOMATIC)) {
        (true, false) => sentences.push("Only for codes that a person enters or picks.".to_owned()),
        (false, true) => sentences.push("Only for codes that the shop applies by itself.".to_owned()),
        _ => {}
    }
    if definition.condition.is_some() || definition.expression.is_some() {
        sentences.push("Further conditions apply to each order.".to_owned());
    }
    sentences
}

fn issuing(definition: &Definition) -> Option<String> {
    let triggers: BTreeSet<String> = definition.use_cases.iter().filter(|name| is_trigger(name)).cloned().collect();
    if triggers.is_empty() {
        return None;
    }
    let wait = match definition.wait_days_after_deactivation {
        0 => String::new(),
        days => format!(", {} after the deactivation", counted(days, "day")),
    };
    Some(format!("{} {} a code{wait}.", names(&triggers), if triggers.len() == 1 { "issues" } else { "issue" }))
}

fn referral(definition: &Definition) -> Option<String> {
    let referral = definition.referral.as_ref()?;
    let reward = match &referral.reward_campaign {
        None => "there is no reward".to_owned(),
        Some(reward) if referral.reward_delay_days == 0 => format!("the referrer gets a code of {reward}"),
        Some(reward) => {
            format!("the referrer gets a code of {reward} {} later", counted(referral.reward_delay_days, "day"))
        }
    };
    Some(format!("Customers pass its codes on to friends; when a friend has used one, {reward}."))
}

fn names(values: &BTreeSet<String>) -> String {
    let mut shown: Vec<String> = values.iter().take(NAMES_MAX).cloned().collect();
    if values.len() > NAMES_MAX {
        shown.push(format!("{} more", values.len() - NAMES_MAX));
    }
    match shown.split_last() {
        Some((last, first)) if !first.is_empty() => format!("{} and {last}", first.join(", ")),
        _ => shown.concat(),
    }
}

fn counted(count: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(count.into()), if count == 1 { "" } else { "s" })
}
