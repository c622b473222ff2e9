//! `codemint demo`: an empty store is filled, everything in it holds, and it follows from the seed.

use std::collections::BTreeSet;

use codemint_test_support::cli_steps::assert_names;
use codemint_test_support::codemint::{finish, send_signal};
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::judge_redemptions;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use serde_json::{Value, json};

const UNTIL: [&str; 2] = ["--until", "2026-10-20"];

async fn fill(place: &TestStore, args: &[&str]) -> Value {
    let mut report = place.codemint(["demo", "--json"]).args(UNTIL).args(args).run().await.expect_code(0).json();
    for varying in ["seconds", "store"] {
        report.as_object_mut().and_then(|report| report.remove(varying)).expect("a field");
    }
    report
}

/// Returns what can be compared between stores of one kind.
async fn figures(place: &TestStore) -> (Vec<(String, String, i64, i64)>, Vec<(String, i64)>, Value) {
    let by_state = "
        select p.name, r.state, count(*), cast(coalesce(sum(r.discount), 0) as bigint)
          from redemptions r join campaigns p on p.no = r.campaign_no group by p.name, r.state order by p.name, r.state";
    let each = "select coalesce(identity, ''), order_amount from redemptions order by held_at, id";
    let report = place.codemint(["report", "days", "--json"]).run().await.expect_code(0).json();
    (place.all(by_state).await, place.all(each).await, report)
}

on_both_stores!(a_demo_fills_an_empty_store_in_which_everything_holds);
async fn a_demo_fills_an_empty_store_in_which_everything_holds(place: TestStore) {
    let report = fill(&place, &["--redemptions", "1500"]).await;
    assert_eq!(
        (&report["seed"], &report["until"], &report["campaigns"]),
        (&json!(1), &json!("2026-10-20"), &json!(12))
    );
    let redemptions = report["redemptions"].as_i64().expect("a number");
    assert!((1350..=1650).contains(&redemptions), "{report}");
    let refused = report["refused"].as_i64().expect("a number");
    assert!((1..=redemptions / 50).contains(&refused), "{report}");
    assert_eq!(place.number("select count(*) from redemptions").await, redemptions);
    assert_eq!(place.number("select count(*) from clicks").await, report["clicks"].as_i64().expect("a number"));
    assert_eq!(place.number("select count(*) from codes").await, report["codes"].as_i64().expect("a number"));
    judge_redemptions(&place).await;
    place.codemint(["report", "recount"]).run().await.expect_code(0);
    let jobs = place.codemint(["jobs", "list", "--json", "--limit", "100"]).run().await.expect_code(0).stdout;
    let jobs: Vec<Value> = jobs.lines().map(|line| serde_json::from_str(line).expect("a job")).collect();
    let jobs = if let [Value::Array(jobs)] = &*jobs { jobs.clone() } else { jobs };
    assert_eq!(jobs.len(), 12);
    for job in &jobs {
        assert_eq!(job["state"], "completed");
        place.codemint(["verify", job["job_id"].as_str().expect("an id")]).run().await.expect_code(0);
    }
    check_variety(&place).await;
    check_times(&place).await;
    let entries = place.texts("select result from audit where action = 'demo_fill' order by no").await;
    assert_eq!(entries, ["begun", "done"]);
}

async fn check_variety(place: &TestStore) {
    let states: BTreeSet<String> = place.texts("select distinct state from redemptions").await.into_iter().collect();
    assert_eq!(states, ["confirmed", "expired", "held", "released", "rolled_back"].map(str::to_owned).into());
    let states: BTreeSet<String> = place.texts("select distinct state from referrals").await.into_iter().collect();
    assert_eq!(states, ["pending", "rewarded", "void"].map(str::to_owned).into());
    let states: BTreeSet<String> =
        place.texts("select distinct state from trigger_results").await.into_iter().collect();
    assert!(states.contains("issued") && states.contains("waiting"), "{states:?}");
    let causes: BTreeSet<String> = place.texts("select distinct cause from assignments").await.into_iter().collect();
    assert_eq!(causes, ["issue", "list", "trigger"].map(str::to_owned).into());
    for several in [
        "select cast(max(depth) as bigint) from referrers",
        "select count(*) from affiliate_rules",
        "select count(*) from affiliate_exclusions",
        "select count(*) from segment_members",
        "select count(distinct source) from redemptions",
        "select count(distinct affiliate) from redemptions",
        "select count(*) from redemptions where click_id is not null",
        "select count(*) from (select identity from redemptions group by identity having count(*) > 2) returning_ones",
    ] {
        assert!(place.number(several).await >= 2, "{several}");
    }
    // Orders that were returned later have given some uses back.
    let full = "select count(*) from allowances where scope = 'campaign' and taken * 10 >= quota * 9";
    assert_eq!(place.number(full).await, 1, "the flash sale was sold out");
}

