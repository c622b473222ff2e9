//! Workers replaced one by one under load, as in a deployment: producers do not notice.

use std::sync::atomic::{AtomicBool, Ordering};

use uuid::Uuid;

use codemint_test_support::amqp::{Message, Peer};
use codemint_test_support::oracle::Asked;
use codemint_test_support::site::{Site, Worker, publish, request};
use codemint_test_support::stores::TestStore;
use codemint_test_support::waiting::wait_until;
use codemint_test_support::worker_steps::end_well;
use codemint_test_support::worker_steps::{chunks_said, codes_minted};

const REPLACEMENTS: usize = 4;
/// The number of uncompleted jobs at any moment: always more than two workers have in progress.
const JOBS_UNFINISHED: i64 = 12;
/// The codes of a job, in four chunks.
const COUNT: u64 = 20_000;
const SETTINGS: [(&str, &str); 2] = [("CODEMINT__JOB__CHUNK_SIZE", "5000"), ("CODEMINT__LOG__LEVEL", "debug")];

/// Requests jobs until it is stopped; as soon as one is completed, it requests the next one.
async fn ask(site: &Site, peer: &Peer, is_over: &AtomicBool) -> Vec<Asked> {
    let mut asked: Vec<Asked> = Vec::new();
    while !is_over.load(Ordering::Relaxed) {
        // Every third job has the same mask, so that their codes could collide.
        let mask = format!("R{}??????", asked.len() % 3);
        let job = Asked { id: Uuid::now_v7(), mask, count: COUNT };
        publish(peer, &request(job.id, &job.mask, job.count)).await;
        asked.push(job);
        let count = asked.len() as i64;
        wait_until("a job is completed", async || {
            count - site.completed().await < JOBS_UNFINISHED || is_over.load(Ordering::Relaxed)
        })
        .await;
    }
    asked
}

/// Starts a worker and stops the oldest one while all work, again and again. Returns the workers left, and the shares of
/// the stopped ones.
async fn replace(site: &Site, mut workers: Vec<Worker>) -> (Vec<Worker>, Vec<i64>) {
    let mut shares = Vec::new();
    for _ in 0..REPLACEMENTS {
        let worker = site.start(&SETTINGS, &[]);
        worker.wait_until_ready().await;
        workers.push(worker);
        let before: Vec<usize> = workers.iter().map(chunks_said).collect();
        wait_until("all are at work", async || {
            workers.iter().zip(&before).all(|(worker, before)| chunks_said(worker) > before + 2)
        })
        .await;
        let stopped = workers.remove(0).terminate().await.expect_code(0);
        assert!(!stopped.stderr.contains("ERROR"), "{}", stopped.stderr);
        shares.push(codes_minted(&stopped));
    }
    (workers, shares)
}

/// Panics unless each job was accepted first and completed last, once, with rising progress in between. A repeated
/// event has the same id.
fn assert_told_in_order(told: &[Message], asked: &[Asked]) {
    for Asked { id, .. } in asked {
        let mut seen: Vec<String> = Vec::new();
        for event in told.iter().map(Message::json).filter(|event| event["subject"] == id.to_string()) {
            let event_id = event["id"].as_str().expect("an id").to_owned();
            if !seen.contains(&event_id) {
                seen.push(event_id);
            }
        }
        let kinds: Vec<&str> =
            seen.iter().map(|event| event.strip_prefix(&format!("{id}/")).expect("an event of the job")).collect();
        let [accepted, progress @ .., completed] = &kinds[..] else { panic!("the events of job {id} are {kinds:?}") };
        assert_eq!((*accepted, *completed), ("accepted", "completed"), "{kinds:?}");
        let progress: Vec<u64> = progress
            .iter()
            .map(|event| event.strip_prefix("progress/").and_then(|number| number.parse().ok()).expect("progress"))
            .collect();
        assert!(progress.is_sorted(), "{kinds:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replacing_four_workers_under_load_fails_no_job_and_loses_no_message() {
    let site = Site::new(TestStore::postgres().await).await;
    let peer = site.keep_events().await;
    let workers = vec![site.start(&SETTINGS, &[]), site.start(&SETTINGS, &[])];
    for worker in &workers {
        worker.wait_until_ready().await;
    }
    let is_over = AtomicBool::new(false);
    let replaced = async {
        let replaced = replace(&site, workers).await;
        is_over.store(true, Ordering::Relaxed);
        replaced
    };
    let (asked, (mut workers, mut shares)) = tokio::join!(ask(&site, &peer, &is_over), replaced);

    let (last, other) = (workers.pop().expect("a worker"), workers.pop().expect("a worker"));
    let all_minted = asked.iter().map(|job| job.count as i64).sum::<i64>();
    wait_until("all jobs are completed", async || site.completed().await == asked.len() as i64).await;
    shares.push(codes_minted(&other.terminate().await.expect_code(0)));
    assert!(shares.iter().all(|share| *share > 0), "each stopped worker had a share: {shares:?}");
    assert!(shares.iter().sum::<i64>() < all_minted, "the last one had a share too: {shares:?} of {all_minted}");
    assert_eq!(site.count("select count(*) from jobs where state <> 'completed'").await, 0);
    assert_eq!(site.count("select count(*) from codes").await, all_minted);
    let told = end_well("four replacements", site, last, &asked).await;
    assert_told_in_order(&told, &asked);
}
