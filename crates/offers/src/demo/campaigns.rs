//! The campaigns of the demo: their definitions, and the codes that are minted for them.

use chrono::{DateTime, NaiveTime, TimeDelta, Utc};
use chrono_tz::Tz;
use serde_json::{Value, json};

use crate::demo::extras::{BUSINESS, CLUB};
use crate::demo::friends::{CHILDREN_MAX, DEPTH_MAX, REWARD_DELAY_DAYS, people_max};
use crate::demo::goods::{CHOCOLATE, SNACKS};
use crate::demo::issuing::Issuing;
use crate::demo::offers::{
    AFFILIATES, ANNIVERSARY, ANNIVERSARY_START, BIRTHDAY, COME_BACK, FLASH, FLASH_DAYS, FRIENDS, LOCATION, PARTNER,
    SEASON, SEASON_DAYS, SNACKS_FREE, SURPRISE, THANKS, WELCOME,
};
use crate::demo::settings::DemoSettings;

/// The share of redemptions that the flash sale allows, of a thousand.
const FLASH_LIMIT: u64 = 60;
/// What the anniversary weeks may cost for each planned redemption of the demo, in cents.
const BUDGET_EACH: u64 = 330;

/// How a campaign gets its codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codes {
    /// Its only one.
    One,
    /// A job mints this number.
    Minted(u64),
    /// A job mints one for each identity of the list.
    ForList,
}

/// A campaign to create.
#[derive(Clone, Debug)]
pub struct PlannedCampaign {
    pub name: &'static str,
    /// The definition, as a document.
    pub document: Value,
    pub codes: Codes,
    pub created_at: DateTime<Utc>,
    /// When somebody switches it off.
    pub off_at: Option<DateTime<Utc>>,
}

/// Returns the number of codes that are minted for a campaign.
pub(super) fn minted(campaign: &str, settings: &DemoSettings) -> u64 {
    let issued = Issuing::of_campaign(campaign, settings).map_or(0, |issuing| issuing.count);
    match campaign {
        WELCOME => settings.share(360),
        FLASH => settings.share(80),
        PARTNER => settings.share(120),
        LOCATION | COME_BACK => issued * 13 / 10 + 10,
        BIRTHDAY => issued,
        FRIENDS | THANKS => people_max(settings) * 14 / 10 + 10,
        _ => 1,
    }
}

/// Returns the identities of the list of a campaign, in any order.
pub fn list_of(campaign: &str, settings: &DemoSettings) -> Vec<String> {
    let issuing = Issuing::of_campaign(campaign, settings);
    issuing.map(|issuing| (0..issuing.count).map(|number| issuing.identity(number)).collect()).unwrap_or_default()
}

/// Returns all campaigns, those that others name before these.
pub fn campaigns(settings: &DemoSettings) -> Vec<PlannedCampaign> {
    let mut campaigns = off_orders(settings);
    campaigns.extend(special(settings));
    campaigns.extend(restricted(settings));
    campaigns.extend(referral(settings));
    campaigns
}

fn planned(name: &'static str, created_at: DateTime<Utc>, codes: Codes, title: &str, fields: Value) -> PlannedCampaign {
    let mut document = json!({
        "name": name, "title": title, "active": true, "zone": "Europe/Berlin",
        "offer": { "text": title, "landing_url": format!("https://shop.example/offers/{name}") },
    });
    if let (Some(document), Value::Object(fields)) = (document.as_object_mut(), fields) {
        document.extend(fields);
    }
    PlannedCampaign { name, document, codes, created_at, off_at: None }
}

/// Returns the beginning of a day in the zone of the shop, which is not after that of the day in UTC.
fn midnight(day: DateTime<Utc>) -> String {
    let local = day.date_naive().and_time(NaiveTime::MIN).and_local_timezone(Tz::Europe__Berlin);
    local.earliest().map_or(day, |local| local.to_utc()).with_timezone(&Tz::Europe__Berlin).to_rfc3339()
}

