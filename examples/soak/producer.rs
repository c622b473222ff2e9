//! A producer that requests jobs of every size, repeats requests, sends invalid messages, and cancels jobs.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use lapin::Confirmation;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use crate::ground::Ground;
use crate::lot::Lot;
use codemint_test_support::amqp::{Peer, durable};
use codemint_test_support::oracle;
use codemint_test_support::owners_oracle::{IssueAsked, ListAsked};
use codemint_test_support::redemption_histories::{Call, OffTime};
use codemint_test_support::site::{JOBS, request};

/// Masks that share codes with each other, and that the requested jobs never fill.
const ROOMY: [&str; 4] = ["??????##", "A?????##", "?B????##", "SOAK-??????"];
/// Masks that may become full; the first three share codes with the roomy ones.
const NARROW: [&str; 4] = ["AB????##", "ABC???##", "ABCD??##", "TINY-##"];
const MOST_IN_ROOMY: u64 = 2_000_000;
const MOST_IN_NARROW: u64 = 50_000;

/// Everything that was requested, also by other producers and by callers.
pub struct Wanted {
    pub asked: Asked,
    pub lists: Vec<ListAsked>,
    pub issues: Vec<IssueAsked>,
    /// What shops asked about redemptions.
    pub calls: Vec<Call>,
    /// When the campaigns of the shops were off.
    pub off: Vec<OffTime>,
}

/// Everything that a producer has sent.
#[derive(Default)]
pub struct Asked {
    pub jobs: Vec<oracle::Asked>,
    pub may_end_short: BTreeSet<Uuid>,
    pub bad: Vec<Vec<u8>>,
}

impl Asked {
    /// Adds what another producer has sent.
    pub fn extend(&mut self, other: Self) {
        self.jobs.extend(other.jobs);
        self.may_end_short.extend(other.may_end_short);
        self.bad.extend(other.bad);
    }

    /// Records a job, and returns the message that requests it.
    fn add(&mut self, ground: &Ground, job: oracle::Asked, may_end_short: bool) -> Vec<u8> {
        ground.count("requested a job");
        if may_end_short {
            self.may_end_short.insert(job.id);
        }
        let body = body_of(&job);
        self.jobs.push(job);
        body
    }
}

pub async fn ask(ground: &Ground, mut lot: Lot, until: Instant) -> Asked {
    let mut asked = Asked::default();
    let mut peer = None;
    while Instant::now() < until {
        let mut regretted = None;
        let body = match lot.below(21) {
            0..3 if !asked.jobs.is_empty() => {
                ground.count("requested a job again");
                let job = &asked.jobs[lot.below(asked.jobs.len())];
                body_of(job)
            }
            3..5 if !asked.jobs.is_empty() => {
                // One of the last three: others have ended long ago.
                let id = asked.jobs[asked.jobs.len().saturating_sub(3)..][lot.below(asked.jobs.len().min(3))].id;
                cancel(ground, id).await;
                asked.may_end_short.insert(id);
                continue;
            }
            5 => {
                let job = oracle::Asked { count: MOST_IN_ROOMY, ..draw_job_in(&ROOMY, MOST_IN_ROOMY, &mut lot) };
                regretted = Some(job.id);
                asked.add(ground, job, true)
            }
            6..8 => {
                ground.count("sent an invalid message");
                let bad = no_job(&mut lot);
                asked.bad.push(bad.clone());
                bad
            }
            _ => {
                let (job, is_narrow) = draw_job(&mut lot);
                asked.add(ground, job, is_narrow)
            }
        };
        publish(ground, &mut peer, &body).await;
        match regretted {
            Some(id) => {
                sleep(lot.pause(Duration::from_millis(300), Duration::from_secs(2))).await;
                cancel(ground, id).await;
            }
            None => sleep(lot.pause(Duration::ZERO, Duration::from_secs(4))).await,
        }
    }
    asked
}

fn draw_job(lot: &mut Lot) -> (oracle::Asked, bool) {
    let is_narrow = lot.below(4) == 0;
    let (masks, most) = if is_narrow { (NARROW, MOST_IN_NARROW) } else { (ROOMY, MOST_IN_ROOMY) };
    (draw_job_in(&masks, most, lot), is_narrow)
}

fn draw_job_in(masks: &[&str], most: u64, lot: &mut Lot) -> oracle::Asked {
    oracle::Asked { id: lot.id(), mask: lot.one_of(masks).to_owned(), count: lot.of_any_size(most) }
}

fn body_of(job: &oracle::Asked) -> Vec<u8> {
    request(job.id, &job.mask, job.count).to_string().into_bytes()
}

/// Returns an invalid message. No two are the same, so that each can be found again.
fn no_job(lot: &mut Lot) -> Vec<u8> {
    let id = lot.id();
    let bodies = [
        format!("no job at all {id}"),
        format!(r#"{{"job_id":"{id}","mask":"AB##","count":"many"}}"#),
        format!(r#"{{"job_id":"{id}","mask":"AB##","count":-1}}"#),
        format!(r#"{{"job_id":"{id}","count":10}}"#),
        format!(r#"{{"job_id":"not {id}","mask":"AB##","count":10}}"#),
        format!(r#"{{"job_id":"{id}","mask":"AB##","#),
    ];
    bodies[lot.below(bodies.len())].clone().into_bytes()
}

/// Publishes a message until the broker has confirmed it, as a careful producer does.
pub async fn publish(ground: &Ground, peer: &mut Option<Peer>, body: &[u8]) {
    loop {
        if let Some(connected) = &peer {
            let publishing = connected.try_publish(JOBS, JOBS, body, durable());
            match timeout(Duration::from_secs(15), publishing).await {
                Ok(Ok(Confirmation::Ack(None))) => return,
                _ => ground.count("published again after a missing confirmation"),
            }
        }
        sleep(Duration::from_millis(200)).await;
        let connecting = Peer::try_connect(&ground.site.amqp_url, None);
        *peer = timeout(Duration::from_secs(15), connecting).await.ok().and_then(Result::ok);
    }
}

/// Cancels a job. If the store is away, the job continues, and may do so.
pub async fn cancel(ground: &Ground, id: Uuid) {
    let cancelling = ground.site.codemint(&["jobs", "cancel", &id.to_string()]).run();
    let what = match timeout(Duration::from_secs(20), cancelling).await.map(|ran| ran.code) {
        Ok(0) => "cancelled a job",
        _ => "tried to cancel a job that had ended or could not be reached",
    };
    ground.count(what);
}
