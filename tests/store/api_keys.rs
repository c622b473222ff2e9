//! API keys in the store: created once, found by their digests, revoked permanently.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use codemint_offers::access::key::ApiKey;
use codemint_offers::access::record::{KEYS_MAX, KeyRecord, KeyState};
use codemint_store::access::keys::{CreateKey, NewKey, RevokeKey};
use codemint_store::admission::entropy::fresh_api_key;
use codemint_store::connection::store::Store;
use codemint_test_support::proxy::{Loss, Proxy};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::{on_all_stores, on_both_stores};
use tokio::task::JoinSet;
use uuid::Uuid;

fn drawn(name: &str) -> (NewKey, ApiKey) {
    let key = fresh_api_key().expect("random bytes");
    let scopes = "redeem,issue".parse().expect("scopes");
    let (id, digest) = (Uuid::now_v7(), key.digest());
    (NewKey { id, name: Some(name.to_owned()), scopes, expires_at: None, digest }, key)
}

fn created(created: CreateKey) -> KeyRecord {
    match created {
        CreateKey::Created(record) => record,
        CreateKey::TooMany => panic!("too many keys"),
    }
}

async fn create(store: &Store, name: &str) -> (KeyRecord, ApiKey) {
    let (new, key) = drawn(name);
    (created(store.create_key(&new).await.expect("an answer")), key)
}

async fn found(store: &Store, key: &ApiKey) -> Option<KeyRecord> {
    store.find_key_by_digest(&key.digest()).await.expect("an answer")
}

const AUDITED: &str = "select action || ' ' || result || ' ' || detail from audit order by no";

on_all_stores!(a_key_is_found_by_its_digest_as_it_was_created);
async fn a_key_is_found_by_its_digest_as_it_was_created(place: TestStore) {
    let store = &place.store;
    assert!(!store.has_api_keys().await.expect("an answer"));
    let (mut new, key) = drawn("Köln, counter 3");
    let expires_at = (Utc::now() + TimeDelta::days(90)).trunc_subsecs(3);
    new.expires_at = Some(expires_at);
    let record = created(store.create_key(&new).await.expect("an answer"));
    assert!(store.has_api_keys().await.expect("an answer"));
    assert_eq!((record.id, record.name.as_deref(), &record.scopes), (new.id, Some("Köln, counter 3"), &new.scopes));
    assert_eq!((record.expires_at, record.revoked_at, record.last_used_at), (Some(expires_at), None, None));
    assert!((Utc::now() - record.created_at).num_seconds().abs() < 60);
    let elsewhere = place.open_again().await;
    assert_eq!(found(&elsewhere, &key).await.as_ref(), Some(&record));
    assert_eq!(store.find_key(new.id).await.expect("an answer"), Some(record));
    assert_eq!(found(store, &fresh_api_key().expect("random bytes")).await, None);
    assert_eq!(store.find_key(Uuid::now_v7()).await.expect("an answer"), None);
    let shown = expires_at.format("%Y-%m-%dT%H:%M:%S%.3fZ");
    let detail = format!("key_create done {}: redeem,issue, expires {shown}, Köln, counter 3", new.id);
    assert_eq!(place.texts(AUDITED).await, [detail]);
}

on_both_stores!(a_repeated_creation_is_the_same_key_and_another_under_its_id_is_refused);
async fn a_repeated_creation_is_the_same_key_and_another_under_its_id_is_refused(place: TestStore) {
    let (new, key) = drawn("till");
    let first = created(place.store.create_key(&new).await.expect("an answer"));
    let again = created(place.store.create_key(&new).await.expect("an answer"));
    assert_eq!(first, again);
    let (other, other_key) = drawn("till");
    place.store.create_key(&NewKey { id: new.id, ..other }).await.expect_err("the id of another key");
    assert_eq!((found(&place.store, &key).await, found(&place.store, &other_key).await), (Some(first), None));
    assert_eq!(place.texts(AUDITED).await.len(), 1);
}

