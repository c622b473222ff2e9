//! The form of a campaign: its fields become the document that programs would send.

use chrono::DateTime;
use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::form::amounts::{basis_points, minor_units, whole};
use crate::form::condition::json_of;
use crate::form::fields::Fields;
use crate::form::local_time::instant;
use crate::money::Currency;
use crate::problem::Problem;

/// The fields of the form, each with the JSON pointer of what it says. Problems of what is below a pointer belong to its field.
pub const PLACES: [(&str, &str); 43] = [
    ("name", "/name"),
    ("title", "/title"),
    ("kind", "/kind"),
    ("purpose", "/purpose"),
    ("active", "/active"),
    ("starts_at", "/starts_at"),
    ("ends_at", "/ends_at"),
    ("zone", "/zone"),
    ("mask", "/mask"),
    ("per_code", "/limits/per_code"),
    ("per_identity", "/limits/per_identity"),
    ("redeemed", "/limits/redeemed"),
    ("issued", "/limits/issued"),
    ("budget", "/limits/budget"),
    ("budget_currency", "/limits/budget/currency"),
    ("effect", "/discount/effect"),
    ("percent", "/discount/effect/basis_points"),
    ("amount", "/discount/effect/amount"),
    ("amount_currency", "/discount/effect/currency"),
    ("target", "/discount/target"),
    ("selector_skus", "/discount/target/selector"),
    ("selector_groups", "/discount/target/selector/groups"),
    ("selector_except_skus", "/discount/target/selector/except_skus"),
    ("buy_skus", "/discount/target/buy"),
    ("buy_quantity", "/discount/target/buy_quantity"),
    ("get_skus", "/discount/target/get"),
    ("get_quantity", "/discount/target/get_quantity"),
    ("limit_per_order", "/discount/limit_per_order"),
    ("cap", "/discount/cap"),
    ("combines", "/exclusive"),
    ("sources", "/sources"),
    ("ads", "/ads"),
    ("affiliates", "/affiliates"),
    ("segments", "/segments"),
    ("use_cases", "/use_cases"),
    ("wait_days", "/wait_days_after_deactivation"),
    ("condition", "/condition"),
    ("expression", "/expression"),
    ("reward_campaign", "/referral"),
    ("forward_template", "/referral/forward_template"),
    ("offer_text", "/offer/text"),
    ("image_url", "/offer/image_url"),
    ("landing_url", "/offer/landing_url"),
];

/// Returns the field of the form that a problem of the document belongs to; none if it concerns the form as a whole.
pub fn field_of(pointer: &str) -> Option<&'static str> {
    let is_at = |place: &str| pointer.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let places = PLACES.iter().filter(|(_, place)| is_at(place));
    places.max_by_key(|(_, place)| place.len()).map(|(field, _)| *field)
}

/// The document that a form says, as far as its fields could be read.
#[derive(Debug)]
pub struct Draft {
    pub document: Value,
    /// What is wrong with fields before anything reads the document.
    pub problems: Vec<Problem>,
}

/// Returns the document of a form, which [`read_definition`](crate::read::campaign::read_definition) reads and checks.
pub fn draft(fields: &Fields) -> Draft {
    let mut form = Form { fields, problems: Vec::new() };
    let zone = fields.text("zone").parse().unwrap_or(Tz::UTC);
    let mut document = Map::new();
    for name in ["name", "title", "kind", "purpose", "zone", "mask"] {
        put(&mut document, name, fields.filled(name).map(Value::from));
    }
    document.insert("active".to_owned(), fields.is_checked("active").into());
    document.insert("exclusive".to_owned(), (!fields.is_checked("combines")).into());
    for name in ["starts_at", "ends_at"] {
        put(&mut document, name, form.time(name, zone));
    }
    form.check_times(&document);
    put(&mut document, "limits", Some(form.limits()));
    put(&mut document, "discount", Some(form.discount()));
    for name in ["sources", "ads", "affiliates", "segments", "use_cases"] {
        document.insert(name.to_owned(), lines(fields, name));
    }
    put(&mut document, "wait_days_after_deactivation", form.count("wait_days"));
    put(&mut document, "condition", form.condition());
    put(&mut document, "expression", fields.filled("expression").map(Value::from));
    if fields.text("purpose") == "referral" {
        document.insert("referral".to_owned(), form.referral());
    }
    document.insert("offer".to_owned(), offer(fields));
    let problems = form.problems;
    Draft { document: document.into(), problems }
}

/// Returns the problems of a form: those of its fields, and those of the document that concern other fields. A field that could not
/// be read is missing in the document, which is no second problem.
pub fn all_problems(draft: &[Problem], of_document: Vec<Problem>) -> Vec<Problem> {
    let concerns = |problem: &Problem| {
        draft
            .iter()
            .any(|known| known.field == problem.field || known.field.starts_with(&format!("{}/", problem.field)))
    };
    draft.iter().cloned().chain(of_document.into_iter().filter(|problem| !concerns(problem))).collect()
}

fn put(map: &mut Map<String, Value>, name: &str, value: Option<Value>) {
    map.extend(value.map(|value| (name.to_owned(), value)));
}

