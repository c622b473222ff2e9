//! Lets the workers finish, and judges the result.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use strum::VariantArray;
use tokio::time::sleep;

use crate::ground::Ground;
use crate::imports::{self, Imported};
use crate::newcomers;
use crate::owners;
use crate::producer::{Asked, Wanted};
use crate::worker_faults::Workers;
use codemint_offers::redemption::state::State;
use codemint_store::connection::error::StoreError;
use codemint_store::redemptions::definition_cache::DefinitionCache;
use codemint_test_support::oracle::{self, Known, KnownOfBroker};
use codemint_test_support::owners_oracle::KnownOwners;
use codemint_test_support::redeem_steps::judge_redemptions;
use codemint_test_support::redemption_histories::{Answer, Call, Request, judge_histories};
use codemint_test_support::site::{DEAD, KEPT};
use codemint_test_support::stores::TestStore;

const FINISHED_WITHIN: Duration = Duration::from_secs(20 * 60);

/// Waits until all work is done, and panics unless every check passes.
pub async fn judge(ground: Ground, wanted: &Wanted, imported: &Imported, mut workers: Workers) {
    println!("no more faults; the workers finish");
    let Wanted { asked, lists, issues, calls, off } = wanted;
    owners::switch_off(&ground).await;
    let store = ground.fresh_store().await;
    let since = Instant::now();
    wait_until_settled(&ground, &store, asked).await;
    println!("all jobs have ended and all events are published after {:.0} s", since.elapsed().as_secs_f64());
    newcomers::wait_until_decided(&store).await;
    for worker in &mut workers {
        assert!(worker.child.try_wait().expect("its state").is_none(), "a worker ended by itself: {}", worker.said());
    }
    for worker in workers {
        worker.terminate().await.expect_code(0);
    }
    let peer = ground.site.peer().await;
    let told_count = ground.broker.queue_depth(ground.site.vhost(), KEPT).ready;
    let mut inbox = peer.consume(KEPT).await;
    inbox.collect_count(usize::try_from(told_count).expect("a small number")).await;
    let told = inbox.messages;
    let mut dead = Vec::new();
    while let Some(letter) = peer.get(DEAD).await {
        dead.push(letter);
    }
    let of_broker =
        KnownOfBroker { broker: &ground.broker, vhost: ground.site.vhost(), told: &told, dead: &dead, bad: &asked.bad };
    let known = Known {
        asked: &asked.jobs,
        may_end_short: asked.may_end_short.clone(),
        broker: Some(of_broker),
        owners: KnownOwners { lists, issues },
        directories: vec![ground.site.store.path()],
        ..Known::default()
    };
    let found = oracle::judge(&store, &known).await;
    judge_redemptions(&store).await;
    judge_sums(&store).await;
    newcomers::judge(&store).await;
    imports::judge(&store, imported).await;
    let violations = judge_histories(&store, calls, off, Some(&told)).await;
    assert!(violations.is_empty(), "{} violations: {:#?}", violations.len(), &violations[..violations.len().min(10)]);
    count_calls(&ground, calls);
    for (what, times) in ground.counted() {
        println!("{times:8}  {what}");
    }
    for state in ["completed", "cancelled", "failed"] {
        let sql = format!("select count(*) from jobs where state = '{state}'");
        println!("{:8}  jobs {state}", store.number(&sql).await);
    }
    println!("{:8}  jobs\n{:8}  codes\n{:8}  events", found.jobs, found.codes, told.len());
    for state in State::VARIANTS.iter().map(|state| state.into_str()) {
        let sql = format!("select count(*) from redemptions where state = '{state}'");
        println!("{:8}  redemptions {state}", store.number(&sql).await);
    }
    let stacked = "select count(*) from (select 1 from redemptions where order_ref is not null
                    group by order_ref having count(*) > 1) orders";
    println!("{:8}  orders with several codes", store.number(stacked).await);
    let owners = found.owners;
    println!("{:8}  jobs for lists\n{:8}  jobs for pools", owners.list_jobs, owners.pool_jobs);
    println!("{:8}  jobs for pools that workers ordered", owners.refills);
    println!("{:8}  codes of identities\n{:8}  codes in pools", owners.assigned, owners.pooled);
    println!("{:8}  identities that got an answer", issues.iter().filter(|issue| issue.code.is_some()).count());
    println!("all checks passed");
}

/// Compares every sum with its facts, by the program's own recount.
async fn judge_sums(store: &TestStore) {
    let recount = store.store.recount::<StoreError>(&DefinitionCache::default(), || Ok(())).await.expect("a recount");
    assert!(recount.differences.is_empty(), "{:#?}", recount.differences);
    println!("{:8}  clicks\n{:8}  sums that equal a recount", recount.clicks, recount.sums);
}

async fn wait_until_settled(ground: &Ground, store: &TestStore, asked: &Asked) {
    let started = Instant::now();
    while let Some(what) = oracle::unsettled(store, &ground.broker, ground.site.vhost(), &asked.jobs).await {
        assert!(started.elapsed() < FINISHED_WITHIN, "{what}");
        sleep(Duration::from_millis(500)).await;
    }
}

/// Counts what shops asked, and what they were answered.
fn count_calls(ground: &Ground, calls: &[Call]) {
    let mut processes: BTreeMap<_, BTreeSet<usize>> = BTreeMap::new();
    for Call { process, id, request, answer, .. } in calls {
        processes.entry(id).or_default().insert(*process);
        let request = match request {
            Request::Validate => "validate",
            Request::Redeem { .. } => "redeem",
            Request::Confirm { cart: None } => "confirm",
            Request::Confirm { .. } => "confirm with a cart",
            Request::Release => "release",
            Request::RollBack { keep_use: false } => "roll back",
            Request::RollBack { .. } => "roll back and keep the use",
        };
        let answer = match answer.as_ref().map(|(_, answer)| answer) {
            None => "no answer",
            Some(Answer::Valid) => "valid",
            Some(Answer::Stands { is_changed: true, .. }) => "done",
            Some(Answer::Stands { .. }) => "done before",
            Some(Answer::DifferentRequest) => "different request",
            Some(Answer::WrongState(_)) => "wrong state",
            Some(Answer::Unknown) => "unknown",
            Some(Answer::Refused) => "refused",
        };
        ground.count(&format!("shops: {request}: {answer}"));
    }
    let shared = processes.values().filter(|processes| processes.len() > 1).count();
    println!("{:8}  ids that shops asked about\n{shared:8}  of them several processes", processes.len());
}
