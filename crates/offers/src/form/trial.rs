//! The form in which somebody tries a code with a sample cart: its fields become the request that a shop would send.

use serde_json::{Map, Value, json};

use crate::form::amounts::{minor_units, whole};
use crate::form::fields::Fields;
use crate::money::Currency;
use crate::problem::Problem;
use crate::read::request::read_request;
use crate::redemption::request::Request;

/// The number of lines that the cart of the form has.
pub const LINES: usize = 4;

/// Reads the form. Without a code, the request has `without_code`, which belongs to no campaign.
///
/// # Errors
/// Every problem, by the name of the field.
pub fn read_trial(fields: &Fields, without_code: &str) -> Result<Request, Vec<Problem>> {
    let mut problems = Vec::new();
    let (rows, lines): (Vec<usize>, Vec<Value>) = lines(fields, &mut problems).into_iter().unzip();
    let mut request = Map::new();
    request.insert("code".to_owned(), fields.filled("code").unwrap_or(without_code).into());
    request.extend(fields.filled("identity").map(|identity| ("identity".to_owned(), identity.into())));
    let mut context = Map::new();
    for name in ["source", "ad", "affiliate", "use_case"] {
        context.extend(fields.filled(name).map(|value| (name.to_owned(), value.into())));
    }
    let segments: Vec<&str> =
        fields.text("segments").split(',').map(str::trim).filter(|name| !name.is_empty()).collect();
    context.insert("segments".to_owned(), json!(segments));
    request.insert("context".to_owned(), context.into());
    if !lines.is_empty() {
        let currency = fields.text("currency").to_ascii_uppercase();
        request.insert("cart".to_owned(), json!({ "currency": currency, "lines": lines }));
    }
    match read_request(&request.into()) {
        Ok(request) if problems.is_empty() => Ok(request),
        Ok(_partly_read) => Err(problems),
        Err(of_request) => {
            let named = |problem: Problem| Problem::new(field_of(&problem.field, &rows), problem.message);
            problems.extend(of_request.into_iter().map(named));
            Err(problems)
        }
    }
}

/// Reads the lines of the cart that are filled in, each with the number of its row in the form.
fn lines(fields: &Fields, problems: &mut Vec<Problem>) -> Vec<(usize, Value)> {
    let currency = Currency::from_code(&fields.text("currency").to_ascii_uppercase());
    let mut lines = Vec::new();
    for at in 0..LINES {
        let name = |column: &str| format!("{column}_{at}");
        let Some(sku) = fields.filled(&name("sku")) else {
            if ["groups", "quantity", "price"].iter().any(|column| fields.filled(&name(column)).is_some()) {
                problems.push(Problem::new(name("sku"), "name the item, or leave the whole line empty"));
            }
            continue;
        };
        let mut read = |column: &str, value: Result<u64, String>| {
            value.map_err(|advice| problems.push(Problem::new(name(column), advice))).unwrap_or_default()
        };
        let quantity = fields.filled(&name("quantity")).unwrap_or("1");
        let quantity = read("quantity", whole(quantity).map_err(str::to_owned));
        let price = match currency {
            Some(currency) => read("price", minor_units(fields.text(&name("price")), currency)),
            None => 0,
        };
        let groups = fields.text(&name("groups"));
        let groups: Vec<&str> = groups.split(',').map(str::trim).filter(|group| !group.is_empty()).collect();
        lines.push((at, json!({ "sku": sku, "groups": groups, "quantity": quantity, "unit_amount": price })));
    }
    lines
}

/// Returns the field that a problem of the request belongs to. `rows` has the number of the row of each line.
fn field_of(pointer: &str, rows: &[usize]) -> String {
    let parts: Vec<&str> = pointer.split('/').skip(1).collect();
    match parts.as_slice() {
        ["cart", "lines", at, column, ..] => {
            let column = if *column == "unit_amount" { "price" } else { column };
            let row = at.parse::<usize>().ok().and_then(|at| rows.get(at));
            row.map_or_else(String::new, |row| format!("{column}_{row}"))
        }
        ["cart", "currency", ..] => "currency".to_owned(),
        ["context", name, ..] | [name, ..] => (*name).to_owned(),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Fields {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<Vec<_>>().into()
    }

    #[test]
    fn a_filled_form_is_the_request_of_a_shop() {
        let form = fields(&[
            ("code", "SPRING-1"),
            ("currency", "eur"),
            ("sku_0", "DOG"),
            ("groups_0", "dogs, toys"),
            ("quantity_0", "2"),
            ("price_0", "19.99"),
            ("segments", "gold, new"),
            ("source", "mail"),
        ]);
        let request = read_trial(&form, "NONE").expect("a request");
        let cart = request.cart.as_ref().expect("a cart");
        assert_eq!((cart.amount(), cart.currency().code(), cart.lines()[0].groups.len()), (3998, "EUR", 2));
        assert_eq!(request.context.source.as_deref(), Some("mail"));
        assert_eq!(read_trial(&fields(&[]), "NONE").expect("a request").code, "NONE");
    }

    #[test]
    fn problems_name_their_fields() {
        let form = fields(&[("currency", "XXQ"), ("sku_0", "A"), ("price_0", "1"), ("quantity_0", "many")]);
        let problems = read_trial(&form, "NONE").expect_err("problems");
        let names: Vec<&str> = problems.iter().map(|problem| problem.field.as_str()).collect();
        assert_eq!(names, ["quantity_0", "currency", "quantity_0"]);
        let form = fields(&[("currency", "EUR"), ("sku_1", "A"), ("price_1", "1.234")]);
        let problems = read_trial(&form, "NONE").expect_err("problems");
        assert_eq!(problems[0].field, "price_1");
    }

    #[test]
    fn regression_a_line_without_an_item_is_a_problem_of_its_row() {
        for column in ["groups", "quantity", "price"] {
            let form = fields(&[("currency", "EUR"), ("sku_0", "A"), ("price_0", "1"), (&format!("{column}_2"), "2")]);
            let problems = read_trial(&form, "NONE").expect_err("problems");
            assert_eq!(problems, [Problem::new("sku_2", "name the item, or leave the whole line empty")], "{column}");
        }
        let form = fields(&[("currency", "EUR"), ("sku_2", "A"), ("quantity_2", "0"), ("price_2", "1")]);
        assert_eq!(read_trial(&form, "NONE").expect_err("problems")[0].field, "quantity_2");
    }
}
