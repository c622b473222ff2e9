//! Issuing codes of a pool: exact for any number of callers and processes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use codemint_campaigns::issuing::{IssueError, Issuer};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::campaigns::pool::{IssueOutcome, ToIssue};
use codemint_test_support::engine_steps::{put_request, request, run};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::pool::Pool;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

async fn create_campaign(place: &TestStore, kind: &str, issued: u64) {
    let document = json!({
        "name": "owners", "title": "Owners", "kind": kind, "active": true, "mask": "OWN-####",
        "limits": { "issued": issued },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    let definition = read_definition(&document, NameFrom::Document).expect("a definition");
    place.store.create_campaign(&definition).await.expect("a campaign");
}

async fn mint_for_pool(place: &TestStore, count: i128) {
    let mut request = request("OWN-####", count, 1000);
    request.campaign = Some("owners".to_owned());
    let job = put_request(&place.store, &request).await;
    run(&place.store, &job).await;
}

async fn fill_pool(place: &TestStore, count: i128) {
    mint_for_pool(place, count).await;
    assert_eq!(i128::from(place.number("select count(*) from pool").await), count);
}

fn code_of(outcome: &IssueOutcome) -> Option<&str> {
    match outcome {
        IssueOutcome::Issued { code } | IssueOutcome::AlreadyGenerated { code } => Some(code),
        _ => None,
    }
}

/// No code has two owners, nobody has two codes, and every code is in the pool or has an owner.
async fn assert_exact(place: &TestStore, assigned: i64, pooled: i64) {
    assert_eq!(place.number("select count(distinct code) from assignments").await, assigned);
    assert_eq!(place.number("select count(distinct identity) from assignments").await, assigned);
    assert_eq!(place.number("select count(*) from pool").await, pooled);
    assert_eq!(place.number("select count(*) from pool where code in (select code from assignments)").await, 0);
    assert_eq!(place.number("select count(*) from codes").await, assigned + pooled);
}

on_both_stores!(an_identity_gets_one_code_however_often_it_asks);
async fn an_identity_gets_one_code_however_often_it_asks(place: TestStore) {
    create_campaign(&place, "restricted", 0).await;
    fill_pool(&place, 100).await;
    let issuer = Issuer::start(&place.store);
    let first = issuer.issue("owners", " ann ").await.expect("an answer");
    let IssueOutcome::Issued { code } = first else { panic!("{first:?}") };
    for _ in 0..3 {
        let again = issuer.issue("owners", "ann").await.expect("an answer");
        assert_eq!(again, IssueOutcome::AlreadyGenerated { code: code.clone() });
    }
    assert_exact(&place, 1, 99).await;
    assert!(matches!(issuer.issue("owners", "  ").await, Err(IssueError::Identity(_))));
}

on_both_stores!(an_identity_that_is_requested_twice_at_once_gets_one_code);
async fn an_identity_that_is_requested_twice_at_once_gets_one_code(place: TestStore) {
    create_campaign(&place, "restricted", 10).await;
    fill_pool(&place, 100).await;
    let wanted = ["ann", "bob", "ann"].map(|identity| ToIssue {
        identity: identity.to_owned(),
        cause: "issue",
        trigger_id: None,
    });
    let outcomes = place.store.issue("owners", &wanted).await.expect("answers");
    let IssueOutcome::Issued { code } = &outcomes[0] else { panic!("{outcomes:?}") };
    assert!(matches!(outcomes[1], IssueOutcome::Issued { .. }), "{outcomes:?}");
    assert_eq!(outcomes[2], IssueOutcome::AlreadyGenerated { code: code.clone() });
    assert_exact(&place, 2, 98).await;
    assert_eq!(place.number("select taken from allowances where scope = 'issued'").await, 2);
}

on_both_stores!(many_callers_in_several_processes_get_one_code_each);
async fn many_callers_in_several_processes_get_one_code_each(place: TestStore) {
    create_campaign(&place, "restricted", 0).await;
    fill_pool(&place, 2_000).await;
    let issuers = [Issuer::start(&place.store), Issuer::start(&place.open_again().await)];
    let calls = (0..64).map(|caller| {
        let issuers = issuers.clone();
        tokio::spawn(async move {
            let mut answers = Vec::new();
            // Neighbouring callers ask for some of the same identities, of both processes.
            for number in 0..40 {
                let identity = format!("customer-{}", (caller / 2) * 40 + number);
                let outcome = loop {
                    match issuers[(caller + number) % 2].issue("owners", &identity).await {
                        Ok(outcome) => break outcome,
                        Err(IssueError::Store(error)) if error.is_retryable() => {}
                        Err(error) => panic!("{error}"),
                    }
                };
                answers.push((identity, code_of(&outcome).expect("a code").to_owned()));
            }
            answers
        })
    });
    let mut answered: BTreeSet<(String, String)> = BTreeSet::new();
    for call in calls.collect::<Vec<_>>() {
        answered.extend(call.await.expect("a caller"));
    }
    assert_eq!(answered.len(), 32 * 40, "an identity has two codes");
    assert_exact(&place, 32 * 40, 2_000 - 32 * 40).await;
    let stored = place.texts("select identity_text || ' ' || code from assignments").await;
    assert_eq!(
        answered.iter().map(|(identity, code)| format!("{identity} {code}")).collect::<BTreeSet<_>>(),
        stored.into_iter().collect()
    );
}

on_both_stores!(a_limit_and_an_empty_pool_end_issuing_exactly);
async fn a_limit_and_an_empty_pool_end_issuing_exactly(place: TestStore) {
    create_campaign(&place, "restricted", 30).await;
    fill_pool(&place, 50).await;
    let issuer = Issuer::start(&place.store);
    let ask_all = async |names: std::ops::Range<u32>| {
        let calls: Vec<_> = names
            .map(|number| {
                let issuer = issuer.clone();
                tokio::spawn(async move { issuer.issue("owners", &format!("customer-{number}")).await })
            })
            .collect();
        let mut outcomes = Vec::new();
        for call in calls {
            outcomes.push(call.await.expect("a caller").expect("an answer"));
        }
        outcomes
    };
    let outcomes = ask_all(0..64).await;
    assert_eq!(outcomes.iter().filter(|outcome| code_of(outcome).is_some()).count(), 30);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == IssueOutcome::LimitReached).count(), 34);
    assert_exact(&place, 30, 20).await;
    assert_eq!(place.number("select taken from allowances where scope = 'issued'").await, 30);
    place.execute("update allowances set quota = 1000").await;
    let outcomes = ask_all(0..64).await;
    assert_eq!(outcomes.iter().filter(|outcome| matches!(outcome, IssueOutcome::Issued { .. })).count(), 20);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == IssueOutcome::PoolEmpty).count(), 14);
    assert_exact(&place, 50, 0).await;
}

