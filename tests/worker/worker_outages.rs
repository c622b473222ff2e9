//! Server outages of two minutes; `./tests/run --long` runs these tests too.

use std::time::{Duration, Instant};

use uuid::Uuid;

use codemint_test_support::oracle::Asked;
use codemint_test_support::postgres::{Durability, Server, create_database};
use codemint_test_support::rabbitmq::Broker;
use codemint_test_support::site::{Site, Worker, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well_at;

const AWAY_FOR: Duration = Duration::from_secs(120);
const BACK_WITHIN: Duration = Duration::from_secs(5);
/// Enough for a line when a server goes away, from each side that notices, and then one every half minute.
const LINES_MAX: usize = 30;
/// So many codes, in chunks so small, that the job is still in progress when a server goes away.
const COUNT: u64 = 2_000_000;
const SMALL_CHUNKS: (&str, &str) = ("CODEMINT__JOB__CHUNK_SIZE", "1000");
const CHUNKS_DONE: &str = "select count(*) from chunks where state = 'done'";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes three times two minutes"]
async fn a_worker_waits_quietly_for_servers_that_are_away_for_two_minutes() {
    for (store_goes, broker_goes) in [(true, false), (false, true), (true, true)] {
        let what = format!("store away: {store_goes}, broker away: {broker_goes}");
        let postgres = Server::start(Durability::Full);
        create_database(&postgres.url("postgres"), "codemint").await;
        let broker = Broker::start();
        let site = Site::at(TestStore::postgres_at(&postgres.url("codemint")).await, &broker).await;
        site.keep_events().await;
        let worker = site.start(&[SMALL_CHUNKS], &[]);
        worker.wait_until_ready().await;
        let mut asked = vec![ask(&site, COUNT).await];
        wait_until("chunks", async || site.count(CHUNKS_DONE).await >= 10).await;

        let said_before = count_lines(&worker);
        if store_goes {
            postgres.kill_9();
        }
        if broker_goes {
            broker.kill_9();
        }
        tokio::time::sleep(AWAY_FOR).await;
        let said = count_lines(&worker) - said_before;
        assert!((1..=LINES_MAX).contains(&said), "{what}: {said} lines\n{}", worker.said());
        // The broker starts more slowly than PostgreSQL, and must be up when the clock starts.
        if broker_goes {
            broker.start_again();
        }
        if store_goes {
            postgres.start_again();
        }
        let since = Instant::now();
        wait_until(&format!("{what}: ready again"), async || matches!(worker.get("/readyz"), Some((200, _)))).await;
        let at_first = site.count(CHUNKS_DONE).await;
        asked.push(ask(&site, 10).await);
        wait_until("a new job", async || site.count("select count(*) from jobs").await == 2).await;
        if store_goes {
            wait_until("further chunks", async || site.count(CHUNKS_DONE).await > at_first).await;
        }
        let back_after = since.elapsed();
        report(&format!("{what}: {said} lines, at work again after {back_after:?}"));
        assert!(back_after < BACK_WITHIN, "{what}: at work again after {back_after:?}\n{}", worker.said());
        end_well_at(&broker, &what, site, worker, &asked).await;
    }
}

async fn ask(site: &Site, count: u64) -> Asked {
    let (id, mask) = (Uuid::now_v7(), "MY_LITTLE_PROMO????##");
    publish(&site.peer().await, &request(id, mask, count)).await;
    Asked { id, mask: mask.to_owned(), count }
}

/// Prints a line for the report of a long test.
#[expect(clippy::print_stdout, reason = "figures that no assertion shows")]
fn report(line: &str) {
    println!("{line}");
}

fn count_lines(worker: &Worker) -> usize {
    worker.said().lines().count()
}
