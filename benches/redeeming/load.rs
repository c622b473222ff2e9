//! A number of callers, each of which asks again as soon as it has an answer.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What callers saw.
#[derive(Clone, Debug)]
pub struct Seen {
    pub granted: u64,
    /// Until the last call that was granted: later ones say nothing about the speed of granting.
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
/// `pause`, each caller asks once in that time, however long the answer takes; a caller that is late asks at once.
pub async fn run<F>(
    callers: usize,
    time: Duration,
    pause: Duration,
    call: impl Fn(u64) -> F + Send + Sync + 'static,
) -> Seen
where
    F: Future<Output = bool> + Send + 'static,
{
    let call = Arc::new(call);
    let numbers = Arc::new(AtomicU64::new(0));
    let started = Instant::now();
    let work: Vec<_> = (0..callers)
        .map(|caller| {
            let (call, numbers) = (Arc::clone(&call), Arc::clone(&numbers));
            tokio::spawn(async move {
                let (mut granted, mut granted_at, mut milliseconds) = (0, 0.0, Vec::new());
                // So that callers who pause do not all ask at once.
                let mut next = started + pause.mul_f64(caller as f64 / callers as f64);
                tokio::time::sleep_until(next.into()).await;
                while started.elapsed() < time {
                    let asked = Instant::now();
                    let number = numbers.fetch_add(1, Ordering::Relaxed);
                    if call(number).await {
                        granted += 1;
                        granted_at = started.elapsed().as_secs_f64();
                    }
                    milliseconds.push(asked.elapsed().as_secs_f64() * 1000.0);
                    if !pause.is_zero() {
                        next += pause;
                        tokio::time::sleep_until(next.into()).await;
                    }
                }
                (granted, granted_at, milliseconds)
            })
        })
        .collect();
    let (mut granted, mut seconds, mut milliseconds) = (0_u64, 0.0_f64, Vec::new());
    for caller in work {
        let seen: (u64, f64, Vec<f64>) = caller.await.expect("a caller");
        granted += seen.0;
        seconds = seconds.max(seen.1);
        milliseconds.extend(seen.2);
    }
    milliseconds.sort_by(f64::total_cmp);
    Seen { granted, seconds, milliseconds }
}
