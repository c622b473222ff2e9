//! The form of a rule for affiliates, with its periods in rows.

use chrono_tz::Tz;
use serde_json::{Map, Value, json};

use crate::affiliate::rule::{PERIODS_MAX, Rule};
use crate::form::fields::Fields;
use crate::form::local_time::{instant, local_text};
use crate::problem::Problem;

/// The fields of the form, each with the JSON pointer of what it says.
const PLACES: [(&str, &str); 6] = [
    ("/name", "name"),
    ("/mask", "mask"),
    ("/prefix", "prefix"),
    ("/campaign", "campaign"),
    ("/priority", "priority"),
    ("/zone", "zone"),
];

/// The document that a form says, as far as its fields could be read.
#[derive(Debug)]
pub struct RuleDraft {
    pub document: Value,
    /// What is wrong with fields before anything reads the document.
    pub problems: Vec<Problem>,
    /// The row of each period.
    rows: Vec<[String; 2]>,
}

/// Returns the document of a form, which [`read_rule`](crate::read::affiliate::read_rule) reads and checks. Times are on the clock of the
/// zone that the form names, or else of this one. Rows without a time are left out.
pub fn rule_draft(fields: &Fields, zone_of_campaign: Tz) -> RuleDraft {
    let mut draft = RuleDraft { document: Value::Null, problems: Vec::new(), rows: Vec::new() };
    let zone = match fields.filled("zone").map(str::parse) {
        None => zone_of_campaign,
        Some(Ok(zone)) => zone,
        Some(Err(_unknown)) => {
            draft.wrong("/zone", "no such time zone; write one such as Europe/Berlin");
            zone_of_campaign
        }
    };
    let mut document = Map::new();
    for name in ["mask", "prefix", "campaign"] {
        document.extend(fields.filled(name).map(|text| (name.to_owned(), text.into())));
    }
    document.insert("active".to_owned(), fields.is_checked("active").into());
    if let Some(text) = fields.filled("priority") {
        match text.parse::<i64>() {
            Ok(priority) => drop(document.insert("priority".to_owned(), priority.into())),
            Err(_no_number) => draft.wrong("/priority", "write a whole number, such as 0 or -1"),
        }
    }
    let periods: Vec<Value> = (0..PERIODS_MAX).filter_map(|row| draft.period(fields, row, zone)).collect();
    document.insert("periods".to_owned(), periods.into());
    draft.document = document.into();
    draft
}

impl RuleDraft {
    /// Returns the field that a problem belongs to; none if it concerns the form as a whole.
    pub fn field_of(&self, pointer: &str) -> Option<&str> {
        if let Some((_, field)) = PLACES.iter().find(|(place, _)| *place == pointer) {
            return Some(field);
        }
        let place = pointer.strip_prefix("/periods/")?;
        let (number, end) = place.split_once('/').unwrap_or((place, "from"));
        let row = self.rows.get(number.parse::<usize>().ok()?)?;
        row.get(usize::from(end == "to")).map(String::as_str)
    }

    fn wrong(&mut self, pointer: &str, advice: impl Into<String>) {
        self.problems.push(Problem::new(pointer, advice));
    }

    fn period(&mut self, fields: &Fields, row: usize, zone: Tz) -> Option<Value> {
        let names = names_of(row);
        if names.iter().all(|name| fields.filled(name).is_none()) {
            return None;
        }
        let number = self.rows.len();
        let [from, to] = &names;
        let from = self.time(fields, from, &format!("/periods/{number}/from"), zone);
        let to = self.time(fields, to, &format!("/periods/{number}/to"), zone);
        self.rows.push(names);
        Some(json!({ "from": from, "to": to }))
    }

    fn time(&mut self, fields: &Fields, name: &str, pointer: &str, zone: Tz) -> Option<String> {
        let unchanged = fields.text(&format!("{name}_exact")).parse().ok();
        match instant(fields.filled(name)?, zone, unchanged) {
            Ok(at) => Some(at.to_rfc3339()),
            Err(advice) => {
                self.wrong(pointer, advice);
                None
            }
        }
    }
}

/// Returns the names of the two fields of a row.
pub fn names_of(row: usize) -> [String; 2] {
    [format!("from_{row}"), format!("to_{row}")]
}

