//! Verdicts: each reason alone, all together in their order, and never a discount with a reason.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use codemint_offers::campaign::definition::Definition;
use codemint_offers::cart::Cart;
use codemint_offers::money::Currency;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::verdict::decide::{Verdict, reasons_of_unknown, verdict};
use codemint_offers::verdict::facts::{CampaignFacts, CodeFacts, Context, EarlierRedemption, IdentityFacts, UseFacts};
use codemint_offers::verdict::reason::{Reason, ReasonCode, shown};
use proptest::option::of;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use serde_json::json;

use crate::definitions::any_document;
use crate::steps::{any_cart, cart, cases, currency, definition, line};

const NOW: &str = "2027-03-10T12:00:00Z";

fn now() -> DateTime<Utc> {
    NOW.parse().expect("a time")
}

/// The facts of a test, owned.
#[derive(Clone, Debug, Default)]
struct Known {
    campaign: CampaignFacts,
    code_uses: u64,
    owner: Option<&'static str>,
    identity: Option<IdentityFacts<'static>>,
    earlier: Vec<EarlierRedemption>,
    cart: Option<Cart>,
    context: Context,
    segments: BTreeSet<String>,
}

impl Known {
    fn with_cart() -> Self {
        Self { cart: Some(cart(vec![line("A", 1, 10_000)])), ..Self::default() }
    }

    fn decide(&self, campaign: &Definition) -> Verdict {
        let facts = UseFacts {
            campaign: self.campaign,
            code: CodeFacts { uses: self.code_uses, owner: self.owner },
            identity: self.identity,
            earlier: &self.earlier,
            cart: self.cart.as_ref(),
            context: &self.context,
            segments: &self.segments,
        };
        verdict(campaign, &facts, now())
    }

    fn codes(&self, campaign: &Definition) -> Vec<&'static str> {
        self.decide(campaign).reasons.iter().map(|reason| reason.code.as_str()).collect()
    }
}

