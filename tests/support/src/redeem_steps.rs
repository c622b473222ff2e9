//! Steps that tests of redemptions share: campaigns with their codes, requests, and the oracle of limits and sums.

use std::collections::HashMap;
use std::time::Duration;

use codemint_campaigns::answers::Redeemed;
use codemint_codes::identity::IdentityKey;
use codemint_offers::read::campaign::{NameFrom, read_definition};
use codemint_offers::read::request::read_request;
use codemint_offers::redemption::record::Redemption;
use codemint_offers::redemption::request::Request;
use codemint_offers::verdict::reason::ReasonCode;
use codemint_store::campaigns::changes::CreateCampaign;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::engine_steps::{put_request, request, run};
use crate::stores::{Kind, TestStore};

/// A definition with 10 percent off the order, changed by `fields`.
pub fn definition(name: &str, kind: &str, mask: &str, fields: &Value) -> Value {
    let mut document = json!({
        "name": name, "title": name, "kind": kind, "active": true, "mask": mask,
        "discount": { "effect": { "type": "percent", "basis_points": 1000 }, "target": { "type": "order" } },
    });
    if let (Some(document), Some(fields)) = (document.as_object_mut(), fields.as_object()) {
        document.extend(fields.clone());
    }
    document
}

/// Creates a campaign and mints codes of its mask, in one job that names it.
pub async fn create_campaign(place: &TestStore, document: &Value, codes: i128) {
    let definition = read_definition(document, NameFrom::Document).expect("a definition");
    let created = place.store.create_campaign(&definition).await.expect("a campaign");
    assert_eq!(created, CreateCampaign::Created);
    let mut request = request(document["mask"].as_str().expect("a mask"), codes, 10_000);
    request.campaign = Some(definition.name);
    let job = put_request(&place.store, &request).await;
    run(&place.store, &job).await;
}

/// Changes the current definition of a campaign by `fields`.
pub async fn change_campaign(place: &TestStore, document: &Value, version: u32) {
    let definition = read_definition(document, NameFrom::Document).expect("a definition");
    place.store.change_campaign(&definition, version).await.expect("a change");
}

/// The request to use a code, with more fields.
pub fn asking(code: &str, fields: &Value) -> Request {
    let mut document = json!({ "code": code });
    if let (Some(document), Some(fields)) = (document.as_object_mut(), fields.as_object()) {
        document.extend(fields.clone());
    }
    read_request(&document).expect("a request")
}

/// A cart of one line, in euros.
pub fn cart(unit_amount: i64) -> Value {
    json!({ "currency": "EUR", "lines": [{ "sku": "DOG-1", "quantity": 1, "unit_amount": unit_amount }] })
}

/// The redemption that was granted.
///
/// # Panics
/// If it was refused.
pub fn granted(answer: Redeemed) -> Redemption {
    match answer {
        Redeemed::Granted { redemption, .. } => *redemption,
        other => panic!("{other:?}"),
    }
}

/// The codes of the reasons of a refusal.
///
/// # Panics
/// If it was granted.
pub fn reasons(answer: &Redeemed) -> Vec<ReasonCode> {
    match answer {
        Redeemed::Refused(reasons) => reasons.iter().map(|reason| reason.code).collect(),
        other => panic!("{other:?}"),
    }
}

/// Moves the deadline of a hold to this instant, which differs from the times of what was made before and of what is made afterwards.
pub async fn make_overdue(place: &TestStore, id: Uuid) {
    let moment = Duration::from_millis(2);
    tokio::time::sleep(moment).await;
    let (now, id) = match place.kind {
        Kind::Sqlite => ("strftime('%Y-%m-%dT%H:%M:%fZ', 'now')", format!("x'{}'", id.simple())),
        Kind::Postgres => ("date_trunc('milliseconds', clock_timestamp())", format!("'{id}'")),
    };
    place.execute(&format!("update redemptions set expires_at = {now} where id = {id}")).await;
    tokio::time::sleep(moment).await;
}

/// Panics with the violations that [`find_wrong_redemptions`] finds.
pub async fn judge_redemptions(place: &TestStore) {
    let mut violations = find_wrong_redemptions(place).await;
    violations.truncate(20);
    assert!(violations.is_empty(), "{violations:#?}");
}

/// Returns every violation: for every subject, what is taken is what the redemptions say, the quota is that of the campaign and
/// nothing is beyond it; the sums are those of a recount. It reads the tables itself and trusts nothing that the program
/// reports.
pub async fn find_wrong_redemptions(place: &TestStore) -> Vec<String> {
    let mut violations = judge_allowances(place).await;
    violations.extend(judge_sums(place).await);
    violations
}

type Use = (i64, String, Option<String>, String, bool, Option<i64>, Option<String>);

