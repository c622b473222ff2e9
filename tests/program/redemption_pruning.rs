//! `codemint redemption prune`: no use is given back, no sum changes, and holds stay.

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{cart, change_campaign, definition, judge_redemptions};
use codemint_test_support::roles::url_of_member;
use codemint_test_support::stores::{Kind, TestStore};
use serde_json::json;

use crate::redemptions::{create, run};

const LONG_AGO: &str = "'2020-01-01T00:00:00.000Z'";
const COUNT: &str = "select count(*) from redemptions";
const SUMS: &str = "
    select metric || ' ' || currency || ' ' || cast(sum(amount) as bigint)
      from (select metric, currency, amount from tallies union all
            select metric, currency, amount from tally_deltas) changes
     where metric not like 'pruned%' group by metric, currency order by 1";

/// Uses the code once with a cart, as an identity.
async fn use_code(place: &TestStore, identity: &str, code: i32) -> String {
    std::fs::write(place.path().join("cart.json"), cart(1000).to_string()).expect("a file");
    let ran = run(place, &["redeem", "spring", "--cart", "cart.json", "--identity", identity], code).await;
    format!("{}{}", ran.stdout, ran.stderr)
}

/// Everything that has ended did so long ago; what is held is as old.
async fn age(place: &TestStore) {
    place.execute(&format!("update redemptions set held_at = {LONG_AGO}")).await;
    place.execute(&format!("update redemptions set ended_at = {LONG_AGO} where state <> 'held'")).await;
}

async fn prune(place: &TestStore, args: &[&str]) -> serde_json::Value {
    let prune = ["redemption", "prune", "--older-than", "400d", "--json"];
    place.codemint(prune).args(args).run().await.expect_code(0).json()
}

on_both_stores!(pruned_redemptions_give_no_use_back_and_leave_sums_and_holds_alone);
async fn pruned_redemptions_give_no_use_back_and_leave_sums_and_holds_alone(place: TestStore) {
    let limits = json!({ "limits": { "per_code": 4, "per_identity": 1, "redeemed": 10,
                                     "budget": { "currency": "EUR", "amount": 500 } } });
    create(&place, &limits).await;
    use_code(&place, "ann", 0).await;
    use_code(&place, "bob", 0).await;
    run(&place, &["redeem", "spring", "--hold", "7d", "--identity", "eve", "--cart", "cart.json"], 0).await;
    age(&place).await;
    use_code(&place, "young", 0).await;
    let sums = place.texts(SUMS).await;
    let dry = prune(&place, &["--dry-run"]).await;
    assert_eq!((&dry["dry_run"], &dry["redemptions"]), (&true.into(), &2.into()));
    assert_eq!((place.number(COUNT).await, place.texts(SUMS).await), (4, sums.clone()), "a dry run changes nothing");

    let pruned = prune(&place, &[]).await;
    assert_eq!((&pruned["dry_run"], &pruned["redemptions"]), (&false.into(), &2.into()));
    assert_eq!(place.number(COUNT).await, 2, "a hold and what is younger");
    assert_eq!(place.number("select count(*) from redemptions where state = 'held'").await, 1);
    assert_eq!(place.texts(SUMS).await, sums);
    assert_eq!(place.number("select count(*) from tally_deltas").await, 0, "sums are added up");
    let pruned = "select scope || ' ' || cast(sum(pruned) as bigint) from allowances group by scope order by scope";
    assert_eq!(place.texts(pruned).await, ["budget 200", "campaign 2", "code 2", "identity 2"]);
    judge_redemptions(&place).await;
    assert_names(&use_code(&place, "ann", 3).await, &["identity-limit-reached"]);
    assert_names(&use_code(&place, "new", 3).await, &["limit-reached"]);
    let told = place.texts("select detail || ' ' || count from audit where action = 'prune'").await;
    assert_eq!(told, ["redemptions 2"]);
    assert_eq!(prune(&place, &[]).await["redemptions"], 0);
    assert_eq!(place.texts("select count(*) || '' from audit where action = 'prune'").await, ["1"]);
    judge_redemptions(&place).await;
}

on_both_stores!(a_limit_that_is_introduced_after_pruning_counts_what_was_pruned);
async fn a_limit_that_is_introduced_after_pruning_counts_what_was_pruned(place: TestStore) {
    create(&place, &json!({})).await;
    for identity in ["ann", "bob", "eve"] {
        use_code(&place, identity, 0).await;
    }
    age(&place).await;
    use_code(&place, "young", 0).await;
    assert_eq!(prune(&place, &[]).await["redemptions"], 3);
    let limits = json!({ "limits": { "redeemed": 5, "budget": { "currency": "EUR", "amount": 1000 } } });
    change_campaign(&place, &definition("spring", "public", "SPRING", &limits), 1).await;
    let taken = "select scope || ' ' || taken || ' ' || pruned from allowances order by scope";
    assert_eq!(place.texts(taken).await, ["budget 400 300", "campaign 4 3"]);
    judge_redemptions(&place).await;
    use_code(&place, "new", 0).await;
    assert_names(&use_code(&place, "new", 3).await, &["campaign-limit-reached"]);
    judge_redemptions(&place).await;
}

on_both_stores!(an_age_is_required_and_the_report_names_the_time);
async fn an_age_is_required_and_the_report_names_the_time(place: TestStore) {
    create(&place, &json!({})).await;
    use_code(&place, "ann", 0).await;
    age(&place).await;
    assert_names(&run(&place, &["redemption", "prune"], 2).await.stderr, &["--older-than <AGE>"]);
    assert_names(
        &run(&place, &["redemption", "prune", "--older-than", "1y"], 2).await.stderr,
        &["write a whole number from 1 and h, d or w"],
    );
    let pruned = match place.kind {
        Kind::Sqlite => place.codemint(["redemption", "prune", "--older-than", "400d"]),
        Kind::Postgres => {
            let url = url_of_member(&place.url, "redeemer").await;
            place.codemint(["redemption", "prune", "--older-than", "400d"]).env("CODEMINT__STORE__URL", &url)
        }
    };
    assert_names(&pruned.run().await.expect_code(0).stdout, &["removed: 1 redemption that ended before 20"]);
}
