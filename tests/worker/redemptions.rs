//! Redemptions beside workers: holds expire although nobody asks, sums are added up, and events reach the broker.

use std::collections::{BTreeMap, BTreeSet};

use codemint_campaigns::redeeming::{Redeemer, RedeemerOptions};
use codemint_offers::redemption::transition::Action;
use futures_util::future::join_all;
use serde_json::{Value, json};
use uuid::Uuid;

use codemint_test_support::amqp::Message;
use codemint_test_support::on_both_stores;
use codemint_test_support::redeem_steps::{asking, cart, create_campaign, definition, granted, judge_redemptions};
use codemint_test_support::schemas::{assert_fits, validator};
use codemint_test_support::site::{EVENTS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::{wait_until, wait_until_equal};

const HELD: &str = "select count(*) from redemptions where state = 'held'";
const EXPIRED: &str = "select count(*) from redemptions where state = 'expired'";
/// The deadline of all holds has come.
const DEADLINES_COME: &str = "update redemptions set expires_at = held_at where state = 'held'";

async fn redeemer(site: &Site, emits_events: bool) -> Redeemer {
    let options = RedeemerOptions { emits_events, ..RedeemerOptions::default() };
    Redeemer::start(&site.store.store, options).await.expect("a redeemer")
}

/// Uses or holds a code, and returns the id of the redemption.
async fn redeem(redeemer: &Redeemer, code: &str, fields: &Value) -> Uuid {
    granted(redeemer.redeem(Uuid::now_v7(), asking(code, fields), true).await.expect("an answer")).id
}

async fn wait_until_kept(site: &Site, expired: i64) {
    wait_until("holds have expired and sums are added up", async || {
        site.count(EXPIRED).await == expired && site.count("select count(*) from tally_deltas").await == 0
    })
    .await;
}

on_both_stores!(overdue_holds_expire_and_sums_are_added_up_although_nobody_asks);
async fn overdue_holds_expire_and_sums_are_added_up_although_nobody_asks(place: TestStore) {
    let site = Site::new(place).await;
    let limits = json!({ "limits": { "redeemed": 10, "budget": { "currency": "EUR", "amount": 10_000 } } });
    create_campaign(&site.store, &definition("spring", "public", "SPRING", &limits), 1).await;
    let redeemer = redeemer(&site, false).await;
    for hold_seconds in [60, 60, 0] {
        redeem(&redeemer, "SPRING", &json!({ "hold_seconds": hold_seconds, "cart": cart(1000), "identity": "ann" }))
            .await;
    }
    site.store.execute(DEADLINES_COME).await;
    redeem(&redeemer, "SPRING", &json!({ "hold_seconds": 600, "cart": cart(1000) })).await;
    let worker = site.start_ready().await;
    wait_until_kept(&site, 2).await;
    worker.wait_until_metric("codemint_redemptions_total{outcome=\"expired\"}", |expired| expired == 2.0).await;
    worker.wait_until_metric("codemint_redemption_holds", |holds| holds == 1.0).await;
    assert_eq!(site.count(HELD).await, 1, "its deadline has not come");
    assert!(site.count("select count(*) from tallies").await > 0);
    assert_eq!(site.count("select taken from allowances where scope = 'budget'").await, 200);
    judge_redemptions(&site.store).await;
    let told = worker.terminate().await.expect_code(0);
    assert!(!told.stderr.contains("permission denied"), "{}", told.stderr);
    assert_eq!(site.count("select count(*) from outbox").await, 0);
}

on_both_stores!(two_workers_expire_every_overdue_hold_once);
async fn two_workers_expire_every_overdue_hold_once(place: TestStore) {
    const HOLDS: usize = 1_500;
    let site = Site::new(place).await;
    let limits = json!({ "limits": { "redeemed": 5_000 } });
    create_campaign(&site.store, &definition("spring", "public", "SPRING", &limits), 1).await;
    let redeemer = redeemer(&site, false).await;
    let hold = json!({ "hold_seconds": 600 });
    join_all((0..HOLDS).map(|_| redeem(&redeemer, "SPRING", &hold))).await;
    let workers = [site.start_ready().await, site.start_ready().await];
    let mut inbox = site.peer().await.listen(EVENTS, "redemption.expired").await;
    site.store.execute(DEADLINES_COME).await;
    wait_until_kept(&site, HOLDS as i64).await;
    let ids = |told: &[Message]| {
        told.iter().map(|message| message.properties.message_id().clone()).collect::<BTreeSet<_>>().len()
    };
    let told = inbox.collect("all expiries", |told| told.len() >= HOLDS && ids(told) == HOLDS).await.len();
    // Two processes that share a file may both publish an event.
    assert!(told == HOLDS || site.store.kind == Kind::Sqlite, "{told}");
    judge_redemptions(&site.store).await;
    let expired =
        || workers.iter().map(|worker| worker.metric("codemint_redemptions_total{outcome=\"expired\"}") as usize).sum();
    // They are counted after the commit.
    wait_until_equal("expired", &HOLDS, async || expired()).await;
    for worker in workers {
        worker.terminate().await.expect_code(0);
    }
}

const SECRETS: [&str; 3] = ["QX7-GIFT", "ann@example.com", "qx7-gift"];

/// Returns how often each routing key arrived, after a look at each message.
fn keys_of(messages: &[Message], key: &codemint_codes::identity::IdentityKey) -> BTreeMap<String, usize> {
    let schema = validator("redemption-event");
    let digest = key.digest("ann@example.com").to_string();
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    let mut ids = BTreeSet::new();
    for message in messages {
        let (body, document) = (String::from_utf8_lossy(&message.body).into_owned(), message.json());
        let event_type = format!("codemint.{}.v1", message.routing_key);
        assert_eq!(document["type"], event_type.as_str(), "{body}");
        assert_eq!(message.properties.kind().as_ref().map(ToString::to_string), Some(event_type), "{body}");
        let id = message.properties.message_id().as_ref().expect("an id").to_string();
        assert_eq!(document["id"], id.as_str(), "{body}");
        assert!(ids.insert(id), "arrived twice: {body}");
        assert_fits(&schema, &document);
        for secret in SECRETS.into_iter().chain([&*digest]) {
            assert!(!body.contains(secret), "{body}");
        }
        *keys.entry(message.routing_key.clone()).or_default() += 1;
    }
    keys
}

on_both_stores!(each_change_of_a_redemption_is_told_once_without_its_code_and_its_identity);
async fn each_change_of_a_redemption_is_told_once_without_its_code_and_its_identity(place: TestStore) {
    let site = Site::new(place).await;
    let limits = json!({ "limits": { "redeemed": 3 } });
    create_campaign(&site.store, &definition("spring", "public", "QX7-GIFT", &limits), 1).await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "redemption.*").await;
    let mut of_campaigns = peer.listen(EVENTS, "campaign.*").await;
    let mut of_jobs = peer.listen(EVENTS, "job.#").await;
    let redeemer = redeemer(&site, true).await;
    let held = json!({ "hold_seconds": 600, "cart": cart(1000), "identity": "ann@example.com", "order": "A-1",
                       "context": { "source": "mail" } });
    let used = json!({ "identity": "ann@example.com" });
    let act = async |id, action| redeemer.act(id, action).await.expect("an answer");
    let paid = redeem(&redeemer, "QX7-GIFT", &held).await;
    act(paid, Action::Confirm { cart: None }).await;
    act(paid, Action::Confirm { cart: None }).await;
    let released = redeem(&redeemer, "QX7-GIFT", &json!({ "hold_seconds": 600 })).await;
    act(released, Action::Release).await;
    let refunded = redeem(&redeemer, "QX7-GIFT", &used).await;
    act(refunded, Action::RollBack { keep_use: false }).await;
    let forgotten = redeem(&redeemer, "QX7-GIFT", &json!({ "hold_seconds": 600 })).await;
    site.store.execute(DEADLINES_COME).await;
    wait_until("it expires", async || site.count(EXPIRED).await == 1).await;
    for _ in 0..2 {
        redeem(&redeemer, "QX7-GIFT", &used).await;
    }
    let job = Uuid::now_v7();
    publish(&peer, &request(job, "JOB???##", 10)).await;
    assert!(wait_for_end(&mut of_jobs, job).await.len() >= 2);
    wait_until("all events are published", async || site.count("select count(*) from outbox").await == 0).await;
    let key = site.store.store.identity_key().await.expect("a key");
    let expected = [("confirmed", 4), ("expired", 1), ("released", 1), ("rolled_back", 1)];
    let expected = expected.map(|(state, count)| (format!("redemption.{state}"), count)).into();
    let told = inbox.collect_count(7).await;
    assert_eq!(keys_of(told, &key), expected);
    let of = |id: Uuid, state: &str| {
        let is_it = |message: &&Message| message.json()["id"] == format!("{id}/{state}");
        told.iter().find(is_it).unwrap_or_else(|| panic!("no event {id}/{state}")).json()["data"].clone()
    };
    let data = of(paid, "confirmed");
    let found = ["campaign", "discount", "currency", "order", "source"].map(|field| data[field].clone());
    assert_eq!(json!(found), json!(["spring", 100, "EUR", "A-1", "mail"]));
    assert_eq!(of(forgotten, "expired")["state"], "expired");
    let exhausted = of_campaigns.collect_count(1).await;
    assert_eq!(keys_of(exhausted, &key), [("campaign.exhausted".to_owned(), 1)].into());
    assert_eq!(exhausted[0].json()["data"], json!({ "campaign": "spring", "version": 1, "limit": "redeemed" }));
    assert!(of_jobs.messages.iter().all(|message| message.routing_key.starts_with("job.")));
    judge_redemptions(&site.store).await;
    worker.terminate().await.expect_code(0);
}

#[tokio::test]
async fn regression_limits_that_are_reached_at_once_are_told_apart_and_under_a_name_of_any_length() {
    let site = Site::new(TestStore::sqlite().await).await;
    let limits = json!({ "limits": { "redeemed": 1, "budget": { "currency": "EUR", "amount": 100 } } });
    let name = "ü".repeat(200);
    create_campaign(&site.store, &definition(&name, "public", "SPRING", &limits), 1).await;
    let worker = site.start_ready().await;
    let mut inbox = site.peer().await.listen(EVENTS, "campaign.*").await;
    redeem(&redeemer(&site, true).await, "SPRING", &json!({ "cart": cart(1000) })).await;
    let told = inbox.collect_count(2).await;
    let of = |field: &str| -> BTreeSet<String> {
        told.iter().map(|message| message.json().pointer(field).expect(field).to_string()).collect()
    };
    assert_eq!(of("/data/limit"), ["\"budget\"".to_owned(), "\"redeemed\"".to_owned()].into());
    assert_eq!(of("/id").len(), 2);
    wait_until("they are published", async || site.count("select count(*) from outbox").await == 0).await;
    worker.terminate().await.expect_code(0);
}
