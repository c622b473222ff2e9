//! Lets the workers finish, and judges the result.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::ground::Ground;
use crate::owners;
use crate::producer::{Asked, Wanted};
use crate::worker_faults::Workers;
use codemint_test_support::oracle::{self, Known, KnownOfBroker};
use codemint_test_support::owners_oracle::KnownOwners;
use codemint_test_support::site::{DEAD, KEPT};
use codemint_test_support::stores::TestStore;

const FINISHED_WITHIN: Duration = Duration::from_secs(20 * 60);

/// Waits until all work is done, and panics unless every check passes.
pub async fn judge(ground: Ground, wanted: &Wanted, mut workers: Workers) {
    println!("no more faults; the workers finish");
    let Wanted { asked, lists, issues } = wanted;
    owners::switch_off(&ground).await;
    let store = ground.fresh_store().await;
    let since = Instant::now();
    wait_until_settled(&ground, &store, asked).await;
    println!("all jobs have ended and all events are published after {:.0} s", since.elapsed().as_secs_f64());
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
    for (what, times) in ground.counted() {
        println!("{times:8}  {what}");
    }
    for state in ["completed", "cancelled", "failed"] {
        let sql = format!("select count(*) from jobs where state = '{state}'");
        println!("{:8}  jobs {state}", store.number(&sql).await);
    }
    println!("{:8}  jobs\n{:8}  codes\n{:8}  events", found.jobs, found.codes, told.len());
    let owners = found.owners;
    println!("{:8}  jobs for lists\n{:8}  jobs for pools", owners.list_jobs, owners.pool_jobs);
    println!("{:8}  jobs for pools that workers ordered", owners.refills);
    println!("{:8}  codes of identities\n{:8}  codes in pools", owners.assigned, owners.pooled);
    println!("{:8}  identities that got an answer", issues.iter().filter(|issue| issue.code.is_some()).count());
    println!("all checks passed");
}

async fn wait_until_settled(ground: &Ground, store: &TestStore, asked: &Asked) {
    let started = Instant::now();
    while let Some(what) = oracle::unsettled(store, &ground.broker, ground.site.vhost(), &asked.jobs).await {
        assert!(started.elapsed() < FINISHED_WITHIN, "{what}");
        sleep(Duration::from_millis(500)).await;
    }
}
