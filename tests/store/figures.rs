//! Sums of facts: reports are made of them, and a recount proves them.

use std::time::Duration;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use codemint_campaigns::clicking::ClickCounter;
use codemint_campaigns::issuing::Issuer;
use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::transition::Action;
use codemint_offers::report::document::ReportRow;
use codemint_offers::report::figures::Subject;
use codemint_store::connection::error::StoreError;
use codemint_store::figures::clicks::Click;
use codemint_store::figures::recount::Recount;
use codemint_store::figures::report::ReportFilter;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{asking, cart, create_campaign, definition, granted, judge_redemptions};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;
use uuid::Uuid;

const LONG: Duration = Duration::from_secs(60);

async fn recount(place: &TestStore) -> Recount {
    place.store.recount::<StoreError>(&DefinitionCache::default(), || Ok(())).await.expect("a recount")
}

fn click(place_no: i64, source: Option<&str>, day: NaiveDate) -> Click {
    let at = day.and_hms_opt(12, 0, 0).expect("a time").and_utc();
    let source = source.map(str::to_owned);
    Click { id: Uuid::now_v7(), campaign_no: place_no, source, ad: None, affiliate: None, day, at }
}

fn today() -> NaiveDate {
    Utc::now().date_naive()
}

async fn rows(place: &TestStore, subject: Subject) -> Vec<ReportRow> {
    let filter = ReportFilter { subject, from: None, to: None, campaign_no: None };
    place.store.report(&filter).await.expect("a report").expect("few sums")
}

/// A store with issued codes, clicks and redemptions: `club` is restricted, `top` is public.
async fn busy_store(place: &TestStore) -> Redeemer {
    create_campaign(place, &definition("club", "restricted", "CLUB-####", &json!({})), 20).await;
    create_campaign(place, &definition("top", "public", "TOP", &json!({})), 1).await;
    let issuer = Issuer::start(&place.store);
    for number in 0..5 {
        issuer.issue("club", &format!("customer {number}")).await.expect("an answer");
    }
    let clicks = ClickCounter::start(&place.store);
    let day = today();
    for source in [None, Some("mail"), Some("mail"), Some("=1+1")] {
        clicks.count(click(2, source, day));
    }
    assert_eq!(clicks.finish(LONG).await, 0, "all are stored");
    let redeemer = Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer");
    let mut ids = Vec::new();
    for source in ["mail", "mail", "web"] {
        let request = asking("TOP", &json!({ "cart": cart(1000), "context": { "source": source } }));
        ids.push(Uuid::now_v7());
        granted(redeemer.redeem(ids[ids.len() - 1], request, true).await.expect("an answer"));
    }
    let back = Action::RollBack { keep_use: false };
    redeemer.act(ids[2], back).await.expect("an answer");
    redeemer
}

on_both_stores!(a_report_shows_what_happened_whether_it_is_added_up_or_not);
async fn a_report_shows_what_happened_whether_it_is_added_up_or_not(place: TestStore) {
    let _redeemer = busy_store(&place).await;
    let expected = json!([
        { "key": "club", "issued": 5, "clicks": 0, "redeemed": 0, "rolled_back": 0, "conversion": 0.0, "discount": 0, "revenue": 0,
          "currency": null, "amounts": [] },
        { "key": "top", "issued": 0, "clicks": 4, "redeemed": 2, "rolled_back": 1, "conversion": 0.5, "discount": 200,
          "revenue": 2000, "currency": "EUR", "amounts": [{ "currency": "EUR", "discount": 200, "revenue": 2000 }] },
    ]);
    assert!(place.number("select count(*) from tally_deltas").await > 0);
    assert_eq!(serde_json::to_value(rows(&place, Subject::Campaigns).await).expect("JSON"), expected);
    while place.store.add_up_tallies().await.expect("sums") > 0 {}
    assert_eq!(serde_json::to_value(rows(&place, Subject::Campaigns).await).expect("JSON"), expected);

    let counts = async |subject| {
        let told = |row: ReportRow| format!("{} {} {} {}", row.key, row.issued, row.clicks, row.redeemed);
        rows(&place, subject).await.into_iter().map(told).collect::<Vec<_>>()
    };
    assert_eq!(counts(Subject::Sources).await, [" 5 1 0", "=1+1 0 1 0", "mail 0 2 2", "web 0 0 0"]);
    assert_eq!(counts(Subject::Days).await, [format!("{} 5 4 2", today())]);
    assert_eq!(counts(Subject::Ads).await, [" 5 4 2"]);
    assert_eq!(counts(Subject::Affiliates).await, [" 5 4 2"]);

    let only = |from: i64, to: i64, campaign_no| ReportFilter {
        subject: Subject::Sources,
        from: Some(today() + TimeDelta::days(from)),
        to: Some(today() + TimeDelta::days(to)),
        campaign_no,
    };
    let found =
        async |filter: ReportFilter| place.store.report(&filter).await.expect("a report").expect("few sums").len();
    assert_eq!(found(only(0, 0, None)).await, 4);
    assert_eq!(found(only(1, 9, None)).await, 0);
    assert_eq!(found(only(-9, -1, None)).await, 0);
    assert_eq!(found(only(-1, 1, Some(1))).await, 1, "codes of the club were issued without a source");
}