#[tokio::test]
async fn a_creation_whose_commit_is_lost_is_repeated_without_a_second_key() {
    for loss in [Loss::AnswerToCommit, Loss::Commit] {
        let place = TestStore::postgres().await;
        let proxy = Proxy::start(&place.url).await;
        let through = place.open_at(&proxy.url).await;
        let (new, key) = drawn("till");
        proxy.lose(loss, 1);
        let lost = through.create_key(&new).await.expect_err("no answer");
        assert!(lost.is_retryable() && proxy.losses_left() == 0, "{lost}");
        let record = created(through.create_key(&new).await.expect("an answer"));
        assert_eq!(found(&place.store, &key).await, Some(record), "{loss:?}");
        assert_eq!(place.number("select count(*) from api_keys").await, 1, "{loss:?}");
        assert_eq!(place.texts(AUDITED).await.len(), 1, "{loss:?}");
    }
}

on_both_stores!(a_revoked_key_is_revoked_at_once_for_every_process_and_stays_so);
async fn a_revoked_key_is_revoked_at_once_for_every_process_and_stays_so(place: TestStore) {
    let elsewhere = place.open_again().await;
    let (record, key) = create(&place.store, "till").await;
    assert_eq!(place.store.revoke_key(Uuid::now_v7()).await.expect("an answer"), RevokeKey::Unknown);
    assert_eq!(found(&elsewhere, &key).await.expect("the key").state(Utc::now()), KeyState::Usable);
    let RevokeKey::Revoked(revoked) = place.store.revoke_key(record.id).await.expect("an answer") else {
        panic!("not revoked")
    };
    assert_eq!(found(&elsewhere, &key).await.as_ref(), Some(&revoked));
    // The clock of this process may be behind that of the store.
    assert_eq!(revoked.state(DateTime::UNIX_EPOCH), KeyState::Revoked);
    place.execute("update api_keys set revoked_at = '2020-01-01T00:00:00.000Z'").await;
    let earlier = KeyRecord { revoked_at: "2020-01-01T00:00:00Z".parse().ok(), ..revoked };
    let again = elsewhere.revoke_key(record.id).await.expect("an answer");
    assert_eq!(again, RevokeKey::AlreadyRevoked(earlier.clone()), "the time stays");
    assert_eq!(found(&place.store, &key).await, Some(earlier));
    let audited = place.texts(AUDITED).await;
    let expected = ["key_create done", "key_revoke done", "key_revoke unchanged"];
    assert_eq!(audited, expected.map(|act| format!("{act} {}: redeem,issue, till", record.id)));
}

on_both_stores!(keys_are_listed_newest_first_and_page_by_page);
async fn keys_are_listed_newest_first_and_page_by_page(place: TestStore) {
    let store = &place.store;
    let list = async |after: Option<&KeyRecord>, limit| store.list_keys(after, limit).await.expect("an answer");
    assert_eq!(list(None, 10).await, []);
    let mut expected = Vec::new();
    for number in 0..7 {
        expected.push(create(store, &format!("key {number}")).await.0);
    }
    // Several of the same instant.
    place
        .execute("update api_keys set created_at = (select max(created_at) from api_keys) where name >= 'key 3'")
        .await;
    let mut all = list(None, 100).await;
    assert_eq!(all.iter().map(|key| key.id).collect::<BTreeSet<_>>().len(), 7);
    assert!(all.windows(2).all(|pair| (pair[0].created_at, pair[0].id) > (pair[1].created_at, pair[1].id)));
    assert_eq!(all[6].id, expected[0].id);
    let mut after = None;
    for size in [3, 3, 1, 0] {
        let page = list(after.as_ref(), 3).await;
        assert_eq!(page, all.drain(..size).collect::<Vec<_>>());
        after = page.last().cloned().or(after);
    }
}

on_both_stores!(a_use_is_noted_once_an_hour_and_never_goes_back);
async fn a_use_is_noted_once_an_hour_and_never_goes_back(place: TestStore) {
    let (record, key) = create(&place.store, "till").await;
    let (other, other_key) = create(&place.store, "other").await;
    let start = (Utc::now() + TimeDelta::days(1)).trunc_subsecs(3);
    let [minute, hour] = [TimeDelta::minutes(1), TimeDelta::hours(1)];
    for (now, is_noted, last) in [
        (start, true, start),
        (start, false, start),
        (start + hour - minute, false, start),
        (start - hour - minute, false, start),
        (start + hour, true, start + hour),
        (start + minute, false, start + hour),
        (start + hour * 3, true, start + hour * 3),
    ] {
        let known = found(&place.store, &key).await.expect("the key");
        assert_eq!(known.notes_use(now), is_noted, "the core decides as the store does: {now}");
        assert_eq!(place.store.note_use_of_key(record.id, now).await.expect("an answer"), is_noted, "{now}");
        assert_eq!(found(&place.store, &key).await.expect("the key").last_used_at, Some(last), "{now}");
    }
    assert_eq!(found(&place.store, &other_key).await, Some(other));
    assert!(!place.store.note_use_of_key(Uuid::now_v7(), start).await.expect("an answer"));
}