on_both_stores!(several_processes_together_issue_as_many_codes_as_the_limit_allows);
async fn several_processes_together_issue_as_many_codes_as_the_limit_allows(place: TestStore) {
    create_campaign(&place, "restricted", 100).await;
    fill_pool(&place, 300).await;
    let issuers = [Issuer::start(&place.store), Issuer::start(&place.open_again().await)];
    let calls = (0..40).map(|caller| {
        let issuer = issuers[caller % 2].clone();
        tokio::spawn(async move {
            let mut issued = 0;
            for number in 0..5 {
                let identity = format!("customer-{caller}-{number}");
                let outcome = loop {
                    match issuer.issue("owners", &identity).await {
                        Ok(outcome) => break outcome,
                        Err(IssueError::Store(error)) if error.is_retryable() => {}
                        Err(error) => panic!("{error}"),
                    }
                };
                assert!(code_of(&outcome).is_some() || outcome == IssueOutcome::LimitReached, "{outcome:?}");
                issued += usize::from(code_of(&outcome).is_some());
            }
            issued
        })
    });
    let mut issued = 0;
    for call in calls.collect::<Vec<_>>() {
        issued += call.await.expect("a caller");
    }
    assert_eq!(issued, 100);
    assert_exact(&place, 100, 200).await;
    assert_eq!(place.number("select taken from allowances where scope = 'issued'").await, 100);
}

