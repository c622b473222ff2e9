//! The order in which a chunk is written keeps the unique index small, and never lets two writers wait for each other.

use codemint_codes::job::state::State;

use codemint_test_support::codemint::finish;
use codemint_test_support::engine_steps::{assert_sound, codes_in, insert_codes, mint, put, run, start};
use codemint_test_support::stores::TestStore;

const CODES: i128 = 40_000;

/// Mints codes on both sides of those with the prefix `M`.
async fn mint_neighbours(place: &TestStore) {
    for mask in ["A[:safe:]{10}", "X[:safe:]{10}"] {
        mint(place, mask, 1_000, 1_000).await;
    }
}

async fn index_bytes(place: &TestStore) -> i64 {
    place.number("select pg_relation_size('codes_pkey')").await
}

/// Mints a job of fresh codes, and returns by how many bytes the index grew for each code.
async fn bytes_a_code(place: &TestStore, mask: &str) -> i64 {
    let before = index_bytes(place).await;
    mint(place, mask, CODES, 10_000).await;
    (index_bytes(place).await - before) / CODES as i64
}

/// A code of eleven characters takes 28 bytes: 31 in pages left 90 % full, 56 in pages left half full.
#[tokio::test]
async fn a_job_amid_others_leaves_index_pages_as_full_as_one_at_the_edge() {
    let place = TestStore::postgres().await;
    mint_neighbours(&place).await;
    let amid = bytes_a_code(&place, "M[:safe:]{10}").await;
    let at_the_edge = bytes_a_code(&place, "Z[:safe:]{10}").await;
    assert!((28..=38).contains(&amid), "{amid} bytes per code amid others");
    assert!((28..=38).contains(&at_the_edge), "{at_the_edge} bytes per code at the right edge");
    assert_sound(&place).await;
}

/// A writer in two passes and one in ascending order would wait for each other, if they wrote the same codes.
#[tokio::test]
async fn codes_are_written_ascending_where_an_unfinished_job_shares_the_mask() {
    let place = TestStore::postgres().await;
    mint_neighbours(&place).await;
    let rival = put(&place.store, "M[:safe:]{9}[ABC]", 10, 10).await;
    let beside_a_rival = bytes_a_code(&place, "M[:safe:]{10}").await;
    assert!(beside_a_rival > 50, "{beside_a_rival} bytes per code");
    assert_eq!(run(&place.store, &rival).await.state, State::Completed);
    assert_sound(&place).await;
}

/// Returns whether a run was written in ascending order: the table keeps rows in the order in which they were written.
async fn comes_ascending(place: &TestStore, run_no: i64) -> bool {
    let codes = place.texts(&format!("select code from codes where run_no = {run_no} order by ctid")).await;
    assert_eq!(codes.len(), 2_000);
    codes.is_sorted()
}

#[tokio::test]
async fn a_chunk_is_written_ascending_after_a_conflict_and_otherwise_in_two_passes() {
    let place = TestStore::postgres().await;
    mint(&place, "Z###", 300, 300).await;
    let job = put(&place.store, "M####", 4_000, 2_000).await;
    let mut minting = start(&place.store, &job).await;
    minting.mint_chunk(&place.store).await.expect("a step");
    // Half of the second slice, in a run that screening does not find.
    let taken: Vec<String> = (5_000..10_000).step_by(2).map(|number| format!("M{number:04}")).collect();
    insert_codes(&place, &taken, -1).await;
    minting.mint_chunk(&place.store).await.expect("a step");
    let run_of = async |chunk_no: u32| {
        place.number(&format!("select run_no from chunks where job_no = {} and chunk_no = {chunk_no}", job.no)).await
    };
    assert!(place.number("select cast(sum(conflicts) as bigint) from chunks").await > 500);
    assert!(!comes_ascending(&place, run_of(0).await).await);
    assert!(comes_ascending(&place, run_of(1).await).await);
}

#[tokio::test]
async fn two_processes_on_one_mask_amid_others_both_complete_exactly() {
    let place = TestStore::postgres().await;
    mint(&place, "Z[0-9]{4}[0-9A]", 1_000, 1_000).await;
    let generate = || {
        let command = place.codemint(["generate", "M[0-9]{4}[0-9A]", "-n", "50000", "--chunk-size", "1000", "--json"]);
        command.env("CODEMINT__LOG__LEVEL", "info").start()
    };
    let (first, second) = (generate(), generate());
    for ran in <[_; 2]>::from(tokio::join!(finish(first), finish(second))) {
        let ran = ran.expect_code(0);
        assert!(!ran.stderr.contains("ERROR"), "{}", ran.stderr);
        assert_eq!(ran.json()["minted"], 50_000);
    }
    assert_eq!(codes_in(&place).await.len(), 101_000);
    assert_sound(&place).await;
}
