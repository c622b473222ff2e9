//! The latency of one code of a mask that already holds ten million.

use std::time::Instant;

use codemint_codes::job::request::{Limits, Request};
use codemint_store::admission::submit::PutJob;
use codemint_store::connection::store::{Access, Store};
use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::single::{RunEnd, run_job};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::measure::{least, median, most, verdict};
use crate::more::{SPARSE_10_MILLION, fill_sparse};
use crate::place::{Place, SPARSE};

const MILLISECONDS_MAX: f64 = 50.0;
const JOBS: usize = 100;

pub async fn run(place: &mut Place) -> bool {
    fill_sparse(place).await;
    place.restore(SPARSE_10_MILLION).await;
    let store = Store::open(&place.url().parse().expect("a location"), Access::Existing).await.expect("a store");
    let mut milliseconds = Vec::new();
    for _job in 0..JOBS {
        let started = Instant::now();
        mint(&store, SPARSE, 1, None).await;
        milliseconds.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    store.close().await.expect("a close");
    let middle = median(&milliseconds);
    let holds = middle <= MILLISECONDS_MAX;
    println!("one code of {SPARSE} over 10 million, {JOBS} jobs in one process, milliseconds:");
    println!("first {:.1}, least {:.1}, most {:.1}", milliseconds[0], least(&milliseconds), most(&milliseconds));
    println!("median {middle:.1}, bound {MILLISECONDS_MAX:.0}: {}", verdict(holds));
    holds
}

/// Runs a job from its request to its end, in this process.
pub async fn mint(store: &Store, mask: &str, count: u64, campaign: Option<&str>) {
    let limits = Limits { guess_odds_min: 0, count_max: count };
    let request = Request::check(mask, count.into(), campaign, 50_000, limits).expect("a request");
    let put = store.put_job(Uuid::now_v7(), &request).await.expect("a stored job");
    let PutJob::Stored(job) = put else { panic!("{put:?}") };
    let (end, share) =
        run_job(store, &job, &MintSettings::default(), &CancellationToken::new()).await.expect("a job that ends");
    assert_eq!((end, share.codes), (RunEnd::Ended, count));
}