/// Returns the end of the day in the zone of the shop that begins with this one in UTC.
fn midnight_after(day: DateTime<Utc>) -> String {
    midnight(day + TimeDelta::days(1))
}

fn euros(amount: u64) -> Value {
    json!({ "currency": "EUR", "amount": amount })
}

fn percent(basis_points: u32, cap: Option<u64>) -> Value {
    json!({ "effect": { "type": "percent", "basis_points": basis_points }, "target": { "type": "order" }, "cap": cap.map(euros) })
}

fn amount(amount: u64) -> Value {
    json!({ "effect": { "type": "amount", "currency": "EUR", "amount": amount }, "target": { "type": "order" } })
}

/// Returns the condition that an order is worth this many cents.
fn order_from(amount: u64) -> Value {
    json!({ "compare": { "attribute": "order.amount", "op": "ge", "value": euros(amount) } })
}

/// The campaigns whose codes are anybody's, off the whole order.
fn off_orders(settings: &DemoSettings) -> Vec<PlannedCampaign> {
    let (before, plans) = (settings.day(0) - TimeDelta::hours(30), TimeDelta::days(6));
    let day = |day| settings.day(day);
    vec![
        planned(
            SEASON,
            day(SEASON_DAYS.0) - plans,
            Codes::One,
            "Season sale: 15 % off everything",
            json!({
                "kind": "public", "mask": "SEASON15", "discount": percent(1500, None), "limits": { "per_identity": 3 },
                "starts_at": midnight(day(SEASON_DAYS.0)), "ends_at": midnight_after(day(SEASON_DAYS.1)),
            }),
        ),
        planned(
            WELCOME,
            before,
            Codes::Minted(minted(WELCOME, settings)),
            "Welcome: 10 euros off your first order",
            json!({
                "kind": "private", "mask": "WELCOME-[:safe:]{9}", "discount": amount(1000), "limits": { "per_code": 1 },
                "condition": order_from(5000),
            }),
        ),
        planned(
            ANNIVERSARY,
            day(ANNIVERSARY_START) - plans,
            Codes::One,
            "Anniversary weeks: 20 % off, up to 60 euros",
            json!({
                "kind": "public", "mask": "PARTY20", "discount": percent(2000, Some(6000)),
                "limits": { "per_identity": 2, "budget": euros(settings.redemptions * BUDGET_EACH) },
                "starts_at": midnight(day(ANNIVERSARY_START)), "ends_at": midnight_after(settings.end() + TimeDelta::days(12)),
            }),
        ),
    ]
}

/// The campaigns whose codes are anybody's, off some articles or for a short time.
fn special(settings: &DemoSettings) -> Vec<PlannedCampaign> {
    let (minted, day) = (|name| Codes::Minted(minted(name, settings)), |day| settings.day(day));
    let (before, plans) = (settings.day(0) - TimeDelta::hours(30), TimeDelta::days(6));
    let snacks = json!({ "groups": [SNACKS] });
    let free = json!({
        "effect": { "type": "percent", "basis_points": 10_000 },
        "target": { "type": "buy_get", "buy": snacks, "buy_quantity": 2, "get": snacks, "get_quantity": 1 },
        "limit_per_order": 3,
    });
    let choco = json!({
        "effect": { "type": "percent", "basis_points": 1200 },
        "target": { "type": "group", "selector": { "groups": [CHOCOLATE] } },
    });
    let surprise = json!({
        "effect": { "type": "amount", "currency": "EUR", "amount": 300 },
        "target": { "type": "items", "selector": { "all": true, "except_skus": ["CHOC-BAR"] } }, "limit_per_order": 1,
    });
    vec![
        planned(
            SNACKS_FREE,
            before,
            Codes::One,
            "Snacks: buy two, get one free",
            json!({
                "kind": "public", "mask": "SNACKS3FOR2", "discount": free, "exclusive": false,
            }),
        ),
        PlannedCampaign {
            off_at: Some(day(FLASH_DAYS.1) + TimeDelta::hours(9)),
            ..planned(
                FLASH,
                day(FLASH_DAYS.0) - plans,
                minted(FLASH),
                "Flash sale: 30 % off while stocks last",
                json!({
                    "kind": "private", "mask": "FLASH-[:safe:]{8}", "discount": percent(3000, Some(10_000)),
                    "limits": { "per_code": 1, "per_identity": 1, "redeemed": settings.share(FLASH_LIMIT) },
                }),
            )
        },
        planned(
            PARTNER,
            before,
            minted(PARTNER),
            "Partners: 12 % off chocolate",
            json!({
                "kind": "private", "mask": "CHOC-[:safe:]{8}", "discount": choco, "limits": { "per_code": 1 },
                "exclusive": false, "affiliates": AFFILIATES,
            }),
        ),
        planned(
            SURPRISE,
            settings.end() - TimeDelta::days(2),
            Codes::One,
            "Surprise: 3 euros off one article",
            json!({
                "kind": "public", "mask": "SURPRISE3", "discount": surprise, "limits": { "per_identity": 1, "redeemed": 5000 },
                "starts_at": midnight(settings.end() + TimeDelta::days(5)),
                "ends_at": midnight_after(settings.end() + TimeDelta::days(29)),
            }),
        ),
    ]
}