#[tokio::test]
async fn a_use_is_not_noted_while_another_process_holds_the_row() {
    use sqlx::{Connection, Executor, PgConnection};
    let place = TestStore::postgres().await;
    let (record, key) = create(&place.store, "till").await;
    let mut holder = PgConnection::connect(&place.url).await.expect("a connection");
    holder.execute("begin; select from api_keys for update").await.expect("a lock");
    let noted = tokio::time::timeout(Duration::from_secs(5), place.store.note_use_of_key(record.id, Utc::now()));
    assert!(!noted.await.expect("no wait for the lock").expect("an answer"));
    assert_eq!(found(&place.store, &key).await, Some(record));
}

on_both_stores!(unusable_keys_leave_room_for_others_and_no_more_than_the_limit_are_usable);
async fn unusable_keys_leave_room_for_others_and_no_more_than_the_limit_are_usable(place: TestStore) {
    // All but three of the limit.
    let (random, number) = match place.kind {
        Kind::Postgres => ("gen_random_uuid(), sha256(n::text::bytea)", "generate_series(1, 9997) n"),
        Kind::Sqlite => (
            "randomblob(16), randomblob(32)",
            "(with recursive n(i) as (select 1 union all select i + 1 from n where i < 9997) select i from n)",
        ),
    };
    place.execute(&format!("insert into api_keys (id, digest, scopes) select {random}, 'redeem' from {number}")).await;
    assert_eq!(place.number("select count(*) from api_keys").await, KEYS_MAX as i64 - 3);

    let elsewhere = place.open_again().await;
    let mut creations = JoinSet::new();
    for number in 0..8 {
        let store = [&place.store, &elsewhere][number % 2].clone();
        creations.spawn(async move { store.create_key(&drawn("till").0).await.expect("an answer") });
    }
    let results = creations.join_all().await;
    let stored: Vec<KeyRecord> = results
        .into_iter()
        .filter_map(|result| match result {
            CreateKey::Created(record) => Some(record),
            CreateKey::TooMany => None,
        })
        .collect();
    assert_eq!(stored.len(), 3);
    assert_eq!(place.number("select count(*) from api_keys").await, KEYS_MAX as i64);
    assert_eq!(place.texts(AUDITED).await.len(), 3);

    let (new, _) = drawn("till");
    assert_eq!(place.store.create_key(&new).await.expect("an answer"), CreateKey::TooMany);
    place.store.revoke_key(stored[0].id).await.expect("an answer");
    created(place.store.create_key(&new).await.expect("an answer"));
    created(place.store.create_key(&new).await.expect("a repetition needs no room"));
    assert_eq!(place.store.create_key(&drawn("till").0).await.expect("an answer"), CreateKey::TooMany);
    let (expired, fresh) = (stored[1].id.simple(), drawn("till").0);
    let of_expired = match place.kind {
        Kind::Postgres => format!("'{expired}'"),
        Kind::Sqlite => format!("unhex('{expired}')"),
    };
    place.execute(&format!("update api_keys set expires_at = created_at where id = {of_expired}")).await;
    created(place.store.create_key(&fresh).await.expect("an answer"));
}

on_both_stores!(a_key_with_scopes_of_a_newer_program_keeps_those_that_are_known);
async fn a_key_with_scopes_of_a_newer_program_keeps_those_that_are_known(place: TestStore) {
    let (_, key) = create(&place.store, "till").await;
    place.execute("update api_keys set scopes = 'teleport,issue'").await;
    assert_eq!(found(&place.store, &key).await.expect("the key").scopes.to_string(), "issue");
}
