//! Affiliate rules: who gets an offer, compared with rules that are tried one after the other.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use codemint_codes::keyspace::Keyspace;
use codemint_offers::affiliate::book::{Reason, Resolved, RuleBook, normalized};
use codemint_offers::affiliate::excluded::Excluded;
use codemint_offers::affiliate::rule::{Period, Rule};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

fn day(number: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::days(number)
}

fn rule(name: &str, mask: &str, prefix: &str) -> Rule {
    Rule {
        name: name.to_owned(),
        mask: mask.parse().expect("a mask"),
        mask_text: mask.to_owned(),
        prefix: prefix.to_owned(),
        campaign: format!("of-{name}"),
        active: true,
        priority: 0,
        periods: Vec::new(),
    }
}

fn book(rules: impl IntoIterator<Item = (Rule, Vec<String>)>) -> RuleBook {
    let excluded =
        |excluded: Vec<String>| Excluded::from(excluded.iter().map(|one| normalized(one)).collect::<Vec<_>>());
    RuleBook::new(rules.into_iter().map(|(rule, references)| (rule, Arc::new(excluded(references)))))
}

/// Returns the reference and the rule's name, or the reason.
fn told(book: &RuleBook, reference: &str, now: DateTime<Utc>) -> Result<(String, String), Reason> {
    match book.resolve(reference, now) {
        Resolved::Offered { reference, rule } => Ok((reference, rule.name.clone())),
        Resolved::Unchanged(reason) => Err(reason),
    }
}

#[test]
fn the_flower_shop_gives_chocolate_to_all_but_those_on_its_list() {
    let may = Period { from: Some(day(120)), to: Some(day(130)) };
    let chocolate = Rule { periods: vec![may], ..rule("choc-2027", "0#########", "FCH") };
    let book = book([(chocolate, vec![" 0123456780".to_owned()])]);
    let offered = |reference: &str| Ok((reference.to_owned(), "choc-2027".to_owned()));
    for (reference, time, expected) in [
        ("0123456789", day(120), offered("FCH0123456789")),
        (" 0123456789 ", day(120), offered("FCH0123456789")),
        ("fch0123456789", day(120), offered("FCH0123456789")),
        ("0123456780", day(120), Err(Reason::Excluded)),
        ("FCH0123456780", day(120), Err(Reason::Excluded)),
        ("0123456789", day(119), Err(Reason::NotActive)),
        ("0123456789", day(130), Err(Reason::NotActive)),
        ("1123456789", day(120), Err(Reason::NoRule)),
        ("01234567890", day(120), Err(Reason::NoRule)),
        ("0123é5678", day(120), Err(Reason::NoRule)),
        ("", day(120), Err(Reason::NoRule)),
    ] {
        assert_eq!(told(&book, reference, time), expected, "{reference:?}");
    }
}

#[test]
fn rules_conflict_if_chance_would_decide_between_them() {
    let period = |from: Option<i64>, to: Option<i64>| Period { from: from.map(day), to: to.map(day) };
    let base = rule("a", "0#########", "FCH");
    for (other, conflicts) in [
        (rule("b", "01########", "FGV"), true),
        (rule("b", "1#########", "FGV"), false),
        (rule("b", "0########", "FGV"), false),
        (Rule { priority: 1, ..rule("b", "01########", "FGV") }, false),
        (Rule { active: false, ..rule("b", "01########", "FGV") }, true),
    ] {
        assert_eq!((base.conflicts_with(&other), other.conflicts_with(&base)), (conflicts, conflicts), "{other:?}");
    }
    for (ours, others, conflicts) in [
        (period(Some(1), Some(5)), period(Some(5), Some(9)), false),
        (period(Some(1), Some(5)), period(Some(4), Some(9)), true),
        (period(None, Some(5)), period(Some(4), None), true),
        (period(None, Some(4)), period(Some(4), None), false),
        (period(None, None), period(Some(4), Some(5)), true),
    ] {
        let (ours, others) =
            (Rule { periods: vec![ours], ..base.clone() }, Rule { periods: vec![others], ..base.clone() });
        assert_eq!(ours.conflicts_with(&others), conflicts, "{ours:?} {others:?}");
    }
}

fn any_rule() -> impl Strategy<Value = (Rule, Vec<String>)> {
    let mask = select(&["0##", "#1#", "###", "F##", "?##", "##", "A#", "FA#", "A1"][..]);
    let prefix = select(&["", "F", "FA", "A"][..]);
    let period =
        (0_i64..4, 0_i64..4).prop_map(|(from, length)| Period { from: Some(day(from)), to: Some(day(from + length)) });
    let excluded = vec(any_reference(), 0..4);
    (mask, prefix, any::<bool>(), 0..3, vec(period, 0..3), excluded).prop_map(
        |(mask, prefix, active, priority, periods, excluded)| {
            (Rule { active, priority, periods, ..rule("", mask, prefix) }, excluded)
        },
    )
}

fn any_reference() -> impl Strategy<Value = String> {
    vec(select(&["0", "1", "2", "A", "F", "f"][..]), 1..6).prop_map(|symbols| symbols.concat())
}

/// The same, rule by rule.
fn naive(rules: &[(Rule, Vec<String>)], reference: &str, now: DateTime<Utc>) -> Result<(String, String), Reason> {
    let reference = normalized(reference);
    let mut lengths: Vec<usize> =
        rules.iter().map(|(rule, _)| rule.prefix.len()).filter(|length| *length > 0).collect();
    lengths.sort_unstable();
    lengths.dedup();
    let mut ordered: Vec<_> = rules.iter().collect();
    ordered.sort_by_key(|(rule, _)| (-rule.priority, rule.name.clone()));
    let mut reason = Reason::NoRule;
    for length in lengths.into_iter().rev().chain([0]).filter(|length| *length <= reference.len()) {
        let (prefix, bare) = reference.split_at(length);
        for (rule, excluded) in &ordered {
            let concerns = (length == 0 || rule.prefix == prefix) && Keyspace::new(&rule.mask).contains(bare);
            match concerns {
                false => {}
                true if !rule.applies_at(now) => reason = Reason::NotActive,
                true if excluded.iter().any(|excluded| normalized(excluded) == bare) => return Err(Reason::Excluded),
                true => return Ok((format!("{}{bare}", rule.prefix), rule.name.clone())),
            }
        }
    }
    Err(reason)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn prop_the_book_says_what_rules_say_one_by_one(
        rules in vec(any_rule(), 0..80),
        reference in any_reference(),
        now in 0_i64..8,
    ) {
        let name = |(no, (rule, excluded)): (usize, (Rule, Vec<String>))| (Rule { name: format!("rule-{no:03}"), ..rule }, excluded);
        let rules: Vec<_> = rules.into_iter().enumerate().map(name).collect();
        let book = book(rules.clone());
        let said = told(&book, &reference, day(now));
        prop_assert_eq!(&said, &naive(&rules, &reference, day(now)));
    }

    #[test]
    fn prop_a_reference_that_was_resolved_stays_as_it_is(
        rules in vec(any_rule(), 0..10),
        reference in any_reference(),
    ) {
        let rules = rules.into_iter().map(|(rule, _)| (Rule { active: true, periods: Vec::new(), ..rule }, Vec::new()));
        let book = book(rules);
        if let Ok((resolved, _)) = told(&book, &reference, day(0)) {
            let again = told(&book, &resolved, day(0));
            // A rule without a prefix leaves no trace, so another one may put its own in front.
            prop_assert!(resolved == normalized(&reference) || again.map(|(again, _)| again) == Ok(resolved));
        }
    }
}
