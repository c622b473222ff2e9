//! Referrals: addresses of one person, places in the tree, and texts to forward.

use codemint_offers::access::role::Role;
use codemint_offers::campaign::definition::{Definition, Referral};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::read::referral::read_referrer;
use codemint_offers::referral::address::{Address, AddressError, seen_by, strict_form};
use codemint_offers::referral::template::{forward_text, header, html};
use codemint_offers::referral::tree::{Node, Place, Tree};
use proptest::prelude::*;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::steps::cases;

#[test]
fn only_roles_that_see_addresses_see_them_in_full() {
    for (identity, shortened) in [
        ("ann.lee@example.org", "a***@example.org"),
        ("ann@localhost", "a***@localhost"),
        ("Ann <ann@example.org>", "A***@example.org>"),
        ("@example.org", "***@example.org"),
        ("customer-4711", "customer-4711"),
        ("", ""),
    ] {
        for role in [Role::Support, Role::Admin] {
            assert_eq!(seen_by(role, identity), identity);
        }
        for role in [Role::Viewer, Role::Marketer, Role::Affiliates] {
            assert_eq!(seen_by(role, identity), shortened, "{role:?}");
        }
    }
}

#[test]
fn addresses_of_one_person_have_one_strict_form() {
    for (text, strict) in [
        ("ann@example.org", "ann@example.org"),
        (" Ann@Example.ORG ", "ann@example.org"),
        ("ann+shop+2@example.org", "ann@example.org"),
        ("an.n@example.org", "an.n@example.org"),
        ("A.n.n+x.y@gmail.com", "ann@gmail.com"),
        ("ann@googlemail.com", "ann@gmail.com"),
        ("ann@mail.gmail.com", "ann@mail.gmail.com"),
        ("+ann@example.org", "+ann@example.org"),
        (".@gmail.com", ".@gmail.com"),
        ("jörg@müller.example", "jörg@müller.example"),
    ] {
        assert_eq!(strict_form(text).as_deref(), Some(strict), "{text}");
    }
    let long = format!("{}@example.org", "a".repeat(65));
    let longer = format!("ann@{}.org", "a".repeat(250));
    for (text, error) in [
        ("a@", AddressError::Length(2)),
        (&*longer, AddressError::Length(258)),
        ("ann.example.org", AddressError::At),
        ("ann@example@org.com", AddressError::At),
        ("@example.org", AddressError::Local(0)),
        (&*long, AddressError::Local(65)),
        ("ann@localhost", AddressError::Domain),
        ("ann@example.", AddressError::Domain),
        ("ann@.org", AddressError::Domain),
        ("ann@a..org", AddressError::Domain),
        ("an n@example.org", AddressError::NotText),
        ("ann\u{200b}@example.org", AddressError::NotText),
        ("ann@exam\nple.org", AddressError::NotText),
    ] {
        assert_eq!(Address::read(text), Err(error), "{text:?}");
        assert!(!error.to_string().contains(text), "an error repeats the address");
    }
}

proptest! {
    #![proptest_config(cases(400))]

    /// The strict form is a strict form, whatever the case and the part after a plus.
    #[test]
    fn a_strict_form_stays_as_it_is(text in "[a-zA-Z.+é]{0,9}@(gmail\\.com|googlemail\\.com|b\\.org)", plus in "[a-z.+]{0,5}") {
        if let Ok(address) = Address::read(&text) {
            let strict = address.strict();
            prop_assert_eq!(strict_form(&strict), Some(strict.clone()));
            prop_assert_eq!(strict_form(&address.plain()), Some(strict.clone()));
            prop_assert_eq!(strict_form(&text.to_uppercase()), Some(strict.clone()));
            let (local, domain) = text.split_once('@').expect("an at");
            if !local.starts_with('+') {
                prop_assert_eq!(strict_form(&format!("{local}+{plus}@{domain}")), Some(strict));
            }
        }
    }

    #[test]
    fn any_text_is_read_without_a_panic_and_escaped_safely(text in ".{0,300}") {
        drop(Address::read(&text));
        let escaped = html(&text);
        prop_assert!(!escaped.contains(['<', '>', '"', '\'']));
        prop_assert!(!header(&text).contains(char::is_control));
        prop_assert_eq!(header(&text).chars().count(), text.chars().count());
    }
}

fn terms(fields: &Value) -> Referral {
    campaign(fields, &json!({})).referral.expect("terms")
}

fn campaign(terms: &Value, fields: &Value) -> Definition {
    let mut document = json!({
        "name": "friends", "title": "Bring a friend", "kind": "private", "purpose": "referral", "mask": "F-####",
        "limits": { "per_identity": 1 }, "referral": terms,
        "discount": { "effect": { "type": "percent", "basis_points": 1250 }, "target": { "type": "order" } },
    });
    document.as_object_mut().expect("fields").extend(fields.as_object().expect("fields").clone());
    read_definition(&document, NameFrom::Document).expect("a definition")
}

