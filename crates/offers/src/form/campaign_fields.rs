//! The form of a campaign, filled in with a definition.

use std::collections::BTreeSet;

use crate::campaign::definition::{Definition, Purpose};
use crate::discount::rule::{Effect, Selector, Target};
use crate::form::amounts::{amount_text, percent_text};
use crate::form::fields::Fields;
use crate::form::local_time::local_text;
use crate::money::Money;

/// Returns the fields of a form that says this definition.
pub fn fields_of(definition: &Definition) -> Fields {
    let mut form = Form(Fields::default());
    form.text("name", &definition.name);
    form.text("title", &definition.title);
    form.text("kind", definition.kind.into_str());
    form.text("purpose", if definition.purpose == Purpose::Referral { "referral" } else { "regular" });
    form.text("zone", definition.zone.name());
    form.text("mask", &definition.mask.to_string());
    form.check("active", definition.active);
    form.check("combines", !definition.exclusive);
    for (name, at) in [("starts_at", definition.starts_at), ("ends_at", definition.ends_at)] {
        let Some(at) = at else { continue };
        form.text(name, &local_text(at, definition.zone));
        form.text(&format!("{name}_exact"), &at.to_rfc3339());
    }
    let limits = &definition.limits;
    for (name, count) in [
        ("per_code", limits.per_code),
        ("per_identity", limits.per_identity),
        ("redeemed", limits.redeemed),
        ("issued", limits.issued),
        ("wait_days", definition.wait_days_after_deactivation),
    ] {
        form.count(name, count);
    }
    form.money("budget", limits.budget);
    form.discount(definition);
    for (name, values) in [
        ("sources", &definition.sources),
        ("ads", &definition.ads),
        ("affiliates", &definition.affiliates),
        ("segments", &definition.segments),
        ("use_cases", &definition.use_cases),
    ] {
        form.lines(name, values);
    }
    let condition = definition.condition.as_ref().and_then(|condition| serde_json::to_string_pretty(condition).ok());
    form.text("condition", &condition.unwrap_or_default());
    form.text("expression", definition.expression.as_ref().map_or("", |expression| expression.text()));
    if let Some(referral) = &definition.referral {
        form.text("reward_campaign", referral.reward_campaign.as_deref().unwrap_or_default());
        form.count("reward_delay_days", referral.reward_delay_days);
        form.count("max_depth", referral.max_depth);
        form.count("max_codes_per_referrer", referral.max_codes_per_referrer);
        form.text("forward_template", referral.forward_template.as_deref().unwrap_or_default());
    }
    let offer = &definition.offer;
    form.text("offer_text", offer.text.as_deref().unwrap_or_default());
    form.text("image_url", offer.image_url.as_deref().unwrap_or_default());
    form.text("landing_url", offer.landing_url.as_deref().unwrap_or_default());
    form.0
}

/// A form that is being filled in; empty fields are left out.
struct Form(Fields);

impl Form {
    fn text(&mut self, name: &str, value: &str) {
        if !value.is_empty() {
            self.0.set(name, value);
        }
    }

    fn check(&mut self, name: &str, is_checked: bool) {
        self.text(name, if is_checked { "on" } else { "" });
    }

    fn count(&mut self, name: &str, count: u64) {
        if count > 0 {
            self.0.set(name, count.to_string());
        }
    }

    fn money(&mut self, name: &str, money: Option<Money>) {
        let Some(money) = money else { return };
        self.text(name, &amount_text(money.amount, money.currency));
        self.text(&format!("{name}_currency"), money.currency.code());
    }

    fn lines(&mut self, name: &str, values: &BTreeSet<String>) {
        self.text(name, &values.iter().map(String::as_str).collect::<Vec<_>>().join("\n"));
    }

    fn discount(&mut self, definition: &Definition) {
        let discount = &definition.discount;
        match &discount.effect {
            Effect::Percent { basis_points } => {
                self.text("effect", "percent");
                self.text("percent", &percent_text(*basis_points));
            }
            Effect::Amount(money) => {
                self.text("effect", "amount");
                self.money("amount", Some(*money));
            }
        }
        let kind = match &discount.target {
            Target::Order => "order",
            Target::Items { selector } => {
                self.selector("selector", selector);
                "items"
            }
            Target::Group { selector } => {
                self.selector("selector", selector);
                "group"
            }
            Target::BuyGet { buy, buy_quantity, get, get_quantity } => {
                self.selector("buy", buy);
                self.count("buy_quantity", *buy_quantity);
                self.selector("get", get);
                self.count("get_quantity", *get_quantity);
                "buy_get"
            }
        };
        self.text("target", kind);
        self.count("limit_per_order", discount.limit_per_order);
        self.money("cap", discount.cap);
    }

    fn selector(&mut self, name: &str, selector: &Selector) {
        self.lines(&format!("{name}_skus"), &selector.skus);
        self.lines(&format!("{name}_groups"), &selector.groups);
        self.lines(&format!("{name}_except_skus"), &selector.except_skus);
    }
}