fn lines(fields: &Fields, name: &str) -> Value {
    fields.lines(name).map(Value::from).collect::<Vec<_>>().into()
}

fn offer(fields: &Fields) -> Value {
    let mut offer = Map::new();
    put(&mut offer, "text", fields.filled("offer_text").map(Value::from));
    for name in ["image_url", "landing_url"] {
        put(&mut offer, name, fields.filled(name).map(Value::from));
    }
    offer.into()
}

/// A form and its problems so far.
struct Form<'a> {
    fields: &'a Fields,
    problems: Vec<Problem>,
}

impl Form<'_> {
    fn wrong(&mut self, field: &str, advice: impl Into<String>) {
        let place = PLACES.iter().find(|(name, _)| *name == field).map_or(field, |(_, place)| place);
        self.problems.push(Problem::new(place, advice));
    }

    /// Reads a field if it is filled in.
    fn read<T: Into<Value>, E: Into<String>>(
        &mut self,
        field: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<Value> {
        match read(self.fields.filled(field)?) {
            Ok(value) => Some(value.into()),
            Err(advice) => {
                self.wrong(field, advice);
                None
            }
        }
    }

    fn count(&mut self, field: &str) -> Option<Value> {
        self.read(field, whole)
    }

    fn time(&mut self, field: &str, zone: Tz) -> Option<Value> {
        let unchanged = self.fields.text(&format!("{field}_exact")).parse().ok();
        self.read(field, |text| instant(text, zone, unchanged).map(|at| at.to_rfc3339()))
    }

    /// Programs name the times otherwise than the form does.
    fn check_times(&mut self, document: &Map<String, Value>) {
        let time = |name| DateTime::parse_from_rfc3339(document.get(name)?.as_str()?).ok();
        if let (Some(starts_at), Some(ends_at)) = (time("starts_at"), time("ends_at"))
            && starts_at >= ends_at
        {
            self.wrong("ends_at", "the campaign ends before it begins; write a time after the one in Begins");
        }
    }

    /// Reads an amount and its currency, if the amount is filled in.
    fn money(&mut self, field: &str) -> Option<Value> {
        let code = self.fields.text(&format!("{field}_currency")).to_ascii_uppercase();
        self.fields.filled(field)?;
        let Some(currency) = Currency::from_code(&code) else {
            self.wrong(field, "name the currency by its three letters, such as EUR");
            return None;
        };
        let amount = self.read(field, |text| minor_units(text, currency))?;
        Some(json!({ "currency": code, "amount": amount }))
    }

    fn limits(&mut self) -> Value {
        let mut limits = Map::new();
        for name in ["per_code", "per_identity", "redeemed", "issued"] {
            put(&mut limits, name, self.count(name));
        }
        put(&mut limits, "budget", self.money("budget"));
        limits.into()
    }

    fn discount(&mut self) -> Value {
        let mut discount = Map::new();
        let effect = match self.fields.text("effect") {
            "amount" => self.money("amount").map(|mut money| {
                money["type"] = "amount".into();
                money
            }),
            _ => {
                let points = self.read("percent", basis_points);
                points.map(|points| json!({ "type": "percent", "basis_points": points }))
            }
        };
        let is_percent = self.fields.text("effect") != "amount";
        if effect.is_none() {
            let field = if is_percent { "percent" } else { "amount" };
            if self.fields.filled(field).is_none() {
                self.wrong(field, "write what is taken off");
            }
        }
        put(&mut discount, "effect", effect);
        discount.insert("target".to_owned(), self.target());
        put(&mut discount, "limit_per_order", self.count("limit_per_order"));
        put(&mut discount, "cap", self.money("cap"));
        discount.into()
    }

    fn target(&mut self) -> Value {
        match self.fields.text("target") {
            kind @ ("items" | "group") => json!({ "type": kind, "selector": self.selector("selector") }),
            "buy_get" => {
                let mut target = Map::new();
                target.insert("type".to_owned(), "buy_get".into());
                for name in ["buy", "get"] {
                    target.insert(name.to_owned(), self.selector(name));
                    let field = format!("{name}_quantity");
                    put(&mut target, &field, self.count(&field));
                }
                target.into()
            }
            _ => json!({ "type": "order" }),
        }
    }

    /// Without SKUs and groups, everything is selected.
    fn selector(&self, name: &str) -> Value {
        let mut selector = Map::new();
        for list in ["skus", "groups", "except_skus"] {
            let values = lines(self.fields, &format!("{name}_{list}"));
            put(&mut selector, list, Some(values).filter(|values| values != &json!([])));
        }
        if !selector.contains_key("skus") && !selector.contains_key("groups") {
            selector.insert("all".to_owned(), true.into());
        }
        selector.into()
    }

    fn condition(&mut self) -> Option<Value> {
        self.read("condition", json_of)
    }

    fn referral(&mut self) -> Value {
        let mut referral = Map::new();
        for name in ["reward_campaign", "forward_template"] {
            put(&mut referral, name, self.fields.filled(name).map(Value::from));
        }
        for name in ["reward_delay_days", "max_depth", "max_codes_per_referrer"] {
            put(&mut referral, name, self.count(name));
        }
        referral.into()
    }
}
