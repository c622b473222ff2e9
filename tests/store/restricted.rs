//! Codes of restricted campaigns: bound to the identities of a list, or in the pool, in the transaction that stores them.

use std::collections::BTreeMap;

use codemint_codes::job::options::JobOptions;
use codemint_codes::job::record::Job;
use codemint_codes::job::request::Request;
use codemint_codes::job::restriction::RestrictedTo;
use codemint_codes::job::state::State;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_store::admission::submit::PutJob;
use codemint_store::campaigns::changes::CreateCampaign;
use codemint_store::campaigns::lists::PLACES_IN_PAGE;
use codemint_store::connection::error::StoreError;
use codemint_test_support::engine_steps::{put_request, request, run};
use codemint_test_support::on_both_stores;
use codemint_test_support::stores::TestStore;
use serde_json::json;
use uuid::Uuid;

async fn create_campaign(place: &TestStore, issued: u64) {
    let document = json!({
        "name": "owners", "title": "Owners", "kind": "restricted", "mask": "OWN-####", "limits": { "issued": issued },
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    let definition = read_definition(&document, NameFrom::Document).expect("a definition");
    place.store.create_campaign(&definition).await.expect("a campaign");
}

fn restricted(mask: &str, count: u64, chunk_size: u64) -> Request {
    Request { campaign: Some("owners".to_owned()), ..request(mask, count.into(), chunk_size) }
}

fn people(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("customer-{number}")).collect()
}

async fn put_list(place: &TestStore, identities: &[String], mask: &str, chunk_size: u64) -> Result<Job, StoreError> {
    let list_id = Uuid::now_v7();
    let options = JobOptions { restricted_to: Some(RestrictedTo::List { list_id }), ..JobOptions::default() };
    let request = restricted(mask, identities.len() as u64, chunk_size).with_options(options);
    let pages = identities.chunks(PLACES_IN_PAGE).map(|page| page.join("\n"));
    let load = async |_key: &_| place.store.put_list(list_id, pages).await;
    match place.store.put_list_job(Uuid::now_v7(), &request, load).await? {
        PutJob::Stored(job) => Ok(job),
        other => panic!("{other:?}"),
    }
}

async fn assigned(place: &TestStore) -> BTreeMap<String, String> {
    let sql = "select identity_text || '=' || code from assignments";
    let pairs = place.texts(sql).await;
    pairs
        .iter()
        .filter_map(|pair| pair.split_once('='))
        .map(|(one, other)| (one.to_owned(), other.to_owned()))
        .collect()
}

/// Every identity of the list has one code, every code one identity, and the codes are those of the job.
async fn assert_bound(place: &TestStore, identities: &[String]) {
    let assigned = assigned(place).await;
    assert_eq!(assigned.len(), identities.len());
    assert!(identities.iter().all(|identity| assigned.contains_key(identity)));
    let unbound = "select count(*) from codes where code not in (select code from assignments)
                                              and code not in (select code from pool)";
    assert_eq!(place.number(unbound).await, 0);
    assert_eq!(place.number("select count(*) from assignments where code not in (select code from codes)").await, 0);
}

on_both_stores!(each_identity_of_a_list_gets_one_code);
async fn each_identity_of_a_list_gets_one_code(place: TestStore) {
    create_campaign(&place, 0).await;
    let identities = people(2_500);
    let job = put_list(&place, &identities, "OWN-#####", 700).await.expect("a job");
    let ended = run(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Completed, 2_500));
    assert_bound(&place, &identities).await;
    assert_eq!(place.number("select count(*) from job_identities").await, 0);
    let by_code = place.texts("select identity_text from assignments order by code").await;
    assert_eq!(by_code, identities, "codes go to the identities in the order of the list");
}

on_both_stores!(identities_left_by_a_round_get_their_codes_in_the_next_ones);
async fn identities_left_by_a_round_get_their_codes_in_the_next_ones(place: TestStore) {
    create_campaign(&place, 0).await;
    // The slices are too small for their quotas, so further rounds bind the identities that were left.
    let _taken = run(&place.store, &put_request(&place.store, &request("OWN-###", 600, 100)).await).await;
    let identities = people(400);
    let job = put_list(&place, &identities, "OWN-###", 30).await.expect("a job");
    let ended = run(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Completed, 400));
    assert!(place.number("select cast(max(round) as bigint) from chunks").await > 0, "one round sufficed");
    assert_eq!(assigned(&place).await.len(), 400);
}