on_both_stores!(regression_a_recount_counts_the_redemption_with_the_lowest_id);
async fn regression_a_recount_counts_the_redemption_with_the_lowest_id(place: TestStore) {
    create_campaign(&place, &definition("top", "public", "TOP", &json!({})), 1).await;
    let redeemer = Redeemer::start(&place.store, RedeemerOptions::default()).await.expect("a redeemer");
    for id in [Uuid::nil(), Uuid::now_v7()] {
        granted(redeemer.redeem(id, asking("TOP", &json!({ "cart": cart(1000) })), true).await.expect("an answer"));
    }
    let found = recount(&place).await;
    assert_eq!((found.redemptions, found.differences), (2, Vec::new()));
}

on_both_stores!(a_recount_equals_the_sums_until_one_is_damaged_and_corrects_it);
async fn a_recount_equals_the_sums_until_one_is_damaged_and_corrects_it(place: TestStore) {
    let _redeemer = busy_store(&place).await;
    judge_redemptions(&place).await;
    let sound = recount(&place).await;
    assert_eq!((sound.redemptions, sound.issued, sound.clicks), (3, 5, 4));
    assert_eq!(sound.differences, []);
    let damages = [
        ("update tally_deltas set amount = amount + 1 where metric = 'clicks' and source = 'mail'", "clicks", 3, 2),
        ("delete from clicks where source is null", "clicks", 1, 0),
        ("update assignments set day = '2020-02-29'", "issued", 0, 5),
        ("delete from tally_deltas where metric = 'rolled_back'", "rolled_back", 0, 1),
        ("update redemptions set discount = 99, lines = null where source = 'mail'", "discount", 200, 198),
    ];
    for (number, (damage, metric, sum, counted)) in (1..).zip(damages) {
        place.execute(damage).await;
        let found = recount(&place).await.differences;
        let of_metric = found.iter().find(|difference| difference.metric == metric);
        assert_eq!(of_metric.map(|one| (one.sum, one.counted)), Some((sum, counted)), "{damage}: {found:?}");
        place.store.correct_sums(&found).await.expect("a correction");
        assert_eq!(recount(&place).await.differences, [], "{damage}");
        let audited = "select count(*) from audit where action = 'sums_correct'";
        assert_eq!(place.number(audited).await, number);
    }
}

on_both_stores!(removed_clicks_stay_in_the_sums_and_a_repeated_write_adds_none);
async fn removed_clicks_stay_in_the_sums_and_a_repeated_write_adds_none(place: TestStore) {
    create_campaign(&place, &definition("top", "public", "TOP", &json!({})), 1).await;
    let day = "2027-03-01".parse().expect("a day");
    let clicks: Vec<Click> = (0..7).map(|_| click(1, Some("mail"), day)).collect();
    place.store.put_clicks(&clicks[..5]).await.expect("clicks");
    // As after a commit whose answer was lost.
    place.store.put_clicks(&clicks).await.expect("clicks");
    let told =
        async || rows(&place, Subject::Days).await.iter().map(|row| (row.key.clone(), row.clicks)).collect::<Vec<_>>();
    let expected = [("2027-03-01".to_owned(), 7)];
    assert_eq!(told().await, expected);
    let after: DateTime<Utc> = "2027-03-02T00:00:00Z".parse().expect("a time");
    assert_eq!(place.store.count_prunable_clicks(after).await.expect("a count"), 7);
    assert_eq!(place.store.prune_clicks(after).await.expect("a removal"), 7);
    assert_eq!(place.store.prune_clicks(after).await.expect("a removal"), 0);
    assert_eq!(place.number("select count(*) from clicks").await, 0);
    assert_eq!(told().await, expected);
    assert_eq!(recount(&place).await.differences, []);
    while place.store.add_up_tallies().await.expect("sums") > 0 {}
    assert_eq!(told().await, expected);
    assert_eq!(recount(&place).await.differences, []);
    judge_redemptions(&place).await;
}

on_both_stores!(clicks_of_too_many_origins_are_counted_without_theirs);
async fn clicks_of_too_many_origins_are_counted_without_theirs(place: TestStore) {
    create_campaign(&place, &definition("top", "public", "TOP", &json!({})), 1).await;
    let clicks = ClickCounter::start(&place.store);
    for number in 0..10_200 {
        clicks.count(click(1, Some(&number.to_string()), today()));
    }
    clicks.count(click(1, Some("7"), today()));
    // The next day begins anew.
    clicks.count(click(1, Some("tomorrow"), today() + TimeDelta::days(1)));
    assert_eq!(clicks.finish(LONG).await, 0);
    assert_eq!(place.number("select count(*) from clicks").await, 10_202);
    assert_eq!(place.number("select count(*) from clicks where source = 'tomorrow'").await, 1);
    assert_eq!(place.number("select count(*) from clicks where source is null").await, 200);
    assert_eq!(place.number("select count(*) from clicks where source = '7'").await, 2);
    assert_eq!(recount(&place).await.differences, []);
}

