//! Laws of the plan of a demo: it follows from the seed, lies in its days, and asks for nothing beyond a limit.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use chrono::{Datelike, NaiveDate, TimeDelta, Timelike};
use codemint_offers::campaign::definition::{Definition, Kind};
use codemint_offers::campaign::status::{Counts, Status, status};
use codemint_offers::demo::campaigns::{Codes, PlannedCampaign, campaigns, list_of};
use codemint_offers::demo::extras::{affiliate_rules, issued_by_hand, segments, triggers};
use codemint_offers::demo::friends::Friends;
use codemint_offers::demo::orders::Orders;
use codemint_offers::demo::settings::{DAYS, DemoSettings};
use codemint_offers::demo::uses::{CodeOf, PlannedUse};
use codemint_offers::read::affiliate::read_rule;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::read::condition::read_segment;
use codemint_offers::redemption::transition::Action;
use codemint_offers::referral::address::Address;

fn settings(seed: u64, redemptions: u64) -> DemoSettings {
    DemoSettings { seed, until: NaiveDate::from_ymd_opt(2026, 11, 20).expect("a day"), redemptions }
}

fn all_uses(settings: DemoSettings) -> Vec<PlannedUse> {
    Orders::new(settings).flat_map(|day| day.uses).collect()
}

fn definitions(settings: &DemoSettings) -> BTreeMap<&'static str, (Definition, Codes)> {
    let read = |planned: PlannedCampaign| {
        let definition = read_definition(&planned.document, NameFrom::Document).expect("a definition");
        (planned.name, (definition, planned.codes))
    };
    campaigns(settings).into_iter().map(read).collect()
}

/// Describes a plan by everything that can be seen of it.
fn description(settings: DemoSettings) -> Vec<String> {
    let one = |one: &PlannedUse| {
        let request = &one.request;
        format!(
            "{one:?} {:?} {:?} {:?} {:?} {:?}",
            one.code, request.identity, request.order, request.cart, request.context
        )
    };
    let mut lines: Vec<String> = all_uses(settings).iter().map(one).collect();
    let friends = Friends::plan(&settings);
    lines.extend(friends.generations.iter().flatten().map(|(number, planned)| format!("{number} {}", one(planned))));
    lines.extend(Orders::new(settings).flat_map(|day| day.clicks).map(|click| format!("{click:?}")));
    lines.extend(triggers(&settings).iter().map(|trigger| format!("{trigger:?}")));
    lines
}

#[test]
fn the_same_seed_gives_the_same_plan_and_another_seed_another_one() {
    let one = description(settings(1, 2000));
    assert_eq!(one, description(settings(1, 2000)));
    assert_ne!(one, description(settings(2, 2000)));
    let later = DemoSettings { until: NaiveDate::from_ymd_opt(2026, 11, 21).expect("a day"), ..settings(1, 2000) };
    assert_ne!(one, description(later));
}

#[test]
fn every_use_lies_in_the_days_of_the_demo_and_of_its_campaign_in_the_order_of_time() {
    for redemptions in [100, 3000] {
        let settings = settings(3, redemptions);
        let definitions = definitions(&settings);
        let uses = all_uses(settings);
        assert!(uses.is_sorted_by_key(|one| one.at));
        for one in &uses {
            assert!((settings.day(0)..settings.end()).contains(&one.at), "{one:?}");
            let definition = &definitions[one.campaign].0;
            assert!(definition.is_open(one.at), "{one:?}");
            assert!(one.then.is_sorted_by_key(|(at, _)| *at) && one.then.iter().all(|(at, _)| *at > one.at), "{one:?}");
            let deadline = one.at + TimeDelta::seconds(one.request.hold_seconds.into());
            for (at, action) in &one.then {
                let is_in_time = match action {
                    Action::Confirm { cart } => cart.is_none() && *at < deadline,
                    Action::Release => *at < deadline,
                    Action::Expire => *at >= deadline,
                    Action::RollBack { .. } => true,
                };
                assert!(is_in_time, "{one:?}");
            }
        }
    }
}