fn node(no: u128, parent: Option<u128>, depth: u64, children: u64) -> Node {
    Node {
        id: Uuid::from_u128(no),
        campaign_no: 1,
        address: format!("a{no}"),
        code: format!("C{no}"),
        parent: parent.map(Uuid::from_u128),
        depth,
        children,
    }
}

#[test]
fn a_friend_gets_a_place_as_far_as_the_limits_allow() {
    // 1 brought 2, who brought 3; 4 stands alone.
    let tree =
        || Tree::from_iter([node(1, None, 0, 1), node(2, Some(1), 1, 1), node(3, Some(2), 2, 0), node(4, None, 0, 0)]);
    let id = Uuid::from_u128;
    let new = |parent, depth| Place::New { parent: id(parent), depth };
    for (fields, code, friend, may_move, expected) in [
        (json!({}), "C3", "a9", true, new(3, 3)),
        (json!({ "max_depth": 2 }), "C3", "a9", true, Place::Nowhere),
        (json!({ "max_depth": 2 }), "C2", "a9", true, new(2, 2)),
        (json!({ "max_codes_per_referrer": 1 }), "C1", "a9", true, Place::Nowhere),
        (json!({ "max_codes_per_referrer": 2 }), "C1", "a9", true, new(1, 1)),
        (json!({}), "C3", "a4", true, Place::Moved { parent: id(3), depth: 3 }),
        (json!({}), "C3", "a4", false, Place::Known),
        (json!({ "max_depth": 2 }), "C3", "a4", true, Place::Known),
        // A person with friends or with a referrer stays, so there is no loop.
        (json!({}), "C3", "a1", true, Place::Known),
        (json!({}), "C4", "a3", true, Place::Known),
        (json!({}), "C4", "a4", true, Place::Known),
        (json!({}), "C0", "a9", true, Place::Nowhere),
    ] {
        let place = tree().bring(code, friend, &terms(&fields), |_| may_move, id(9));
        assert_eq!(place, expected, "{fields} {code} {friend}");
    }
    let mut tree = tree();
    let one = terms(&json!({ "max_codes_per_referrer": 1 }));
    assert_eq!(tree.bring("C4", "a9", &one, |_| true, id(9)), new(4, 1));
    assert_eq!(tree.bring("C4", "a8", &one, |_| true, id(8)), Place::Nowhere, "the friend before is counted");
    assert_eq!(terms(&json!({})).depth_limit(), 100);
}

#[test]
fn everybody_above_an_owner_is_an_ancestor_and_nobody_else() {
    let tree =
        Tree::from_iter([node(1, None, 0, 1), node(2, Some(1), 1, 1), node(3, Some(2), 2, 0), node(4, None, 0, 0)]);
    let above = |code: &str| ["a1", "a2", "a3", "a4"].map(|address| tree.is_ancestor(code, address));
    assert_eq!(above("C3"), [true, true, false, false]);
    assert_eq!(above("C1"), [false; 4]);
    assert_eq!(above("C9"), [false; 4]);
    let broken = Tree::from_iter([node(1, Some(2), 0, 1), node(2, Some(1), 1, 1)]);
    assert!(!broken.is_ancestor("C1", "a9"), "a broken tree ends");
}

#[test]
fn a_template_is_filled_and_its_values_are_not_searched() {
    let texts = |template: Value, fields: &Value| {
        forward_text(&campaign(&json!({ "forward_template": template }), fields), "F-1")
    };
    let filled = texts(
        json!("{{code}}|{{ campaign_title }}|{{discount}}|{{ends_on}}|{{landing_url}} {x} }}"),
        &json!({
            "title": "{{code}} <b>", "zone": "Europe/Berlin", "ends_at": "2027-04-01T00:00:00+02:00",
            "offer": { "landing_url": "https://shop.example/a?b=1&c=2" },
        }),
    );
    assert_eq!(filled, "F-1|{{code}} <b>|12.5 %|2027-03-31|https://shop.example/a?b=1&c=2 {x} }}");
    assert_eq!(texts(json!("{{ends_on}}{{landing_url}}."), &json!({})), ".");
    assert!(texts(Value::Null, &json!({})).contains("F-1"));
    assert_eq!(html("<a href='x'>\"&\"</a>"), "&lt;a href=&#39;x&#39;&gt;&quot;&amp;&quot;&lt;/a&gt;");
    assert_eq!(header("Hi\r\nBcc: all@example.org\u{2028}x"), "Hi  Bcc: all@example.org x");
}

#[test]
fn a_request_for_a_code_names_every_problem_and_no_address() {
    let problems = |value: Value| {
        let problems = read_referrer(&value).expect_err("problems");
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
    };
    let both = problems(json!({ "campaign": "", "referrer": "carla(at)example.org", "more": 1 }));
    for part in ["/campaign", "/referrer", "one @", "/more"] {
        assert!(both.contains(part), "{both}");
    }
    assert!(!both.contains("carla"), "{both}");
    let read = read_referrer(&json!({ "campaign": "friends", "referrer": "Ann@Example.org" })).expect("a request");
    assert_eq!((&*read.campaign, read.address.plain()), ("friends", "ann@example.org".to_owned()));
    assert!(!format!("{read:?}").contains("ann"));
}
