//! Faults: whatever dies, and whenever, a job mints exactly the requested number of codes, each once.

use std::time::Duration;

use codemint_codes::job::request::{Limits, Request};
use codemint_codes::job::state::State;
use codemint_store::admission::submit::PutJob;
use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::single::run_job;
use sqlx::postgres::PgConnectOptions;
use tokio::io::{AsyncReadExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use codemint_test_support::codemint::finish;
use codemint_test_support::codemint::send_signal;
use codemint_test_support::on_both_stores;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::proxy::{Loss, Proxy};
use codemint_test_support::stores::{Kind, TestStore};
use codemint_test_support::waiting::wait_until;

const MASK: &str = "MY_LITTLE_PROMO????##";
/// The codes of sixty chunks.
const COUNT: i64 = 3_000_000;
/// The codes of twelve chunks.
const COUNT_SHORT: i64 = 600_000;
const CHUNKS_DONE: &str = "select count(*) from chunks where state = 'done'";

async fn durable_postgres() -> (Server, TestStore) {
    let server = Server::start(Durability::Full);
    create_database(&server.url("postgres"), "codemint").await;
    let place = TestStore::postgres_at(&server.url("codemint")).await;
    (server, place)
}

fn generate(place: &TestStore, id: Uuid, count: i64) -> Child {
    let (count, id) = (count.to_string(), id.to_string());
    place.codemint(["generate", MASK, "--count", &count, "--job-id", &id, "--quiet"]).start()
}

/// Asserts the exact count, first from the tables alone, then by `verify`.
async fn assert_exact(place: &TestStore, id: Uuid, count: i64) {
    assert_eq!(place.number("select count(*) from codes").await, count);
    assert_eq!(place.number("select count(distinct code) from codes").await, count);
    let matching = match place.kind {
        Kind::Sqlite => "code glob 'MY_LITTLE_PROMO[A-Z][A-Z][A-Z][A-Z][0-9][0-9]'",
        Kind::Postgres => "code ~ '^MY_LITTLE_PROMO[A-Z]{4}[0-9]{2}$'",
    };
    assert_eq!(place.number(&format!("select count(*) from codes where {matching}")).await, count);
    let verdict = place.codemint(["verify", &id.to_string(), "--json"]).run().await.expect_code(0).json();
    assert_eq!((&verdict["found"], &verdict["state"]), (&count.into(), &"completed".into()));
}

fn random_below(milliseconds: u64) -> Duration {
    let random = getrandom::u64().expect("randomness");
    Duration::from_millis(random % milliseconds)
}

/// Kills the program ten times, alternately early in its life and amid its work.
async fn kill_ten_times(place: &TestStore) {
    let id = Uuid::now_v7();
    for life in 0..10 {
        let mut child = generate(place, id, COUNT);
        if life % 2 == 0 {
            tokio::time::sleep(random_below(60)).await;
        } else {
            let before = place.number(CHUNKS_DONE).await;
            wait_until("a chunk", async || place.number(CHUNKS_DONE).await > before).await;
            tokio::time::sleep(random_below(100)).await;
        }
        assert!(child.try_wait().expect("a status").is_none(), "life {life} ended before it was killed");
        child.kill().await.expect("a kill");
    }
    let done = place.number(CHUNKS_DONE).await;
    assert!((5..60).contains(&done), "{done} chunks of 60 after ten lives");
    finish(generate(place, id, COUNT)).await.expect_code(0);
    assert_exact(place, id, COUNT).await;
}

#[tokio::test]
async fn ten_kills_on_sqlite_lose_no_code_and_duplicate_none() {
    kill_ten_times(&TestStore::sqlite().await).await;
}

#[tokio::test]
async fn ten_kills_on_postgres_lose_no_code_and_duplicate_none() {
    let (_server, place) = durable_postgres().await;
    kill_ten_times(&place).await;
}

#[tokio::test]
async fn two_crashes_of_the_server_are_survived() {
    let (server, place) = durable_postgres().await;
    let id = Uuid::now_v7();
    let running = generate(&place, id, COUNT);
    for chunks in [10, 30] {
        wait_until("chunks", async || place.number(CHUNKS_DONE).await >= chunks).await;
        server.crash_and_restart();
    }
    finish(running).await.expect_code(0);
    assert_exact(&place, id, COUNT).await;
}

#[tokio::test]
async fn a_server_that_is_away_for_a_while_is_waited_for() {
    let (server, place) = durable_postgres().await;
    let id = Uuid::now_v7();
    let mut running = generate(&place, id, COUNT_SHORT);
    wait_until("chunks", async || place.number(CHUNKS_DONE).await >= 2).await;
    server.stop();
    // Longer than the first delays of the backoff; no signal that a test could wait for marks the server's absence.
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(running.try_wait().expect("a status").is_none(), "the program gave up");
    server.start_again();
    finish(running).await.expect_code(0);
    assert_exact(&place, id, COUNT_SHORT).await;
}

#[tokio::test]
async fn a_server_that_closes_connections_before_it_answers_is_tried_again() {
    let place = TestStore::postgres().await;
    let options: PgConnectOptions = place.url.parse().expect("a URL");
    let server = (options.get_host().to_owned(), options.get_port());
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut client, _) = listener.accept().await.expect("a connection");
            // The first ones end as in a crash of the server: when it has read whether TLS is wanted.
            if number < 3 {
                client.read_exact(&mut [0; 8]).await.expect("a request for TLS");
                continue;
            }
            let mut server = TcpStream::connect(&server).await.expect("a server");
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let url = place.url.replace(&format!(":{}/", options.get_port()), &format!(":{port}/"));
    assert_ne!(url, place.url);
    place.open_at(&url).await.ping().await.expect("an answer");
}

