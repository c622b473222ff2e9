//! Switches the campaigns of shops off and on, and changes their limits, with the program.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tokio::time::sleep;

use crate::ground::Ground;
use crate::lot::Lot;
use crate::offers::{BUDGET, OFFERS, Offer};
use codemint_test_support::redemption_histories::OffTime;

/// Changes campaigns until the time is up, and returns when each was off.
pub async fn make(ground: &Ground, mut lot: Lot, until: Instant) -> Vec<OffTime> {
    let mut off = Vec::new();
    while Instant::now() < until {
        let offer = &OFFERS[lot.below(OFFERS.len())];
        let (field, first) = lot.one_of(offer.limits);
        let pause = lot.pause(Duration::from_millis(200), Duration::from_secs(2));
        match lot.below(8) {
            0..3 => off.push(switch_off_for(ground, offer, pause).await),
            3 => lift_and_set_again(ground, offer, field, first, pause).await,
            kind => {
                let part = lot.below(100) as u64;
                let limit = |now| if kind < 6 { now + first / 2 } else { 1 + now * part / 100 };
                let (what, code) = change(ground, offer, field, limit).await;
                ground.count(&format!(
                    "{what} the limit of a campaign{}",
                    if code == 4 { ", and was refused" } else { "" }
                ));
            }
        }
        sleep(lot.pause(Duration::from_millis(100), Duration::from_secs(1))).await;
    }
    off
}

async fn switch_off_for(ground: &Ground, offer: &Offer, pause: Duration) -> OffTime {
    let switch = async |command: &str| {
        let program = || ground.site.store.codemint(["campaign", command, offer.name]);
        ground.run_until_answered("switched a campaign", &[0], program).await;
    };
    switch("deactivate").await;
    let (from, before) = look(ground, offer).await;
    sleep(pause).await;
    let (until, after) = look(ground, offer).await;
    switch("activate").await;
    ground.count("switched a campaign off and on");
    OffTime { campaign: offer.name.to_owned(), from, until, committed: after - before }
}

/// Removes a limit, and sets it again as soon as it is above what was used in the meantime.
async fn lift_and_set_again(ground: &Ground, offer: &Offer, field: &str, first: u64, pause: Duration) {
    change(ground, offer, field, |_| 0).await;
    ground.count("removed a limit");
    sleep(pause).await;
    let mut limit = first;
    while change(ground, offer, field, |_| limit).await.1 == 4 {
        ground.count("set a limit that was refused");
        limit *= 2;
    }
    ground.count("set a limit where there was none");
}

/// Changes one limit of a campaign, with a value that follows from the current one. Returns what that was, and the exit code.
async fn change(ground: &Ground, offer: &Offer, field: &str, to: impl Fn(u64) -> u64) -> (&'static str, i32) {
    let show = || ground.site.store.codemint(["campaign", "show", offer.name, "--json"]);
    let file = ground.site.store.path().join(format!("{}.json", offer.name));
    loop {
        let mut document = ground.run_until_answered("looked at a campaign", &[0], show).await.json();
        let version = document["version"].to_string();
        let fields = document.as_object_mut().expect("a document");
        for field in ["version", "status", "counts", "created_at"] {
            fields.remove(field);
        }
        let limits = &mut document["limits"];
        let now = if field == BUDGET { &limits[BUDGET]["amount"] } else { &limits[field] }.as_u64().unwrap_or_default();
        let new = to(now);
        limits[field] = match field {
            BUDGET if new == 0 => Value::Null,
            BUDGET => json!({ "currency": "EUR", "amount": new }),
            _ => json!(new),
        };
        std::fs::write(&file, document.to_string()).expect("a file");
        let args = ["campaign", "change", file.to_str().expect("a path"), "--version", &version];
        let program = || ground.site.store.codemint(args);
        // An earlier attempt may have been committed without an answer: then the version is another one.
        let ran = ground.run_until_answered("changed a limit", &[0, 3, 4], program).await;
        if ran.code != 3 {
            return (if new < now { "lowered" } else { "raised" }, ran.code);
        }
    }
}

/// Reads the clock of the store, in microseconds since 1970, and the number of redemptions of a campaign.
async fn look(ground: &Ground, offer: &Offer) -> (i64, i64) {
    let sql = "select cast(extract(epoch from clock_timestamp()) * 1000000 as bigint), count(*)
                 from redemptions r join campaigns c on c.no = r.campaign_no where c.name = $1";
    loop {
        if let Ok(mut connection) = PgConnection::connect(&ground.site.store.url).await
            && let Ok(seen) = sqlx::query_as(sql).bind(offer.name).fetch_one(&mut connection).await
        {
            return seen;
        }
        sleep(Duration::from_millis(100)).await;
    }
}
