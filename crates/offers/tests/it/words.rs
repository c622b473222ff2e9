//! What campaigns do, in words.

use codemint_offers::campaign::differences::{Difference, differences, hide_masks};
use codemint_offers::campaign::words::describe;
use serde_json::{Value, json};

use crate::steps::definition;

fn words(changes: Value) -> String {
    describe(&definition(&changes), true).join(" ")
}

#[test]
fn a_campaign_says_what_it_does() {
    let target = |target: Value| json!({ "effect": { "type": "percent", "basis_points": 5000 }, "target": target });
    for (changes, expected) in [
        (
            json!({}),
            "Takes 10 % off the whole order. The holder of a code (SPRING-####) can use it. It has no dates. The \
             number of its uses has no limit. It does not combine with other discounts on one order.",
        ),
        (
            json!({
                "kind": "public", "mask": "SPRING", "active": false, "exclusive": false, "zone": "Europe/Berlin",
                "starts_at": "2027-03-01T00:00:00+01:00", "ends_at": "2027-03-31T22:00:00Z",
                "limits": { "per_code": 1000, "per_identity": 1, "budget": { "currency": "EUR", "amount": 100_000 } },
                "segments": ["gold"], "sources": ["mail", "web"], "use_cases": ["preset"],
            }),
            "Takes 10 % off the whole order. Everybody can use it with the code SPRING. It runs from 1 Mar 2027, 00:00 until \
             1 Apr 2027, 00:00 (Europe/Berlin), and is switched off. The code can be used 1,000 times. Each identity can \
             use it once. All discounts together are at most 1,000.00 EUR. Only for buyers in the segment gold. Only for the \
             sources mail and web. Only for codes that a person enters or picks. It combines with other discounts on one \
             order.",
        ),
        (
            json!({ "discount": target(json!({
                "type": "buy_get", "buy": { "skus": ["A", "B"] }, "buy_quantity": 2, "get": { "all": true, "except_skus": ["C"] },
                "get_quantity": 1,
            })) }),
            "For every 2 of the items A and B in the cart, takes 50 % off 1 of all items except C. The holder of a code \
             (SPRING-####) can use it. It has no dates. The number of its uses has no limit. It does not combine with other \
             discounts on one order.",
        ),
        (
            json!({
                "kind": "restricted", "segments": ["gold"], "use_cases": ["location.created"], "wait_days_after_deactivation": 30,
                "limits": { "issued": 1 },
            }),
            "Takes 10 % off the whole order. Each code (SPRING-####) can be used only by the identity it was issued \
             to. It has no dates. At most 1 code is issued. Only for buyers in the segment gold. location.created issues a code, \
             30 days after the deactivation. It does not combine with other discounts on one order.",
        ),
    ] {
        assert_eq!(words(changes), expected);
    }
}

#[test]
fn words_and_differences_hide_masks_from_people_who_may_not_see_them() {
    for (kind, mask, expected) in [
        ("public", "SPRING", "Everybody can use it with its code."),
        ("private", "SPRING-####", "The holder of a code can use it."),
        ("restricted", "SPRING-####", "Each code can be used only by the identity it was issued to."),
    ] {
        let before = definition(&json!({ "kind": kind, "mask": mask }));
        let words = describe(&before, false);
        assert!(words.iter().any(|word| word == expected), "{words:?}");
        assert!(!words.join(" ").contains("SPRING"), "{words:?}");
        let after = definition(&json!({ "kind": kind, "mask": format!("{mask}X"), "active": false }));
        let mut found = differences(&before, &after);
        hide_masks(&mut found);
        let found: Vec<_> = found.iter().map(|change| (&*change.field, &*change.before, &*change.after)).collect();
        assert_eq!(found, [("active", "true", "false"), ("mask", "hidden", "hidden")]);
    }
}

#[test]
fn versions_differ_field_by_field() {
    let before =
        definition(&json!({ "limits": { "per_code": 1 }, "sources": ["mail"], "ends_at": "2027-03-01T00:00:00Z" }));
    let after = definition(&json!({ "limits": { "per_code": 2 }, "sources": ["mail", "web"], "active": false }));
    let found: Vec<_> = differences(&before, &after)
        .into_iter()
        .map(|Difference { field, before, after }| format!("{field}: {before} -> {after}"))
        .collect();
    assert_eq!(
        found,
        [
            "active: true -> false",
            "ends_at: 2027-03-01T00:00:00Z -> ",
            "limits per_code: 1 -> 2",
            "sources: mail -> mail, web",
        ]
    );
    assert_eq!(differences(&before, &before), []);
}
