//! A number of callers, each of which asks again as soon as it has an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What callers saw.
#[derive(Clone, Debug)]
pub struct Seen {
    pub granted: u64,
    pub seconds: f64,
    /// Milliseconds of each call, ascending.
    milliseconds: Vec<f64>,
}

impl Seen {
    pub fn per_second(&self) -> f64 {
        self.granted as f64 / self.seconds
    }

    /// Returns the milliseconds that this share of the calls did not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        let place = (self.milliseconds.len() as f64 * share) as usize;
        self.milliseconds.get(place.min(self.milliseconds.len().saturating_sub(1))).copied().unwrap_or_default()
    }
}

/// Lets callers ask for this long. Each call gets a number that no other has, and returns true if it was granted. With
/// `pause`, a caller waits that long between two calls.
pub async fn run<F>(callers: usize, time: Duration, pause: Duration, call: impl Fn(u64) -> F) -> Seen
where
    F: Future<Output = bool> + Send + 'static,
    F::Output: Send,
{
    let call = Arc::new(call);
    let numbers = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let work = (0..callers).map(|_| {
        let (call, numbers) = (Arc::clone(&call), Arc::clone(&numbers));
        async move {
            let (mut granted, mut milliseconds) = (0, Vec::new());
            while started.elapsed() < time {
                let asked = Instant::now();
                let number = numbers.fetch_add(1, Ordering::Relaxed);
                if tokio::spawn(call(number)).await.expect("a caller") {
                    granted += 1;
                }
                milliseconds.push(asked.elapsed().as_secs_f64() * 1000.0);
                if !pause.is_zero() {
                    tokio::time::sleep(pause).await;
                }
            }
            (granted, milliseconds)
        }
    });
    let seen = futures_util::future::join_all(work).await;
    let seconds = started.elapsed().as_secs_f64();
    let mut milliseconds: Vec<f64> = seen.iter().flat_map(|(_, milliseconds)| milliseconds).copied().collect();
    milliseconds.sort_by(f64::total_cmp);
    Seen { granted: seen.iter().map(|(granted, _)| granted).sum(), seconds, milliseconds }
}
