//! Reads the definition of a campaign.

use std::collections::BTreeSet;

use codemint_codes::job::request::check_campaign;
use codemint_codes::mask::{MASK_TEXT_MAX, Mask};
use serde_json::Value;
use url::Url;

use crate::campaign::definition::{
    DAYS_MAX, Definition, Kind, LIMIT_MAX, LIST_MAX, Limits, OFFER_TEXT_LENGTH_MAX, Offer, Purpose, REFERRAL_DEPTH_MAX,
    Referral, URL_LENGTH_MAX, is_trigger,
};
use crate::problem::Problem;
use crate::read::agreement::{Draft, check_agreement};
use crate::read::condition::{condition, expression};
use crate::read::discount::discount;
use crate::read::node::{Node, Object, Problems};
use crate::referral::template::check_template;

/// Where the name of a campaign comes from.
#[derive(Clone, Copy, Debug)]
pub enum NameFrom<'a> {
    /// The document: a file.
    Document,
    /// A path. The document may repeat it.
    Path(&'a str),
    /// A document that was stored, perhaps by a version of the program that allowed other names and times.
    Stored,
}

/// The fields of a definition, in the order of the documentation.
const FIELDS: [&str; 22] = [
    "name",
    "title",
    "kind",
    "purpose",
    "active",
    "starts_at",
    "ends_at",
    "zone",
    "mask",
    "limits",
    "discount",
    "exclusive",
    "sources",
    "ads",
    "affiliates",
    "segments",
    "use_cases",
    "wait_days_after_deactivation",
    "condition",
    "expression",
    "referral",
    "offer",
];

/// Reads and checks a definition, and compiles its expression.
///
/// # Errors
/// Every problem, at most [`PROBLEMS_MAX`](crate::read::node::PROBLEMS_MAX) of them. What concerns several fields is checked as
/// far as these fields could be read.
///
/// ```
/// use codemint_offers::read::campaign::{NameFrom, read_definition};
/// use serde_json::json;
///
/// let document = json!({ "title": "Spring", "kind": "private", "mask": "SPRING-####", "limits": { "per_code": -1 } });
/// let problems = read_definition(&document, NameFrom::Path("spring")).unwrap_err();
/// let fields: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
/// assert_eq!(fields, ["/limits/per_code", "/discount"]);
/// ```
pub fn read_definition(value: &Value, name: NameFrom<'_>) -> Result<Definition, Vec<Problem>> {
    let problems = Problems::default();
    let read = definition(&Node::root(value, &problems), name);
    problems.or(read)
}

fn definition(node: &Node<'_>, name_from: NameFrom<'_>) -> Option<Definition> {
    let object = node.object(&FIELDS)?;
    let name = name(&object, name_from);
    let title = object.required("title").and_then(|node| node.text());
    let kinds = [("public", Kind::Public), ("private", Kind::Private), ("restricted", Kind::Restricted)];
    let kind = object.required("kind").and_then(|node| node.choice(&kinds));
    let purposes = [("regular", Purpose::Regular), ("referral", Purpose::Referral)];
    let purpose = object.or("purpose", Purpose::Regular, |node| node.choice(&purposes));
    let active = object.or("active", false, Node::boolean);
    let instant = |node: &Node<'_>| match name_from {
        NameFrom::Stored => node.instant(),
        NameFrom::Document | NameFrom::Path(_) => node.instant_of_four_digits(),
    };
    let starts_at = object.optional("starts_at", instant);
    let ends_at = object.optional("ends_at", instant);
    if let (Some(Some(starts_at)), Some(Some(ends_at))) = (starts_at, ends_at)
        && starts_at >= ends_at
    {
        object
            .wrong("ends_at", format!("the campaign ends at {ends_at}; it must be later than starts_at, {starts_at}"));
    }
    let zone = object.or("zone", chrono_tz::UTC, zone);
    let mask = object.required("mask").and_then(|node| mask(&node));
    let limits = object.or("limits", Limits::default(), limits);
    let discount = object.required("discount").and_then(|node| discount(&node));
    let exclusive = object.or("exclusive", true, Node::boolean);
    let texts = |name| object.or(name, BTreeSet::new(), |node: &Node<'_>| node.texts(LIST_MAX));
    let (sources, ads, affiliates, segments) = (texts("sources"), texts("ads"), texts("affiliates"), texts("segments"));
    let use_cases = object.or("use_cases", BTreeSet::new(), use_cases);
    let wait_days = object.or("wait_days_after_deactivation", 0, |node| node.count(0, DAYS_MAX));
    let condition = object.optional("condition", condition);
    let expression = object.optional("expression", expression);
    let referral = object.optional("referral", referral);
    let offer = object.or("offer", Offer::default(), offer);
    check_agreement(&Draft {
        object: &object,
        name: name.as_deref(),
        kind,
        purpose,
        mask: mask.as_ref(),
        limits: limits.as_ref(),
        discount: discount.as_ref(),
        segments: segments.as_ref(),
        use_cases: use_cases.as_ref(),
        wait_days,
        referral: referral.as_ref(),
    });
    Some(Definition {
        name: name?,
        title: title?,
        kind: kind?,
        purpose: purpose?,
        active: active?,
        starts_at: starts_at?,
        ends_at: ends_at?,
        zone: zone?,
        mask: mask?,
        limits: limits?,
        discount: discount?,
        exclusive: exclusive?,
        sources: sources?,
        ads: ads?,
        affiliates: affiliates?,
        segments: segments?,
        use_cases: use_cases?,
        wait_days_after_deactivation: wait_days?,
        condition: condition?,
        expression: expression?,
        referral: referral?,
        offer: offer?,
    })
}

