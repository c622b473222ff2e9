//! Several jobs fill a mask to its last code, and not beyond.

use std::collections::BTreeSet;

use codemint_codes::overlap::matches;

use codemint_test_support::codemint::finish;
use codemint_test_support::engine_steps::{
    assert_ranges_are_those_of_the_codes, assert_sound, codes_in, expect_refused, import, insert_codes, mint,
};
use codemint_test_support::on_all_stores;
use codemint_test_support::small_masks::mask;
use codemint_test_support::stores::TestStore;

fn four_digits() -> Vec<String> {
    (0..10_000).map(|number| format!("{number:04}")).collect()
}

on_all_stores!(ten_jobs_fill_a_mask_exactly_and_the_eleventh_is_refused);
async fn ten_jobs_fill_a_mask_exactly_and_the_eleventh_is_refused(place: TestStore) {
    for (taken, chunk_size) in (0..10).map(|job| job * 1000).zip([1000, 300, 50_000, 999, 70, 500, 256, 255, 1000, 40])
    {
        if taken > 0 {
            expect_refused(&place, "####", 10_001 - taken, 10_000 - taken as u128).await;
        }
        mint(&place, "####", 1000, chunk_size).await;
    }
    assert_eq!(codes_in(&place).await, four_digits());
    expect_refused(&place, "####", 1, 0).await;
    assert_ranges_are_those_of_the_codes(&place).await;
    assert_sound(&place).await;
}

on_all_stores!(ten_jobs_of_several_processes_fill_a_mask_exactly_and_the_eleventh_is_refused);
async fn ten_jobs_of_several_processes_fill_a_mask_exactly_and_the_eleventh_is_refused(place: TestStore) {
    let generate = |count: &str| place.codemint(["generate", "####", "--chunk-size", "100", "--json", "-n", count]);
    for jobs in [3, 3, 3, 1] {
        let running: Vec<_> = (0..jobs).map(|_| generate("1000").start()).collect();
        for child in running {
            assert_eq!(finish(child).await.expect_code(0).json()["minted"], 1000);
        }
    }
    let refused = generate("1").run().await.expect_code(4);
    assert!(refused.stderr.contains("0 codes of #### are free, 1 was requested"), "{}", refused.stderr);
    assert_eq!(codes_in(&place).await, four_digits());
    assert_sound(&place).await;
}

on_all_stores!(jobs_mint_exactly_what_imported_codes_and_a_reserved_mask_leave_free);
async fn jobs_mint_exactly_what_imported_codes_and_a_reserved_mask_leave_free(place: TestStore) {
    // 500 codes: an eighth is outside the mask, a tenth of the others is reserved.
    let imported: BTreeSet<String> =
        (0..500).map(|at| if at % 8 == 0 { format!("A{:03}", at * 2) } else { format!("{:04}", at * 19) }).collect();
    import(&place, "*###", &imported).await;
    place.store.put_reserved(&mask("1###"), None).await.expect("a row");
    let taken = imported.iter().filter(|code| matches(mask("[02-9]###").positions(), code.as_bytes()));
    let mut free = 9_000 - taken.count() as i128;
    while free > 0 {
        expect_refused(&place, "####", free + 1, free as u128).await;
        let count = free.min(1000);
        mint(&place, "####", count, 300).await;
        free -= count;
    }
    expect_refused(&place, "####", 1, 0).await;
    let filled = "select count(*) from codes where length(code) = 4 and code < '1' or code between '2' and '9999'";
    assert_eq!(place.number(filled).await, 9_000);
    assert_eq!(
        place.number("select count(*) from codes").await,
        9_000 + imported.iter().filter(|code| code.starts_with(['1', 'A'])).count() as i64
    );
    assert_sound(&place).await;
}

/// Codes of other symbols that lie between those of `?X##`, for each letter.
fn neighbours() -> BTreeSet<String> {
    let numbers =
        |first: char| (0..100).flat_map(move |number| ['W', 'Y'].map(|second| format!("{first}{second}{number:02}")));
    ('A'..='Z').flat_map(numbers).collect()
}

/// Codes like [`neighbours`], but of other lengths or of no mask.
fn strays() -> Vec<String> {
    let of_letter = |first: char| {
        let longer = (0..100).map(move |number| format!("{first}X{number:02}0"));
        longer.chain(["", "9", "1A", "1Z", "A1"].map(|rest| format!("{first}X{rest}")))
    };
    ('A'..='Z').flat_map(of_letter).collect()
}

on_all_stores!(a_mask_whose_key_range_is_full_of_other_codes_is_filled_to_its_last_code);
async fn a_mask_whose_key_range_is_full_of_other_codes_is_filled_to_its_last_code(place: TestStore) {
    let (neighbours, strays) = (neighbours(), strays());
    assert!(neighbours.len() >= 2 * 2600, "more than are read at once");
    import(&place, "?[W-Y]##", &neighbours).await;
    insert_codes(&place, &strays, 0).await;
    let mut free = 2_600;
    for (count, chunk_size) in [(1_299, 50_000), (1, 1), (700, 350), (500, 50_000), (99, 50), (1, 1)] {
        let job = mint(&place, "?X##", count, chunk_size).await;
        assert_eq!(job.rejections.conflicts, 0, "all existing codes were read");
        free -= count;
        expect_refused(&place, "?X##", free + 1, free as u128).await;
    }
    let of_jobs = "run_no > 0 and substr(code, 2, 1) = 'X'";
    let minted = place.texts(&format!("select code from codes where {of_jobs} order by code")).await;
    assert_eq!((minted.len(), &*minted[0], &*minted[2599]), (2_600, "AX00", "ZX99"));
    assert!(minted.iter().all(|code| matches(mask("?X##").positions(), code.as_bytes())));
    let all = 2_600 + neighbours.len() + strays.len();
    assert_eq!(place.number("select count(*) from codes").await, all as i64);
    assert_sound(&place).await;
}

on_all_stores!(a_mask_with_placeholders_before_literals_is_filled_job_by_job);
async fn a_mask_with_placeholders_before_literals_is_filled_job_by_job(place: TestStore) {
    for (count, chunk_size) in [(300, 100), (300, 256), (76, 10)] {
        mint(&place, "[\\]^\\-A]-[\\\\*?\\[][0-9\\-]X[A-D]", count, chunk_size).await;
    }
    assert_eq!(place.number("select count(*) from codes").await, 676);
    expect_refused(&place, "[\\]^\\-A]-[\\\\*?\\[][0-9\\-]X[A-D]", 29, 28).await;
    mint(&place, "[\\]^\\-A]-[\\\\*?\\[][0-9\\-]X[A-D]", 28, 1000).await;
    expect_refused(&place, "[\\]^\\-A]-[\\\\*?\\[][0-9\\-]X[A-D]", 1, 0).await;
    assert_sound(&place).await;
}