on_both_stores!(a_pool_for_which_a_job_is_unfinished_is_not_refilled);
async fn a_pool_for_which_a_job_is_unfinished_is_not_refilled(place: TestStore) {
    create_campaign(&place, "restricted", 0).await;
    fill_pool(&place, 10).await;
    let kept = async || place.store.list_kept_pools().await.expect("pools").len();
    assert_eq!(kept().await, 1);
    let mut request = request("OWN-####", 10, 1000);
    request.campaign = Some("owners".to_owned());
    let job = put_request(&place.store, &request).await;
    assert_eq!(kept().await, 0);
    run(&place.store, &job).await;
    assert_eq!(kept().await, 1);
}

on_both_stores!(only_an_active_restricted_campaign_issues_codes);
async fn only_an_active_restricted_campaign_issues_codes(place: TestStore) {
    let issuer = Issuer::start(&place.store);
    let ask = async |identity: &str| issuer.issue("owners", identity).await.expect("an answer");
    assert_eq!(ask("ann").await, IssueOutcome::UnknownCampaign);
    create_campaign(&place, "restricted", 0).await;
    assert_eq!(ask("ann").await, IssueOutcome::PoolEmpty);
    fill_pool(&place, 10).await;
    assert!(matches!(ask("ann").await, IssueOutcome::Issued { .. }));
    place.store.switch_campaign("owners", false).await.expect("a switch");
    assert!(matches!(ask("ann").await, IssueOutcome::AlreadyGenerated { .. }));
    assert_eq!(ask("bob").await, IssueOutcome::NotActive);
    assert_exact(&place, 1, 9).await;
}

on_both_stores!(a_private_campaign_issues_no_codes);
async fn a_private_campaign_issues_no_codes(place: TestStore) {
    create_campaign(&place, "private", 0).await;
    let issuer = Issuer::start(&place.store);
    assert_eq!(issuer.issue("owners", "ann").await.expect("an answer"), IssueOutcome::NotRestricted);
}

on_both_stores!(a_low_pool_is_refilled_once_whatever_the_number_of_workers);
async fn a_low_pool_is_refilled_once_whatever_the_number_of_workers(place: TestStore) {
    create_campaign(&place, "restricted", 0).await;
    fill_pool(&place, 100).await;
    let (stop, issuer) = (CancellationToken::new(), Issuer::start(&place.store));
    let issue = async |numbers: std::ops::Range<u32>| {
        for number in numbers {
            let outcome = issuer.issue("owners", &format!("customer-{number}")).await.expect("an answer");
            assert!(matches!(outcome, IssueOutcome::Issued { .. }), "{outcome:?}");
        }
    };
    issue(0..90).await;
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        let pool = Pool::new(place.open_again().await, MintSettings::default(), 1, Arc::default());
        let stop = stop.clone();
        workers.spawn(async move { pool.run(&stop).await });
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(place.number("select count(*) from jobs").await, 1, "a pool at its mark was refilled");
    issue(90..91).await;
    wait_until("a refill", async || place.number("select count(*) from pool").await == 109).await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    stop.cancel();
    while workers.join_next().await.is_some() {}
    assert_eq!(place.number("select count(*) from jobs where restricted_to = 'pool'").await, 2);
    assert_exact(&place, 91, 109).await;
    place.store.switch_campaign("owners", false).await.expect("a switch");
    assert!(place.store.list_kept_pools().await.expect("pools").is_empty());
}

on_both_stores!(regression_a_code_is_taken_from_a_pool_that_the_planner_believes_to_be_almost_empty);
async fn regression_a_code_is_taken_from_a_pool_that_the_planner_believes_to_be_almost_empty(place: TestStore) {
    create_campaign(&place, "restricted", 0).await;
    fill_pool(&place, 1).await;
    place.execute("analyze pool").await;
    mint_for_pool(&place, 500).await;
    let issuer = Issuer::start(&place.store);
    for taken in 1..=3 {
        let outcome = issuer.issue("owners", &format!("customer {taken}")).await.expect("an answer");
        assert!(matches!(outcome, IssueOutcome::Issued { .. }), "{outcome:?}");
        assert_exact(&place, taken, 501 - taken).await;
    }
}