/// Everything but the audit log is as old as the demo says.
async fn check_times(place: &TestStore) {
    for (table, time) in [
        ("redemptions", "held_at"),
        ("clicks", "at"),
        ("assignments", "at"),
        ("referrers", "at"),
        ("referrals", "at"),
        ("triggers", "at"),
        ("jobs", "created_at"),
        ("jobs", "finished_at"),
        ("campaigns", "created_at"),
        ("campaign_versions", "made_at"),
        ("chunks", "done_at"),
    ] {
        let late = format!(
            "select count(*) from {table} where {time} >= '2026-10-20T00:00:00Z' or {time} < '2026-07-01T00:00:00Z'"
        );
        assert_eq!(place.number(&late).await, 0, "{table}.{time}");
    }
    let issued = "select count(*) from tallies where metric = 'issued' and amount <> 0 and day >= '2026-10-20'";
    assert_eq!(place.number(issued).await, 0);
}

on_both_stores!(the_same_seed_gives_the_same_figures_and_another_one_does_not);
async fn the_same_seed_gives_the_same_figures_and_another_one_does_not(place: TestStore) {
    let (again, other) = (place.another().await, place.another().await);
    let report = fill(&place, &["--redemptions", "400", "--seed", "7"]).await;
    assert_eq!(report, fill(&again, &["--redemptions", "400", "--seed", "7"]).await);
    assert_eq!(figures(&place).await, figures(&again).await);
    fill(&other, &["--redemptions", "400", "--seed", "8"]).await;
    assert_ne!(figures(&place).await, figures(&other).await);
    let codes = "select code from codes order by code";
    assert_ne!(place.texts(codes).await, again.texts(codes).await, "codes do not follow from the seed");
}

on_both_stores!(a_store_that_is_not_empty_is_refused_and_left_as_it_is);
async fn a_store_that_is_not_empty_is_refused_and_left_as_it_is(place: TestStore) {
    place.codemint(["generate", "KEEP-####", "--count", "3"]).run().await.expect_code(0);
    let entries = place.number("select count(*) from audit").await;
    let refused = place.codemint(["demo"]).run().await.expect_code(4);
    assert_names(&refused.stderr, &["error: the store is not empty", "--store sqlite://demo.db"]);
    assert_eq!(place.number("select count(*) from codes").await, 3);
    assert_eq!(place.number("select count(*) from campaigns").await, 0);
    assert_eq!(place.number("select count(*) from audit").await, entries);
    let place = place.another().await;
    fill(&place, &["--redemptions", "100"]).await;
    let refused = place.codemint(["demo"]).run().await.expect_code(4);
    assert_names(&refused.stderr, &["error: the store was filled with a demo at 20", "name another, empty store"]);
}

on_both_stores!(a_demo_that_was_killed_or_stopped_is_named_as_unfinished);
async fn a_demo_that_was_killed_or_stopped_is_named_as_unfinished(place: TestStore) {
    for signal in ["KILL", "INT"] {
        let place = place.another().await;
        let child = place.codemint(["demo", "--redemptions", "200000"]).args(UNTIL).start();
        let has_begun = async || place.number("select count(*) from redemptions").await > 0;
        wait_until("redemptions of the demo", has_begun).await;
        send_signal(signal, &child);
        let ran = finish(child).await;
        if signal == "INT" {
            let ran = ran.expect_code(130);
            assert_names(&ran.stderr, &["stopped on day ", "a demo cannot be resumed"]);
        }
        // Each transaction leaves the store as it must be.
        judge_redemptions(&place).await;
        let refused = place.codemint(["demo"]).run().await.expect_code(4);
        assert_names(&refused.stderr, &["error: the store holds a demo that was begun at 20", " and not finished\n"]);
        let way_out = if place.url.starts_with("sqlite") { "store.db with its -wal" } else { "drop the database" };
        assert_names(&refused.stderr, &[way_out, "or name another store with --store"]);
    }
}

#[tokio::test]
async fn the_report_names_what_there_is_and_what_to_try_next() {
    let place = TestStore::sqlite().await;
    let ran = place.codemint(["demo", "--redemptions", "300"]).run().await.expect_code(0);
    let names = [
        "campaigns    12, with ",
        "redemptions  ",
        " in the 90 days before 20",
        "report recount`",
        "serve`",
        "store.db",
    ];
    assert_names(&ran.stdout, &names);
    assert_eq!(ran.stderr, "");
    let audit = place.codemint(["audit", "--action", "demo_fill"]).run().await.expect_code(0).stdout;
    assert_names(&audit, &["seed 1, until 20", ", 300 redemptions"]);
}

#[tokio::test]
async fn a_demo_in_the_future_or_of_another_size_is_refused() {
    let place = TestStore::sqlite().await;
    for (args, names) in [
        (["--until", "2999-01-01"], "write a day from 2000-01-01 to today"),
        (["--until", "soon"], "write a day such as 2027-03-01"),
        (["--redemptions", "99"], "write a whole number from 100 to 1000000"),
        (["--redemptions", "1000001"], "write a whole number from 100 to 1000000"),
        (["--seed", "-1"], "unexpected argument '-1'"),
    ] {
        let refused = place.codemint(["demo"]).args(args).run().await.expect_code(2);
        assert_names(&refused.stderr, &[names]);
    }
    assert_eq!(place.number("select count(*) from audit").await, 0);
    let help = place.codemint(["demo", "--help"]).run().await.expect_code(0).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert_names(
        &help,
        &["Codes do not follow from the seed", "delete the file, or drop the database", "--until <DATE>"],
    );
}