#[tokio::test]
async fn a_frozen_server_does_not_keep_the_program_from_stopping() {
    let (server, place) = durable_postgres().await;
    let id = Uuid::now_v7();
    let running = generate(&place, id, COUNT);
    wait_until("chunks", async || place.number(CHUNKS_DONE).await >= 2).await;
    server.signal_all("STOP");
    send_signal("INT", &running);
    let ended = finish(running).await;
    server.signal_all("CONT");
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    finish(generate(&place, id, COUNT)).await.expect_code(0);
    assert_exact(&place, id, COUNT).await;
}

/// Makes the commits of chunks fail permanently, by a constraint that is checked at COMMIT.
const FAIL_AT_COMMIT: [&str; 2] = [
    "create table elsewhere (job_no integer references jobs (no) deferrable initially deferred);
     create trigger break_commit after update on chunks begin insert into elsewhere values (-1); end",
    "create table elsewhere (job_no bigint references jobs (no) deferrable initially deferred);
     create function break_commit() returns trigger language plpgsql as
       'begin insert into elsewhere values (-1); return new; end';
     create trigger break_commit after update on chunks for each row execute function break_commit()",
];

on_both_stores!(a_permanent_commit_failure_is_returned_and_the_store_stays_usable);
async fn a_permanent_commit_failure_is_returned_and_the_store_stays_usable(place: TestStore) {
    let request = Request::check(MASK, 100, None, 50, Limits { count_max: 100, guess_odds_min: 0 }).expect("a request");
    let PutJob::Stored(job) = place.store.put_job(Uuid::now_v7(), &request).await.expect("a job") else {
        panic!("the job was known")
    };
    place.execute(FAIL_AT_COMMIT[usize::from(place.kind == Kind::Postgres)]).await;
    let error =
        run_job(&place.store, &job, &MintSettings::default(), &CancellationToken::new()).await.expect_err("an error");
    assert!(error.to_string().to_lowercase().contains("foreign key"), "{error}");
    assert_eq!(place.number("select count(*) from codes").await, 0);
    let repair = if place.kind == Kind::Postgres { " on chunks" } else { "" };
    place.execute(&format!("drop trigger break_commit{repair}")).await;
    run_job(&place.store, &job, &MintSettings::default(), &CancellationToken::new()).await.expect("an end");
    assert_eq!(place.number("select count(*) from codes").await, 100);
}

#[tokio::test]
async fn a_transaction_rolled_back_by_sqlite_leaves_the_store_usable() {
    let place = TestStore::sqlite().await;
    let request = Request::check(MASK, 100, None, 50, Limits { count_max: 100, guess_odds_min: 0 }).expect("a request");
    let PutJob::Stored(job) = place.store.put_job(Uuid::now_v7(), &request).await.expect("a job") else {
        panic!("the job was known")
    };
    // Like a full disk, the trigger rolls back the whole transaction.
    place.execute("create trigger end_it before update on chunks begin select raise(rollback, 'ended'); end").await;
    run_job(&place.store, &job, &MintSettings::default(), &CancellationToken::new()).await.expect_err("an error");
    place.execute("drop trigger end_it").await;
    run_job(&place.store, &job, &MintSettings::default(), &CancellationToken::new()).await.expect("an end");
    assert_eq!(place.number("select count(*) from codes").await, 100);
}

