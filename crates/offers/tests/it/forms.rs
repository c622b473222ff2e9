//! The form of a campaign.

use codemint_offers::campaign::definition::Definition;
use codemint_offers::form::campaign::{Draft, PLACES, all_problems, draft, field_of};
use codemint_offers::form::campaign_fields::fields_of;
use codemint_offers::form::fields::Fields;
use codemint_offers::problem::Problem;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use proptest::prelude::{prop_assert_eq, proptest};

use crate::definitions::any_document;
use crate::steps::cases;

fn read(fields: &Fields) -> Result<Definition, Vec<Problem>> {
    let Draft { document, problems } = draft(fields);
    match read_definition(&document, NameFrom::Document) {
        Ok(definition) if problems.is_empty() => Ok(definition),
        Ok(_) => Err(problems),
        Err(of_document) => Err(all_problems(&problems, of_document)),
    }
}

fn fields(pairs: &[(&str, &str)]) -> Fields {
    let valid = [
        ("name", "spring"),
        ("title", "Spring"),
        ("kind", "private"),
        ("mask", "SPRING-####"),
        ("effect", "percent"),
        ("percent", "12.5"),
    ];
    let mut fields = Fields::default();
    for (name, value) in valid.iter().chain(pairs) {
        fields.set(name, *value);
    }
    fields
}

#[test]
fn problems_stand_at_their_fields_each_once() {
    for (name, value, expected) in [
        ("percent", "", ("percent", "write what is taken off")),
        ("percent", "12.345", ("percent", "write a percentage with a point before at most two decimals, such as 12.5")),
        ("percent", "100.01", ("percent", "write a percentage from 0.01 to 100")),
        ("per_code", "-1", ("per_code", "write a whole number, such as 100")),
        ("starts_at", "soon", ("starts_at", "write a day and a time, such as 2027-03-01T00:00")),
        ("budget", "10", ("budget", "name the currency by its three letters, such as EUR")),
        (
            "condition",
            "{",
            ("condition", "this is not JSON, in line 1, column 1; write a condition as docs/campaigns.md shows"),
        ),
    ] {
        let problems = read(&fields(&[(name, value)])).expect_err("a problem");
        let found: Vec<_> = problems
            .iter()
            .map(|problem| (field_of(&problem.field).expect("a field"), problem.message.as_str()))
            .collect();
        assert_eq!(found, [expected], "{name}={value}");
    }
    for ends_at in ["2027-02-01T00:00", "2027-03-01T00:00"] {
        let problems =
            read(&fields(&[("starts_at", "2027-03-01T00:00"), ("ends_at", ends_at)])).expect_err("a problem");
        let advice = "the campaign ends before it begins; write a time after the one in Begins";
        assert_eq!(problems, [Problem::new("/ends_at", advice)]);
    }
    let problems = read(&fields(&[("title", ""), ("mask", "SPRING"), ("zone", "Mars")])).expect_err("problems");
    let found: Vec<_> = problems.iter().filter_map(|problem| field_of(&problem.field)).collect();
    assert_eq!(found, ["title", "zone", "mask"]);
}

#[test]
fn each_field_has_one_place() {
    for (field, place) in PLACES {
        assert_eq!(field_of(place), Some(field));
    }
    assert_eq!(field_of("/discount/target/selector/skus/3"), Some("selector_skus"));
    assert_eq!(field_of("/unknown"), None);
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn prop_a_form_says_the_definition_that_it_was_filled_in_with(document in any_document()) {
        let definition = read_definition(&document, NameFrom::Path("spring")).expect("a definition");
        prop_assert_eq!(read(&fields_of(&definition)), Ok(definition));
    }
}
