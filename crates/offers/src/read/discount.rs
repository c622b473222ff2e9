//! Reads discounts.

use crate::discount::rule::{Discount, Effect, MULTIPLES_MAX, SELECTED_MAX, Selector, Target};
use crate::money::{AMOUNT_MAX, BASIS_POINTS_MAX, Money};
use crate::read::node::{Node, Object};

pub(super) fn discount(node: &Node<'_>) -> Option<Discount> {
    let object = node.object(&["effect", "target", "limit_per_order", "cap"])?;
    let effect = object.required("effect").and_then(|node| effect(&node));
    let target = object.required("target").and_then(|node| target(&node));
    let limit_per_order = object.or("limit_per_order", 0, |node| node.count(0, MULTIPLES_MAX));
    let cap = object.optional("cap", |node| node.money(1));
    if let (Some(Effect::Amount(off)), Some(Some(cap))) = (&effect, &cap)
        && off.currency != cap.currency
    {
        let (cap, off) = (cap.currency, off.currency);
        object.wrong("cap/currency", format!("the cap is in {cap} and the discount in {off}; use one currency"));
    }
    if matches!((&effect, &target), (Some(Effect::Amount(_)), Some(Target::BuyGet { .. }))) {
        object.wrong(
            "effect/type",
            "found amount; a discount on buy_get is a percent, 10000 basis points for free units",
        );
    }
    Some(Discount { effect: effect?, target: target?, limit_per_order: limit_per_order?, cap: cap? })
}

/// Reads the field `type`, and then an object with the fields of that type and no others.
fn tagged<'a, T: Copy>(node: &Node<'a>, types: &[(&str, (T, &[&str]))]) -> Option<(T, Object<'a>)> {
    let fields: Vec<&str> = types.iter().flat_map(|(_, (_, fields))| *fields).copied().chain(["type"]).collect();
    let kind = node.object_unchecked()?.required("type");
    let Some((found, own_fields)) = kind.and_then(|kind| kind.choice(types)) else {
        // Fields of no type at all are wrong, whatever the type should be.
        node.object(&fields)?;
        return None;
    };
    let own_fields: Vec<&str> = ["type"].iter().chain(own_fields).copied().collect();
    Some((found, node.object(&own_fields)?))
}

#[derive(Clone, Copy)]
enum EffectType {
    Percent,
    Amount,
}

fn effect(node: &Node<'_>) -> Option<Effect> {
    let types: [(&str, (EffectType, &[&str])); 2] = [
        ("percent", (EffectType::Percent, &["basis_points"])),
        ("amount", (EffectType::Amount, &["amount", "currency"])),
    ];
    let (found, object) = tagged(node, &types)?;
    match found {
        EffectType::Percent => {
            let read = |node: Node<'_>| node.count(1, u64::from(BASIS_POINTS_MAX));
            let basis_points = u32::try_from(object.required("basis_points").and_then(read)?).ok()?;
            Some(Effect::Percent { basis_points })
        }
        EffectType::Amount => {
            let amount = object.required("amount").and_then(|node| node.integer(1, AMOUNT_MAX));
            let currency = object.required("currency").and_then(|node| node.currency());
            Some(Effect::Amount(Money { currency: currency?, amount: amount? }))
        }
    }
}

#[derive(Clone, Copy)]
enum TargetType {
    Order,
    Items,
    Group,
    BuyGet,
}

fn target(node: &Node<'_>) -> Option<Target> {
    let types: [(&str, (TargetType, &[&str])); 4] = [
        ("order", (TargetType::Order, &[])),
        ("items", (TargetType::Items, &["selector"])),
        ("group", (TargetType::Group, &["selector"])),
        ("buy_get", (TargetType::BuyGet, &["buy", "buy_quantity", "get", "get_quantity"])),
    ];
    let (found, object) = tagged(node, &types)?;
    let selected = |name| object.required(name).and_then(|node| selector(&node));
    let quantity = |name| object.required(name).and_then(|node| node.count(1, MULTIPLES_MAX));
    match found {
        TargetType::Order => Some(Target::Order),
        TargetType::Items => Some(Target::Items { selector: selected("selector")? }),
        TargetType::Group => Some(Target::Group { selector: selected("selector")? }),
        TargetType::BuyGet => {
            let (buy, buy_quantity) = (selected("buy"), quantity("buy_quantity"));
            let (get, get_quantity) = (selected("get"), quantity("get_quantity"));
            Some(Target::BuyGet { buy: buy?, buy_quantity: buy_quantity?, get: get?, get_quantity: get_quantity? })
        }
    }
}

fn selector(node: &Node<'_>) -> Option<Selector> {
    let object = node.object(&["all", "skus", "groups", "except_skus"])?;
    let all = object.or("all", false, Node::boolean);
    let texts = |name| object.or(name, Default::default(), |node| node.texts(SELECTED_MAX));
    let (skus, groups, except_skus) = (texts("skus"), texts("groups"), texts("except_skus"));
    let selector = Selector { all: all?, skus: skus?, groups: groups?, except_skus: except_skus? };
    match (selector.all, selector.skus.is_empty() && selector.groups.is_empty()) {
        (true, false) => node.wrong("all is true beside skus or groups; write either all or the lists"),
        (false, true) => node.wrong("nothing is selected; write all: true, or name skus or groups"),
        _ => Some(selector),
    }
}