/// Returns the number of rows that a form with these fields needs.
pub fn rows_in(fields: &Fields) -> usize {
    let is_filled = |row: &usize| names_of(*row).iter().any(|name| fields.filled(name).is_some());
    (0..PERIODS_MAX).filter(is_filled).max().map_or(0, |last| last + 1)
}

/// Returns the fields of a form that says this rule, with times on the clock of a zone.
pub fn fields_of_rule(rule: &Rule, zone: Tz) -> Fields {
    let mut fields = Fields::default();
    let texts =
        [("name", &rule.name), ("mask", &rule.mask_text), ("prefix", &rule.prefix), ("campaign", &rule.campaign)];
    for (name, text) in texts {
        fields.set(name, text.as_str());
    }
    fields.set("active", if rule.active { "on" } else { "" });
    fields.set("priority", rule.priority.to_string());
    fields.set("zone", zone.name());
    // One without beginning and end covers all others.
    let is_always = rule.periods.iter().any(|period| period.from.is_none() && period.to.is_none());
    for (row, period) in rule.periods.iter().enumerate().filter(|_| !is_always) {
        for (name, at) in names_of(row).iter().zip([period.from, period.to]) {
            let Some(at) = at.map(|at| at.fixed_offset()) else { continue };
            fields.set(name, local_text(at, zone));
            fields.set(&format!("{name}_exact"), at.to_rfc3339());
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::read::affiliate::read_rule;

    const BERLIN: Tz = chrono_tz::Europe::Berlin;

    fn rule(periods: &Value) -> Rule {
        let document = json!({ "mask": "0#########", "prefix": "FCH", "campaign": "choc", "active": false, "priority": -2, "periods": periods });
        read_rule("choc-2027", &document).expect("a rule")
    }

    #[test]
    fn saving_a_rule_unchanged_changes_nothing() {
        for periods in [
            json!([]),
            json!([{ "from": "2027-01-01T00:00:00Z", "to": null }]),
            json!([{ "from": null, "to": "2027-01-01T00:00:00Z" }, { "from": "2027-10-31T01:30:00Z", "to": "2027-11-01T12:34:56.789Z" }]),
        ] {
            let rule = rule(&periods);
            let draft = rule_draft(&fields_of_rule(&rule, BERLIN), chrono_tz::Tz::UTC);
            assert!(draft.problems.is_empty(), "{:?}", draft.problems);
            assert_eq!(read_rule("choc-2027", &draft.document), Ok(rule));
        }
        let always = rule(&json!([{ "from": null, "to": null }, { "from": "2027-01-01T00:00:00Z", "to": null }]));
        let draft = rule_draft(&fields_of_rule(&always, BERLIN), BERLIN);
        assert_eq!(draft.document["periods"], json!([]), "a rule that always applies still does");
    }

    #[test]
    fn spare_rows_are_left_out_and_problems_find_their_row() {
        let mut fields = Fields::default();
        for (name, value) in [
            ("mask", "0###"),
            ("campaign", "choc"),
            ("from_1", "2027-03-01T00:00"),
            ("to_1", "2027-02-01T00:00"),
            ("from_4", "soon"),
            ("priority", "high"),
            ("zone", "Mars/Base"),
        ] {
            fields.set(name, value);
        }
        let draft = rule_draft(&fields, BERLIN);
        let wrong: Vec<&str> = draft.problems.iter().filter_map(|problem| draft.field_of(&problem.field)).collect();
        assert_eq!((wrong, rows_in(&fields)), (vec!["zone", "priority", "from_4"], 5));
        assert_eq!(
            draft.document["periods"][0],
            json!({ "from": "2027-03-01T00:00:00+01:00", "to": "2027-02-01T00:00:00+01:00" })
        );
        let problems = read_rule("a", &draft.document).expect_err("it ends before it begins");
        assert_eq!(draft.field_of(&problems[0].field), Some("to_1"));
        assert_eq!(
            (draft.field_of("/mask"), draft.field_of("/periods/1/from"), draft.field_of("")),
            (Some("mask"), Some("from_4"), None)
        );
    }
}