/// The campaigns whose codes belong to identities.
fn restricted(settings: &DemoSettings) -> Vec<PlannedCampaign> {
    let minted = |name| Codes::Minted(minted(name, settings));
    let before = settings.day(0) - TimeDelta::days(4) - TimeDelta::hours(2);
    vec![
        planned(
            BIRTHDAY,
            before,
            Codes::ForList,
            "Happy birthday: 25 % off",
            json!({
                "kind": "restricted", "mask": "BDAY-[:safe:]{9}", "discount": percent(2500, Some(4000)),
                "limits": { "per_code": 1 }, "segments": [CLUB],
            }),
        ),
        planned(
            LOCATION,
            before,
            minted(LOCATION),
            "New location: 30 euros for the first order",
            json!({
                "kind": "restricted", "mask": "LOC-[:safe:]{9}", "discount": amount(3000), "segments": [BUSINESS],
                "limits": { "per_code": 1, "issued": settings.redemptions.max(100) }, "condition": order_from(10_000),
                "use_cases": ["location.created", "location.added"],
            }),
        ),
        planned(
            COME_BACK,
            before,
            minted(COME_BACK),
            "We miss you: 20 % off",
            json!({
                "kind": "restricted", "mask": "BACK-[:safe:]{9}", "discount": percent(2000, None), "segments": [BUSINESS],
                "limits": { "per_code": 1 }, "use_cases": ["location.deactivated"], "wait_days_after_deactivation": 14,
            }),
        ),
    ]
}

/// The campaign whose codes are passed on, and the one that rewards for it.
fn referral(settings: &DemoSettings) -> Vec<PlannedCampaign> {
    let minted = |name| Codes::Minted(minted(name, settings));
    let before = settings.day(0) - TimeDelta::days(3);
    let text = "Here are 10 euros for your first order: {{code}}\n{{campaign_title}}\n{{landing_url}}";
    vec![
        planned(
            THANKS,
            before,
            minted(THANKS),
            "Thank you: 5 euros for bringing a friend",
            json!({
                "kind": "restricted", "mask": "THX-[:safe:]{9}", "discount": amount(500), "limits": { "per_code": 1 },
                "exclusive": false,
            }),
        ),
        planned(
            FRIENDS,
            before,
            minted(FRIENDS),
            "Bring a friend: 10 euros for the first order",
            json!({
                "kind": "private", "purpose": "referral", "mask": "FRIEND-[:safe:]{8}", "discount": amount(1000),
                "limits": { "per_identity": 1 },
                "referral": {
                    "reward_campaign": THANKS, "reward_delay_days": REWARD_DELAY_DAYS, "max_depth": DEPTH_MAX,
                    "max_codes_per_referrer": CHILDREN_MAX, "forward_template": text,
                },
            }),
        ),
    ]
}
