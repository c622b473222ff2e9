//! Connections between worker, PostgreSQL and RabbitMQ that lose, delay, cut off and withhold data: whatever happens,
//! the store and the broker are correct afterwards, and a dead connection is noticed.

use std::time::{Duration, Instant};

use uuid::Uuid;

use codemint_test_support::oracle::{Asked, Known, judge};
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::proxy::{Direction, Loss, Proxy};
use codemint_test_support::site::{Site, Worker, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well;

const MASK: &str = "MY_LITTLE_PROMO????##";
const COUNT: u64 = 40_000;
const SMALL_CHUNKS: (&str, &str) = ("CODEMINT__JOB__CHUNK_SIZE", "1000");
/// The time limit for noticing a dead connection or a stopped server.
const NOTICED_WITHIN: Duration = Duration::from_secs(30);
const CHUNKS_DONE: &str = "select count(*) from chunks where state = 'done'";

/// A worker that reaches store and broker through proxies, in the middle of a job.
struct Lines {
    site: Site,
    to_store: Proxy,
    to_broker: Proxy,
    worker: Worker,
    asked: Vec<Asked>,
}

impl Lines {
    async fn at_work(place: TestStore) -> Self {
        Self::at_work_with(place, &[SMALL_CHUNKS]).await
    }

    async fn at_work_with(place: TestStore, settings: &[(&str, &str)]) -> Self {
        let mut site = Site::new(place).await;
        site.keep_events().await;
        let (store_url, amqp_url) = (site.store_url.clone(), site.amqp_url.clone());
        let (to_store, to_broker) = (Proxy::start(&store_url).await, Proxy::start(&amqp_url).await);
        (site.store_url, site.amqp_url) = (to_store.url.clone(), to_broker.url.clone());
        let worker = site.start(settings, &[]);
        worker.wait_until_ready().await;
        (site.store_url, site.amqp_url) = (store_url, amqp_url);
        let mut lines = Self { site, to_store, to_broker, worker, asked: Vec::new() };
        lines.ask(COUNT).await;
        wait_until("chunks", async || lines.site.count(CHUNKS_DONE).await >= 2).await;
        lines
    }

    async fn ask(&mut self, count: u64) {
        let id = Uuid::now_v7();
        publish(&self.site.peer().await, &request(id, MASK, count)).await;
        self.asked.push(Asked { id, mask: MASK.to_owned(), count });
    }

    async fn end_well(self) {
        end_well("through the proxies", self.site, self.worker, &self.asked).await;
    }

    /// Panics unless the worker logs this in time.
    async fn is_noticed(&self, since: Instant, says: &str) {
        self.worker.wait_until_it_says(says).await;
        assert!(since.elapsed() < NOTICED_WITHIN, "{says:?} after {:?}", since.elapsed());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_commits_with_lost_answers_are_found_done_and_counted() {
    let mut place = TestStore::postgres().await;
    let id = Uuid::now_v7();
    let proxy = Proxy::start(&place.url).await;
    let direct = std::mem::replace(&mut place.url, proxy.url.clone());
    let site = Site::new(place).await;
    // Without a broker, only chunks are committed in the middle of a job.
    let worker = site.start(&[SMALL_CHUNKS, ("CODEMINT__AMQP__URL", "")], &[]);
    let count = 120_000;
    let enqueue = ["enqueue", MASK, "--count", "120000", "--job-id", &id.to_string()];
    site.store
        .codemint(enqueue)
        .env("CODEMINT__STORE__URL", &direct)
        .env(SMALL_CHUNKS.0, SMALL_CHUNKS.1)
        .run()
        .await
        .expect_code(0);
    wait_until("chunks", async || site.count(CHUNKS_DONE).await >= 2).await;
    proxy.lose(Loss::AnswerToCommit, 50);
    wait_until("fifty answers are lost", async || proxy.losses_left() == 0).await;
    proxy.lose(Loss::Commit, 10);
    wait_until("ten commits are lost", async || proxy.losses_left() == 0).await;
    wait_until("the end", async || site.completed().await == 1).await;
    // A chunk is counted after its commit.
    worker.wait_until_metric("codemint_codes_minted_total", |minted| minted >= count as f64).await;
    let settled =
        |outcome: &str| worker.metric(&format!("codemint_commits_ambiguous_total{{outcome=\"{outcome}\"}}")) as u64;
    assert_eq!((settled("done"), settled("not_done")), (50, 10));
    assert_eq!(worker.metric("codemint_codes_minted_total") as u64, count, "each code once, whatever answer arrived");
    worker.terminate().await.expect_code(0);
    let asked = [Asked { id, mask: MASK.to_owned(), count }];
    judge(&site.store, &Known { asked: &asked, ..Known::default() }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_confirms_and_acknowledgements_cause_repeats_and_nothing_else() {
    for loss in [Loss::Confirm, Loss::Acknowledgement] {
        let mut lines = Lines::at_work(TestStore::postgres().await).await;
        lines.to_broker.lose(loss, 3);
        for _ in 0..4 {
            lines.ask(10).await;
        }
        wait_until("three losses", async || lines.to_broker.losses_left() == 0).await;
        lines.end_well().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_and_repeatedly_cut_connections_deliver_everything_in_the_end() {
    let mut lines = Lines::at_work(TestStore::postgres().await).await;
    for bytes in [20_000, 50_000, 90_000] {
        lines.to_store.cut_after(bytes);
        lines.to_broker.cut_after(bytes / 10);
        lines.ask(500).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    lines.to_store.cut_after(0);
    lines.to_broker.cut_after(0);
    lines.to_store.delay(Duration::from_millis(50));
    lines.to_broker.delay(Duration::from_millis(50));
    lines.ask(500).await;
    lines.end_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_servers_refuse_for_a_while_are_retried() {
    let mut lines = Lines::at_work(TestStore::postgres().await).await;
    for proxy in [&lines.to_store, &lines.to_broker] {
        proxy.refuse(true);
        // Breaks the open connections.
        proxy.cut_after(1);
    }
    lines.ask(500).await;
    lines.worker.wait_until_it_says("the store is away; waiting").await;
    lines.worker.wait_until_it_says("no connection to the broker").await;
    for proxy in [&lines.to_store, &lines.to_broker] {
        proxy.cut_after(0);
        proxy.refuse(false);
    }
    lines.end_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_connection_that_is_dead_in_one_direction_is_given_up() {
    let dead = async |direction| {
        let lines = Lines::at_work(TestStore::postgres().await).await;
        lines.to_store.stall(direction);
        lines.is_noticed(Instant::now(), "gave up on a statement").await;
        lines.end_well().await;
    };
    tokio::join!(dead(Direction::ToClient), dead(Direction::ToServer));
}

/// The server then waits for codes that never arrive, and no timeout is shorter than that of a statement: until then,
/// no worker could claim the chunk.
#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn regression_a_connection_that_dies_amid_codes_does_not_keep_their_chunk() {
    let stall = format!("{}=3*off->1*return(stall)->off", codemint_telemetry::failpoint::CODES_HALF_WRITTEN);
    let settings = [SMALL_CHUNKS, ("FAILPOINTS", stall.as_str())];
    let lines = Lines::at_work_with(TestStore::postgres().await, &settings).await;
    lines.worker.wait_until_it_says("a failpoint was reached").await;
    lines.to_store.stall(Direction::ToServer);
    lines.is_noticed(Instant::now(), "gave up on a statement").await;
    lines.end_well().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_connection_that_is_dead_in_one_direction_is_given_up() {
    let dead = async |direction| {
        let mut lines = Lines::at_work(TestStore::postgres().await).await;
        lines.to_broker.stall(direction);
        let since = Instant::now();
        lines.ask(10).await;
        lines.is_noticed(since, "no connection to the broker").await;
        lines.end_well().await;
    };
    tokio::join!(dead(Direction::ToClient), dead(Direction::ToServer));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_store_is_noticed_and_survived() {
    let server = Server::start(Durability::None);
    create_database(&server.url("postgres"), "stopped").await;
    let lines = Lines::at_work(TestStore::postgres_at(&server.url("stopped")).await).await;
    server.signal_all("STOP");
    lines.is_noticed(Instant::now(), "gave up on a statement").await;
    server.signal_all("CONT");
    lines.end_well().await;
}

/// The statement takes longer than the watchdog waits for a silent server.
#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_the_server_is_executing_may_take_long() {
    let place = TestStore::postgres().await;
    let slow =
        "create function slowly() returns trigger language plpgsql as 'begin perform pg_sleep(14); return new; end';
                create trigger slowly before update on chunks for each row execute function slowly()";
    place.execute(slow).await;
    let id = Uuid::now_v7();
    let ran = place.codemint(["generate", MASK, "--count", "10", "--job-id", &id.to_string()]);
    let ran = ran.env("CODEMINT__LOG__LEVEL", "info").run().await.expect_code(0);
    assert!(!ran.stderr.contains("given up"), "{}", ran.stderr);
    let asked = [Asked { id, mask: MASK.to_owned(), count: 10 }];
    judge(&place, &Known { asked: &asked, ..Known::default() }).await;
}