async fn judge_allowances(place: &TestStore) -> Vec<String> {
    let key: IdentityKey = place.store.identity_key().await.expect("a key");
    let sql = "select campaign_no, code, identity, state, keep_use, discount, currency from redemptions";
    let mut taken: HashMap<(i64, String, String), i64> = HashMap::new();
    for (campaign_no, code, identity, state, keep_use, discount, currency) in place.all::<Use>(sql).await {
        if !(["held", "confirmed"].contains(&&*state) || state == "rolled_back" && keep_use) {
            continue;
        }
        let mut take = |scope: &str, subject: String, amount: i64| {
            *taken.entry((campaign_no, scope.to_owned(), subject)).or_default() += amount;
        };
        take("campaign", String::new(), 1);
        take("code", code, 1);
        if let Some(identity) = identity {
            take("identity", key.digest_of_stored(&identity), 1);
        }
        if let (Some(discount), Some(currency)) = (discount, currency) {
            take("budget", currency, discount);
        }
    }
    let limits = read_limits(place).await;
    let mut violations = Vec::new();
    let sql = "select campaign_no, scope, subject, quota, taken, pruned from allowances where scope <> 'issued'";
    for (no, scope, subject, quota, stored, pruned) in place.all::<(i64, String, String, i64, i64, i64)>(sql).await {
        let limit = limit_of(&limits[&no], &scope, &subject);
        if quota != limit {
            violations.push(format!("campaign {no}, scope {scope}: the quota is {quota} instead of {limit}"));
        }
        let counted = taken.remove(&(no, scope.clone(), subject)).unwrap_or_default();
        if stored != counted + pruned {
            violations
                .push(format!("campaign {no}, scope {scope}: {stored} taken, {counted} counted, {pruned} pruned"));
        }
        if stored > quota {
            violations.push(format!("campaign {no}, scope {scope}: {stored} of {quota} are taken"));
        }
    }
    for ((no, scope, subject), counted) in taken {
        let limit = limit_of(&limits[&no], &scope, &subject);
        if limit > 0 {
            violations
                .push(format!("campaign {no}, scope {scope}: {counted} of {limit} are counted, and none are taken"));
        }
    }
    violations
}

/// Reads the limits of the current definition of each campaign.
async fn read_limits(place: &TestStore) -> HashMap<i64, Value> {
    let sql = "select c.no, cast(v.definition as text) from campaigns c
                 join campaign_versions v on v.campaign_no = c.no and v.version = c.version";
    let limits = |text: &str| serde_json::from_str::<Value>(text).expect("a definition")["limits"].clone();
    place.all::<(i64, String)>(sql).await.into_iter().map(|(no, text)| (no, limits(&text))).collect()
}

/// Returns the limit of a subject; 0 is none.
fn limit_of(limits: &Value, scope: &str, subject: &str) -> i64 {
    let budget = &limits["budget"];
    let limit = match scope {
        "campaign" => &limits["redeemed"],
        "code" => &limits["per_code"],
        "identity" => &limits["per_identity"],
        "budget" if budget["currency"] == subject => &budget["amount"],
        _ => &Value::Null,
    };
    limit.as_i64().unwrap_or_default()
}

async fn judge_sums(place: &TestStore) -> Vec<String> {
    let sums = "
        select campaign_no, metric, currency, cast(sum(amount) as bigint)
          from (select campaign_no, metric, currency, amount from tallies
                union all select campaign_no, metric, currency, amount from tally_deltas) changes
         group by campaign_no, metric, currency";
    let mut sums: HashMap<(i64, String, String), i64> = place
        .all::<(i64, String, String, i64)>(sums)
        .await
        .into_iter()
        .map(|(no, metric, currency, sum)| ((no, metric, currency), sum))
        .collect();
    for metric in ["held", "redeemed", "rolled_back", "discount_held", "discount", "revenue", "clicks"] {
        let pruned: Vec<_> = sums.keys().filter(|(_, name, _)| *name == format!("pruned_{metric}")).cloned().collect();
        for key in pruned {
            let amount = sums.remove(&key).unwrap_or_default();
            *sums.entry((key.0, metric.to_owned(), key.2)).or_default() -= amount;
        }
    }
    let recount = "
        select campaign_no, state, keep_use, coalesce(currency, ''), count(*), cast(coalesce(sum(discount), 0) as bigint),
               cast(coalesce(sum(case when currency is not null then order_amount end), 0) as bigint)
          from redemptions group by campaign_no, state, keep_use, coalesce(currency, '')";
    for (no, state, keep_use, currency, count, discount, revenue) in
        place.all::<(i64, String, bool, String, i64, i64, i64)>(recount).await
    {
        let mut subtract = |metric: &str, currency: &str, amount: i64| {
            *sums.entry((no, metric.to_owned(), currency.to_owned())).or_default() -= amount;
        };
        match &*state {
            "held" => {
                subtract("held", "", count);
                subtract("discount_held", &currency, discount);
            }
            "confirmed" => {
                subtract("redeemed", "", count);
                subtract("discount", &currency, discount);
                subtract("revenue", &currency, revenue);
            }
            "rolled_back" => {
                subtract("rolled_back", "", count);
                if keep_use {
                    subtract("redeemed", "", count);
                    subtract("discount", &currency, discount);
                }
            }
            _ => {}
        }
    }
    for (metric, table) in [("issued", "assignments"), ("clicks", "clicks")] {
        let count = format!("select campaign_no, count(*) from {table} group by campaign_no");
        for (no, count) in place.all::<(i64, i64)>(&count).await {
            *sums.entry((no, metric.to_owned(), String::new())).or_default() -= count;
        }
    }
    sums.into_iter()
        .filter(|(_, rest)| *rest != 0)
        .map(|((no, metric, currency), rest)| {
            format!("campaign {no}: the sum {metric} {currency} is {rest} beside a recount")
        })
        .collect()
}
