//! Other ways to codes than knowing one: what happens at locations triggers personal codes, and friends pass codes on.

use std::time::{Duration, Instant};

use chrono::{DateTime, SecondsFormat, TimeDelta};
use serde_json::json;
use tokio::time::sleep;
use uuid::Uuid;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::till::Use;
use codemint_campaigns::triggering::{TriggerError, TriggerHandler, Triggers};
use codemint_offers::read::trigger::{IdFrom, read_trigger};
use codemint_offers::referral::address::Address;
use codemint_store::connection::store::Store;
use codemint_store::referrals::referrers::NewReferrer;
use codemint_test_support::api::ApiClient;
use codemint_test_support::oracle;
use codemint_test_support::redeem_steps::{create_campaign, definition};
use codemint_test_support::referral_steps::{friends, judge_referrals};
use codemint_test_support::stores::TestStore;

/// Codes of each pool at the start. Workers refill it.
const FIRST_POOL: i128 = 300;
/// The campaigns that triggers concern: one issues at once, the other when a day has passed since a deactivation.
const WELCOME: &str = "welcome";
const GOODBYE: &str = "goodbye";
pub const NAMES: [&str; 4] = [WELCOME, GOODBYE, "friends", "thanks"];
/// Numbers that share a location, and those that share a trigger.
const NUMBERS_PER_LOCATION: u64 = 6;
const NUMBERS_PER_TRIGGER: u64 = 2;
/// Few enough for friends who know each other.
const PEOPLE: usize = 2_000;
const DECIDED_WITHIN: Duration = Duration::from_secs(300);

/// Creates the campaigns before there are any faults, and returns the jobs of their codes.
pub async fn create(ground: &Ground) -> Vec<oracle::Asked> {
    let place = &ground.site.store;
    for (name, days) in [(WELCOME, 0), (GOODBYE, 1)] {
        let fields = json!({
            "segments": ["trial"], "use_cases": ["location.changed"], "wait_days_after_deactivation": days, "limits": { "per_code": 3 },
        });
        create_campaign(place, &definition(name, "restricted", &mask_of(name), &fields), FIRST_POOL).await;
    }
    let terms = json!({ "reward_campaign": "thanks", "max_depth": 6, "max_codes_per_referrer": 4 });
    // The oracle reads masks by itself, and knows two placeholders.
    let mut friends = friends(&terms);
    friends["mask"] = json!(mask_of("friends"));
    create_campaign(place, &friends, FIRST_POOL).await;
    create_campaign(place, &definition("thanks", "restricted", &mask_of("thanks"), &json!({})), FIRST_POOL).await;
    // Definitions have masks in their shortest form, which the oracle does not read.
    let jobs = "select id, campaign, count from jobs where campaign in ('welcome', 'goodbye', 'friends', 'thanks')";
    let asked = |(id, campaign, count): (Uuid, String, i64)| oracle::Asked {
        id,
        mask: mask_of(&campaign),
        count: count.unsigned_abs(),
    };
    place.all(jobs).await.into_iter().map(asked).collect()
}

fn mask_of(name: &str) -> String {
    format!("{}-??????", name.to_uppercase())
}

/// What newcomers ask, through one store.
pub struct Newcomers {
    store: Store,
    triggers: Triggers,
    /// When the soak began, in microseconds since 1970.
    began: i64,
}

impl Newcomers {
    pub fn new(store: Store, began: i64) -> Self {
        let triggers = Triggers::start(TriggerHandler::new(store.clone(), true));
        Self { store, triggers, began }
    }

    /// Sends the trigger of a number, which all processes know, itself or over HTTP. Errors are left to the next one who sends it.
    pub async fn send_trigger(&self, number: u64, over_http: Option<(&ApiClient, &str)>) {
        let number = number / NUMBERS_PER_TRIGGER * NUMBERS_PER_TRIGGER;
        let location = format!("location-{}", number / NUMBERS_PER_LOCATION);
        // Due about when the number is in use.
        let due = DateTime::from_timestamp_micros(self.began + (number as i64) * 50_000).expect("a time");
        let deactivated_at = (due - TimeDelta::days(1)).to_rfc3339_opts(SecondsFormat::Secs, true);
        let document = json!({
            "type": "location.changed", "identity": location, "segments": ["trial"],
            "deactivated_at": number.is_multiple_of(3).then_some(deactivated_at),
        });
        if let Some((client, key)) = over_http {
            // A server that was killed does not answer.
            let path = format!("/v1/triggers/trigger-{number}");
            if let Ok(answer) = client.try_ask("PUT", &path, key, Some(document)).await {
                assert!([200, 503].contains(&answer.status), "{answer:?}");
            }
            return;
        }
        let trigger = read_trigger(&document, IdFrom::Path(&format!("trigger-{number}"))).expect("a trigger");
        if let Err(TriggerError::Store(error)) = self.triggers.handle(trigger).await {
            assert!(error.is_retryable(), "{error}");
        }
    }

    /// Names a person to whom the shop gives a code to pass on.
    pub async fn name_referrer(&self, lot: &mut Lot) {
        let address = Address::read(&person(lot)).expect("an address");
        let new = NewReferrer { id: Uuid::now_v7(), campaign: "friends".to_owned(), address };
        if let Err(error) = self.store.put_referrer(&new).await {
            assert!(error.is_retryable(), "{error}");
        }
    }

    /// Returns a friend's request to use a code that somebody has passed on; `None` if there is none, or no answer.
    pub async fn friend(&self, lot: &mut Lot) -> Option<Use> {
        let code =
            self.store.query("select code from referrers order by random() limit 1").fetch_optional::<(String,)>();
        let (code,) = code.await.ok().flatten()?;
        let hold_seconds = 60 * lot.below(2) as u32;
        Some(Use { document: json!({ "code": code, "identity": person(lot) }), hold_seconds })
    }
}

fn person(lot: &mut Lot) -> String {
    let alias = ["", "+shop", "+2"][lot.below(3)];
    format!("person.{}{alias}@gmail.com", lot.below(PEOPLE))
}

/// Waits until no trigger is due any more. The campaigns are off.
pub async fn wait_until_decided(store: &TestStore) {
    let started = Instant::now();
    while store.number("select count(*) from trigger_results where state = 'waiting' and due_at <= now()").await > 0 {
        assert!(started.elapsed() < DECIDED_WITHIN, "triggers are due and nobody decides them");
        sleep(Duration::from_millis(500)).await;
    }
}

/// Panics unless each code that a trigger has issued is bound to its identity, and the referrals are sound.
pub async fn judge(store: &TestStore) {
    judge_referrals(store).await;
    let of_triggers = "select count(*) from trigger_results r full join assignments a on a.code = r.code
                        where (r.state = 'issued' or a.cause = 'trigger' and a.trigger_id like 'trigger-%')
                          and (a.code is null or r.code is null or a.identity <> r.identity or a.trigger_id <> r.trigger_id)";
    assert_eq!(store.number(of_triggers).await, 0, "results of triggers and codes of identities differ");
    for (what, sql) in [
        ("triggers", "select count(*) from triggers"),
        ("codes that triggers have issued", "select count(*) from trigger_results where state = 'issued'"),
        ("referrers", "select count(*) from referrers"),
        ("friends", "select count(*) from referrals where state <> 'void'"),
        ("void referrals", "select count(*) from referrals where state = 'void'"),
        ("rewarded referrals", "select count(*) from referrals where state = 'rewarded'"),
    ] {
        println!("{:8}  {what}", store.number(sql).await);
    }
}
