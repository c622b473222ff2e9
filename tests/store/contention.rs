//! Processes that mint overlapping masks at the same time conflict with each other, and both succeed.

use codemint_codes::job::state::State;

use codemint_test_support::codemint::{Ran, finish};
use codemint_test_support::engine_steps::{assert_sound, codes_in, put, run, start};
use codemint_test_support::on_all_stores;
use codemint_test_support::stores::TestStore;

/// Mints 40,000 codes of each of two masks that share 160,000, in two processes; returns the number of conflicts.
async fn mint_both(place: &TestStore, masks: [&str; 2]) -> u64 {
    let generate = |mask: &str| {
        let command = place.codemint(["generate", mask, "-n", "40000", "--chunk-size", "500", "--json"]);
        command.env("CODEMINT__LOG__LEVEL", "info").start()
    };
    let (first, second) = (generate(masks[0]), generate(masks[1]));
    let (first, second) = tokio::join!(finish(first), finish(second));
    let conflicts = |ran: Ran| {
        let ran = ran.expect_code(0);
        assert!(!ran.stderr.contains("deadlock") && !ran.stderr.contains("ERROR"), "{}", ran.stderr);
        assert_eq!(ran.json()["minted"], 40_000);
        ran.json()["rejected_by_reason"]["conflicts"].as_u64().expect("a number")
    };
    conflicts(first) + conflicts(second)
}

#[tokio::test]
async fn two_processes_that_mint_overlapping_masks_at_once_both_complete_exactly() {
    let place = TestStore::postgres().await;
    let mut conflicts = mint_both(&place, ["[0-9A-F]###[0-9A]", "[0-9A-F]###[0-9B]"]).await;
    conflicts += mint_both(&place, ["[0-9A-F]###[0-9C]", "[0-9A-F]###[0-9D]"]).await;
    assert_eq!(codes_in(&place).await.len(), 160_000);
    let counted = place.number("select cast(sum(conflicts) as bigint) from chunks").await;
    assert_eq!(counted as u64, conflicts);
    assert_sound(&place).await;
}

on_all_stores!(codes_stored_by_another_job_after_screening_are_conflicts_and_replaced);
async fn codes_stored_by_another_job_after_screening_are_conflicts_and_replaced(place: TestStore) {
    let jobs = [put(&place.store, "####", 4_000, 500).await, put(&place.store, "###[0-9A]", 4_000, 500).await];
    let mut minting = [start(&place.store, &jobs[0]).await, start(&place.store, &jobs[1]).await];
    // The jobs take turns: the next chunk of each is screened before the chunk of the other is written.
    for _chunk in 0..8 {
        for minting in &mut minting {
            minting.mint_chunk(&place.store).await.expect("a step");
        }
    }
    let mut conflicts = 0;
    for job in &jobs {
        let job = run(&place.store, job).await;
        assert_eq!((job.state, job.minted), (State::Completed, 4_000));
        conflicts += job.rejections.conflicts;
    }
    assert!(conflicts > 0, "on {:?}", place.kind);
    assert_sound(&place).await;
}
