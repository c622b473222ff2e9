//! Causes faults in the workers: kills, stops and replaces them.

use std::time::{Duration, Instant};

use tokio::time::sleep;

use crate::ground::Ground;
use crate::lot::Lot;
use codemint_test_support::site::Worker;

const WORKERS: usize = 3;
const STOPPED_FOR: Duration = Duration::from_secs(10);
/// Small chunks, for many commits to interrupt.
const SETTINGS: [(&str, &str); 1] = [("CODEMINT__JOB__CHUNK_SIZE", "10000")];

pub type Workers = Vec<Worker>;

/// Causes faults until the time is up, and returns the workers that are left.
pub async fn cause(ground: &Ground, mut lot: Lot, until: Instant) -> Workers {
    let start = || ground.site.start(&SETTINGS, &[]);
    let mut workers: Workers = (0..WORKERS).map(|_| start()).collect();
    loop {
        sleep(lot.pause(Duration::from_secs(2), Duration::from_secs(12))).await;
        if Instant::now() >= until {
            return workers;
        }
        let number = lot.below(WORKERS);
        let pause = lot.pause(Duration::ZERO, Duration::from_secs(2));
        match lot.below(5) {
            0..3 => {
                ground.note("killed a worker");
                let worker = workers.remove(number);
                worker.signal("KILL");
                worker.finish().await.expect_code(-9);
                sleep(pause).await;
                workers.insert(number, start());
            }
            3 => {
                ground.note("stopped a worker for 10 s");
                workers[number].signal("STOP");
                sleep(STOPPED_FOR).await;
                workers[number].signal("CONT");
            }
            _ => {
                ground.note("replaced a worker");
                let worker = std::mem::replace(&mut workers[number], start());
                let code = worker.terminate().await.code;
                assert!([0, 5].contains(&code), "a terminated worker ended with exit code {code}");
            }
        }
    }
}