fn buyer(identity: &'static str, uses: u64) -> Option<IdentityFacts<'static>> {
    Some(IdentityFacts { identity, uses, is_ancestor: false })
}

fn earlier(exclusive: bool, amount: i64) -> EarlierRedemption {
    earlier_in("EUR", exclusive, amount)
}

fn earlier_in(currency: &str, exclusive: bool, amount: i64) -> EarlierRedemption {
    let currency = Currency::from_code(currency).expect("a currency");
    EarlierRedemption {
        exclusive,
        decided_at: DateTime::UNIX_EPOCH,
        discount: Some((currency, vec![("A".to_owned(), amount)])),
    }
}

#[test]
fn a_code_without_reasons_against_it_is_valid_and_has_its_discount() {
    let known = Known::with_cart();
    let decided = known.decide(&definition(&json!({})));
    assert!(decided.is_valid());
    assert_eq!(decided.discount.expect("a discount").lines, [1000]);
}

#[test]
fn types_of_triggers_do_not_restrict_when_a_code_is_used() {
    let on = |use_cases: &[&str], stated: Option<&str>| {
        let campaign = definition(&json!({ "kind": "restricted", "segments": ["trial"], "use_cases": use_cases }));
        let context = Context { use_case: stated.map(str::to_owned), ..Context::default() };
        let segments = ["trial".to_owned()].into();
        let known = Known { owner: Some("a"), identity: buyer("a", 0), context, segments, ..Known::with_cart() };
        known.codes(&campaign)
    };
    let refused = vec!["use-case-not-met"];
    assert_eq!(on(&["location.created"], None), Vec::<&str>::new());
    assert_eq!(on(&["location.created"], Some("preset")), Vec::<&str>::new());
    assert_eq!(on(&["location.created", "preset"], Some("preset")), Vec::<&str>::new());
    assert_eq!(on(&["location.created", "preset"], None), refused);
    assert_eq!(on(&["location.created", "preset"], Some("automatic")), refused);
}

#[test]
fn a_code_that_is_picked_and_does_not_exist_is_no_preset() {
    let reasons = |use_case: Option<&str>| {
        let context = Context { use_case: use_case.map(str::to_owned), ..Context::default() };
        reasons_of_unknown(&context, "no campaign has this code")
    };
    let codes = |reasons: Vec<Reason>| reasons.iter().map(|reason| reason.code.as_str()).collect::<Vec<_>>();
    assert_eq!(codes(reasons(Some("preset"))), ["code-not-found", "preset-not-found"]);
    assert_eq!(codes(reasons(Some("automatic"))), ["code-not-found"]);
    assert_eq!(codes(reasons(None)), ["code-not-found"]);
    assert_eq!(codes(shown(reasons(Some("preset")), false)), ["code-not-found"]);
}

#[test]
fn each_reason_stands_alone_where_it_alone_applies() {
    let text = |text: &str| Some(text.to_owned());
    let restricted = json!({ "kind": "restricted" });
    let referral = json!({ "purpose": "referral", "limits": { "per_identity": 1 }, "referral": {} });
    let budget = json!({ "limits": { "budget": { "currency": "EUR", "amount": 5000 } } });
    let items = json!({ "discount": { "effect": { "type": "percent", "basis_points": 1 },
        "target": { "type": "items", "selector": { "skus": ["B"] } } } });
    let euros = json!({ "discount": { "effect": { "type": "amount", "amount": 1, "currency": "EUR" }, "target": { "type": "order" } } });
    let yen = Cart::new(currency("JPY"), vec![line("A", 1, 100)]).expect("a cart");
    let known = Known::with_cart;
    let ancestor = Some(IdentityFacts { identity: "c", uses: 0, is_ancestor: true });
    for (changes, known, expected) in [
        (json!({ "active": false }), known(), "campaign-not-active"),
        (json!({ "starts_at": "2027-03-10T12:00:01Z" }), known(), "not-started"),
        (json!({ "ends_at": NOW }), known(), "expired"),
        (json!({ "limits": { "per_code": 2 } }), Known { code_uses: 2, ..known() }, "limit-reached"),
        (
            json!({ "limits": { "redeemed": 2 } }),
            Known { campaign: CampaignFacts { uses: 2, spent: 0 }, ..known() },
            "campaign-limit-reached",
        ),
        (
            json!({ "limits": { "per_identity": 2 } }),
            Known { identity: buyer("a", 2), ..known() },
            "identity-limit-reached",
        ),
        (budget.clone(), Known { campaign: CampaignFacts { uses: 1, spent: 4001 }, ..known() }, "budget-exhausted"),
        (budget.clone(), Known { cart: Some(yen.clone()), ..known() }, "currency-mismatch"),
        (budget, Known { cart: None, ..known() }, "nothing-to-discount"),
        (json!({ "limits": { "per_identity": 2 } }), known(), "identity-required"),
        (restricted.clone(), Known { owner: Some("a"), ..known() }, "identity-required"),
        (restricted.clone(), Known { owner: Some("a"), identity: buyer("b", 0), ..known() }, "wrong-identity"),
        (restricted, Known { identity: buyer("b", 0), ..known() }, "wrong-identity"),
        (referral.clone(), Known { owner: Some("a"), identity: buyer("a", 0), ..known() }, "self-referral"),
        (referral.clone(), Known { owner: Some("a"), identity: ancestor, ..known() }, "self-referral"),
        (referral, Known { owner: Some("a"), ..known() }, "identity-required"),
        (
            json!({ "segments": ["gold"] }),
            Known { segments: ["silver".to_owned()].into(), ..known() },
            "segment-not-met",
        ),
        (json!({ "use_cases": ["preset"] }), known(), "use-case-not-met"),
        (
            json!({ "sources": ["newsletter"] }),
            Known { context: Context { source: text("search"), ..Context::default() }, ..known() },
            "source-not-met",
        ),
        (json!({ "ads": ["banner-7"] }), known(), "ad-not-met"),
        (json!({ "affiliates": ["0123456789"] }), known(), "affiliate-not-met"),
        (json!({ "expression": "order.amount > 10000" }), known(), "condition-not-met"),
        (euros, Known { cart: Some(yen), ..known() }, "currency-mismatch"),
        (items.clone(), known(), "nothing-to-discount"),
        (items, Known { cart: None, ..known() }, "nothing-to-discount"),
        (
            json!({ "exclusive": false }),
            Known { earlier: vec![earlier_in("JPY", false, 1)], ..known() },
            "currency-mismatch",
        ),
        (json!({}), Known { earlier: vec![earlier(false, 1)], ..known() }, "exclusive"),
        (json!({ "exclusive": false }), Known { earlier: vec![earlier(true, 1)], ..known() }, "exclusive"),
    ] {
        assert_eq!(known.codes(&definition(&changes)), [expected], "{changes}");
    }
}

#[test]
fn all_reasons_are_reported_in_their_fixed_order() {
    let campaign = definition(&json!({
        "kind": "restricted", "active": false, "starts_at": "2027-01-01T00:00:00Z", "ends_at": "2027-02-01T00:00:00Z",
        "limits": { "per_code": 1, "redeemed": 1, "per_identity": 1 }, "segments": ["gold"],
        "use_cases": ["location.created", "preset"], "sources": ["a"], "ads": ["a"], "affiliates": ["a"], "expression": "false",
        "discount": { "effect": { "type": "percent", "basis_points": 1 }, "target": { "type": "order" } },
    }));
    let known = Known {
        campaign: CampaignFacts { uses: 1, spent: 0 },
        code_uses: 1,
        identity: buyer("a", 1),
        earlier: vec![earlier(false, 10_000)],
        ..Known::with_cart()
    };
    let expected = [
        "campaign-not-active",
        "expired",
        "limit-reached",
        "campaign-limit-reached",
        "identity-limit-reached",
        "wrong-identity",
        "segment-not-met",
        "use-case-not-met",
        "source-not-met",
        "ad-not-met",
        "affiliate-not-met",
        "condition-not-met",
        "nothing-to-discount",
        "exclusive",
    ];
    assert_eq!(known.codes(&campaign), expected);
}

#[test]
fn a_limit_is_reached_only_by_the_use_after_the_last() {
    let campaign = definition(&json!({ "limits": { "per_code": 3, "redeemed": 9, "per_identity": 2 } }));
    let campaign_uses = |uses| CampaignFacts { uses, spent: 0 };
    let last = Known { campaign: campaign_uses(8), code_uses: 2, identity: buyer("a", 1), ..Known::with_cart() };
    assert_eq!(last.codes(&campaign), [""; 0]);
    let budget = definition(&json!({ "limits": { "budget": { "currency": "EUR", "amount": 5000 } } }));
    let exact = Known { campaign: CampaignFacts { uses: 1, spent: 4000 }, ..Known::with_cart() };
    assert_eq!(exact.codes(&budget), [""; 0]);
}

#[test]
fn the_owner_of_a_restricted_code_and_a_friend_of_a_referrer_may_use_it() {
    let restricted = definition(&json!({ "kind": "restricted" }));
    let owner = Known { owner: Some("a"), identity: buyer("a", 0), ..Known::with_cart() };
    assert_eq!(owner.codes(&restricted), [""; 0]);
    let referral = json!({ "purpose": "referral", "limits": { "per_identity": 1 }, "referral": {} });
    let friend = Known { owner: Some("a"), identity: buyer("b", 0), ..Known::with_cart() };
    assert_eq!(friend.codes(&definition(&referral)), [""; 0]);
}

#[test]
fn without_a_cart_a_discount_on_the_order_is_valid_without_an_amount() {
    let decided = Known::default().decide(&definition(&json!({})));
    assert_eq!(decided, Verdict::default());
    assert!(decided.is_valid());
}

#[test]
fn a_refused_condition_names_every_missing_attribute() {
    let campaign = definition(&json!({ "condition": { "all": [
        { "compare": { "attribute": "city", "op": "eq", "value": "Berlin" } },
        { "not": { "compare": { "attribute": "blocked", "op": "eq", "value": true } } }] } }));
    let decided = Known::with_cart().decide(&campaign);
    let message = "the condition of this offer is not met: missing or of another type: blocked, city";
    assert_eq!(decided.reasons, [Reason::new(ReasonCode::ConditionNotMet, message)]);
}

#[test]
fn a_refused_condition_names_what_it_failed_at() {
    let vip = json!({ "member": { "segment": "vip" } });
    let large = json!({ "compare": { "attribute": "order.quantity", "op": "ge", "value": 100 } });
    let small = json!({ "compare": { "attribute": "order.quantity", "op": "le", "value": 100 } });
    let there = json!({ "compare": { "attribute": "city", "op": "eq", "value": "Berlin" } });
    let rows = [
        (json!(large), ": order.quantity"),
        (json!({ "not": small }), ": order.quantity"),
        (json!({ "all": [small, vip] }), ": segment vip"),
        (json!({ "any": [large, vip] }), ": order.quantity, segment vip"),
        (json!({ "not": { "any": [small, vip] } }), ": order.quantity"),
        (json!({ "all": [large, there] }), ": order.quantity; missing or of another type: city"),
    ];
    for (condition, names) in rows {
        let decided = Known::with_cart().decide(&definition(&json!({ "condition": condition })));
        let message = format!("the condition of this offer is not met{names}");
        assert_eq!(decided.reasons, [Reason::new(ReasonCode::ConditionNotMet, message)], "{condition}");
    }
}

#[test]
fn a_failed_expression_is_a_refusal_that_names_the_error() {
    let campaign = definition(&json!({ "expression": "attributes.city == 'Berlin'" }));
    let decided = Known::with_cart().decide(&campaign);
    assert_eq!(decided.reasons[0].code, ReasonCode::ConditionNotMet);
    assert!(decided.reasons[0].message.contains("the expression failed: No such key: city"), "{decided:?}");
}

#[test]
fn days_of_conditions_are_those_of_the_campaigns_zone() {
    let on_the_11th = |zone: &str| {
        definition(&json!({ "zone": zone, "condition": { "compare":
            { "attribute": "order.day", "op": "eq", "value": { "day": "2027-03-11" } } } }))
    };
    // Noon in UTC is the next day in Auckland.
    assert_eq!(Known::with_cart().codes(&on_the_11th("Pacific/Auckland")), [""; 0]);
    assert_eq!(Known::with_cart().codes(&on_the_11th("UTC")), ["condition-not-met"]);
}

#[test]
fn a_later_discount_of_the_order_is_computed_on_what_is_left() {
    let campaign = definition(&json!({ "exclusive": false }));
    let known = Known { earlier: vec![earlier(false, 2000), earlier(false, 3000)], ..Known::with_cart() };
    assert_eq!(known.decide(&campaign).discount.expect("a discount").amount, 500);
}

#[test]
fn reasons_are_written_with_their_stable_codes() {
    let reason = Reason::from(ReasonCode::BudgetExhausted);
    assert_eq!(serde_json::to_value(&reason).expect("JSON")["code"], "budget-exhausted");
    assert_eq!(serde_json::to_value(ReasonCode::CodeNotFound).expect("JSON"), ReasonCode::CodeNotFound.as_str());
}

fn any_known() -> impl Strategy<Value = Known> {
    let numbers = (0..4_u64, 0..1000_i64, 0..4_u64, 0..4_u64);
    let earlier = proptest::collection::vec(
        (any::<bool>(), 0..3000_i64).prop_map(|(exclusive, amount)| earlier(exclusive, amount)),
        0..3,
    );
    let stated = of(proptest::sample::select(vec!["a", "b", "c"]));
    (numbers, any::<bool>(), earlier, of(any_cart(5)), stated).prop_map(
        |((uses, spent, code_uses, by_buyer), known_buyer, earlier, cart, stated)| {
            let stated = stated.map(str::to_owned);
            let context = Context { source: stated.clone(), ad: stated.clone(), ..Context::default() };
            let identity = if known_buyer { buyer("a", by_buyer) } else { None };
            let segments = stated.into_iter().collect();
            Known {
                campaign: CampaignFacts { uses, spent },
                code_uses,
                owner: None,
                identity,
                earlier,
                cart,
                context,
                segments,
            }
        },
    )
}

proptest! {
    #![proptest_config(cases(3000))]

    #[test]
    fn prop_a_verdict_is_valid_exactly_without_reasons_and_grants_nothing_with_one(document in any_document(), known in any_known()) {
        let campaign = read_definition(&document, NameFrom::Path("spring")).expect("a definition");
        let decided = known.decide(&campaign);
        prop_assert_eq!(decided.is_valid(), decided.reasons.is_empty());
        prop_assert!(decided.is_valid() || decided.discount.is_none());
        let codes: Vec<ReasonCode> = decided.reasons.iter().map(|reason| reason.code).collect();
        prop_assert!(codes.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", codes);
        prop_assert_eq!(known.decide(&campaign), decided.clone());
        if let Some(granted) = decided.discount {
            let (cart, before) = (known.cart.expect("a cart"), campaign.limits.budget.map(|_| known.campaign.spent));
            prop_assert!(granted.lines.iter().zip(cart.line_amounts()).all(|(part, whole)| (0..=*whole).contains(part)));
            let in_budget = campaign.limits.budget.is_none_or(|budget| before.unwrap_or(0) + granted.amount <= budget.amount);
            prop_assert!(in_budget && campaign.active && (!campaign.exclusive || known.earlier.is_empty()));
        }
    }
}
