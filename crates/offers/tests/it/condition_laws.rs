//! Laws of conditions: three-valued logic, in which a missing attribute never helps.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use chrono::NaiveDate;
use codemint_offers::condition::attribute::Attribute;
use codemint_offers::condition::facts::Facts;
use codemint_offers::condition::predicate::{Comparison, Predicate};
use codemint_offers::condition::segment::Segment;
use codemint_offers::condition::truth::Truth;
use codemint_offers::money::Money;
use codemint_offers::read::condition::read_segment;
use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use serde_json::json;

use crate::steps::{cart, cases, currency, eur, line};

const NAMES: [&str; 4] = ["a", "b", "c", "d"];

fn day(number: i32) -> NaiveDate {
    NaiveDate::from_yo_opt(2027, number.unsigned_abs() % 365 + 1).expect("a day")
}

fn values() -> impl Strategy<Value = Attribute> {
    prop_oneof![
        (0..3_i64).prop_map(Attribute::Integer),
        select(vec!["x", "y", "2027-01-02"]).prop_map(|text| Attribute::Text(text.to_owned())),
        any::<bool>().prop_map(Attribute::Boolean),
        (0..3_i64, select(vec!["EUR", "USD"]))
            .prop_map(|(amount, code)| Attribute::Money(Money { currency: currency(code), amount })),
        (0..3).prop_map(|number| Attribute::Day { day: day(number) }),
    ]
}

fn comparisons() -> impl Strategy<Value = Comparison> {
    select(Comparison::ALL.map(|(_, comparison)| comparison).to_vec())
}

fn leaves() -> impl Strategy<Value = Predicate> {
    let names = || select(NAMES.to_vec()).prop_map(str::to_owned);
    prop_oneof![
        (names(), comparisons(), values()).prop_map(|(attribute, op, value)| Predicate::Compare {
            attribute,
            op,
            value
        }),
        (names(), vec(values(), 1..4)).prop_map(|(attribute, values)| Predicate::In { attribute, values }),
        names().prop_map(|segment| Predicate::Member { segment }),
    ]
}

fn predicates() -> impl Strategy<Value = Predicate> {
    leaves().prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Predicate::All),
            vec(inner.clone(), 1..4).prop_map(Predicate::Any),
            inner.prop_map(negated),
        ]
    })
}

type Known = (BTreeMap<String, Attribute>, BTreeSet<String>);

fn known() -> impl Strategy<Value = Known> {
    let names = || select(NAMES.to_vec()).prop_map(str::to_owned);
    (btree_map(names(), values(), 0..4), btree_set(names(), 0..3))
}

fn facts((attributes, segments): &Known) -> Facts<'_> {
    Facts { attributes, segments, cart: None, day: day(59) }
}

fn negated(predicate: Predicate) -> Predicate {
    Predicate::Not(Box::new(predicate))
}

fn each_negated(predicates: &[Predicate]) -> Vec<Predicate> {
    predicates.iter().cloned().map(negated).collect()
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn prop_two_negations_cancel_out(predicate in predicates(), known in known()) {
        let facts = facts(&known);
        prop_assert_eq!(negated(negated(predicate.clone())).decide(&facts), predicate.decide(&facts));
    }

    #[test]
    fn prop_the_laws_of_de_morgan_hold(parts in vec(predicates(), 1..4), known in known()) {
        let facts = facts(&known);
        let none = negated(Predicate::Any(parts.clone())).decide(&facts);
        prop_assert_eq!(none, Predicate::All(each_negated(&parts)).decide(&facts));
        let not_all = negated(Predicate::All(parts.clone())).decide(&facts);
        prop_assert_eq!(not_all, Predicate::Any(each_negated(&parts)).decide(&facts));
    }

    #[test]
    fn prop_a_missing_attribute_is_neither_true_nor_true_under_not(
        op in comparisons(),
        value in values(),
        values in vec(values(), 1..4),
        (mut attributes, segments) in known(),
    ) {
        attributes.remove("a");
        let known = (attributes, segments);
        let facts = facts(&known);
        let compare = Predicate::Compare { attribute: "a".to_owned(), op, value };
        let one_of = Predicate::In { attribute: "a".to_owned(), values };
        for predicate in [compare, one_of] {
            prop_assert_eq!(predicate.decide(&facts), Truth::Unknown);
            prop_assert_eq!(negated(predicate.clone()).decide(&facts), Truth::Unknown);
            prop_assert_eq!(predicate.unknown_attributes(&facts), BTreeSet::from(["a"]));
        }
    }

    #[test]
    fn prop_a_further_attribute_never_changes_what_was_decided(
        predicate in predicates(),
        known in known(),
        value in values(),
    ) {
        let before = predicate.decide(&facts(&known));
        let (mut attributes, segments) = known;
        for name in NAMES {
            attributes.entry(name.to_owned()).or_insert_with(|| value.clone());
        }
        let after = predicate.decide(&facts(&(attributes, segments)));
        prop_assert!(before == Truth::Unknown || before == after, "{:?} became {:?}", before, after);
    }

    #[test]
    fn prop_an_unknown_answer_has_an_attribute_to_name(predicate in predicates(), known in known()) {
        let facts = facts(&known);
        let is_named = !predicate.unknown_attributes(&facts).is_empty();
        prop_assert!(predicate.decide(&facts) != Truth::Unknown || is_named);
    }

    #[test]
    fn prop_a_false_answer_has_something_unmet_to_name_and_a_true_one_nothing(predicate in predicates(), known in known()) {
        let facts = facts(&known);
        let is_named = !predicate.unmet(&facts).is_empty();
        match predicate.decide(&facts) {
            Truth::True => prop_assert!(!is_named),
            Truth::False => prop_assert!(is_named),
            Truth::Unknown => {}
        }
    }

    #[test]
    fn prop_comparisons_of_two_values_agree_with_each_other(found in values(), value in values()) {
        let known = (BTreeMap::from([("a".to_owned(), found.clone())]), BTreeSet::new());
        let decide = |op| Predicate::Compare { attribute: "a".to_owned(), op, value: value.clone() }.decide(&facts(&known));
        prop_assert_eq!(decide(Comparison::Ne), !decide(Comparison::Eq));
        prop_assert_eq!(decide(Comparison::Ge), !decide(Comparison::Lt));
        prop_assert_eq!(decide(Comparison::Le), !decide(Comparison::Gt));
        let expected = found.compare(&value).map_or(Truth::Unknown, |order| (order == Ordering::Less).into());
        prop_assert_eq!(decide(Comparison::Lt), expected);
    }
}