fn name(object: &Object<'_>, from: NameFrom<'_>) -> Option<String> {
    let named = match from {
        NameFrom::Document | NameFrom::Stored => Some(object.required("name")?),
        NameFrom::Path(_) => object.get("name"),
    };
    let written = match &named {
        Some(node) if matches!(from, NameFrom::Stored) => node.text(),
        Some(node) => Some(campaign_name(node)?),
        None => None,
    };
    match (from, written) {
        (NameFrom::Path(path), Some(written)) if written != path => {
            object.wrong("name", "the name differs from the one in the path; write the same, or leave it out");
            None
        }
        (NameFrom::Path(path), _) => {
            check_campaign(path).map_err(|error| object.wrong("name", error.to_string())).ok()?;
            Some(path.to_owned())
        }
        (NameFrom::Document | NameFrom::Stored, written) => written,
    }
}

fn campaign_name(node: &Node<'_>) -> Option<String> {
    let Value::String(name) = node.value() else { return node.text() };
    check_campaign(name).map_or_else(|error| node.wrong(error.to_string()), |()| Some(name.clone()))
}

fn zone(node: &Node<'_>) -> Option<chrono_tz::Tz> {
    let known = node.value().as_str().and_then(|name| name.parse().ok());
    known.or_else(|| node.wrong("the time zone is unknown; write an IANA name such as Europe/Berlin"))
}

fn mask(node: &Node<'_>) -> Option<Mask> {
    let Value::String(text) = node.value() else { return node.lines(MASK_TEXT_MAX).and(None) };
    text.parse().map_or_else(|error| node.wrong(format!("{error}")), Some)
}

fn limits(node: &Node<'_>) -> Option<Limits> {
    let object = node.object(&["per_code", "per_identity", "redeemed", "issued", "budget"])?;
    let limit = |name| object.or(name, 0, |node: &Node<'_>| node.count(0, LIMIT_MAX));
    let (per_code, per_identity) = (limit("per_code"), limit("per_identity"));
    let (redeemed, issued) = (limit("redeemed"), limit("issued"));
    let budget = object.optional("budget", |node| node.money(1));
    Some(Limits {
        per_code: per_code?,
        per_identity: per_identity?,
        redeemed: redeemed?,
        issued: issued?,
        budget: budget?,
    })
}

fn use_cases(node: &Node<'_>) -> Option<BTreeSet<String>> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let read = node.list(0, LIST_MAX)?.into_iter().map(|node| {
        let text = node.text()?;
        if is_trigger(&text) && !text.chars().all(allowed) {
            return node
                .wrong("found other characters than a-z 0-9 . _ -; write preset, automatic, or a type of triggers");
        }
        Some(text)
    });
    read.collect::<Vec<Option<String>>>().into_iter().collect()
}

fn referral(node: &Node<'_>) -> Option<Referral> {
    let fields = ["reward_campaign", "reward_delay_days", "max_depth", "max_codes_per_referrer", "forward_template"];
    let object = node.object(&fields)?;
    let reward_campaign = object.optional("reward_campaign", campaign_name);
    let reward_delay_days = object.or("reward_delay_days", 0, |node| node.count(0, DAYS_MAX));
    let max_depth = object.or("max_depth", 0, |node| node.count(0, REFERRAL_DEPTH_MAX));
    let max_codes_per_referrer = object.or("max_codes_per_referrer", 0, |node| node.count(0, LIMIT_MAX));
    let forward_template = object.optional("forward_template", template);
    Some(Referral {
        reward_campaign: reward_campaign?,
        reward_delay_days: reward_delay_days?,
        max_depth: max_depth?,
        max_codes_per_referrer: max_codes_per_referrer?,
        forward_template: forward_template?,
    })
}

fn template(node: &Node<'_>) -> Option<String> {
    let text = node.lines(OFFER_TEXT_LENGTH_MAX)?;
    match check_template(&text) {
        Ok(()) => Some(text),
        Err(error) => node.wrong(error.to_string()),
    }
}

fn offer(node: &Node<'_>) -> Option<Offer> {
    let object = node.object(&["text", "image_url", "landing_url"])?;
    let text = object.optional("text", |node| node.lines(OFFER_TEXT_LENGTH_MAX));
    let (image_url, landing_url) = (object.optional("image_url", address), object.optional("landing_url", address));
    Some(Offer { text: text?, image_url: image_url?, landing_url: landing_url? })
}

fn address(node: &Node<'_>) -> Option<String> {
    let text = node.lines(URL_LENGTH_MAX)?;
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Some(text),
        _ => node.wrong("found no address of the web; write one that begins with https://"),
    }
}
