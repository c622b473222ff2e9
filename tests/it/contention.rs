//! Processes that mint overlapping masks at the same time get in each other's way, and nothing goes wrong.

use crate::engine_steps::{assert_sound, codes_in};
use crate::support::codemint::{Ran, finish};
use crate::support::stores::TestStore;

/// Two processes mint 40,000 codes each of two masks that share 160,000; returns how many conflicts they met.
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
    assert!(conflicts > 0, "they never met");
    assert_eq!(codes_in(&place).await.len(), 160_000);
    let counted = place.number("select cast(sum(conflicts) as bigint) from chunks").await;
    assert_eq!(counted as u64, conflicts);
    assert_sound(&place).await;
}
