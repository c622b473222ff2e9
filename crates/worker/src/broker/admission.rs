//! Admits the messages of a batch. A store that does not answer is waited for without a limit, because its errors say nothing
//! about a message. A message that the store rejects for what it holds is dead-lettered after a few tries.

use std::slice;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::broker::admitter::{Admitter, Dead, Outcome};
use crate::runner::backoff::Backoff;
use codemint_codes::wire::message::Undecodable;

/// Number of times that the store rejects a message before it is dead-lettered.
const REJECTIONS_MAX: u32 = 5;
/// Pause after the first rejection; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// The reason for which the store rejects one of the messages.
type Rejection = String;

/// Returns the outcomes of the messages, in their order; `None` if a stop comes while the store does not answer.
pub(super) async fn admit<A: Admitter>(
    admitter: &A,
    messages: &[A::Parsed],
    stop: &CancellationToken,
) -> Option<Vec<Outcome<A::Admitted>>> {
    if let Ok(outcomes) = admit_together(admitter, messages, stop).await? {
        return Some(outcomes);
    }
    // From now on one by one: a rejected message holds up no other.
    let mut outcomes: Vec<Option<Outcome<A::Admitted>>> = messages.iter().map(|_| None).collect();
    let mut left: Vec<usize> = (0..messages.len()).collect();
    for rejections in 1..=REJECTIONS_MAX {
        for index in std::mem::take(&mut left) {
            match admit_together(admitter, slice::from_ref(&messages[index]), stop).await? {
                Ok(mut admitted) => outcomes[index] = admitted.pop(),
                Err(_) if rejections < REJECTIONS_MAX => left.push(index),
                Err(reason) => outcomes[index] = Some(Err(dead(A::NOUN, &reason))),
            }
        }
        if left.is_empty() {
            break;
        }
        tracing::warn!(messages = left.len(), rejections, "the store rejects messages for what they hold; retrying");
        Backoff::new(stop).wait(pause_after(rejections)).await;
    }
    outcomes.into_iter().collect()
}

/// Admits messages in one transaction where possible; waits while the store does not answer.
async fn admit_together<A: Admitter>(
    admitter: &A,
    messages: &[A::Parsed],
    stop: &CancellationToken,
) -> Option<Result<Vec<Outcome<A::Admitted>>, Rejection>> {
    let mut backoff = Backoff::new(stop);
    loop {
        match Box::pin(admitter.admit(messages)).await {
            Ok(outcomes) => {
                backoff.reset();
                return Some(Ok(outcomes));
            }
            Err(_) if stop.is_cancelled() => return None,
            Err(error) => match error.rejection() {
                Some(reason) => return Some(Err(reason)),
                None => backoff.wait_after(&error).await,
            },
        }
    }
}

/// Returns the pause before the next try.
fn pause_after(rejections: u32) -> Duration {
    FIRST_PAUSE * 2_u32.pow(rejections.saturating_sub(1))
}

fn dead(noun: &str, reason: &str) -> Dead {
    let reason = format!("the store rejected the {noun} {REJECTIONS_MAX} times: {reason}");
    Dead(Undecodable { reason, position: "store".to_owned() })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{REJECTIONS_MAX, pause_after};

    #[test]
    fn the_pauses_grow_and_take_a_few_seconds_in_total() {
        let pauses: Vec<Duration> = (1..REJECTIONS_MAX).map(pause_after).collect();
        assert_eq!(pauses, [200, 400, 800, 1600].map(Duration::from_millis));
    }
}