#[test]
fn about_as_many_uses_are_planned_as_are_wanted() {
    for redemptions in [100, 1000, 20_000] {
        let settings = settings(4, redemptions);
        let friends = Friends::plan(&settings);
        let of_friends = friends.generations.iter().map(Vec::len).sum::<usize>() + friends.thanks.len();
        let planned = (all_uses(settings).len() + of_friends) as u64;
        assert!((redemptions * 9 / 10..=redemptions * 11 / 10).contains(&planned), "{planned} of {redemptions}");
    }
}

#[test]
fn no_code_and_no_identity_is_used_more_often_than_its_campaign_allows() {
    let settings = settings(5, 5000);
    let definitions = definitions(&settings);
    let (mut by_code, mut by_identity) = (HashMap::new(), HashMap::new());
    for one in all_uses(settings) {
        let (definition, codes) = &definitions[one.campaign];
        let identity = one.request.identity.clone().expect("an identity");
        if let (CodeOf::Number(number), Codes::Minted(minted)) = (one.code, codes) {
            assert!(number < *minted, "{one:?}");
            *by_code.entry((one.campaign, number.to_string())).or_insert(0) += 1;
        }
        if one.code == CodeOf::Identity {
            assert_eq!(definition.kind, Kind::Restricted);
            *by_code.entry((one.campaign, identity.clone())).or_insert(0) += 1;
        }
        *by_identity.entry((one.campaign, identity)).or_insert(0) += 1;
    }
    for ((campaign, _), uses) in by_code {
        assert!(uses <= definitions[campaign].0.limits.per_code, "{campaign}: {uses}");
    }
    for ((campaign, _), uses) in by_identity {
        let limit = definitions[campaign].0.limits.per_identity;
        assert!(limit == 0 || uses <= limit, "{campaign}: {uses}");
    }
}

#[test]
fn codes_of_identities_are_used_after_they_were_issued() {
    let settings = settings(6, 5000);
    let mut issued = HashMap::new();
    for planned in campaigns(&settings).iter().filter(|planned| planned.codes == Codes::ForList) {
        issued.extend(list_of(planned.name, &settings).into_iter().map(|identity| (identity, planned.created_at)));
    }
    issued.extend(issued_by_hand(&settings).1);
    for planned in triggers(&settings) {
        issued.entry(planned.trigger.identity.clone()).or_insert(planned.at);
    }
    let uses: Vec<PlannedUse> = all_uses(settings).into_iter().filter(|one| one.code == CodeOf::Identity).collect();
    assert!(uses.len() > 500, "{}", uses.len());
    for one in uses {
        assert!(issued[&one.request.identity.clone().expect("an identity")] < one.at, "{one:?}");
    }
}

#[test]
fn people_buy_more_in_the_evening_on_weekends_and_as_offers_become_known() {
    let settings = settings(7, 20_000);
    let uses = all_uses(settings);
    let count = |is_so: &dyn Fn(&PlannedUse) -> bool| uses.iter().filter(|one| is_so(one)).count();
    assert!(count(&|one| (17..20).contains(&one.at.hour())) > 4 * count(&|one| (2..5).contains(&one.at.hour())));
    // Compared among those offers that everybody may use all the time.
    let of_day = |days: &[u32]| {
        let is_so = |one: &PlannedUse| days.contains(&one.at.weekday().num_days_from_monday());
        count(&|one| one.campaign == "snacks-2-plus-1" && is_so(one)) / days.len()
    };
    assert!(of_day(&[5, 6]) * 10 > of_day(&[0, 1, 2]) * 11);
    let in_days = |campaign: &str, from: i64, to: i64| {
        count(&|one| one.campaign == campaign && (settings.day(from)..settings.day(to)).contains(&one.at))
    };
    assert!(in_days("welcome-10", 60, 90) > in_days("welcome-10", 0, 30) * 3 / 2);
    assert!(in_days("anniversary-20", 83, 90) > in_days("anniversary-20", 73, 80) * 3 / 2);
    let outcomes: BTreeSet<&str> = uses.iter().flat_map(|one| &one.then).map(|(_, action)| name_of(action)).collect();
    assert_eq!(outcomes.len(), 4, "{outcomes:?}");
    let identities: HashSet<&Option<String>> = uses.iter().map(|one| &one.request.identity).collect();
    assert!(identities.len() < uses.len() * 8 / 10, "some come back");
}