#[tokio::test]
async fn broken_connections_cost_no_more_than_their_chunk() {
    break_connections(&TestStore::postgres().await).await;
}

#[tokio::test]
async fn broken_sessions_of_pgbouncer_cost_no_more_than_their_chunk() {
    break_connections(&TestStore::pgbouncer().await).await;
}

async fn break_connections(place: &TestStore) {
    let id = Uuid::now_v7();
    let mut running = generate(place, id, COUNT);
    let terminate = "select count(pg_terminate_backend(pid)) from pg_stat_activity
                      where datname = current_database() and application_name like 'codemint pid%' and pid <> pg_backend_pid()";
    for _ in 0..10 {
        let before = place.number(CHUNKS_DONE).await;
        wait_until("a chunk", async || place.number(CHUNKS_DONE).await > before).await;
        tokio::time::sleep(random_below(40)).await;
        assert!(running.try_wait().expect("a status").is_none(), "the program ended too early to be disturbed");
        assert!(place.number(terminate).await > 0, "no connection was broken");
    }
    finish(running).await.expect_code(0);
    assert_exact(place, id, COUNT).await;
}

/// Mints ten chunks through a proxy that loses the first five commits.
async fn mint_through(place: &TestStore, loss: Loss) {
    let proxy = Proxy::start(&place.url).await;
    let through = place.open_at(&proxy.url).await;
    let request =
        Request::check(MASK, 1_000, None, 100, Limits { count_max: 1_000, guess_odds_min: 0 }).expect("a request");
    let PutJob::Stored(job) = place.store.put_job(Uuid::now_v7(), &request).await.expect("a job") else {
        panic!("the job was known")
    };
    proxy.lose(loss, 5);
    let running = tokio::spawn({
        let job = job.clone();
        async move { run_job(&through, &job, &MintSettings::default(), &CancellationToken::new()).await }
    });
    wait_until("five losses", async || proxy.losses_left() == 0).await;
    let (_, share) = running.await.expect("an end").expect("an end");
    assert_eq!((share.codes, share.chunks), (1_000, 10), "what was committed is counted, once");
    let job = place.store.find_job(job.id).await.expect("an answer").expect("the job");
    assert_eq!((job.state, job.minted), (State::Completed, 1_000));
    assert_eq!(place.number("select count(*) from codes").await, 1_000);
}

#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_recognized_as_done() {
    mint_through(&TestStore::postgres().await, Loss::AnswerToCommit).await;
    mint_through(&TestStore::pgbouncer().await, Loss::AnswerToCommit).await;
}

#[tokio::test]
async fn a_commit_that_never_arrived_is_repeated() {
    mint_through(&TestStore::postgres().await, Loss::Commit).await;
    mint_through(&TestStore::pgbouncer().await, Loss::Commit).await;
}

#[tokio::test]
async fn losing_the_last_commit_of_a_job_is_survived() {
    for loss in [Loss::AnswerToCommit, Loss::Commit] {
        let place = TestStore::postgres().await;
        let proxy = Proxy::start(&place.url).await;
        let through = place.open_at(&proxy.url).await;
        let request =
            Request::check(MASK, 10, None, 10, Limits { count_max: 10, guess_odds_min: 0 }).expect("a request");
        let PutJob::Stored(job) = place.store.put_job(Uuid::now_v7(), &request).await.expect("a job") else {
            panic!("the job was known")
        };
        // The commit of the only chunk, and the commit that closes the job.
        proxy.lose(loss, 2);
        run_job(&through, &job, &MintSettings::default(), &CancellationToken::new()).await.expect("an end");
        assert_eq!(proxy.losses_left(), 0);
        let job = place.store.find_job(job.id).await.expect("an answer").expect("the job");
        assert_eq!((job.state, job.minted), (State::Completed, 10));
        assert_eq!(place.number("select count(*) from codes").await, 10);
    }
}
