//! What else there is: segments, triggers, codes that are issued by hand, and rules for affiliates.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::{Value, json};

use crate::affiliate::exclusion::{Details, Exclusion};
use crate::condition::attribute::Attribute;
use crate::demo::chance::Chance;
use crate::demo::issuing::Issuing;
use crate::demo::offers::{AFFILIATES, BIRTHDAY, COME_BACK, LOCATION, PARTNER, SEASON, SEASON_DAYS};
use crate::demo::people;
use crate::demo::settings::DemoSettings;
use crate::trigger::record::Trigger;

/// The segment of those who have told their birthday.
pub(super) const CLUB: &str = "birthday-club";
/// The segment of business customers.
pub(super) const BUSINESS: &str = "business";

/// What comes before the numbers of locations that were closed lately.
const CLOSED_FROM: u64 = 800_000;
const EXCLUSIONS: u64 = 48;

/// A segment: a condition, or a list of members.
#[derive(Clone)]
pub struct PlannedSegment {
    pub name: &'static str,
    /// The document of the segment.
    pub tree: Option<Value>,
    pub members: Vec<String>,
}

impl fmt::Debug for PlannedSegment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PlannedSegment")
            .field("name", &self.name)
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}

pub fn segments(settings: &DemoSettings) -> Vec<PlannedSegment> {
    let of = |campaign| Issuing::of_campaign(campaign, settings);
    let members = |campaign| {
        let issuing = of(campaign).into_iter();
        issuing
            .flat_map(|issuing| (0..issuing.count).map(move |number| issuing.identity(number)))
            .collect::<Vec<String>>()
    };
    let mut business = members(LOCATION);
    business.extend(members(COME_BACK));
    business.extend((0..closed(settings)).map(|number| people::location(CLOSED_FROM + number)));
    let large = json!({ "condition": { "all": [
        { "compare": { "attribute": "order.amount", "op": "ge", "value": { "currency": "EUR", "amount": 10_000 } } },
        { "compare": { "attribute": "order.quantity", "op": "ge", "value": 3 } },
    ] } });
    vec![
        PlannedSegment { name: CLUB, tree: None, members: members(BIRTHDAY) },
        PlannedSegment { name: BUSINESS, tree: None, members: business },
        PlannedSegment { name: "large-orders", tree: Some(large), members: Vec::new() },
    ]
}

const fn closed(settings: &DemoSettings) -> u64 {
    settings.redemptions / 200 + 3
}

/// A trigger, with the time at which it came.
#[derive(Clone, Debug)]
pub struct PlannedTrigger {
    pub at: DateTime<Utc>,
    pub trigger: Trigger,
}

/// Returns the triggers in the order of time: new locations, some of which are reported again, and closed ones, for which codes
/// wait.
pub fn triggers(settings: &DemoSettings) -> Vec<PlannedTrigger> {
    let mut chance = Chance::new(settings.seed, "triggers");
    let mut triggers = Vec::new();
    let planned = |at: DateTime<Utc>, name: &str, identity: String, deactivated_at, chance: &mut Chance| {
        let country = (*chance.pick(&["DE", "AT", "CH", "NL"])).to_owned();
        let attributes = BTreeMap::from([("country".to_owned(), Attribute::Text(country))]);
        let id = format!("{name}-{}", chance.uuid(at).simple());
        let trigger_type = name.to_owned();
        let trigger = Trigger { id, trigger_type, identity, segments: BTreeSet::new(), attributes, deactivated_at };
        PlannedTrigger { at, trigger }
    };
    if let Some(issuing) = Issuing::of_campaign(LOCATION, settings) {
        for number in 0..issuing.count {
            let (at, identity) = (issuing.at(number), issuing.identity(number));
            let name = if number % 4 == 3 { "location.added" } else { "location.created" };
            triggers.push(planned(at, name, identity.clone(), None, &mut chance));
            let again = at + chance.seconds(3600, 86_400 * 3);
            if chance.happens(60) && again < settings.end() {
                triggers.push(planned(again, "location.added", identity, None, &mut chance));
            }
        }
    }
    for number in 0..closed(settings) {
        let at = settings.end() - chance.seconds(3600, 12 * 86_400);
        let closed_at = Some(at - TimeDelta::minutes(20));
        triggers.push(planned(
            at,
            "location.deactivated",
            people::location(CLOSED_FROM + number),
            closed_at,
            &mut chance,
        ));
    }
    triggers.sort_by_key(|one| one.at);
    triggers
}

/// Returns the identities that get a code of a campaign by hand, with the times.
pub fn issued_by_hand(settings: &DemoSettings) -> (&'static str, Vec<(String, DateTime<Utc>)>) {
    let issuing = Issuing::of_campaign(COME_BACK, settings).into_iter();
    let pairs = issuing
        .flat_map(|issuing| (0..issuing.count).map(move |number| (issuing.identity(number), issuing.at(number))));
    (COME_BACK, pairs.collect())
}

/// Returns when the list of a campaign gets its codes; `None` if the campaign has none.
pub fn list_at(campaign: &str, settings: &DemoSettings) -> Option<DateTime<Utc>> {
    (campaign == BIRTHDAY).then(|| Issuing::of_campaign(campaign, settings).map(|issuing| issuing.at(0)))?
}

/// A rule for affiliates, as a document, with its exclusions.
#[derive(Clone, Debug)]
pub struct PlannedRule {
    pub name: &'static str,
    pub document: Value,
    pub exclusions: Vec<Exclusion>,
}

pub fn affiliate_rules(settings: &DemoSettings) -> Vec<PlannedRule> {
    let mut chance = Chance::new(settings.seed, "affiliates");
    let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    let (season, end) = (SEASON_DAYS, settings.end());
    let choco = json!({
        "mask": "0#########", "prefix": "FCH", "campaign": PARTNER, "priority": 10,
        "periods": [
            { "from": instant(settings.day(0)), "to": instant(settings.day(55)) },
            { "from": instant(settings.day(60)), "to": null },
        ],
    });
    let sale = json!({
        "mask": "7#######", "prefix": "SEA", "campaign": SEASON,
        "periods": [{ "from": instant(settings.day(season.0)), "to": instant(settings.day(season.1)) }],
    });
    let next = json!({
        "mask": "0#########", "prefix": "NXT", "campaign": PARTNER, "active": false,
        "periods": [{ "from": instant(end + TimeDelta::days(60)), "to": instant(end + TimeDelta::days(90)) }],
    });
    let references: BTreeSet<u64> = (0..EXCLUSIONS).map(|_| chance.below(1_000_000_000)).collect();
    let exclusion = |number: u64| {
        let has_own = chance.happens(400);
        let details = Details {
            affiliate: Some((*chance.pick(&AFFILIATES)).to_owned()),
            promotion: has_own.then(|| "own promotion".to_owned()),
            note: chance.happens(200).then(|| "agreed by phone".to_owned()),
        };
        Exclusion { reference: format!("0{number:09}"), details }
    };
    let exclusions = references.into_iter().map(exclusion).collect();
    vec![
        PlannedRule { name: "choco-partners", document: choco, exclusions },
        PlannedRule { name: "season-partners", document: sale, exclusions: Vec::new() },
        PlannedRule { name: "next-partners", document: next, exclusions: Vec::new() },
    ]
}
