//! Reserved codes and codes with denied words must not be minted. All other codes can be, to the last one.

use std::sync::Arc;

use codemint_codes::denied::{DeniedInMask, DeniedWords};
use codemint_codes::job::state::State;
use codemint_codes::policy::Policy;
use codemint_worker::mint::engine::ChunkOutcome;

use codemint_test_support::engine_steps::{
    assert_sound, codes_in, denying, expect_refused, mint, mint_under, put, refusal_of, request, run, start,
};
use codemint_test_support::on_both_stores;
use codemint_test_support::small_masks::{codes_of, mask};
use codemint_test_support::stores::TestStore;

on_both_stores!(a_mask_reserved_during_a_job_is_respected_from_the_next_chunk_on);
async fn a_mask_reserved_during_a_job_is_respected_from_the_next_chunk_on(place: TestStore) {
    let job = put(&place.store, "####", 4_000, 1_000).await;
    let mut minting = start(&place.store, &job).await;
    assert!(matches!(minting.mint_chunk(&place.store).await.expect("a step"), ChunkOutcome::Minted { .. }));
    drop(minting);
    assert!(place.store.put_reserved(&mask("[89]###"), Some("affiliates")).await.expect("an answer"));
    assert!(!place.store.put_reserved(&mask("[89]###"), None).await.expect("an answer"), "it is already reserved");
    place.store.put_reserved(&mask("7[5-8]##"), None).await.expect("a row");
    let job = run(&place.store, &job).await;
    assert_eq!((job.state, job.minted), (State::Completed, 4_000));
    assert!(job.rejections.reserved > 500, "{:?}", job.rejections);
    assert_eq!((job.rejections.denied, job.rejections.conflicts), (0, 0));
    assert_eq!(
        place.number("select count(*) from codes where code >= '7500' and code < '7900' or code >= '8'").await,
        0
    );
    assert_eq!(codes_in(&place).await.len(), 4_000);
    let further = place.number("select count(*) from chunks where round > 0").await;
    assert!(further > 0, "the last slice had next to nothing left");
    assert_sound(&place).await;
}

on_both_stores!(a_mask_inside_reserved_masks_is_refused_until_they_are_removed);
async fn a_mask_inside_reserved_masks_is_refused_until_they_are_removed(place: TestStore) {
    for reserved in ["0###", "[1-9]##[0-4]", "[1-9]##*"] {
        place.store.put_reserved(&mask(reserved), None).await.expect("a row");
    }
    expect_refused(&place, "####", 1, 0).await;
    assert!(place.store.delete_reserved(&mask("[1-9]##[A-Z0-9]")).await.expect("an answer"));
    assert!(!place.store.delete_reserved(&mask("[1-9]##*")).await.expect("an answer"), "it is already removed");
    expect_refused(&place, "####", 4_501, 4_500).await;
    mint(&place, "####", 4_500, 700).await;
    expect_refused(&place, "####", 1, 0).await;
    place.store.delete_reserved(&mask("0###")).await.expect("an answer");
    place.store.delete_reserved(&mask("[1-9]##[0-4]")).await.expect("an answer");
    mint(&place, "####", 5_500, 700).await;
    assert_eq!(codes_in(&place).await.len(), 10_000);
    assert_sound(&place).await;
}

on_both_stores!(reserved_masks_of_other_lengths_or_symbols_have_no_effect);
async fn reserved_masks_of_other_lengths_or_symbols_have_no_effect(place: TestStore) {
    for reserved in ["#####", "###", "A###", "\\####"] {
        place.store.put_reserved(&mask(reserved), None).await.expect("a row");
    }
    let job = mint(&place, "####", 10_000, 3_000).await;
    assert_eq!(job.rejections.total(), 0);
}

/// Asserts that jobs of several sizes fill the mask with exactly the codes that these denied words allow.
async fn assert_filled_but_for(place: &TestStore, policy: &Policy, mask_text: &str, chunk_sizes: &[u64]) {
    let words = policy.denied.as_ref().expect("words");
    let denied = DeniedInMask::new(words, &mask(mask_text));
    let mut allowed: Vec<String> = codes_of(mask(mask_text).positions()).into_iter().collect();
    allowed.retain(|code| !denied.is_denied(code.as_bytes()));
    let mut left = allowed.len() as i128;
    let under = |count| request(mask_text, count, 1_000).under(policy.clone()).expect("a request");
    for (at, &chunk_size) in chunk_sizes.iter().enumerate() {
        assert_eq!(refusal_of(place, &under(left + 1)).await, (left as u128, true));
        let count = left / (chunk_sizes.len() - at) as i128;
        mint_under(place, policy, mask_text, count, chunk_size).await;
        left -= count;
    }
    assert_eq!(refusal_of(place, &under(1)).await, (0, true));
    assert_eq!(codes_in(place).await, allowed);
    assert_sound(place).await;
}

