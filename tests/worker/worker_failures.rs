//! Chunks that cannot be minted: the job ends with its true count, and no other job waits for it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use uuid::Uuid;

use codemint_test_support::amqp::Message;
use codemint_test_support::engine_steps::{assert_sound, checking, put_request, request as store_request};
use codemint_test_support::on_both_stores;
use codemint_test_support::site::{DEAD, EVENTS, JOBS, Site, publish, request, wait_for_end};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;

/// Makes the store reject codes that begin with a 7.
async fn refuse_sevens(place: &TestStore) {
    let sql = match place.kind {
        Kind::Postgres => "alter table codes add constraint no_sevens check (code not like '7%')",
        Kind::Sqlite => {
            "create trigger no_sevens before insert on codes when new.code like '7%'
             begin select raise(abort, 'no sevens'); end"
        }
    };
    place.execute(sql).await;
}

on_both_stores!(a_job_fails_with_its_true_count_after_five_failures_and_blocks_no_other);
async fn a_job_fails_with_its_true_count_after_five_failures_and_blocks_no_other(store: TestStore) {
    let site = Site::new(store).await;
    refuse_sevens(&site.store).await;
    let worker = site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "100")], &[]);
    worker.wait_until_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let (bad, good) = (Uuid::now_v7(), Uuid::now_v7());
    publish(&peer, &request(bad, "####", 1_000)).await;
    wait_until("it fails", async || {
        site.count("select cast(coalesce(max(failures), 0) as bigint) from chunks").await > 0
    })
    .await;
    publish(&peer, &request(good, "A####", 1_000)).await;
    assert_eq!(wait_for_end(&mut inbox, good).await.last().map(String::as_str), Some("job.completed"));
    assert_eq!(
        inbox.messages.iter().filter(|event| event.routing_key == "job.failed").count(),
        0,
        "the good job waited for the bad one"
    );
    assert_eq!(wait_for_end(&mut inbox, bad).await.last().map(String::as_str), Some("job.failed"));

    let event = inbox.messages.iter().find(|event| event.routing_key == "job.failed").expect("the end").json();
    assert_eq!(event["data"]["error"]["code"], "chunk_failed");
    let message = event["data"]["error"]["message"].as_str().expect("a text");
    assert!(message.starts_with("a chunk failed 5 times: "), "{message}");
    let made = site.count("select count(*) from codes where code not like 'A%'").await;
    assert_eq!(event["data"]["minted"], made);
    assert!((1..1_000).contains(&made), "{made}");
    assert_eq!(site.count("select cast(coalesce(max(failures), 0) as bigint) from chunks").await, 5);
    worker.terminate().await.expect_code(0);
    assert_sound(&site.store).await;
}

on_both_stores!(failures_of_a_chunk_are_counted_up_to_the_limit_across_all_workers);
async fn failures_of_a_chunk_are_counted_up_to_the_limit_across_all_workers(place: TestStore) {
    put_request(&place.store, &store_request("####", 10, 5)).await;
    let run_no = place.number("select min(run_no) from chunks").await;
    for counted in [1, 2, 3, 3, 3] {
        assert_eq!(place.store.count_chunk_failure(run_no, 3).await.expect("a count"), counted);
    }
    assert_eq!(place.number("select cast(sum(failures) as bigint) from chunks").await, 3);
    assert_eq!(place.store.count_chunk_failure(0, 3).await.expect("a count"), 0, "no such chunk");
}

#[tokio::test]
async fn a_conflict_with_another_writer_is_never_counted_as_a_failure() {
    let site = Site::new(TestStore::postgres().await).await;
    let workers = [0; 3].map(|_| site.start(&[("CODEMINT__JOB__CHUNK_SIZE", "50")], &[]));
    for worker in &workers {
        worker.wait_until_ready().await;
    }
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    // Jobs whose codes collide everywhere fill their mask to the last code.
    let ids = [0; 10].map(|_| Uuid::now_v7());
    for id in ids {
        publish(&peer, &request(id, "####", 1_000)).await;
    }
    for id in ids {
        assert_eq!(wait_for_end(&mut inbox, id).await.last().map(String::as_str), Some("job.completed"));
    }
    for worker in workers {
        worker.terminate().await.expect_code(0);
    }
    assert_eq!(site.count("select count(*) from codes").await, 10_000);
    assert_eq!(site.count("select cast(sum(failures) as bigint) from chunks").await, 0);
}

