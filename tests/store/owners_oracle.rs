//! The oracle of owners notices whatever is wrong with them: each case damages a sound store in one way.

use codemint_campaigns::issuing::Issuer;
use codemint_codes::job::options::JobOptions;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::admission::submit::PutJob;
use codemint_store::campaigns::pool::IssueOutcome;
use codemint_test_support::engine_steps::{put_request, request, run};
use codemint_test_support::on_both_stores;
use codemint_test_support::owners_oracle::{FoundOwners, IssueAsked, KnownOwners, ListAsked, judge_owners};
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

/// Damages, and what the oracle reports about each.
const DAMAGES: [(&str, &str); 10] = [
    (
        "delete from assignments where identity_text = 'ann'",
        "codes of restricted campaigns are nobody's and in no pool",
    ),
    ("delete from pool where code = (select min(code) from pool)", "codes of restricted campaigns are nobody's"),
    ("insert into pool select campaign_no, code from assignments where identity_text = 'ann'", "codes have two owners"),
    (
        "update assignments set identity_text = 'customer-1' where identity_text = 'customer-2'",
        "identities have a second code of the same campaign",
    ),
    (
        "update assignments set code = (select min(code) from pool) where identity_text = 'ann'",
        "identities do not have the code that was answered",
    ),
    (
        "update assignments set cause = 'issue' where identity_text = 'customer-3'",
        "identities have codes for a cause that nobody gave",
    ),
    ("update allowances set taken = taken + 1 where scope = 'issued'", "issued codes taken"),
    (
        "insert into job_identities (list_id, first_place, identities) select list_id, 0, 'x' from jobs where list_id is not null",
        "pages of lists are left whose jobs have ended",
    ),
    (
        "delete from codes where code = (select code from assignments where identity_text = 'customer-4')",
        "assignments and rows of pools have no code of a job for a restricted campaign",
    ),
    ("update jobs set kind = 'mint', restricted_to = null where restricted_to = 'pool'", "mint for nobody"),
];

/// Fills a store with a list, a pool and an issued code.
async fn fill(place: &TestStore) -> (Vec<ListAsked>, Vec<IssueAsked>) {
    let document = json!({
        "name": "owners", "title": "Owners", "kind": "restricted", "active": true, "mask": "OWN-####",
        "limits": { "issued": 100 },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    let definition = read_definition(&document, NameFrom::Document).expect("a definition");
    place.store.create_campaign(&definition).await.expect("a campaign");
    let restricted = |count| {
        let mut request = request("OWN-####", count, 10);
        request.campaign = Some("owners".to_owned());
        request
    };
    let identities: Vec<String> = (0..30).map(|number| format!("customer-{number}")).collect();
    let (job, list_id) = (Uuid::now_v7(), Uuid::now_v7());
    let options = JobOptions { restricted_to: Some(RestrictedTo::List { list_id }), ..JobOptions::default() };
    let load = async |_key: &_| place.store.put_list(list_id, std::iter::once(identities.join("\n"))).await;
    match place.store.put_list_job(job, &restricted(30).with_options(options), load).await.expect("a job") {
        PutJob::Stored(job) => drop(run(&place.store, &job).await),
        other => panic!("{other:?}"),
    }
    let pool = put_request(&place.store, &restricted(20)).await;
    run(&place.store, &pool).await;
    let outcome = Issuer::start(&place.store).issue("owners", "ann").await.expect("an answer");
    let IssueOutcome::Issued { code } = outcome else { panic!("{outcome:?}") };
    let issue = IssueAsked { campaign: "owners".to_owned(), identity: "ann".to_owned(), code: Some(code) };
    (vec![ListAsked { job, identities }], vec![issue])
}

on_both_stores!(the_oracle_of_owners_finds_every_damage_and_nothing_else);
async fn the_oracle_of_owners_finds_every_damage_and_nothing_else(place: TestStore) {
    for (damage, expected) in DAMAGES {
        let place = place.another().await;
        let (lists, issues) = fill(&place).await;
        let known = KnownOwners { lists: &lists, issues: &issues };
        let (FoundOwners { list_jobs, pool_jobs, refills, assigned, pooled }, violations) =
            judge_owners(&place, &known).await;
        assert_eq!((violations, refills), (Vec::<String>::new(), 0));
        assert_eq!((list_jobs, pool_jobs, assigned, pooled), (1, 1, 31, 19));
        place.execute(damage).await;
        let (_, violations) = judge_owners(&place, &known).await;
        assert!(violations.iter().any(|violation| violation.contains(expected)), "{damage}: {violations:?}");
    }
}

on_both_stores!(the_oracle_of_owners_misses_nobody);
async fn the_oracle_of_owners_misses_nobody(place: TestStore) {
    let (lists, issues) = fill(&place).await;
    let mut longer = lists.clone();
    longer[0].identities.push("customer-30".to_owned());
    let known = KnownOwners { lists: &longer, issues: &issues };
    let (_, violations) = judge_owners(&place, &known).await;
    let expected = format!("job {} is completed, and 1 of its 31 identities have no code", lists[0].job);
    assert_eq!(violations, [expected]);
}