on_both_stores!(a_small_mask_is_filled_to_the_last_code_without_a_denied_word);
async fn a_small_mask_is_filled_to_the_last_code_without_a_denied_word(place: TestStore) {
    assert_filled_but_for(&place, &denying(&["abba", "cab", "b-b"]), "[A-C]{7}", &[300, 50, 1000, 1]).await;
    // Nine of ten codes are denied.
    let place = place.another().await;
    assert_filled_but_for(&place, &denying(&["aa", "bb", "ab"]), "[A-C4]{6}", &[7, 400]).await;
}

on_both_stores!(words_that_deny_every_code_leave_no_code_free);
async fn words_that_deny_every_code_leave_no_code_free(place: TestStore) {
    let under = request("[A4][A4@]##", 1, 10).under(denying(&["aa"])).expect("a request");
    assert_eq!(refusal_of(&place, &under).await, (0, true));
    mint(&place, "[A4][A4@]##", 600, 100).await;
    assert_eq!(refusal_of(&place, &under).await, (0, true));
}

on_both_stores!(rejected_candidates_are_counted_by_their_reason);
async fn rejected_candidates_are_counted_by_their_reason(place: TestStore) {
    let policy = denying(&["aa"]);
    let mask_text = "[AB]{3}[019]{6}";
    mint(&place, mask_text, 2_900, 2_900).await;
    place.store.put_reserved(&mask("B[AB]{2}[019]{6}"), None).await.expect("a row");
    // Of the codes that begin with A, those with AA are denied: 1,458 are left, and about half of these exist.
    let free = place.number("select 1458 - count(*) from codes where code between 'AB' and 'ABZ'").await;
    let job = mint_under(&place, &policy, mask_text, free.into(), 500).await;
    let counted = job.rejections;
    assert!(counted.reserved > 0 && counted.denied > 0 && counted.existing > 0, "{counted:?}");
    assert_eq!(counted.total(), counted.reserved + counted.denied + counted.existing + counted.conflicts);
    for (column, counted) in [("reserved", counted.reserved), ("denied", counted.denied), ("rejected", counted.total())]
    {
        let sum =
            place.number(&format!("select cast(sum({column}) as bigint) from chunks where job_no = {}", job.no)).await;
        assert_eq!(sum as u64, counted, "{column}");
    }
    assert_eq!(place.number("select count(*) from codes where code between 'AB' and 'ABZ'").await, 1_458);
    let under = request(mask_text, 1, 500).under(policy).expect("a request");
    assert_eq!(refusal_of(&place, &under).await, (0, true));
    assert_sound(&place).await;
}

on_both_stores!(regression_a_half_reserved_slice_gives_all_its_other_codes_in_one_round);
async fn regression_a_half_reserved_slice_gives_all_its_other_codes_in_one_round(place: TestStore) {
    place.store.put_reserved(&mask("[0-4]####"), None).await.expect("a row");
    mint(&place, "#{5}", 50_000, 50_000).await;
    assert_eq!(codes_in(&place).await.len(), 50_000);
    assert_eq!(place.number("select count(*) from chunks where round > 0").await, 0);
}

on_both_stores!(the_few_codes_that_are_not_reserved_are_found_among_millions);
async fn the_few_codes_that_are_not_reserved_are_found_among_millions(place: TestStore) {
    for reserved in ["[1-9]{1}######", "0[1-9]#####", "00[1-9]####", "000[1-9]###", "0000[1-9]##", "00000[1-9]#"] {
        place.store.put_reserved(&mask(reserved), None).await.expect("a row");
    }
    place.store.put_reserved(&mask("000000[5-9]"), None).await.expect("a row");
    expect_refused(&place, "#{7}", 6, 5).await;
    mint(&place, "#{7}", 5, 1000).await;
    assert_eq!(codes_in(&place).await, ["0000000", "0000001", "0000002", "0000003", "0000004"]);
    assert_sound(&place).await;
}

on_both_stores!(the_program_denies_the_builtin_words_and_those_of_the_file);
async fn the_program_denies_the_builtin_words_and_those_of_the_file(place: TestStore) {
    std::fs::write(place.path().join("words"), "xy\n").expect("a file");
    let generate = |count: usize| {
        let command = place.codemint(["generate", "[ASXY]{5}", "--json", "-n", &count.to_string()]);
        command.env("CODEMINT__DENY__BUILTIN", "true").env("CODEMINT__DENY__FILE", "words")
    };
    let words = DeniedWords::builtin().and_then(|words| words.union(&DeniedWords::new(["xy"])?)).expect("words");
    let denied = DeniedInMask::new(&Arc::new(words), &mask("[ASXY]{5}"));
    let allowed: Vec<String> =
        codes_of(mask("[ASXY]{5}").positions()).into_iter().filter(|code| !denied.is_denied(code.as_bytes())).collect();
    let refused = generate(allowed.len() + 1).run().await.expect_code(4);
    assert!(
        refused.stderr.contains(&format!("error: {} codes of [ASXY]{{5}} are free", allowed.len())),
        "{}",
        refused.stderr
    );
    let minted = generate(allowed.len()).run().await.expect_code(0).json();
    assert!(minted["rejected_by_reason"]["denied"].as_u64().expect("a number") > 0);
    assert_eq!(codes_in(&place).await, allowed);
}
