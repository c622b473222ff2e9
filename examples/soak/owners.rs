//! A producer of jobs for restricted campaigns: lists of identities, some of which are in several lists, orders for pools, and
//! limits that are raised. Commands that order lists are killed, and repeated.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::time::sleep;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::newcomers::NAMES;
use crate::offers::OWNED;
use crate::producer::{Asked, cancel, publish};
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_test_support::codemint::{Codemint, finish};
use codemint_test_support::oracle;
use codemint_test_support::owners_oracle::ListAsked;
use codemint_test_support::site::request;

pub struct Campaign {
    pub name: &'static str,
    pub mask: &'static str,
    /// The limit of issued codes at the start; 0 is none.
    limit: u64,
}

pub const CAMPAIGNS: [Campaign; 2] = [
    Campaign { name: "roomy", mask: "OWNR-??????", limit: 0 },
    Campaign { name: "limited", mask: "OWNL-??????", limit: RAISE },
];
/// What a limit that was reached is raised by.
const RAISE: u64 = 10_000;
/// Few enough to be used up and refilled often.
const FIRST_POOL: u64 = 300;
const MOST_IN_POOL: u64 = 500;
const MOST_IN_LIST: usize = 5_000;
/// The identities of which lists and callers choose. Each list replaces some of them, so that new ones never run out.
const PEOPLE: usize = 20_000;
const PEOPLE_PER_LIST: usize = 1_000;
/// Small chunks, for several in each list.
const CHUNK_SIZE: &str = "1000";

/// The identities that are in use at a moment.
#[derive(Debug, Default)]
pub struct People(AtomicUsize);

impl People {
    pub fn one(&self, lot: &mut Lot) -> String {
        format!("person-{}", self.0.load(Ordering::Relaxed) + lot.below(PEOPLE))
    }

    fn list(&self, lot: &mut Lot) -> Vec<String> {
        let count = 1 + lot.below(MOST_IN_LIST);
        let list: BTreeSet<String> = (0..count).map(|_| self.one(lot)).collect();
        self.0.fetch_add(PEOPLE_PER_LIST, Ordering::Relaxed);
        list.into_iter().collect()
    }
}

/// Creates the campaigns, before there are any faults.
pub async fn create_campaigns(ground: &Ground) {
    for Campaign { name, mask, limit } in CAMPAIGNS {
        let document = json!({
            "name": name, "title": name, "kind": "restricted", "active": true, "mask": mask, "limits": { "issued": limit },
            "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
        });
        let definition = read_definition(&document, NameFrom::Document).expect("a definition");
        ground.site.store.store.create_campaign(&definition).await.expect("a campaign");
    }
}

/// Switches the campaigns off, so that no worker refills their pools any more.
pub async fn switch_off(ground: &Ground) {
    for name in CAMPAIGNS.iter().map(|campaign| campaign.name).chain([OWNED]).chain(NAMES) {
        ground.site.store.codemint(["campaign", "deactivate", name]).run().await.expect_code(0);
    }
}

/// Orders codes until the time is up.
pub async fn order(ground: &Ground, people: &People, mut lot: Lot, until: Instant) -> (Asked, Vec<ListAsked>) {
    let (mut asked, mut lists, mut peer) = (Asked::default(), Vec::new(), None);
    for campaign in &CAMPAIGNS {
        let body = order_for_pool(ground, &mut asked, campaign, FIRST_POOL, &mut lot);
        publish(ground, &mut peer, &body).await;
    }
    while Instant::now() < until {
        let campaign = &CAMPAIGNS[lot.below(CAMPAIGNS.len())];
        if lot.below(8) == 0 {
            let count = lot.of_any_size(MOST_IN_POOL);
            let body = order_for_pool(ground, &mut asked, campaign, count, &mut lot);
            publish(ground, &mut peer, &body).await;
        } else {
            order_list(ground, people, campaign, &mut asked, &mut lists, &mut lot).await;
        }
        sleep(lot.pause(Duration::ZERO, Duration::from_millis(1500))).await;
    }
    (asked, lists)
}

fn order_for_pool(ground: &Ground, asked: &mut Asked, campaign: &Campaign, count: u64, lot: &mut Lot) -> Vec<u8> {
    ground.count("requested codes for a pool");
    let job = oracle::Asked { id: lot.id(), mask: campaign.mask.to_owned(), count };
    let mut message = request(job.id, &job.mask, count);
    message["campaign"] = json!(campaign.name);
    asked.jobs.push(job);
    message.to_string().into_bytes()
}

async fn order_list(
    ground: &Ground,
    people: &People,
    campaign: &Campaign,
    asked: &mut Asked,
    lists: &mut Vec<ListAsked>,
    lot: &mut Lot,
) {
    let identities = people.list(lot);
    let file = ground.site.store.path().join(format!("list-{}.txt", lists.len()));
    std::fs::write(&file, identities.join("\n")).expect("a file");
    let command = || {
        let args = ["campaign", "codes", campaign.name, "--no-wait", "--json", "--identities"];
        ground.site.store.codemint(args).args([&file]).env("CODEMINT__JOB__CHUNK_SIZE", CHUNK_SIZE)
    };
    let (is_killed, is_regretted) = (lot.below(4) == 0, lot.below(5) == 0);
    let pause = lot.pause(Duration::ZERO, Duration::from_secs(1));
    if is_killed {
        ground.count("killed a command that ordered codes for a list");
        kill_after(command(), pause).await;
    }
    let ran = ground.run_until_answered("ordered codes for a list", &[0, 4], command).await;
    if ran.code == 4 {
        ground.count("a list exceeded the limit, which was raised");
        raise_limit(ground, campaign).await;
        return;
    }
    let document = ran.json();
    let Some(job) = document["job_id"].as_str() else {
        ground.count("all identities of a list had codes");
        return;
    };
    ground.count("requested codes for a list");
    let (job, count) = (job.parse().expect("an id"), document["requested"].as_u64().expect("a number"));
    if count < identities.len() as u64 {
        ground.count("identities of a list had codes already");
    }
    asked.jobs.push(oracle::Asked { id: job, mask: campaign.mask.to_owned(), count });
    lists.push(ListAsked { job, identities });
    if is_regretted {
        asked.may_end_short.insert(job);
        sleep(pause).await;
        cancel(ground, job).await;
    }
}

/// Starts a command, and kills it after a while unless it has ended.
pub async fn kill_after(command: Codemint, pause: Duration) {
    let mut child = command.start();
    sleep(pause).await;
    child.start_kill().expect("a kill");
    drop(finish(child).await);
}

/// Raises the limit of issued codes; if the store is away, the next refusal does so.
async fn raise_limit(ground: &Ground, campaign: &Campaign) {
    let store = &ground.site.store.store;
    let Ok(Some(stored)) = store.find_campaign(campaign.name).await else { return };
    let mut definition = stored.definition;
    definition.limits.issued += RAISE;
    if let Err(error) = store.change_campaign(&definition, stored.version).await {
        assert!(error.is_retryable(), "{error}");
    }
}