fn name_of(action: &Action) -> &'static str {
    match action {
        Action::Confirm { .. } => "confirm",
        Action::Release => "release",
        Action::RollBack { .. } => "roll back",
        Action::Expire => "expire",
    }
}

#[test]
fn the_campaigns_are_of_all_kinds_and_in_all_situations() {
    let settings = settings(8, 20_000);
    let definitions = definitions(&settings);
    assert_eq!(definitions.len(), 12);
    let statuses = definitions.values().map(|(definition, _)| status(definition, &Counts::default(), settings.end()));
    let statuses: Vec<Status> = statuses.collect();
    for wanted in [Status::Active, Status::Scheduled, Status::Expired] {
        assert!(statuses.contains(&wanted), "{wanted:?}");
    }
    assert!(campaigns(&settings).iter().any(|planned| planned.off_at.is_some()));
    let of_kind = |kind| definitions.values().filter(|(definition, _)| definition.kind == kind).count();
    assert!([Kind::Public, Kind::Private, Kind::Restricted].into_iter().all(|kind| of_kind(kind) >= 3));
    let limits = || definitions.values().map(|(definition, _)| &definition.limits);
    assert!(limits().any(|limits| limits.budget.is_some()) && limits().any(|limits| limits.redeemed > 0));
    assert!(limits().any(|limits| limits.issued > 0) && limits().any(|limits| limits.per_identity > 0));
    for segment in segments(&settings) {
        segment.tree.iter().for_each(|tree| drop(read_segment(tree).expect("a segment")));
    }
    for planned in affiliate_rules(&settings) {
        let rule = read_rule(planned.name, &planned.document).expect("a rule");
        assert!(definitions.contains_key(&*rule.campaign));
        assert!(planned.exclusions.iter().all(|exclusion| rule.describes(&exclusion.reference)));
    }
}

#[test]
fn friends_form_trees_of_several_generations_within_the_terms() {
    let settings = settings(9, 20_000);
    let definitions = definitions(&settings);
    let terms = definitions["bring-a-friend"].0.referral.clone().expect("terms");
    let friends = Friends::plan(&settings);
    assert!(friends.generations.iter().all(|generation| !generation.is_empty()) && !friends.rewards.is_empty());
    let (mut times, mut children) = (HashMap::new(), HashMap::new());
    times.extend(friends.referrers.iter().enumerate().map(|(number, referrer)| (number, referrer.at)));
    for (depth, generation) in friends.generations.iter().enumerate() {
        assert!((depth as u64) < terms.depth_limit());
        for (number, one) in generation {
            let CodeOf::Referrer(parent) = one.code else { panic!("{one:?}") };
            assert!(times[&parent] < one.at && one.at < settings.end(), "{one:?}");
            *children.entry(parent).or_insert(0) += 1;
            assert!(times.insert(*number, one.at).is_none(), "each friend once");
            Address::read(one.request.identity.as_deref().expect("an address")).expect("an address");
        }
    }
    assert!(children.values().all(|children| *children <= terms.max_codes_per_referrer));
    let returned = friends.generations.iter().flatten().filter(|(_, one)| !one.then.is_empty()).count();
    let pending = times.len() - friends.referrers.len() - friends.rewards.len() - returned;
    assert!(returned > 0 && pending > 0, "{returned} {pending}");
}

#[test]
fn identities_are_invented() {
    let settings = settings(10, 1000);
    let mut identities: Vec<String> = all_uses(settings).into_iter().filter_map(|one| one.request.identity).collect();
    identities.extend(segments(&settings).into_iter().flat_map(|segment| segment.members));
    for identity in identities {
        let is_invented = identity.ends_with("@shop.example") || identity.starts_with("location-");
        assert!(is_invented, "an identity that may exist");
    }
}

#[test]
fn a_demo_has_ninety_days() {
    assert_eq!(Orders::new(settings(11, 100)).count(), DAYS as usize);
}
