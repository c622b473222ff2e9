//! Filling a keyspace to its last code.

use crate::measure::{median, verdict};
use crate::place::{Job, MILLION, Place};

const TIMES_MAX: f64 = 3.0;
const MASK: &str = "######";
const JOBS: usize = 20;
const ROUNDS: usize = 3;

pub async fn run(place: &Place) -> bool {
    let job = Job { mask: MASK, count: MILLION / JOBS as u64, environment: &[] };
    let file = place.file("read.tsv");
    let read = format!("\\copy (select code from codes order by code) to '{}'\n", file.display());
    let mut ratios = Vec::new();
    for _round in 0..ROUNDS {
        place.make_empty().await;
        let mut seconds = Vec::new();
        for _job in 0..JOBS - 1 {
            seconds.push(place.time(&job).await);
        }
        let reading = place.time_psql(&read).await;
        let last = place.time(&job).await;
        seconds.push(last);
        let all: Vec<String> = seconds.iter().map(|seconds| format!("{seconds:.2}")).collect();
        println!("seconds of the {JOBS} jobs: {}; reading {reading:.2}", all.join(" "));
        println!("(the last one: {})", place.last_job_screening().await);
        ratios.push(last / (reading + seconds[0]));
    }
    let ratio = median(&ratios);
    let holds = ratio <= TIMES_MAX;
    println!("{MASK} in {JOBS} jobs: the last one to reading and the first one, bound {TIMES_MAX:.2}:");
    println!("{ratio:.2}: {}", verdict(holds));
    holds
}
