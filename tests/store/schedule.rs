//! The schedule: which job gets the next turn.

use std::sync::Arc;
use std::time::Duration;

use codemint_worker::mint::task::MintSettings;
use codemint_worker::runner::job_execution::{JobExecution, Share};
use codemint_worker::runner::schedule::Schedule;
use tokio::time::Instant;

use codemint_test_support::engine_steps::put;
use codemint_test_support::stores::TestStore;

/// Takes a turn and gives it back at once.
fn turn(schedule: &mut Schedule) -> Option<i64> {
    let job_no = schedule.take_turn(Instant::now(), 2)?.job_no;
    schedule.give_back(job_no, None, None);
    Some(job_no)
}

fn of(jobs: &[(i64, u8)]) -> Schedule {
    let mut schedule = Schedule::default();
    jobs.iter().for_each(|(job_no, priority)| schedule.add(*job_no, *priority));
    schedule
}

fn turns(schedule: &mut Schedule, count: usize) -> Vec<i64> {
    (0..count).map(|_| turn(schedule).expect("a turn")).collect()
}

#[tokio::test]
async fn jobs_of_one_priority_take_turns_in_order_of_arrival() {
    let mut schedule = of(&[(3, 5), (1, 5), (2, 5)]);
    assert_eq!(turns(&mut schedule, 7), [1, 2, 3, 1, 2, 3, 1]);
    // A job that arrives later waits one turn for each of the others, not as many turns as they have had.
    schedule.add(4, 5);
    assert_eq!(turns(&mut schedule, 5), [2, 3, 1, 4, 2]);
}

#[tokio::test]
async fn jobs_of_a_higher_priority_get_every_turn_until_they_have_ended() {
    let mut schedule = of(&[(1, 0), (2, 9), (3, 4), (4, 9)]);
    assert_eq!(turns(&mut schedule, 4), [2, 4, 2, 4]);
    schedule.remove(2);
    assert_eq!(turns(&mut schedule, 2), [4, 4]);
    schedule.remove(4);
    assert_eq!(turns(&mut schedule, 2), [3, 3]);
    schedule.remove(3);
    assert_eq!(turn(&mut schedule), Some(1));
}

#[tokio::test]
async fn a_job_takes_no_chunk_from_jobs_of_a_higher_priority() {
    let mut schedule = of(&[(1, 0), (2, 9)]);
    let now = Instant::now();
    let mut take = || schedule.take_turn(now, 2).map(|turn| turn.job_no);
    // The high one has both chunks that are minted at once.
    assert_eq!([take(), take(), take()], [Some(2), Some(2), None]);
    schedule.give_back(2, None, None);
    assert_eq!(schedule.take_turn(now, 2).expect("a turn").job_no, 2);
    // Other processes have its last chunks: the low one goes on.
    schedule.give_back(2, None, Some(now + Duration::from_secs(1)));
    assert_eq!(schedule.take_turn(now, 2).expect("a turn").job_no, 1);
    assert_eq!(schedule.take_turn(now, 2).expect("a turn").job_no, 1);
}

#[tokio::test]
async fn every_job_gets_a_slot_before_any_job_gets_two() {
    let mut schedule = of(&[(1, 0), (2, 0), (3, 0)]);
    let now = Instant::now();
    let mut take = || schedule.take_turn(now, 2).expect("a turn").job_no;
    assert_eq!([take(), take(), take(), take()], [1, 2, 3, 1]);
    assert_eq!(schedule.slots_busy(), 4);
    // Two slots work on the first job, so the next one is for another job.
    assert_eq!(schedule.take_turn(now, 2).expect("a turn").job_no, 2);
    schedule.give_back(1, None, None);
    schedule.give_back(1, None, None);
    assert_eq!(schedule.take_turn(now, 2).expect("a turn").job_no, 1);
}