on_both_stores!(a_job_under_another_check_key_is_left_alone_and_logged_once);
async fn a_job_under_another_check_key_is_left_alone_and_logged_once(store: TestStore) {
    let site = Site::new(store).await;
    let asked = store_request("####[:check:]{2}", 500, 100).under(checking("0123456789abcdef")).expect("a request");
    let job = put_request(&site.store.store, &asked).await;
    let key = site.store.path().join("other-key");
    fs::write(&key, "fedcba9876543210").expect("a file");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("permissions");
    let key = key.to_str().expect("a name");
    let environment = [("CODEMINT__CHECK__KEY_FILE", key), ("CODEMINT__WORKER__CONCURRENCY", "8")];
    let worker = site.start(&environment, &[]);
    worker.wait_until_it_says("the job is left to other workers").await;
    let peer = site.peer().await;
    worker.wait_until_ready().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, "B####[:check:]", 5_000)).await;
    wait_for_end(&mut inbox, id).await;
    let ran = worker.terminate().await.expect_code(0);
    assert_eq!(ran.stderr.matches("the job is left to other workers").count(), 1, "{}", ran.stderr);
    assert!(ran.stderr.contains(&job.id.to_string()) && ran.stderr.contains("check.key_file"), "{}", ran.stderr);
    let still = site.store.store.find_job(job.id).await.expect("an answer").expect("the job");
    assert_eq!((still.state.into_str(), still.minted), ("queued", 0));
    assert_eq!(site.count("select cast(sum(failures) as bigint) from chunks").await, 0);
}

#[tokio::test]
async fn transient_errors_do_not_count_towards_the_failures_of_a_chunk() {
    let site = Site::new(TestStore::postgres().await).await;
    // A sequence keeps counting when the transaction is rolled back.
    site.store
        .execute(
            "create sequence attempts;
             grant usage on sequence attempts to public;
             create function be_in_the_way() returns trigger language plpgsql as $$
             declare attempt bigint := nextval('attempts');
             begin
                 if attempt <= 7 then
                     raise exception 'in the way' using errcode = case attempt % 2 when 0 then '40P01' else '57P01' end;
                 end if;
                 return null;
             end $$;
             create trigger be_in_the_way before insert on codes for each statement execute function be_in_the_way()",
        )
        .await;
    let worker = site.start_ready().await;
    let peer = site.peer().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let id = Uuid::now_v7();
    publish(&peer, &request(id, "####", 100)).await;
    assert_eq!(wait_for_end(&mut inbox, id).await.last().map(String::as_str), Some("job.completed"));
    assert_eq!(site.count("select last_value from attempts").await, 8, "seven attempts failed");
    assert_eq!(site.count("select cast(sum(failures) as bigint) from chunks").await, 0);
    worker.terminate().await.expect_code(0);
}

/// Makes the store reject jobs of the campaign `bad`; PostgreSQL reports it as this SQLSTATE.
async fn refuse_campaign(place: &TestStore, sqlstate: &str) {
    let sql = match place.kind {
        Kind::Postgres => format!(
            "create function no_bad_campaign() returns trigger language plpgsql as $$
             begin
                 if new.campaign = 'bad' then
                     raise exception 'not this campaign' using errcode = '{sqlstate}';
                 end if;
                 return new;
             end $$;
             create trigger no_bad_campaign before insert on jobs for each row execute function no_bad_campaign()"
        ),
        Kind::Sqlite => "create trigger no_bad_campaign before insert on jobs when new.campaign = 'bad'
                         begin select raise(abort, 'not this campaign'); end"
            .to_owned(),
    };
    place.execute(&sql).await;
}