fn compare(attribute: &str, op: Comparison, value: Attribute) -> Predicate {
    Predicate::Compare { attribute: attribute.to_owned(), op, value }
}

#[test]
fn an_answer_that_does_not_depend_on_the_missing_attribute_is_known() {
    let known = (BTreeMap::new(), BTreeSet::from(["gold".to_owned()]));
    let missing = compare("city", Comparison::Eq, Attribute::Text("Berlin".to_owned()));
    let gold = Predicate::Member { segment: "gold".to_owned() };
    let any = Predicate::Any(vec![missing.clone(), gold.clone()]);
    let all = Predicate::All(vec![missing, negated(gold)]);
    assert_eq!([any.decide(&facts(&known)), all.decide(&facts(&known))], [Truth::True, Truth::False]);
    assert_eq!(any.unknown_attributes(&facts(&known)), BTreeSet::from(["city"]));
}

#[test]
fn a_day_is_compared_with_a_text_of_that_form() {
    let since = compare("since", Comparison::Lt, Attribute::Day { day: "2027-03-01".parse().expect("a day") });
    let with = |text: &str| (BTreeMap::from([("since".to_owned(), Attribute::Text(text.to_owned()))]), BTreeSet::new());
    let decided = ["2027-02-28", "2027-03-01", "yesterday"].map(|text| since.decide(&facts(&with(text))));
    assert_eq!(decided, [Truth::True, Truth::False, Truth::Unknown]);
}

#[test]
fn money_of_two_currencies_is_not_compared() {
    let spent = compare("spent", Comparison::Ge, Attribute::Money(eur(100)));
    let with = |code| {
        let money = Attribute::Money(Money { currency: currency(code), amount: 500 });
        (BTreeMap::from([("spent".to_owned(), money)]), BTreeSet::new())
    };
    assert_eq!(["EUR", "USD"].map(|code| spent.decide(&facts(&with(code)))), [Truth::True, Truth::Unknown]);
}

#[test]
fn the_order_itself_has_attributes_that_no_sender_replaces() {
    let cart = cart(vec![line("A", 3, 1000)]);
    let forged = BTreeMap::from([("order.amount".to_owned(), Attribute::Money(eur(1_000_000)))]);
    let segments = BTreeSet::new();
    let with_cart = Facts { attributes: &forged, segments: &segments, cart: Some(&cart), day: day(59) };
    let without_cart = Facts { cart: None, ..with_cart };
    let amount = compare("order.amount", Comparison::Eq, Attribute::Money(eur(3000)));
    let quantity = compare("order.quantity", Comparison::Eq, Attribute::Integer(3));
    let today = compare("order.day", Comparison::Eq, Attribute::Day { day: day(59) });
    let decided = [&amount, &quantity, &today].map(|predicate| predicate.decide(&with_cart));
    assert_eq!(decided, [Truth::True; 3]);
    let decided = [&amount, &quantity, &today].map(|predicate| predicate.decide(&without_cart));
    assert_eq!(decided, [Truth::Unknown, Truth::Unknown, Truth::True]);
}

#[test]
fn a_segment_includes_listed_members_and_those_who_meet_its_condition() {
    let known = (BTreeMap::from([("age".to_owned(), Attribute::Integer(30))]), BTreeSet::new());
    let older_than = |age| Segment { condition: Some(compare("age", Comparison::Gt, Attribute::Integer(age))) };
    let unknown = Segment { condition: Some(compare("city", Comparison::Eq, Attribute::Integer(1))) };
    let included = |segment: &Segment, is_listed| segment.includes(is_listed, &facts(&known));
    assert_eq!([included(&older_than(20), false), included(&older_than(40), false)], [true, false]);
    assert_eq!([included(&unknown, false), included(&unknown, true)], [false, true]);
    assert_eq!(
        [included(&Segment { condition: None }, true), included(&Segment { condition: None }, false)],
        [true, false]
    );
}

#[test]
fn a_segment_that_asks_for_a_segment_is_refused() {
    let problems =
        read_segment(&json!({ "condition": { "not": { "member": { "segment": "gold" } } } })).expect_err("a problem");
    assert_eq!(problems[0].field, "/condition/not/member");
    let read = read_segment(&json!({ "condition": null })).expect("a segment");
    assert_eq!(read, Segment { condition: None });
}