on_both_stores!(codes_count_on_the_day_of_their_campaigns_zone_however_they_are_issued);
async fn codes_count_on_the_day_of_their_campaigns_zone_however_they_are_issued(place: TestStore) {
    // Between them, there are always two days.
    for (name, mask, zone) in [("east", "EAST-####", "Pacific/Kiritimati"), ("west", "WEST-####", "Pacific/Pago_Pago")]
    {
        create_campaign(&place, &definition(name, "restricted", mask, &json!({ "zone": zone })), 5).await;
        let issuer = Issuer::start(&place.store);
        issuer.issue(name, "ann").await.expect("an answer");
        std::fs::write(place.path().join("list.txt"), "bob\ncarol\n").expect("a file");
        let args = ["campaign", "codes", name, "--json", "--identities", "list.txt"];
        let list = place.codemint(args).run().await.expect_code(0).json();
        assert_eq!(list["minted"], 2, "{list}");
    }
    let days: Vec<(String, i64)> =
        rows(&place, Subject::Days).await.into_iter().map(|row| (row.key, row.issued)).collect();
    assert_eq!(days.iter().map(|(_, issued)| *issued).collect::<Vec<_>>(), [3, 3], "{days:?}");
    assert_eq!(recount(&place).await.differences, []);
    assert_eq!(place.number("select count(*) from assignments where day is null").await, 0);
}

/// One process at a time adds up: another one does not wait for it, and leaves the changes to it.
#[tokio::test]
async fn changes_that_another_process_adds_up_are_left_to_it() {
    let place = TestStore::postgres().await;
    let _redeemer = busy_store(&place).await;
    let waiting = place.number("select count(*) from tally_deltas").await;
    assert!(waiting > 0);
    let mut other = PgConnection::connect(&place.url).await.expect("a connection");
    let mut transaction = other.begin().await.expect("a transaction");
    // "CMNT", and the number of the lock for sums.
    let lock = sqlx::query("select pg_advisory_xact_lock(x'434d4e54'::integer, -2)");
    lock.execute(&mut *transaction).await.expect("a lock");
    let added = timeout(LONG, place.store.add_up_tallies()).await.expect("nobody waits for the lock");
    assert_eq!(added.expect("sums"), 0);
    assert_eq!(place.number("select count(*) from tally_deltas").await, waiting);
    transaction.rollback().await.expect("an end");
    assert_eq!(place.store.add_up_tallies().await.expect("sums"), waiting.cast_unsigned());
    assert_eq!(place.number("select count(*) from tally_deltas").await, 0);
}

on_both_stores!(regression_sums_end_at_the_largest_number_and_nothing_else_stops);
async fn regression_sums_end_at_the_largest_number_and_nothing_else_stops(place: TestStore) {
    create_campaign(&place, &definition("top", "public", "TOP", &json!({})), 1).await;
    let huge = async |day: NaiveDate, amount: i64, times: usize| {
        let row = format!("(1, '{day}', '', '', '', 'EUR', 'revenue', {amount})");
        let rows = vec![row; times].join(", ");
        let insert =
            "insert into tally_deltas (campaign_no, day, source, ad, affiliate, currency, metric, amount) values";
        place.execute(&format!("{insert} {rows}")).await;
    };
    let yesterday = today() - TimeDelta::days(1);
    let revenue = async || rows(&place, Subject::Campaigns).await[0].amounts[0].revenue;
    // Two of them are beyond the range in one sum, and one day is beyond it with the other.
    huge(yesterday, i64::MAX - 7, 1).await;
    assert_eq!(revenue().await, i64::MAX - 7, "exact up to the end");
    huge(yesterday, 1_000_000_000_000_000, 20).await;
    huge(today(), i64::MAX / 2, 3).await;
    assert_eq!(revenue().await, i64::MAX);
    assert_eq!(
        place.store.read_sums(&[1]).await.expect("sums")[&1][&("revenue".to_owned(), "EUR".to_owned())],
        i64::MAX
    );
    while place.store.add_up_tallies().await.expect("sums") > 0 {}
    huge(today(), 1_000_000_000_000_000, 1).await;
    while place.store.add_up_tallies().await.expect("sums") > 0 {}
    assert_eq!(revenue().await, i64::MAX);
    let recount = recount(&place).await;
    assert_eq!(recount.differences.len(), 2, "{recount:?}");
    place.store.correct_sums(&recount.differences).await.expect("a correction");
    while place.store.add_up_tallies().await.expect("sums") > 0 {}
    assert!(rows(&place, Subject::Campaigns).await.is_empty());
}