fn header(letter: &Message, name: &str) -> String {
    match letter.header(name) {
        Some(lapin::types::AMQPValue::LongString(text)) => text.to_string(),
        other => panic!("{name}: {other:?}"),
    }
}

/// Publishes a message of the campaign `bad` between two others; returns its id and theirs.
async fn publish_bad_among_good(peer: &codemint_test_support::amqp::Peer) -> (Uuid, [Uuid; 2]) {
    let (bad, good) = (Uuid::now_v7(), [Uuid::now_v7(), Uuid::now_v7()]);
    publish(peer, &request(good[0], "A####", 10)).await;
    let mut rejected = request(bad, "B####", 10);
    rejected["campaign"] = "bad".into();
    publish(peer, &rejected).await;
    publish(peer, &request(good[1], "C####", 10)).await;
    (bad, good)
}

on_both_stores!(regression_a_message_that_the_store_rejects_is_dead_lettered_and_holds_up_no_other);
async fn regression_a_message_that_the_store_rejects_is_dead_lettered_and_holds_up_no_other(store: TestStore) {
    let site = Site::new(store).await;
    refuse_campaign(&site.store, "P0001").await;
    let peer = site.peer().await;
    let worker = site.start_ready().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let (bad, good) = publish_bad_among_good(&peer).await;
    for id in good {
        assert_eq!(wait_for_end(&mut inbox, id).await.last().map(String::as_str), Some("job.completed"));
    }
    let letter = peer.take(DEAD).await;
    assert_eq!(letter.json()["job_id"], bad.to_string());
    let reason = header(&letter, "x-codemint-reason");
    assert!(reason.starts_with("the store rejected the job 5 times: not this campaign"), "{reason}");
    assert_eq!(header(&letter, "x-codemint-position"), "store");
    wait_until("all messages are acknowledged", async || {
        let depth = codemint_test_support::rabbitmq::shared().queue_depth(site.vhost(), JOBS);
        (depth.ready, depth.unacknowledged) == (0, 0)
    })
    .await;
    assert_eq!(site.count("select count(*) from jobs").await, 2);
    worker.terminate().await.expect_code(0);
    assert_sound(&site.store).await;
}

/// The value of a data exception may be a code: the dead letter names its class only.
#[tokio::test]
async fn a_rejected_value_is_not_repeated() {
    let site = Site::new(TestStore::postgres().await).await;
    refuse_campaign(&site.store, "22P02").await;
    let peer = site.peer().await;
    let worker = site.start_ready().await;
    publish_bad_among_good(&peer).await;
    let reason = header(&peer.take(DEAD).await, "x-codemint-reason");
    assert_eq!(reason, "the store rejected the job 5 times: a value is invalid (SQLSTATE 22P02)");
    worker.terminate().await.expect_code(0);
}

/// A missing right says nothing about the message that met it.
#[tokio::test]
async fn a_message_that_meets_a_missing_right_is_kept_until_the_right_is_granted() {
    let site = Site::new(TestStore::postgres().await).await;
    refuse_campaign(&site.store, "42501").await;
    let peer = site.peer().await;
    let worker = site.start_ready().await;
    let mut inbox = peer.listen(EVENTS, "job.*").await;
    let (bad, good) = publish_bad_among_good(&peer).await;
    worker.wait_until_metric("codemint_store_errors_total{class=\"permanent\"}", |errors| errors > 7.0).await;
    assert_eq!(peer.depth(DEAD).await, 0);
    site.store.execute("drop trigger no_bad_campaign on jobs").await;
    for id in [good[0], bad, good[1]] {
        assert_eq!(wait_for_end(&mut inbox, id).await.last().map(String::as_str), Some("job.completed"));
    }
    worker.terminate().await.expect_code(0);
    assert_eq!(peer.depth(DEAD).await, 0);
}