#[tokio::test]
async fn a_paused_job_is_skipped_until_its_pause_ends() {
    let mut schedule = of(&[(1, 9), (2, 0)]);
    let now = Instant::now();
    let until = now + Duration::from_secs(5);
    assert_eq!(schedule.take_turn(now, 2).expect("a turn").job_no, 1);
    schedule.give_back(1, None, Some(until));
    assert_eq!(schedule.next_wakeup(), Some(until));
    for _ in 0..2 {
        assert_eq!(schedule.take_turn(now, 2).expect("a turn").job_no, 2);
        schedule.give_back(2, None, None);
    }
    schedule.remove(2);
    assert!(schedule.take_turn(now, 2).is_none() && !schedule.is_empty());
    assert_eq!(schedule.take_turn(until, 2).expect("a turn").job_no, 1);
    // Adding the job again keeps its entry.
    schedule.give_back(1, None, Some(until));
    schedule.add(1, 9);
    assert!(schedule.take_turn(now, 2).is_none());
}

#[tokio::test]
async fn a_job_that_is_set_aside_gets_no_turn_and_leaves_the_schedule_empty() {
    let mut schedule = of(&[(1, 0)]);
    let now = Instant::now();
    assert!(schedule.take_turn(now, 2).is_some() && schedule.take_turn(now, 2).is_some());
    assert!(schedule.set_aside(1), "the first slot sets it aside");
    assert!(!schedule.set_aside(1), "the second slot finds it set aside");
    schedule.add(1, 0);
    assert!(schedule.take_turn(now, 2).is_none() && schedule.is_empty());
    assert_eq!((schedule.next_wakeup(), schedule.slots_busy()), (None, 0));
    schedule.keep(&[(1, 0)]);
    assert!(schedule.take_turn(now, 2).is_none());
    schedule.keep(&[]);
    schedule.add(1, 0);
    assert!(schedule.take_turn(now, 2).is_some(), "a new job with that number");
}

#[tokio::test]
async fn jobs_that_ended_elsewhere_are_forgotten_unless_they_are_in_progress_here() {
    let mut schedule = of(&[(1, 0), (2, 0), (3, 0)]);
    assert_eq!(schedule.take_turn(Instant::now(), 2).expect("a turn").job_no, 1);
    schedule.keep(&[(3, 0)]);
    assert_eq!(turn(&mut schedule), Some(3));
    schedule.give_back(1, None, None);
    schedule.keep(&[(3, 0)]);
    assert_eq!(turns(&mut schedule, 2), [3, 3]);
}

#[tokio::test]
async fn consecutive_failures_are_counted_and_shares_are_returned_once() {
    let mut schedule = of(&[(1, 0)]);
    assert_eq!((schedule.count_failure(1), schedule.count_failure(1), schedule.count_failure(2)), (1, 2, 0));
    schedule.forget_failures(1);
    assert_eq!(schedule.count_failure(1), 1);
    schedule.count_share(1, Share { chunks: 1, codes: 10 });
    schedule.count_share(1, Share { chunks: 2, codes: 5 });
    assert_eq!(schedule.remove(1), Some(Share { chunks: 3, codes: 15 }));
    assert_eq!(schedule.remove(1), None);
}

#[tokio::test]
async fn few_executions_wait_for_a_turn_however_many_jobs_exist() {
    let place = TestStore::sqlite().await;
    let job = put(&place.store, "####", 10, 5).await;
    let settings = Arc::new(MintSettings::default());
    let mut schedule = Schedule::default();
    (1..=50).for_each(|job_no| schedule.add(job_no, 0));
    for _ in 0..50 {
        let job_no = schedule.take_turn(Instant::now(), 2).expect("a turn").job_no;
        schedule.give_back(
            job_no,
            Some(JobExecution::new(&place.store, &job, Arc::clone(&settings), tracing::Span::none())),
            None,
        );
    }
    let kept = (0..50).filter(|_| schedule.take_turn(Instant::now(), 2).expect("a turn").execution.is_some()).count();
    assert_eq!(kept, 4);
}

#[tokio::test]
async fn regression_an_expired_pause_keeps_no_slot_awake_while_others_work_on_the_job() {
    let mut schedule = of(&[(1, 0)]);
    let until = Instant::now() + Duration::from_secs(5);
    assert_eq!(schedule.take_turn(Instant::now(), 1).expect("a turn").job_no, 1);
    schedule.give_back(1, None, Some(until));
    assert_eq!(schedule.take_turn(until, 1).expect("a turn").job_no, 1);
    assert!(schedule.take_turn(until, 1).is_none(), "the job has all the slots that it may have");
    assert_eq!(schedule.next_wakeup(), None, "nothing to wake up for");
}
