//! Figures of reports: from sums to rows, lines and charts.

use chrono::NaiveDate;
use codemint_offers::redemption::tally::Metric;
use codemint_offers::report::chart::Series;
use codemint_offers::report::document::ReportRow;
use codemint_offers::report::figures::Figures;
use serde_json::json;

fn figures(sums: &[(Metric, &str, i64)]) -> Figures {
    let mut figures = Figures::default();
    sums.iter().for_each(|(metric, currency, amount)| figures.add(*metric, currency, *amount));
    figures
}

#[test]
fn the_conversion_is_of_issued_codes_or_else_of_clicks() {
    for (issued, clicks, redeemed, conversion) in [
        (0, 0, 5, None),
        (3, 0, 1, Some(3333)),
        (1832, 0, 658, Some(3592)),
        (0, 8, 2, Some(2500)),
        (4, 8, 4, Some(10_000)),
        // Public codes are not issued, and a code may be used several times.
        (2, 0, 3, None),
        (4, 32, 14, Some(4375)),
        (4, 8, 9, None),
        (1, 0, 0, Some(0)),
        (i64::MAX, 0, i64::MAX, Some(10_000)),
    ] {
        let figures = Figures { issued, clicks, redeemed, ..Figures::default() };
        assert_eq!(figures.conversion(), conversion, "{issued} {clicks} {redeemed}");
    }
}

#[test]
fn a_row_has_the_money_of_its_only_currency_or_that_of_each() {
    let counts =
        [(Metric::Issued, "", 4), (Metric::Redeemed, "", 1), (Metric::Held, "", 9), (Metric::RolledBack, "", 2)];
    let row = serde_json::to_value(ReportRow::new("spring".to_owned(), &figures(&counts))).expect("JSON");
    let mut expected = json!({
        "key": "spring", "issued": 4, "clicks": 0, "redeemed": 1, "rolled_back": 2, "conversion": 0.25,
        "discount": 0, "revenue": 0, "currency": null, "amounts": [],
    });
    assert_eq!(row, expected);

    let euros = [(Metric::Discount, "EUR", 100), (Metric::Revenue, "EUR", 900), (Metric::DiscountHeld, "USD", 7)];
    let euros = [&counts[..], &euros].concat();
    let row = serde_json::to_value(ReportRow::new("spring".to_owned(), &figures(&euros))).expect("JSON");
    expected["discount"] = json!(100);
    expected["revenue"] = json!(900);
    expected["currency"] = json!("EUR");
    expected["amounts"] = json!([{ "currency": "EUR", "discount": 100, "revenue": 900 }]);
    assert_eq!(row, expected);

    let both = [&euros[..], &[(Metric::Discount, "CHF", 30)]].concat();
    let row = ReportRow::new("spring".to_owned(), &figures(&both));
    assert_eq!((row.discount, row.revenue, &row.currency), (None, None, &None));
    let lines: Vec<_> = row.lines().map(|line| (line.issued, line.discount, line.revenue, line.currency)).collect();
    assert_eq!(lines, [(Some(4), 30, 0, "CHF"), (None, 100, 900, "EUR")]);
}

#[test]
fn a_chart_has_every_day_of_its_time_once() {
    let row = |day: &str, redeemed| ReportRow::new(day.to_owned(), &Figures { redeemed, ..Figures::default() });
    let rows = [row("2027-02-27", 5), row("2027-03-01", 7)];
    let day = |day: &str| day.parse::<NaiveDate>().expect("a day");
    let told = |from: Option<&str>, to: Option<&str>| {
        let series = Series::of(&rows, from.map(day), to.map(day));
        series.days.iter().map(|(day, redeemed)| format!("{day} {redeemed}")).collect::<Vec<_>>()
    };
    assert_eq!(told(None, None), ["2027-02-27 5", "2027-02-28 0", "2027-03-01 7"]);
    assert_eq!(told(Some("2027-02-26"), Some("2027-02-28")), ["2027-02-26 0", "2027-02-27 5", "2027-02-28 0"]);
    assert_eq!(told(Some("2027-03-01"), None), ["2027-03-01 7"]);
    assert_eq!(told(None, Some("2027-02-27")), ["2027-02-27 5"]);
    assert_eq!(Series::of(&[], None, None).days, []);
    assert_eq!(Series::of(&[], Some(day("2027-03-01")), Some(day("2027-03-02"))).days.len(), 2);
    assert_eq!(Series::of(&rows, None, None).maximum(), 7);
}