on_both_stores!(an_identity_that_got_a_code_meanwhile_keeps_it_and_the_other_goes_into_the_pool);
async fn an_identity_that_got_a_code_meanwhile_keeps_it_and_the_other_goes_into_the_pool(place: TestStore) {
    create_campaign(&place, 1_000).await;
    let identities = people(50);
    let job = put_list(&place, &identities, "OWN-####", 20).await.expect("a job");
    let key = place.store.identity_key().await.expect("a key");
    for (identity, code) in [("customer-7", "EARLIER-1"), ("customer-49", "EARLIER-2")] {
        let digest = key.digest(identity);
        let insert = format!(
            "insert into assignments (campaign_no, identity, code, identity_text, cause)
             values ((select no from campaigns), '{digest}', '{code}', '{identity}', 'issue')"
        );
        place.execute(&insert).await;
        place.execute("update allowances set taken = taken + 1").await;
    }
    let ended = run(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Completed, 50));
    let assigned = assigned(&place).await;
    assert_eq!(assigned.len(), 50);
    assert_eq!((&*assigned["customer-7"], &*assigned["customer-49"]), ("EARLIER-1", "EARLIER-2"));
    assert_eq!(place.number("select count(*) from pool").await, 2);
    assert_eq!(place.number("select taken from allowances where scope = 'issued'").await, 50);
}

on_both_stores!(a_list_takes_of_the_limit_of_issued_codes_and_gives_back_what_it_does_not_use);
async fn a_list_takes_of_the_limit_of_issued_codes_and_gives_back_what_it_does_not_use(place: TestStore) {
    create_campaign(&place, 100).await;
    let taken = "select taken from allowances where scope = 'issued'";
    let job = put_list(&place, &people(60), "OWN-####", 20).await.expect("a job");
    assert_eq!(place.number(taken).await, 60);
    let refused = put_list(&place, &people(41), "OWN-####", 20).await;
    assert!(matches!(refused, Err(StoreError::IssueLimit { left: 40 })), "{refused:?}");
    assert_eq!(place.number(taken).await, 60);
    place.store.mark_job_cancelling(job.no).await.expect("a mark");
    let ended = run(&place.store, &job).await;
    assert_eq!(ended.state, State::Cancelled);
    assert_eq!(place.number(taken).await, ended.minted as i64);
}

on_both_stores!(codes_of_a_restricted_campaign_without_a_list_go_into_its_pool);
async fn codes_of_a_restricted_campaign_without_a_list_go_into_its_pool(place: TestStore) {
    create_campaign(&place, 0).await;
    let job = put_request(&place.store, &restricted("OWN-####", 300, 100)).await;
    assert_eq!(job.options.restricted_to, Some(RestrictedTo::Pool));
    let ended = run(&place.store, &job).await;
    assert_eq!((ended.state, ended.minted), (State::Completed, 300));
    assert_eq!(
        place.texts("select code from pool order by code").await,
        place.texts("select code from codes order by code").await
    );
    assert_eq!(place.number("select count(*) from assignments").await, 0);
}

on_both_stores!(a_job_that_is_stored_while_its_restricted_campaign_is_created_fills_the_pool_or_prevents_it);
async fn a_job_that_is_stored_while_its_restricted_campaign_is_created_fills_the_pool_or_prevents_it(place: TestStore) {
    for round in 0..20 {
        let name = format!("owners-{round}");
        let document = json!({
            "name": name, "title": "Owners", "kind": "restricted", "mask": "OWN-####",
            "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
        });
        let definition = read_definition(&document, NameFrom::Document).expect("a definition");
        let request = Request { campaign: Some(name), ..request("OWN-####", 10, 10) };
        let put = async { place.store.put_job(Uuid::now_v7(), &request).await.expect("an answer") };
        let create = async { place.store.create_campaign(&definition).await.expect("an answer") };
        let (put, created) = tokio::join!(put, create);
        let PutJob::Stored(job) = put else { panic!("{put:?}") };
        match created {
            CreateCampaign::Created => assert_eq!(job.options.restricted_to, Some(RestrictedTo::Pool)),
            other => assert_eq!(other, CreateCampaign::Unfinished { job_ids: vec![job.id] }),
        }
    }
}
